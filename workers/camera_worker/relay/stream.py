"""One stream with readers: from its feed to their queues, as framed packets and as MPEG-TS. For the event loop only."""

import logging
from collections.abc import Callable
from typing import Protocol

from camera_worker.errors import MuxError
from camera_worker.relay.feed import Feed, Opened, RelayPacket
from camera_worker.relay.framing import GAP, End, EndReason, Header, Parameters, encode_end, encode_header
from camera_worker.relay.gop import GopKeeper
from camera_worker.relay.parameter_sets import with_parameter_sets
from camera_worker.relay.reader import Reader
from camera_worker.relay.shared import Shared, http_chunk
from camera_worker.relay.transport_stream import TableKeeper, TransportStreamError, leading_tables

logger = logging.getLogger(__name__)

#: The chunk that tells a reader of ``packets`` that it was dropped to a key frame.
GAP_CHUNK = http_chunk(GAP)


class Muxer(Protocol):
    """Makes MPEG-TS; ``ingest.ts_muxer.TsMuxer`` is the real one."""

    def mux(self, data: bytes, pts: int, dts: int, *, is_key: bool) -> bytes:
        """The transport packets of one access unit.

        Raises:
            MuxError: it cannot be put into MPEG-TS.
        """

    def close(self) -> None:
        """Gives memory back."""


MakeMuxer = Callable[[Parameters], Muxer]


class TsBranch:
    """The transport stream that all its readers share.

    Args:
        parameters: of the stream.
        make_muxer: makes the muxer.

    Raises:
        MuxError: the codec has no place in MPEG-TS.
    """

    def __init__(self, parameters: Parameters, make_muxer: MakeMuxer) -> None:
        self._parameters = parameters
        self._muxer = make_muxer(parameters)
        self._tables = TableKeeper()
        #: Tables in front of the group that is kept.
        self.head = b""
        self.gop: GopKeeper[Shared] = GopKeeper()

    def mux(self, packet: RelayPacket) -> Shared:
        """The transport packets of a packet, as a chunk.

        Raises:
            MuxError: it cannot be put into MPEG-TS.
        """
        is_key = packet.is_key
        if is_key:
            data = with_parameter_sets(self._parameters, packet.data)
            self.head = self._tables.tables()
        else:
            data = bytes(packet.data)
        out = self._muxer.mux(data, packet.pts, packet.dts, is_key=is_key)
        try:
            self._tables.add(leading_tables(out))
        except TransportStreamError as error:
            raise MuxError(f"FFmpeg's muxer is not understood: {error}") from None
        chunk = Shared(http_chunk(out) if out else b"", is_key)
        self.gop.add(chunk)
        return chunk

    def close(self) -> None:
        """Ends the muxer."""
        self._muxer.close()


class RelayStream:
    """Readers of one feed.

    Args:
        feed: a stream whose parameters are known.
        make_muxer: for the first reader of MPEG-TS.
    """

    def __init__(self, feed: Feed, parameters: Parameters, make_muxer: MakeMuxer) -> None:
        self._feed = feed
        self._parameters = parameters
        self._make_muxer = make_muxer
        self._header = http_chunk(encode_header(Header(parameters, feed.start())))
        self._gop: GopKeeper[RelayPacket] = GopKeeper()
        self._packets: list[Reader] = []
        self._ts: list[Reader] = []
        self._branch: TsBranch | None = None
        #: Readers that are told of the end, and leave when they have it.
        self._leaving: list[Reader] = []
        #: Set when the stream has ended: later readers need another one.
        self.has_ended = False

    @property
    def is_empty(self) -> bool:
        """Whether no reader is left."""
        return not (self._packets or self._ts or self._leaving)

    def join_packets(self, reader: Reader, now: float) -> None:
        """Adds a reader of framed packets."""
        reader.begin(self._header)
        reader.queue.start(self._gop.packets, now)
        self._packets.append(reader)
        self._count()

    def join_ts(self, reader: Reader, now: float) -> None:
        """Adds a reader of MPEG-TS.

        Raises:
            MuxError: the codec has no place in MPEG-TS.
        """
        if self._branch is None:
            self._branch = TsBranch(self._parameters, self._make_muxer)
            for packet in self._gop.packets:
                self._branch.mux(packet)
        branch = self._branch
        if branch.head and branch.gop.packets:
            reader.begin(http_chunk(branch.head))
        reader.queue.start(branch.gop.packets, now)
        self._ts.append(reader)
        self._count()

    def pump(self, now: float) -> None:
        """Hands on what has come, and writes what readers take."""
        for item in self._feed.drain() if not self.has_ended else ():
            if self.has_ended:
                break
            if isinstance(item, RelayPacket):
                self._put(item, now)
            elif isinstance(item, Opened):
                if not continues(self._parameters, item.parameters):
                    message = f"the camera sends {_named(item.parameters)} now, and sent {_named(self._parameters)}"
                    self._end(End(EndReason.PARAMETERS_CHANGED, message), now)
            else:
                self._end(item, now)
        self._flush(now)

    def fail(self, message: str, now: float) -> None:
        """Ends all readers because of a defect."""
        self._end(End(EndReason.FAILED, message), now)

    def close(self) -> None:
        """Lets go of the feed and the muxer. An ended stream has done so before: the feed may be another one's now."""
        if not self.has_ended:
            self._let_go()

    def _put(self, packet: RelayPacket, now: float) -> None:
        self._gop.add(packet)
        for reader in self._packets:
            reader.queue.put(packet, now)
        if self._branch is None:
            return
        try:
            chunk = self._branch.mux(packet)
        except MuxError as error:
            logger.warning("MPEG-TS readers are closed: %s", error)
            self._end_ts(now)
            return
        if chunk.chunk:
            for reader in self._ts:
                reader.queue.put(chunk, now)

    def _flush(self, now: float) -> None:
        counters = self._feed.counters
        gone = False
        for readers in (self._packets, self._ts, self._leaving):
            for reader in readers:
                counters.sent_bytes += reader.flush(now)
                counters.drops += reader.queue.drops
                reader.queue.drops = 0
                gone = gone or reader.is_gone
        if gone:
            self._packets, self._ts, self._leaving = (
                [reader for reader in readers if not reader.is_gone]
                for readers in (self._packets, self._ts, self._leaving)
            )
            if not self._ts:
                self._close_branch()
            self._count()

    def _end(self, end: End, now: float) -> None:
        tail = http_chunk(encode_end(end))
        for reader in self._packets:
            reader.end(tail, now)
        self._leaving += self._packets
        self._packets = []
        self._end_ts(now)
        self._let_go()

    def _let_go(self) -> None:
        self.has_ended = True
        self._gop.clear()
        self._close_branch()
        self._feed.stop()
        self._feed.readers = 0

    def _end_ts(self, now: float) -> None:
        for reader in self._ts:
            reader.end(b"", now)
        self._leaving += self._ts
        self._ts = []
        self._close_branch()

    def _close_branch(self) -> None:
        if self._branch is not None:
            self._branch.close()
            self._branch = None

    def _count(self) -> None:
        if not self.has_ended:
            self._feed.readers = len(self._packets) + len(self._ts)


def continues(before: Parameters, after: Parameters) -> bool:
    """Whether a decoder can go on with a stream of other parameters: sizes may be unknown at first."""
    if (before.codec, before.extradata) != (after.codec, after.extradata):
        return False
    sizes = ((before.width, before.height), (after.width, after.height))
    return sizes[0] == sizes[1] or (0, 0) in sizes


def _named(parameters: Parameters) -> str:
    return f"{parameters.codec} {parameters.width}x{parameters.height}"
