"""How RTP is interleaved (RFC 2326, 10.12 and 12.39), and what of RTCP ends a stream (RFC 3550, 6.6). Pure."""

from dataclasses import dataclass

from camera_worker.ingest.rtsp.depacketizer import FRAME_HEADER, MAGIC

#: Value of the header Transport in a request.
REQUESTED = "RTP/AVP/TCP;unicast;interleaved=0-1"
_GOODBYE = 203
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
    """Whether a frame of interleaved data, if it is whole, says that the stream ends.

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
