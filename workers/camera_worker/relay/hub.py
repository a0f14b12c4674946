"""All streams with readers, and the beat that moves them on. For the event loop only."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from camera_worker.relay.feed import Feed
from camera_worker.relay.framing import Parameters
from camera_worker.relay.reader import Reader
from camera_worker.relay.stream import GAP_CHUNK, MakeMuxer, RelayStream

logger = logging.getLogger(__name__)

#: Seconds between two beats. A beat costs one wake-up for all cameras; a wake-up per packet would cost more than the
#: sending. A reader gets a packet half of this later, on average.
BEAT_S = 0.02
#: Readers of a worker, at most: each holds up to 0.4 MB in the kernel and the transport.
MAX_READERS = 256


class TooManyReadersError(Exception):
    """All places for readers are taken."""


class Relay:
    """The worker's relay.

    Args:
        clock: monotonic seconds.
        make_muxer: makes muxers for MPEG-TS.
        max_readers: places for readers.
    """

    def __init__(self, clock: Callable[[], float], make_muxer: MakeMuxer, max_readers: int = MAX_READERS) -> None:
        self._clock = clock
        self._make_muxer = make_muxer
        self._max_readers = max_readers
        self._taken = 0
        self._streams: dict[Feed, RelayStream] = {}
        #: Streams that have ended, while their readers take the last bytes.
        self._ended: list[RelayStream] = []
        self._beat: asyncio.TimerHandle | None = None

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds one of the places for readers.

        Raises:
            TooManyReadersError: none is free.
        """
        if self._taken >= self._max_readers:
            raise TooManyReadersError(f"all {self._max_readers} places for readers of this worker are taken")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def join(self, feed: Feed, parameters: Parameters, transport: asyncio.Transport, *, as_ts: bool) -> Reader:
        """Adds a reader, who gets all that follows by its transport.

        Args:
            feed: the stream.
            parameters: of the stream, as the feed had them when the reader asked.
            transport: of a response whose header has been sent.
            as_ts: as MPEG-TS rather than framed packets.

        Raises:
            MuxError: the stream's codec has no place in MPEG-TS.
        """
        now = self._clock()
        stream = self._streams.get(feed)
        if stream is not None and stream.has_ended:
            self._ended.append(self._streams.pop(feed))
            stream = None
        if stream is None:
            stream = self._streams[feed] = RelayStream(feed, parameters, self._make_muxer)
        reader = Reader(transport, b"" if as_ts else GAP_CHUNK)
        try:
            if as_ts:
                stream.join_ts(reader, now)
            else:
                stream.join_packets(reader, now)
        finally:
            self._schedule()
        return reader

    def close(self) -> None:
        """Ends all readers at once, as the worker ends."""
        now = self._clock()
        for stream in list(self._streams.values()):
            stream.fail("the worker is shut down", now)

    def _schedule(self) -> None:
        if self._beat is None:
            self._beat = asyncio.get_running_loop().call_later(BEAT_S, self._on_beat)

    def _on_beat(self) -> None:
        self._beat = None
        now = self._clock()
        for feed, stream in list(self._streams.items()):
            self._pump(stream, now)
            if stream.has_ended or stream.is_empty:
                del self._streams[feed]
                if stream.is_empty:
                    stream.close()
                else:
                    self._ended.append(stream)
        for stream in self._ended:
            self._pump(stream, now)
        self._ended = [stream for stream in self._ended if not stream.is_empty]
        if self._streams or self._ended:
            self._schedule()

    def _pump(self, stream: RelayStream, now: float) -> None:
        try:
            stream.pump(now)
        except Exception:
            # A defect that one stream's bytes provoke must not end the others' readers.
            logger.exception("the relay failed on a stream")
            stream.fail("the worker failed on the stream", now)
