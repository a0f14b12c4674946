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

#: FFmpeg's AV_LOG_QUIET, which PyAV has no name for.
_QUIET = -8


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
            if self._listeners:
                av.logging.set_level(av.logging.WARNING)
            else:
                _silence()


FFMPEG_LOG = FfmpegLog()


def _silence() -> None:
    """Takes PyAV's callback away. FFmpeg's own writes to the standard error output, at this level nothing.

    PyAV's way, ``set_level(None)``, is for a process with one thread: a line of another one that waits for the lock
    just then meets no level, and PyAV writes it out as it is, with a traceback.
    """
    av.logging.set_libav_level(_QUIET)
    av.logging.restore_default_callback()


def quieten_ffmpeg() -> None:
    """Called once per process, before threads start: lines reach nobody but those who listen, and these get them all.

    While one thread listens, PyAV takes other threads' lines, too, and gives them to Python's loggers.
    """
    libav = logging.getLogger("libav")
    libav.propagate = False
    libav.addHandler(logging.NullHandler())
    # A level for lines that come late.
    av.logging.set_level(av.logging.WARNING)
    _silence()
    # PyAV leaves out a line that equals the one before, also when another thread wrote that: another camera's answer.
    av.logging.set_skip_repeated(False)
