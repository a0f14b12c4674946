"""How RTP is interleaved (RFC 2326, 10.12 and 12.39), and the little of RTCP that a receiver needs (RFC 3550). Pure."""

import struct
from dataclasses import dataclass

from camera_worker.ingest.rtsp.depacketizer import FRAME_HEADER, MAGIC

#: Value of the header Transport in a request.
REQUESTED = "RTP/AVP/TCP;unicast;interleaved=0-1"
_RECEIVER_REPORT, _SOURCE_DESCRIPTION, _GOODBYE = 201, 202, 203
_RTCP_VERSION = 0x80
_CNAME = 1
_RTCP_HEADER = 4
_MAX_CHANNEL = 255


@dataclass(frozen=True, slots=True)
class Interleaving:
    """What the server has agreed to."""

    channel: int  #: of RTP; RTCP has the next one

    @classmethod
    def parse(cls, transport: str) -> "Interleaving | None":
        """Reads the header Transport of an answer; None: the server sends otherwise."""
        protocol, *parameters = (part.strip().lower() for part in transport.split(";"))
        if not protocol.endswith("/tcp"):
            return None
        for parameter in parameters:
            name, _, channels = parameter.partition("=")
            first = channels.partition("-")[0].strip()
            if name.strip() == "interleaved" and first.isascii() and first.isdecimal() and len(first) <= 3:  # noqa: PLR2004
                return cls(int(first)) if int(first) < _MAX_CHANNEL else None
        return cls(0)


def is_goodbye(buffer: bytearray, at: int, end: int, channel: int) -> bool:
    """Whether a frame of interleaved data, if it is whole, says that the stream ends (RFC 3550, 6.6).

    Args:
        buffer: what has come.
        at: where the frame begins.
        end: where what has come ends.
        channel: of RTCP.
    """
    if end - at < FRAME_HEADER or buffer[at] != MAGIC or buffer[at + 1] != channel:
        return False
    stop = at + FRAME_HEADER + (buffer[at + 2] << 8 | buffer[at + 3])
    at += FRAME_HEADER
    if stop > end:
        return False
    while at + _RTCP_HEADER <= stop:
        if buffer[at] >> 6 != 2:  # noqa: PLR2004
            return False
        if buffer[at + 1] == _GOODBYE:
            return True
        at += _RTCP_HEADER * (1 + (buffer[at + 2] << 8 | buffer[at + 3]))
    return False


def receiver_report(channel: int, source: int) -> bytes:
    """A frame of interleaved data that tells the sender that somebody still listens (RFC 3550, 6.4.2 and 6.5).

    It reports on no source: over TCP there is no loss or delay that the sender would have to be told of.

    Args:
        channel: of RTCP.
        source: number of the receiver, 32 bits of chance.
    """
    name = f"{source:08x}@camera-operator".encode()
    item = bytes((_CNAME, len(name))) + name
    # At least one zero ends the items.
    item += bytes(4 - len(item) % 4)
    report = struct.pack(">BBHI", _RTCP_VERSION, _RECEIVER_REPORT, 1, source)
    description = struct.pack(">BBHI", _RTCP_VERSION | 1, _SOURCE_DESCRIPTION, 1 + len(item) // 4, source)
    packet = report + description + item
    return struct.pack(">BBH", MAGIC, channel, len(packet)) + packet
