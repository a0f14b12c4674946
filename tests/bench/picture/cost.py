"""CPU time per key frame, with a yardstick from the same run: ffmpeg decoding the same bytes."""

import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import av

from bench.picture.video import KEY_FRAME_S, luma
from camera_api.assignment import AssignedCamera, AssignedSource, SourceKind
from camera_worker.ingest.pictures import PictureHealth, Seen
from camera_worker.ingest.pyav_picture import PyAvPicture
from camera_worker.ingest.source import KeyFrame
from camera_worker.picture.monitor import KeyFrameFacts, PictureMonitor
from camera_worker.picture.thumbnail import Gray, thumbnail

T = TypeVar("T")

_FRAMES = 100
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of CPU time on one core, and memory."""

    yardstick_ffmpeg_ms_per_frame: float
    decode_key_frame_ms: float
    thumbnail_ms: float
    detectors_ms: float  #: mean over a stream in good order, learning included
    detectors_p99_ms: float
    ingest_ms: float  #: all that the ingest does with a decoded key frame: thumbnail, detectors, colour, evidence
    monitor_kbytes: float


def measure_cost(path: Path) -> Cost:
    """Encodes a clip as 1080p25 at 4 Mbit/s and measures each step on it."""
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "1080p.h264"
        subprocess.run(
            [
                *(_ffmpeg(), "-nostdin", "-loglevel", "error", "-stream_loop", "-1", "-i", str(path)),
                *("-vf", "scale=1920:1080", "-r", "25", "-frames:v", str(_FRAMES), "-pix_fmt", "yuv420p"),
                *("-c:v", "libx264", "-preset", "superfast", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "8M"),
                *("-g", "10", "-bf", "0", str(stream)),
            ],
            check=True,
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [_ffmpeg(), "-nostdin", "-loglevel", "error", "-threads", "1", "-i", str(stream), "-f", "null", "-"],
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        yardstick = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / _FRAMES
        with av.open(str(stream)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.is_keyframe and packet.size]
            context = container.streams.video[0].codec_context
            context.thread_count = 1
            began = time.process_time()
            frames = [frame for packet in packets for frame in context.decode(packet)] + context.decode(None)
            decoding = (time.process_time() - began) / len(frames)
    planes = [luma(frame) for frame in frames]
    reduced = [thumbnail(plane) for plane in planes]
    monitor = PictureMonitor()
    clock = iter(range(1_000_000))

    def observe(picture: Gray) -> None:
        monitor.observe(picture, KeyFrameFacts(KEY_FRAME_S * next(clock)))

    detectors = _seconds(observe, reduced)
    health = PictureHealth(None)
    door = AssignedCamera(
        namespace="city",
        name="door",
        uid="uid-door",
        source=AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.7/door"),
    )

    def see(frame: Any) -> None:
        at = KEY_FRAME_S * next(clock)
        health.see(Seen(PyAvPicture(frame), KeyFrame("h264", b"", b""), at, None, None), door)

    return Cost(
        yardstick_ffmpeg_ms_per_frame=1e3 * yardstick,
        decode_key_frame_ms=1e3 * decoding,
        thumbnail_ms=1e3 * statistics.mean(_seconds(thumbnail, planes)),
        detectors_ms=1e3 * statistics.mean(detectors),
        detectors_p99_ms=1e3 * sorted(detectors)[int(0.99 * len(detectors))],
        ingest_ms=1e3 * statistics.mean(_seconds(see, frames)),
        monitor_kbytes=len(pickle.dumps(monitor)) / 1e3,
    )


def _seconds(call: Callable[[T], object], pictures: Sequence[T]) -> list[float]:
    """CPU seconds of each call, over some rounds."""
    spent = []
    for _ in range(_ROUNDS):
        for picture in pictures:
            began = time.thread_time()
            call(picture)
            spent.append(time.thread_time() - began)
    return spent


def _ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        sys.exit("ffmpeg is not installed (apt install ffmpeg); it is the yardstick. --no-cost leaves it out")
    return found
