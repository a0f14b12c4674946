"""The border between a camera's thread and its readers in the event loop."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from camera_worker.relay.clock import StreamClock
from camera_worker.relay.framing import GAP, End, EndReason, Parameters, encode_packet_prefix
from camera_worker.relay.shared import CHUNK_END, Shared, chunk_start

logger = logging.getLogger(__name__)

#: Bytes that may wait for the event loop, which looks 50 times a second. When it stands still, packets are lost here.
MAX_INBOX_BYTES = 4 * 1024 * 1024


class Kind(StrEnum):
    """Which stream of a camera."""

    MAIN = "main"
    SUB = "sub"


class Source(Protocol):
    """A packet of a camera, valid for the moment; see ``ingest.source.Packet``."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def is_key(self) -> bool: ...  # noqa: D102
    @property
    def seconds(self) -> float | None: ...  # noqa: D102
    @property
    def decode_seconds(self) -> float | None: ...  # noqa: D102
    def data(self) -> bytes | memoryview: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class RelayPacket(Shared):
    """One packet as an HTTP chunk that holds frames of ``framing``: copied once, shared by all readers."""

    data_offset: int  #: where the access unit begins in the chunk; it ends before the last two bytes
    pts: int  #: ticks
    dts: int  #: ticks

    @property
    def data(self) -> memoryview:
        """The access unit."""
        return memoryview(self.chunk)[self.data_offset : -len(CHUNK_END)]


@dataclass(slots=True)
class RelayCounters:
    """What only grows, as long as the camera is assigned."""

    sent_bytes: int = 0
    drops: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A session stands."""

    parameters: Parameters


#: What crosses the border.
Item = RelayPacket | Opened | End


class Feed:
    """One stream of a camera on its way to readers.

    For the camera's thread: ``opened``, ``sized``, ``lost``, ``take``. For the event loop: ``start``, ``drain``,
    ``stop``. For any thread: ``end``.

    Args:
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        #: Whether anybody reads. The camera's thread looks at it for each packet, and at nothing else if nobody does.
        self.wanted = False
        #: Of the session that stands; None: none does.
        self.parameters: Parameters | None = None
        self.counters = RelayCounters()
        self.readers = 0
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._inbox: deque[Item] = deque()
        self._inbox_bytes = 0
        self._time_line = StreamClock(clock())
        self._needs_key = True
        #: Whether packets are missing between what readers have and what comes next.
        self._has_gap = False
        #: Why nothing will ever come again; None: it may.
        self._ended: End | None = None

    def opened(self, parameters: Parameters) -> None:
        """A session stands. Its first packet for readers will be a key frame."""
        with self._lock:
            if self._ended is not None:
                return
            self.parameters = parameters
            self._time_line.restart()
            self._needs_key = True
            if self.wanted:
                self._has_gap = True
                self._inbox.append(Opened(parameters))

    def sized(self, width: int, height: int) -> None:
        """A picture has been decoded: readers that come later are told its size, if it was not known before."""
        parameters = self.parameters
        if parameters is not None and not parameters.width:
            self.parameters = replace(parameters, width=width, height=height)

    def lost(self) -> None:
        """The session has ended; there may be another one."""
        self.parameters = None

    def take(self, packet: Source, now: float) -> memoryview | None:
        """Takes a packet that comes while ``wanted``.

        Returns:
            The access unit where it outlives the packet, shared with the readers; None: it was not taken.
        """
        with self._lock:
            if not self.wanted or (self._needs_key and not packet.is_key):
                return None
            size = packet.size
            if self._inbox_bytes + size > MAX_INBOX_BYTES:
                self._needs_key = self._has_gap = True
                self.counters.drops += 1
                return None
            try:
                framed = self._framed(packet, size, now)
            except Exception as error:
                # A defect of the relay is no fault of the camera, and costs nobody but its readers the stream.
                logger.exception("the relay failed on a packet")
                self._inbox.append(End(EndReason.FAILED, f"the worker failed on the stream: {type(error).__name__}"))
                self.wanted = False
                return None
            self._inbox.append(framed)
            self._inbox_bytes += size
            self._needs_key = self._has_gap = False
            return framed.data

    def _framed(self, packet: Source, size: int, now: float) -> RelayPacket:
        is_key = packet.is_key
        pts, dts = self._time_line.map(packet.seconds, packet.decode_seconds, now, is_key=is_key)
        prefix = encode_packet_prefix(size, pts, dts, is_key=is_key)
        if self._has_gap:
            prefix = GAP + prefix
        start = chunk_start(len(prefix) + size)
        # The one copy: FFmpeg's memory is gone with the packet.
        chunk = b"".join((start, prefix, packet.data(), CHUNK_END))
        return RelayPacket(chunk, is_key, len(start) + len(prefix), pts, dts)

    def end(self, reason: EndReason, message: str, *, for_good: bool = True) -> None:
        """Readers are told why they are closed.

        Args:
            reason: for programs.
            message: for people.
            for_good: whether a reader that comes later is to be told the same.
        """
        with self._lock:
            if self._ended is not None:
                return
            end = End(reason, message)
            self._ended = end if for_good else None
            self._inbox.append(end)
            self.parameters = None

    def start(self) -> float:
        """The first reader has come.

        Returns:
            Seconds since 1970 at tick 0, until ``stop``.
        """
        with self._lock:
            now = self._clock()
            self._time_line = StreamClock(now)
            self._needs_key = True
            self._has_gap = False
            self._inbox.clear()
            self._inbox_bytes = 0
            if self._ended is not None:
                self._inbox.append(self._ended)
            self.wanted = True
            return self._time_line.epoch_s(self._wall_clock(), now)

    def stop(self) -> None:
        """The last reader has gone."""
        with self._lock:
            self.wanted = False
            self._inbox.clear()
            self._inbox_bytes = 0

    def drain(self) -> list[Item]:
        """What has come since the last call, in order."""
        if not self._inbox:
            return []
        with self._lock:
            items = list(self._inbox)
            self._inbox.clear()
            self._inbox_bytes = 0
        return items
