"""RTP packets of H.264 (RFC 6184) and H.265 (RFC 7798), interleaved with RTSP (RFC 2326, 10.12), as access units. Pure.

A camera of 4 Mbit/s sends 350 packets a second, so the path of each is one loop without a call or an object but for the
piece that is kept. What is rare is in methods.
"""

from collections import deque
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

START_CODE = b"\0\0\0\1"
#: First byte of interleaved data.
MAGIC = 0x24
#: Bytes before the RTP header: magic, channel, length.
FRAME_HEADER = 4
#: Bytes of an access unit, at most: FFmpeg reads no larger one either, and the largest key frames of cameras have 2 MB.
MAX_ACCESS_UNIT = 16 << 20
#: Sequence numbers that may be missing in a row; more are a new count of the sender (RFC 3550, A.1: MAX_DROPOUT).
MAX_DROPOUT = 3000
#: Sequence numbers by which a packet may be late, and is left out then (RFC 3550, A.1).
_MAX_MISORDER = 100

_RTP_HEADER = 12
#: Version 2 without padding, extension and contributing sources.
_PLAIN = 0x80
_HEADER = Struct(">BBHBBHI")
_VERSION, _PADDING, _EXTENSION, _SOURCES = 0xC0, 0x20, 0x10, 0x0F
_MARKER, _PAYLOAD_TYPE = 0x80, 0x7F
_FIRST_FRAGMENT = 0x80
_IS_SLICE, _IS_KEY = 1, 2
_SEI_RECOVERY_POINT = 6


class AccessUnit(NamedTuple):
    """One picture."""

    data: bytes  #: NAL units with start codes (Annex B)
    is_key: bool  #: whether decoding can begin here
    ticks: int  #: presentation time by the sender's clock; 0: the first one's. Does not wrap.


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a codec's NAL units are laid out in RTP packets."""

    type_mask: int  #: of the first byte
    type_shift: int
    header: int  #: bytes of a NAL unit's header
    aggregation: int  #: type of a packet of several NAL units
    fragment: int  #: type of a packet with a part of one
    fragment_type_mask: int  #: of the byte after the header
    #: By type: whether it is a slice, and one of a key frame; types that are not carried as they are have no entry.
    kinds: dict[int, int]
    sei: int | None  #: type of the messages that may tell of a key frame without such slices


#: ITU-T H.264, table 7-1.
_H264 = Syntax(
    type_mask=0x1F,
    type_shift=0,
    header=1,
    aggregation=24,
    fragment=28,
    fragment_type_mask=0x1F,
    kinds={kind: _IS_SLICE | (_IS_KEY if kind == 5 else 0) if kind in range(1, 6) else 0 for kind in range(1, 24)},  # noqa: PLR2004
    sei=6,
)
#: ITU-T H.265, table 7-1: slices are below 32, those of key frames 16 to 23.
_H265 = Syntax(
    type_mask=0x7E,
    type_shift=1,
    header=2,
    aggregation=48,
    fragment=49,
    fragment_type_mask=0x3F,
    kinds={
        kind: (_IS_SLICE | (_IS_KEY if kind in range(16, 24) else 0)) if kind in range(32) else 0 for kind in range(48)
    },
    sei=None,
)
SYNTAX = {"h264": _H264, "hevc": _H265}


@dataclass(slots=True)
class Depacketizer:
    """Joins one stream's packets.

    Args:
        codec: h264 or hevc.
        channel: of the RTP packets among the interleaved data.
        payload_type: of the packets that count; -1: all do.
    """

    codec: str
    channel: int
    payload_type: int = -1
    units: deque[AccessUnit] = field(default_factory=deque)  #: whole ones, for the caller to take
    has_packet: bool = False  #: whether one of the stream has come at all
    _lost: int = 0
    _syntax: Syntax = field(init=False)
    _parts: list[bytes | bytearray] = field(default_factory=list)
    #: Bytes since the access unit began, at least.
    _pending: int = 0
    _flags: int = 0
    #: Whether the last NAL unit lacks its end, and fragments that follow are its.
    _is_open: bool = False
    _expected: int | None = None
    _stamp: int = -1
    _last_stamp: int | None = None
    _ended: int = -1  #: stamp of the latest picture
    _ticks: int = 0
    #: Whether a marked packet ends a picture, as it must; some senders mark each slice.
    _marker_ends: bool = True

    def __post_init__(self) -> None:
        self._syntax = SYNTAX[self.codec]

    def take(self, buffer: bytearray, at: int, end: int) -> int:  # noqa: PLR0912 - calls would cost more than all else
        """Takes the packets that are there.

        Args:
            buffer: what has come.
            at: where interleaved data or a message begins.
            end: where what has come ends.

        Returns:
            Where it stopped: at the first that is incomplete, of another channel, or no interleaved data.
        """
        unpack, began = _HEADER.unpack_from, at
        syntax, channel, payload_type, parts = self._syntax, self.channel, self.payload_type, self._parts
        type_mask, fragment = syntax.type_mask, syntax.fragment << syntax.type_shift
        fragment_header = syntax.header
        while end - at >= FRAME_HEADER:
            if end - at < FRAME_HEADER + _RTP_HEADER:
                short = self._short(buffer, at, end)
                if not short:
                    break
                at += short
                continue
            magic, number, length, first, second, sequence, stamp = unpack(buffer, at)
            stop = at + FRAME_HEADER + length
            if magic != MAGIC or number != channel or stop > end:
                break
            start, at = at + FRAME_HEADER + _RTP_HEADER, stop
            if first != _PLAIN:
                if first & _VERSION != _PLAIN:
                    continue
                start, stop = _payload(buffer, start, stop)
            if start > at or (sequence != self._expected and not self._follows(sequence)):
                continue
            self._expected = (sequence + 1) & 0xFFFF
            if stop - start <= fragment_header or (second & _PAYLOAD_TYPE != payload_type and payload_type >= 0):
                continue
            if stamp != self._stamp:
                self._next_stamp(stamp)
            if not buffer[start] & type_mask ^ fragment:
                if buffer[start + fragment_header] & _FIRST_FRAGMENT:
                    self._begin_fragments(buffer, start)
                if self._is_open:
                    parts.append(buffer[start + fragment_header + 1 : stop])
            else:
                self._whole(buffer, start, stop)
            if second & _MARKER and self._marker_ends and self._flags & _IS_SLICE:
                self._end()
        self._pending += at - began
        if self._pending > MAX_ACCESS_UNIT:
            self._discard()
        return at

    @property
    def is_within_picture(self) -> bool:
        """Whether a picture has begun to come, and its rest is due."""
        return bool(self._parts)

    def lost_packets(self) -> int:
        """Packets that are missing since the last call, by their sequence numbers."""
        lost, self._lost = self._lost, 0
        return lost

    def _short(self, buffer: bytearray, at: int, end: int) -> int:
        """Bytes of a frame that is too short to be a packet, and whole; 0: it is none."""
        length = FRAME_HEADER + (buffer[at + 2] << 8 | buffer[at + 3])
        is_own = buffer[at] == MAGIC and buffer[at + 1] == self.channel
        return length if is_own and length < FRAME_HEADER + _RTP_HEADER and at + length <= end else 0

    def _follows(self, sequence: int) -> bool:
        """Whether a packet out of turn counts. It does unless it is an old one."""
        expected = self._expected
        if expected is not None:
            missing = (sequence - expected) & 0xFFFF
            if missing >= 0x10000 - _MAX_MISORDER:
                return False
            # Of what is cut off, decoders make more than of what has a hole.
            self._is_open = False
            if missing <= MAX_DROPOUT:
                self._lost += missing
        return True

    def _next_stamp(self, stamp: int) -> None:
        """The first packet of the next picture has come."""
        self.has_packet = True
        if self._flags & _IS_SLICE:
            self._end()
        # Parameter sets may have a time of their own: they belong to the picture that follows.
        self._stamp = stamp
        if stamp == self._ended:
            # The picture goes on behind its end: the markers mean something else.
            self._marker_ends = False

    def _begin_fragments(self, buffer: bytearray, start: int) -> None:
        syntax = self._syntax
        kind = buffer[start + syntax.header] & syntax.fragment_type_mask
        flags = syntax.kinds.get(kind)
        self._is_open = flags is not None
        if flags is None:
            return
        self._flags |= flags
        head = bytearray(buffer[start : start + syntax.header])
        head[0] = head[0] & ~syntax.type_mask | kind << syntax.type_shift
        self._parts.append(START_CODE + head)

    def _whole(self, buffer: bytearray, start: int, stop: int) -> None:
        """A packet of one NAL unit, or several."""
        syntax = self._syntax
        self._is_open = False
        kind = (buffer[start] & syntax.type_mask) >> syntax.type_shift
        if kind != syntax.aggregation:
            self._unit(buffer, start, stop)
            return
        at = start + syntax.header
        while at + 2 < stop:
            size = buffer[at] << 8 | buffer[at + 1]
            at += 2
            if not size or at + size > stop:
                return
            self._unit(buffer, at, at + size)
            at += size

    def _unit(self, buffer: bytearray, start: int, stop: int) -> None:
        syntax = self._syntax
        kind = (buffer[start] & syntax.type_mask) >> syntax.type_shift
        flags = syntax.kinds.get(kind)
        if flags is None:
            return
        self._flags |= flags
        if kind == syntax.sei and _is_recovery_point(buffer, start + syntax.header, stop):
            self._flags |= _IS_KEY
        self._parts.append(START_CODE)
        self._parts.append(buffer[start:stop])

    def _end(self) -> None:
        """The picture is whole."""
        stamp = self._stamp
        if self._last_stamp is not None:
            step = (stamp - self._last_stamp) & 0xFFFFFFFF
            self._ticks += step - (1 << 32) if step >> 31 else step
        self._last_stamp = self._ended = stamp
        self.units.append(AccessUnit(b"".join(self._parts), bool(self._flags & _IS_KEY), self._ticks))
        # What follows with the same stamp is told from the next picture.
        self._stamp = -1
        self._discard()

    def _discard(self) -> None:
        self._parts.clear()
        self._flags = self._pending = 0
        self._is_open = False


def _payload(buffer: bytearray, start: int, stop: int) -> tuple[int, int]:
    """Where the payload of a packet is that has more than the fixed header; it may be empty."""
    first = buffer[start - _RTP_HEADER]
    start += 4 * (first & _SOURCES)
    if first & _EXTENSION:
        if start + 4 > stop:
            return stop, stop
        start += 4 + 4 * (buffer[start + 2] << 8 | buffer[start + 3])
    if first & _PADDING:
        stop -= buffer[stop - 1]
    return start, stop


def _is_recovery_point(buffer: bytearray, at: int, stop: int) -> bool:
    """Whether messages of an SEI unit of H.264 say that decoding can begin here (ITU-T H.264, D.2.8)."""
    while at + 1 < stop:
        values = []
        for _ in ("type", "size"):
            value = 0
            while at < stop and buffer[at] == 0xFF:  # noqa: PLR2004
                value += 0xFF
                at += 1
            if at >= stop:
                return False
            values.append(value + buffer[at])
            at += 1
        kind, size = values
        if kind == _SEI_RECOVERY_POINT:
            return True
        at += size
    return False
