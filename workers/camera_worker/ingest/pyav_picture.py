"""Decoded frames by PyAV. With them come NumPy and OpenCV: 27 MB that a worker which decodes nothing does without."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from camera_worker import allocator
from camera_worker.picture.thumbnail import is_grey

_BYTE_BITS = 8
# Cameras have a thread each; more of OpenCV's would only switch.
cv2.setNumThreads(1)
allocator.tune_for_pictures()


class PyAvPicture:
    """A decoded frame."""

    __slots__ = ("_frame",)

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def is_corrupt(self) -> bool:
        """Whether the decoder had to guess parts of it."""
        return bool(self._frame.is_corrupt)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._frame.width)

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._frame.height)

    def luma(self) -> npt.NDArray[np.uint8]:
        """The first plane. Planar YUV: every codec of cameras."""
        return self._plane(0)

    def is_grey(self) -> bool | None:
        """Whether it has no colour; None: not known."""
        planes = len(self._frame.planes)
        if planes == 1:
            return not bool(self._frame.format.is_rgb)
        # Hardware decoders interleave the two chroma planes.
        return is_grey(self._plane(1), self._plane(2)) if planes == len("YUV") else None

    def _plane(self, number: int) -> npt.NDArray[np.uint8]:
        plane = self._frame.planes[number]
        bits = self._frame.format.components[0].bits
        if bits == _BYTE_BITS:
            return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        # Ten bits of H.265 (Main 10): two bytes a sample.
        words = np.frombuffer(plane, "<u2").reshape(plane.height, plane.line_size // 2)[:, : plane.width]
        return np.asarray(words >> (bits - _BYTE_BITS), np.uint8)
