"""FFmpeg's log lines, for as long as somebody listens.

FFmpeg writes several lines for each RTP packet, nearly all below the level that anybody wants, and asks its callback
about each. PyAV's takes Python's interpreter lock before it says no: with 32 cameras, a sixth of the worker's CPU, most
of it for waking threads that wait for the lock. So the callback is there only while a line may come that is needed:
while a stream is opened, and as long as one comes over UDP.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

from camera_worker.ingest.av_errors import LogLine


class FfmpegLog:
    """Who listens. FFmpeg has one callback for all of a process, and so this has one instance, ``FFMPEG_LOG``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = 0

    @contextmanager
    def lines(self) -> Iterator[list[LogLine]]:
        """What FFmpeg says in this thread meanwhile: warnings and worse. Texts may hold URLs with passwords."""
        self._change(+1)
        try:
            with av.logging.Capture(local=True) as lines:
                yield lines
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        with self._lock:
            self._listeners += by
            av.logging.set_level(av.logging.WARNING if self._listeners else None)


FFMPEG_LOG = FfmpegLog()


def quieten_ffmpeg() -> None:
    """Called once per process, before threads start: lines reach nobody but those who listen, and these get them all.

    While one thread listens, PyAV takes other threads' lines, too, and gives them to Python's loggers.
    """
    libav = logging.getLogger("libav")
    libav.propagate = False
    libav.addHandler(logging.NullHandler())
    av.logging.set_level(None)
    # PyAV leaves out a line that equals the one before, also when another thread wrote that: another camera's answer.
    av.logging.set_skip_repeated(False)
