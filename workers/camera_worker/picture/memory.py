"""What a monitor has learned as bytes, so that a restarted worker need not learn again: some 40 kB per light."""

import io
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from camera_worker.picture.features import COLUMNS, ROWS, measure
from camera_worker.picture.frozen import UsualMotion
from camera_worker.picture.reference import View
from camera_worker.picture.thumbnail import HEIGHT, WIDTH

#: Raise when a number learned by an earlier version means something else.
_VERSION = 2
#: What numpy and zipfile raise for bytes that are not, or not quite, an archive of arrays.
_DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_LIGHTS = {False: "visible", True: "infrared"}


@dataclass(frozen=True, slots=True)
class Memory:
    """What a monitor knows about its camera."""

    views: dict[bool, View]  #: by whether the light is infra-red
    motion: UsualMotion

    def dump(self) -> bytes:
        """As a compressed archive of arrays."""
        motion = self.motion
        arrays = {
            "version": np.array(_VERSION),
            "motion": np.array([_number(value) for value in (motion.blocks, motion.grain, motion.inter_bytes)]),
        }
        for light, view in self.views.items():
            if not view.is_borrowed:
                arrays[f"{_LIGHTS[light]}_luma"] = view.reference.luma
                arrays[f"{_LIGHTS[light]}_reliability"] = view.reliability
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes) -> "Memory":
        """The opposite of ``dump``.

        Raises:
            ValueError: the data is damaged or of another version; the camera must be learned anew.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except _DAMAGE as error:
            raise ValueError("the memory of a camera's picture is damaged") from error
        return cls._of(arrays)

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray]) -> "Memory":
        version, motion = arrays.get("version"), arrays.get("motion")
        if version is None or motion is None or version.shape != () or version != _VERSION or motion.shape != (3,):
            raise ValueError(f"the memory of a camera's picture is not of version {_VERSION}")
        views = {}
        for light, name in _LIGHTS.items():
            luma, reliability = arrays.get(f"{name}_luma"), arrays.get(f"{name}_reliability")
            if luma is None or reliability is None:
                continue
            if luma.dtype != np.uint8 or luma.shape != (HEIGHT, WIDTH) or reliability.shape != (ROWS, COLUMNS):
                raise ValueError("the memory of a camera's picture holds another size of picture")
            views[light] = View(measure(luma), reliability.astype(np.float32))
        blocks, grain, inter_bytes = (_optional(float(value)) for value in motion)
        return cls(views, UsualMotion(blocks, grain, inter_bytes))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _optional(value: float) -> float | None:
    return value if math.isfinite(value) else None
