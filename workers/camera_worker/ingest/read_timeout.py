"""Ends reads that take too long, at no cost for those that do not.

FFmpeg asks several times for each RTP packet whether to go on, and PyAV answers with Python's lock held and its clock
read: with a time-out set, 40 % of the CPU that an idle camera takes. Without one, PyAV says yes at once. So reads have
none; a thread of its own looks at the times at which PyAV began to read, and sets the time-out of a read that is
overdue, which FFmpeg then hears of within 0.1 s.

The two numbers stand in PyAV's container, where Python cannot see them (``timeout_info`` in container/core.pxd). They
are found by their values once per container. Where another PyAV keeps them elsewhere, its own time-out is used.
"""

import ctypes
import io
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import av
import av.container

logger = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK_EVERY_S = 0.1
#: PyAV's time-out of a container that has none.
_NONE = -1.0


class _TimeoutInfo(ctypes.Structure):
    """PyAV's own; seconds, monotonic."""

    _fields_ = (("start_time", ctypes.c_double), ("timeout", ctypes.c_double))


class ReadTimeout:
    """The time-out of one container's reads. The container is the caller's to keep open meanwhile.

    Args:
        container: opened without a time-out for reads.
        limit_s: seconds that one read may take.
        info: where PyAV keeps its numbers.
    """

    def __init__(self, container: Any, limit_s: float, info: _TimeoutInfo) -> None:
        # The numbers are part of the container's memory.
        self._container = container
        self._info = info
        #: Seconds; may be changed at any time.
        self.limit_s = limit_s
        #: The latest look has found the read overdue; it may still have ended well.
        self.has_expired = False

    def was_exceeded(self, now: float) -> bool:
        """Whether the latest read, which has just ended, has taken too long; the next one has its time again."""
        taken = now - self._info.start_time
        self.has_expired = False
        self._info.timeout = _NONE
        return bool(taken > self.limit_s)

    def look(self, now: float) -> None:
        """Sets the time-out if the read at hand is overdue."""
        if now - self._info.start_time > self.limit_s:
            # In this order: the read ends no sooner than the reason can be seen. Should a packet come at this moment,
            # the next read has its time from the beginning.
            self.has_expired = True
            self._info.timeout = self.limit_s


class ReadTimeouts:
    """Looks after the reads of all containers. Safe to use from any thread.

    Args:
        clock: monotonic seconds, as PyAV takes them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: weakref.WeakSet[ReadTimeout] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        #: False: containers are to be opened with PyAV's own time-out for reads.
        self.is_supported = _is_supported()
        if not self.is_supported:
            self._explain()

    def watch(self, container: Any, limit_s: float, opened_after: float) -> ReadTimeout | None:
        """Gives a container's reads a time-out, until what is returned is let go.

        Args:
            container: opened without a time-out for reads, and not being read from.
            limit_s: seconds.
            opened_after: monotonic seconds at which it was not open yet.
        """
        info = _find(container, opened_after, self._clock())
        if info is None:
            # This one read is left to FFmpeg's time-out, which a camera's RTCP keeps quiet; the next ones are not.
            self.is_supported = False
            self._explain()
            return None
        timeout = ReadTimeout(container, limit_s, info)
        with self._lock:
            self._watched.add(timeout)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="read time-outs", daemon=True)
                self._thread.start()
        return timeout

    def forget(self, timeout: ReadTimeout | None) -> None:
        """The container is about to be closed."""
        with self._lock:
            if timeout is not None:
                self._watched.discard(timeout)

    def _explain(self) -> None:
        logger.warning("PyAV %s keeps its time-outs elsewhere: reading takes more CPU", av.__version__)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            now = self._clock()
            with self._lock:
                for timeout in self._watched:
                    timeout.look(now)


def _is_supported() -> bool:
    """Whether a container of this PyAV has the two numbers where they are looked for."""
    before = time.monotonic()
    with av.container.open(io.BytesIO(bytes(64)), format="u8", timeout=(60.0, None)) as container:
        return _find(container, before, time.monotonic()) is not None


def _find(container: Any, opened_after: float, now: float) -> _TimeoutInfo | None:
    """The only pair of a moment since the opening and "none" in the container's memory."""
    begin, end = id(container) + object.__basicsize__, id(container) + type(container).__basicsize__
    found = []
    for address in range(begin, end - ctypes.sizeof(_TimeoutInfo) + 1, ctypes.alignment(_TimeoutInfo)):
        info = _TimeoutInfo.from_address(address)
        if info.timeout == _NONE and opened_after <= info.start_time <= now:
            found.append(info)
    return found[0] if len(found) == 1 else None
