"""Clips in and key frames out, through a real encoder and the decode path of the worker."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench.picture.effects import Frame
from camera_worker.picture.thumbnail import Gray, thumbnail

#: Frames from one key frame to the next: fewer than a camera's, to encode fewer; key frames are what is looked at.
GROUP = 4
#: Seconds from one key frame to the next by the clock that the monitor is told.
KEY_FRAME_S = 2.0
#: Frames of the clip from one encoded frame to the next, so that people walk on between key frames.
_STRIDE = 3
_RATE = Fraction(int(GROUP / KEY_FRAME_S), 1)
#: Bits per pixel of a stream of such short groups that looks like a 1080p camera's 4 Mbit/s.
_BITS_PER_PIXEL = 0.35

#: Where Debian and Ubuntu keep the clip that the thresholds were tuned on.
TUNED_ON = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the camera's encoder is set."""

    is_variable_rate: bool
    strength: int = 0  #: 0: as usual; 1-3: ever less data, until the picture is blocks

    def options(self, width: int, height: int) -> dict[str, str]:
        """Options of libx264: no B frames, a key frame per group, as cameras do."""
        options = {
            "preset": "superfast",
            "g": str(GROUP),
            "keyint_min": str(GROUP),
            "sc_threshold": "0",
            "bf": "0",
            "tune": "zerolatency",
            "threads": "1",
        }
        if self.is_variable_rate:
            return options | {"crf": str((25, 34, 38, 42)[self.strength])}
        share = (1.0, 0.4, 0.27, 0.18)[self.strength]
        rate = str(int(_BITS_PER_PIXEL * share * width * height * _RATE))
        return options | {"b": rate, "maxrate": rate, "bufsize": rate, "x264-params": "nal-hrd=cbr"}


@dataclass(frozen=True, slots=True)
class Key:
    """A decoded key frame, reduced, with the sizes of what came before it."""

    luma: Gray
    inter_bytes: float | None


class Clip:
    """A real scene that goes on for ever: forwards, then backwards, without a jump.

    Args:
        path: a video file.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        with av.open(str(path)) as container:
            decoded = [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]
        frames = decoded[::_STRIDE]
        height, width = frames[0].shape
        # Encoders for 4:2:0 want even sides.
        self._frames = [np.ascontiguousarray(frame[: height // 2 * 2, : width // 2 * 2]) for frame in frames]

    def frame(self, number: int) -> Frame:
        """The frame of a number that may be larger than the clip is long."""
        last = len(self._frames) - 1
        at = number % (2 * last)
        return self._frames[at if at <= last else 2 * last - at]


def encode(frames: Iterable[Frame], encoding: Encoding) -> Iterator[tuple[bytes, bool]]:
    """Encoded frames, and whether each is a key frame."""
    context = None
    for number, luma in enumerate(frames):
        height, width = luma.shape
        if context is None:
            context = av.CodecContext.create("libx264", "w")
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.framerate, context.time_base = _RATE, 1 / _RATE
            context.options = encoding.options(width, height)
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        planes[:height] = luma
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        yield from ((bytes(packet), packet.is_keyframe) for packet in context.encode(frame))
    if context is not None:
        yield from ((bytes(packet), packet.is_keyframe) for packet in context.encode(None))


def decode(packets: Iterable[tuple[bytes, bool]]) -> list[Key]:
    """Key frames as the worker sees them: nothing else is decoded."""
    context: Any = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    keys: list[Key] = []
    sizes: list[int] = []
    for data, is_key in packets:
        if not is_key:
            sizes.append(len(data))
            continue
        inter_bytes = statistics.median(sizes) if sizes else None
        sizes.clear()
        keys += [
            Key(thumbnail(luma(frame)), inter_bytes) for frame in (*context.decode(av.Packet(data)), *_flush(context))
        ]
    return keys


def _flush(context: Any) -> Sequence[av.VideoFrame]:
    # Without the frames that follow it, a decoder with delay would keep the key frame back.
    frames = [frame for frame in context.decode(None) if isinstance(frame, av.VideoFrame)]
    context.flush_buffers()
    return frames


def luma(frame: av.VideoFrame) -> Gray:
    """Brightness of a decoded frame, without a copy."""
    plane = frame.planes[0]
    rows: Gray = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]
