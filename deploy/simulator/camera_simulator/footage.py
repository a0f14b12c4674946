"""Real footage, encoded once per recipe by ffmpeg and kept in a cache folder.

The source is OpenCV's `vtest.avi` (PETS 2009, view 1: people crossing a campus; 768x576, 10 frames/s, 795 frames),
which Debian and Ubuntu ship in `opencv-doc`. A clip is encoded like a CCTV camera's stream: no B frames, a key frame
every two seconds, parameter sets with every key frame.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import gzip
import hashlib
import json
import logging
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from camera_simulator.bitstream import AccessUnit, Codec, parameter_sets, split_access_units
from camera_simulator.errors import FootageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

log = logging.getLogger(__name__)

Payload = TypeVar("Payload")

#: Seconds between key frames; what most cameras are set to.
KEY_FRAME_SECONDS: Final = 2
#: Whole groups of pictures in the source's 79.5 s.
CLIP_SECONDS: Final = 78
#: Picture faults show a static scene: a short loop looks the same and is encoded in a fraction of the time.
VARIANT_SECONDS: Final = 10
#: Raise when the encoder's arguments mean something else without reading differently.
_RECIPE_VERSION: Final = 1
_SOURCE_PLACES: Final = (
    "/usr/share/doc/opencv-doc/examples/data",
    "/usr/share/doc/opencv-doc/examples",
    "/usr/share/opencv4/samples/data",
)
_SOURCE_FPS: Final = 10
#: 44 for what follows a key frame, 26 (three octaves, 6 each, less) for the key frame.
_FROZEN_QUANTISERS: Final = "qp=44:ipratio=8"


class Variant(enum.Enum):
    """What can be seen on a clip."""

    NORMAL = "normal"
    FROZEN = "frozen"
    SLOW = "slow"
    BLACK = "black"
    OVEREXPOSED = "overexposed"
    COVERED = "covered"
    DEFOCUSED = "defocused"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A stream as it is set in a camera's menu."""

    name: str
    codec: Codec
    width: int
    height: int
    fps: int
    #: Mean and highest rate, kbit/s; of no meaning for Motion JPEG, which has a fixed quality.
    kbps: int

    @property
    def frames_per_key(self) -> int:
        """Pictures from one key frame to the next."""
        return self.fps * KEY_FRAME_SECONDS

    def __str__(self) -> str:
        rate = "" if self.codec is Codec.MJPEG else f", {self.kbps} kbit/s"
        return f"{self.name}: {self.codec.value} {self.width}x{self.height}, {self.fps} frames/s{rate}"


CLIPS: Final[dict[str, ClipSpec]] = {
    spec.name: spec
    for spec in (
        ClipSpec("h264-1080p", Codec.H264, 1920, 1080, 25, 4000),
        ClipSpec("h264-720p", Codec.H264, 1280, 720, 10, 1500),
        ClipSpec("h264-360p", Codec.H264, 640, 360, 10, 400),
        ClipSpec("h265-720p", Codec.H265, 1280, 720, 10, 800),
        ClipSpec("mjpeg-480p", Codec.MJPEG, 640, 480, 10, 0),
    )
}

# Applied to the cropped source before it is scaled. Limits are those of limited-range video: 16 to 235.
_PICTURE_FILTERS: Final[dict[Variant, str]] = {
    Variant.BLACK: "lutyuv=y='16+(val-16)*0.06':u='128+(val-128)*0.1':v='128+(val-128)*0.1',noise=c0s=3:c0f=t",
    Variant.OVEREXPOSED: "lutyuv=y='clip(220+(val-16)*0.3,16,235)':u='128+(val-128)*0.2':v='128+(val-128)*0.2'",
    Variant.COVERED: "drawbox=x=0:y=0:w=iw*0.94:h=ih:color=0x38342f:t=fill,noise=c0s=4:c0f=t",
    Variant.DEFOCUSED: "gblur=sigma=5:steps=3",
    # Pans by 40 % of the width and tilts by 30 % of the height at the same scale; a mirror image comes into view.
    Variant.MOVED: "split[a][b];[b]hflip[c];[a][c]hstack,crop=iw/2:ih:iw*0.2:0,"
    "split[d][e];[e]vflip[f];[d][f]vstack,crop=iw:ih/2:0:ih*0.15",
}


def encoder_arguments(spec: ClipSpec, variant: Variant) -> list[str]:
    """The recipe of one clip: ffmpeg's arguments between its input and its output."""
    fps = _slow_fps(spec) if variant is Variant.SLOW else spec.fps
    seconds = CLIP_SECONDS if variant is Variant.NORMAL else VARIANT_SECONDS
    return [
        *("-an", "-sn", "-t", str(seconds), "-vf", ",".join(_filters(spec, variant)), "-r", f"{fps:g}"),
        *("-pix_fmt", "yuvj420p" if spec.codec is Codec.MJPEG else "yuv420p"),
        *_codec_arguments(spec, variant, gop=round(fps * KEY_FRAME_SECONDS)),
    ]


def _filters(spec: ClipSpec, variant: Variant) -> Iterator[str]:
    if spec.width * 3 != spec.height * 4:
        yield "crop=iw:iw*9/16:0:(ih-oh)*0.4"
    if variant in _PICTURE_FILTERS:
        yield _PICTURE_FILTERS[variant]
    # Blends neighbours: repeating pictures instead would make most of them empty and the others twice as large.
    yield f"framerate=fps={spec.fps}" if spec.fps > _SOURCE_FPS else f"fps={spec.fps}"
    if variant is Variant.SLOW:
        yield f"fps={_slow_fps(spec)}"
    if variant is Variant.FROZEN:
        # The first picture of every group stays until the next group.
        yield rf"select='not(mod(n\,{spec.frames_per_key}))'"
        yield f"tpad=stop_mode=clone:stop_duration={KEY_FRAME_SECONDS}"
        yield f"fps={spec.fps}"
    yield f"scale={spec.width}:{spec.height}:flags=bicubic"
    yield "setsar=1"


def _slow_fps(spec: ClipSpec) -> int:
    # Below half, which is where cameras count as slow unless told otherwise. Whole for 10 and 25.
    return spec.fps * 2 // 5


def _codec_arguments(spec: ClipSpec, variant: Variant, gop: int) -> Iterator[str]:
    if spec.codec is Codec.MJPEG:
        # RTP carries no Huffman tables (RFC 2435): the decoder takes the standard ones for granted.
        yield from ("-c:v", "mjpeg", "-q:v", "6", "-huffman", "default", "-f", "mjpeg")
        return
    yield from ("-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0", "-bf", "0")
    if variant is not Variant.FROZEN:
        # A fixed rate refines a still picture bit by bit; the frozen one has fixed quantisers (below), so coarse after
        # the key frame that every block is skipped: the pictures are equal to the last bit.
        yield from ("-b:v", f"{spec.kbps}k", "-maxrate", f"{spec.kbps}k", "-bufsize", f"{2 * spec.kbps}k")
    if spec.codec is Codec.H264:
        # stitchable: the same parameter sets whatever the rate control, so that variants can follow one another.
        yield from ("-c:v", "libx264", "-preset", "superfast", "-profile:v", "main")
        quantisers = f":{_FROZEN_QUANTISERS}" if variant is Variant.FROZEN else ""
        yield from ("-x264-params", f"stitchable=1:aud=1:scenecut=0{quantisers}", "-f", "h264")
    else:
        quantisers = f":{_FROZEN_QUANTISERS}" if variant is Variant.FROZEN else ""
        options = f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=0:aud=1:repeat-headers=1:sao=0:info=0"
        yield from ("-c:v", "libx265", "-preset", "ultrafast")
        yield from ("-x265-params", f"{options}:log-level=error{quantisers}", "-f", "hevc")


def clip_file_name(spec: ClipSpec, variant: Variant, source: Path | None = None) -> str:
    """Name of the encoded file: another recipe, or another source than the usual one, is another file.

    Raises:
        FootageError: `source` cannot be read.
    """
    identity = None
    if source is not None:
        try:
            state = source.stat()
        except OSError as error:
            raise FootageError(f"the footage {source}: {error.strerror}") from error
        identity = [str(source.resolve()), state.st_size, state.st_mtime_ns]
    recipe = json.dumps([_RECIPE_VERSION, encoder_arguments(spec, variant), identity])
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    return f"{spec.name}-{variant.value}-{digest}.{spec.codec.value}"


@dataclass(frozen=True, slots=True)
class Clip(Generic[Payload]):
    """An encoded clip in memory, cut into groups that each start with a key frame."""

    spec: ClipSpec
    variant: Variant
    #: Payloads by group; the first one of each group is a key frame.
    groups: tuple[tuple[Payload, ...], ...]
    #: Parameter sets without a picture (for Motion JPEG: one picture).
    header: Payload

    @property
    def frame_seconds(self) -> float:
        """Time from one picture to the next."""
        return KEY_FRAME_SECONDS / len(self.groups[0])


def default_cache() -> Path:
    """Where clips are kept unless told otherwise: `$XDG_CACHE_HOME/camera-operator/footage`."""
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path.home() / ".cache"
    return base / "camera-operator" / "footage"


class ClipLibrary(Generic[Payload]):
    """Clips by name and variant: encoded when first asked for, then one shared copy in memory.

    Safe to use from several threads, and several processes may share one folder.

    Args:
        folder: where encoded clips are kept.
        wrap: what becomes of one access unit's bytes (and whether it is a key frame) in memory.
        source: the footage; `None` looks for Debian's `opencv-doc`.
    """

    def __init__(self, folder: Path, wrap: Callable[[AccessUnit], Payload], source: Path | None = None) -> None:
        self._folder = folder
        self._wrap = wrap
        self._source = source
        self._clips: dict[tuple[str, Variant], Clip[Payload]] = {}
        self._lock = threading.Lock()

    def load(self, spec: ClipSpec, variant: Variant = Variant.NORMAL) -> Clip[Payload]:
        """The clip, encoded now if nobody has yet; that takes seconds, or a minute for the largest.

        Raises:
            FootageError: ffmpeg or the source is missing, or encoding failed.
        """
        with self._lock:
            key = (spec.name, variant)
            if key not in self._clips:
                self._clips[key] = self._read(spec, variant)
            return self._clips[key]

    def loaded(self, spec: ClipSpec, variant: Variant) -> Clip[Payload] | None:
        """The clip if it is in memory already; never waits for an encoder."""
        return self._clips.get((spec.name, variant))

    def prepare(self, specs: Iterable[ClipSpec], variants: Iterable[Variant] = tuple(Variant)) -> None:
        """Encode whatever is missing, with a line of progress each, without loading it.

        Raises:
            FootageError: see `load`.
        """
        wanted = [(spec, variant) for spec in specs for variant in variants]
        for number, (spec, variant) in enumerate(wanted, start=1):
            started = time.monotonic()
            path = self._encoded(spec, variant)
            size = path.stat().st_size / 1e6
            seconds = time.monotonic() - started
            log.info(
                "clip %d of %d: %s %s, %.1f MB, %.0f s", number, len(wanted), spec.name, variant.value, size, seconds
            )

    def _read(self, spec: ClipSpec, variant: Variant) -> Clip[Payload]:
        path = self._encoded(spec, variant)
        try:
            units = split_access_units(spec.codec, path.read_bytes())
        except ValueError as error:
            raise FootageError(f"{path} is damaged ({error}); delete it, and it is made again") from None
        length = (_slow_fps(spec) if variant is Variant.SLOW else spec.fps) * KEY_FRAME_SECONDS
        whole = len(units) - len(units) % length
        groups = [units[start : start + length] for start in range(0, whole, length)]
        if not groups or not all(group[0].is_key for group in groups):
            raise FootageError(f"{path} has no key frame every {length} pictures; delete it, and it is made again")
        header = AccessUnit(parameter_sets(spec.codec, groups[0][0].data), is_key=True)
        if variant is Variant.FROZEN and spec.codec is Codec.MJPEG:
            # The encoder is not bound to repeat itself; a frozen camera is.
            groups = [[group[0]] * length for group in groups]
        wrapped = {id(unit): self._wrap(unit) for group in groups for unit in group}
        return Clip(
            spec, variant, tuple(tuple(wrapped[id(unit)] for unit in group) for group in groups), self._wrap(header)
        )

    def _encoded(self, spec: ClipSpec, variant: Variant) -> Path:
        path = self._folder / clip_file_name(spec, variant, self._source)
        if path.exists():
            return path
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _exclusive(self._folder / ".lock"):
                if not path.exists():  # another process may have made it meanwhile
                    self._encode(spec, variant, path)
        except OSError as error:
            raise FootageError(f"cannot write clips to {self._folder}: {error.strerror}") from error
        return path

    def _encode(self, spec: ClipSpec, variant: Variant, path: Path) -> None:
        ffmpeg = shutil.which("ffmpeg")
        if ffmpeg is None:
            raise FootageError("ffmpeg is not installed; it encodes the footage (Debian, Ubuntu: apt install ffmpeg)")
        source = find_source(self._source, self._folder)
        log.info("encoding %s, %s (once; kept in %s)", spec, variant.value, self._folder)
        unfinished = path.with_name(f".{path.name}.tmp")
        command = [ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-i", str(source)]
        result = subprocess.run(
            [*command, *encoder_arguments(spec, variant), str(unfinished)],
            check=False,
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            unfinished.unlink(missing_ok=True)
            reason = result.stderr.strip() or f"exit code {result.returncode}"
            raise FootageError(f"ffmpeg could not encode {spec.name} {variant.value}: {reason}")
        unfinished.replace(path)


def prepare_all(folder: Path, source: Path | None = None) -> None:
    """Encode every clip in every variant that `folder` lacks, with a line of progress each.

    Raises:
        FootageError: see `ClipLibrary.load`.
    """
    ClipLibrary[AccessUnit](folder, lambda unit: unit, source).prepare(CLIPS.values())


def find_source(given: Path | None, folder: Path) -> Path:
    """The footage as a file ffmpeg can read; a compressed copy is unpacked into `folder` once.

    Args:
        given: the file to use; `None` looks for the usual one.
        folder: where a compressed copy is unpacked.

    Raises:
        FootageError: the usual one is not there.
    """
    if given is not None:
        return given
    for place in _SOURCE_PLACES:
        plain = Path(place) / "vtest.avi"
        if plain.is_file():
            return plain
        packed = plain.with_suffix(".avi.gz")
        if packed.is_file():
            unpacked = folder / plain.name
            if not unpacked.exists():
                unfinished = unpacked.with_suffix(f".{os.getpid()}.tmp")
                with gzip.open(packed) as reader, unfinished.open("wb") as writer:
                    shutil.copyfileobj(reader, writer)
                unfinished.replace(unpacked)
            return unpacked
    raise FootageError(
        "the footage vtest.avi was not found; it comes with the package opencv-doc "
        "(Debian, Ubuntu: apt install opencv-doc), or name another file with --footage"
    )


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it goes with the process that held it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
