"""A minimal MPEG-2 transport stream (ISO/IEC 13818-1): one programme with one video stream, as IP cameras send it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from camera_simulator.bitstream import AccessUnit, Codec

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKET_BYTES: Final = 188
_SYNC: Final = 0x47
_PAT_PID: Final = 0x0000
_PMT_PID: Final = 0x1000
_VIDEO_PID: Final = 0x0100
_PROGRAMME: Final = 1
#: ISO/IEC 13818-1, table 2-34; Motion JPEG has no number there.
STREAM_TYPES: Final = {Codec.H264: 0x1B, Codec.H265: 0x24}
#: Any video stream (table 2-22).
_STREAM_ID: Final = 0xE0
_HERTZ: Final = 90_000
#: Time stamps have 33 bits.
_WRAP: Final = 1 << 33
#: Pictures are to be decoded so long after the clock reference that comes with them, seconds.
_DELAY: Final = 0.1
#: Pictures begin with a delimiter here, unlike in RTP (13818-1, 2.14.1).
_DELIMITERS: Final = {Codec.H264: b"\x00\x00\x00\x01\x09\xf0", Codec.H265: b"\x00\x00\x00\x01\x46\x01\x50"}


class TransportStream:
    """Writes pictures of one codec, without B frames, as packets of 188 bytes.

    Args:
        codec: H.264 or H.265.
    """

    content_type: Final = "video/mp2t"

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._counters = {_PAT_PID: 0, _PMT_PID: 0, _VIDEO_PID: 0}

    def tables(self) -> bytes:
        """What is in the stream; repeated before every key frame, for those who come later."""
        association = struct.pack(">HH", _PROGRAMME, 0xE000 | _PMT_PID)
        streams = struct.pack(">BHH", STREAM_TYPES[self._codec], 0xE000 | _VIDEO_PID, 0xF000)
        programme = struct.pack(">HH", 0xE000 | _VIDEO_PID, 0xF000) + streams
        tables = ((_PAT_PID, 0x00, association), (_PMT_PID, 0x02, programme))
        return b"".join(self._packet(pid, b"\x00" + _section(table, body), starts=True) for pid, table, body in tables)

    def picture(self, unit: AccessUnit, seconds: float) -> bytes:
        """One picture.

        Args:
            unit: its bytes, without a delimiter.
            seconds: its time; may jump.
        """
        ticks = round(seconds * _HERTZ)
        stamp = _time_stamp((ticks + round(_DELAY * _HERTZ)) % _WRAP)
        # A length of 0 is allowed for video, whose pictures may be larger than 16 bits can say.
        head = b"\x00\x00\x01" + struct.pack(">BHBBB", _STREAM_ID, 0, 0x84, 0x80, len(stamp)) + stamp
        packets = self._packets(head + _DELIMITERS[self._codec] + unit.data, ticks % _WRAP, is_key=unit.is_key)
        return (self.tables() if unit.is_key else b"") + b"".join(packets)

    def _packets(self, data: bytes, reference: int, *, is_key: bool) -> Iterator[bytes]:
        flags = 0x10 | (0x40 if is_key else 0)
        # 33 bits at 90 kHz, then 9 bits of a finer clock.
        clock = struct.pack(">IH", reference >> 1, (reference & 1) << 15 | 0x7E00)
        adaptation = bytes([flags]) + clock
        first = PACKET_BYTES - 4 - 1 - len(adaptation)
        yield self._packet(_VIDEO_PID, data[:first], starts=True, adaptation=adaptation)
        for start in range(first, len(data), PACKET_BYTES - 4):
            yield self._packet(_VIDEO_PID, data[start : start + PACKET_BYTES - 4], starts=False)

    def _packet(self, pid: int, payload: bytes, *, starts: bool, adaptation: bytes = b"") -> bytes:
        counter = self._counters[pid]
        self._counters[pid] = (counter + 1) % 16
        room = PACKET_BYTES - 4 - len(payload)
        if pid != _VIDEO_PID:
            # A section is filled up after its end, a picture before its beginning.
            payload, room = payload + b"\xff" * room, 0
        field = _adaptation_field(adaptation, max(room, 1 + len(adaptation) if adaptation else 0))
        control = (0x30 if field else 0x10) | counter
        return struct.pack(">BHB", _SYNC, (0x4000 if starts else 0) | pid, control) + field + payload


def _adaptation_field(content: bytes, size: int) -> bytes:
    if size == 0:
        return b""
    # Without content: flags that say so, where there is room for them.
    return bytes([size - 1]) + (content or b"\x00"[: size - 1]).ljust(size - 1, b"\xff")


def _section(table: int, body: bytes) -> bytes:
    number = struct.pack(">HBBB", _PROGRAMME, 0xC1, 0, 0)
    section = struct.pack(">BH", table, 0xB000 | len(number) + len(body) + 4) + number + body
    return section + struct.pack(">I", _checksum(section))


def _checksum(data: bytes) -> int:
    """CRC-32/MPEG-2: not reflected, unlike zlib's."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


def _time_stamp(ticks: int) -> bytes:
    """Presentation time in 5 bytes with marker bits (13818-1, 2.4.3.6)."""
    return struct.pack(">BHH", 0x21 | (ticks >> 29 & 0x0E), ticks >> 14 & 0xFFFE | 1, (ticks << 1) & 0xFFFE | 1)
