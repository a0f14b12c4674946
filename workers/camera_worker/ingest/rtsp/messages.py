"""RTSP messages (RFC 2326, RFC 7826) as bytes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Bytes of a message's head, and of its body: descriptions of cameras have about one thousand. Both fit into the buffer
#: of a connection.
MAX_HEAD, MAX_BODY = 64 << 10, 128 << 10
_END = b"\r\n\r\n"
_VERSION = "RTSP/1.0"
#: Digits of a session's time-out, at most: a year has eight.
_MAX_DIGITS = 8
#: First and last status, plus one, that redirect (RFC 2326, 11.3).
_REDIRECTIONS = range(300, 400)


class ProtocolError(Exception):
    """What has come is no RTSP. The text names no content."""


@dataclass(frozen=True, slots=True)
class Message:
    """A response, or a request of the server."""

    status: int  #: of a response; 0: it is a request
    headers: tuple[tuple[str, str], ...] = field(repr=False)  #: names in lower case, in order; one may come twice
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, which is in lower case."""
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name: str) -> list[str]:
        """Each header of that name, which is in lower case."""
        return [value for key, value in self.headers if key == name]

    @property
    def is_redirect(self) -> bool:
        """Whether the stream is elsewhere."""
        return self.status in _REDIRECTIONS


@dataclass(frozen=True, slots=True)
class Session:
    """The header of that name (RFC 2326, 12.37)."""

    identifier: str
    timeout_s: float  #: after which the server ends a session that it has heard nothing of

    #: The RFC's.
    DEFAULT_TIMEOUT_S = 60.0

    @classmethod
    def parse(cls, value: str) -> "Session":
        """Reads a header's value; a time-out that is none is the default."""
        identifier, *parameters = (part.strip() for part in value.split(";"))
        for parameter in parameters:
            name, _, number = parameter.partition("=")
            digits = number.strip()
            is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
            if name.strip().lower() == "timeout" and is_number and int(digits):
                return cls(identifier, float(digits))
        return cls(identifier, cls.DEFAULT_TIMEOUT_S)


def format_request(method: str, url: str, sequence: int, headers: Mapping[str, str]) -> bytes:
    """A request without a body.

    Args:
        method: for example DESCRIBE.
        url: without user name and password.
        sequence: number of the request.
        headers: more of them; what a server has a part in must not add lines.
    """
    lines = [f"{method} {_printable(url)} {_VERSION}", f"CSeq: {sequence}"]
    lines += (f"{name}: {_printable(value)}" for name, value in headers.items())
    return "\r\n".join([*lines, "", ""]).encode()


def format_response(status: int, reason: str, sequence: str) -> bytes:
    """An answer to a request of the server."""
    return f"{_VERSION} {status} {reason}\r\nCSeq: {_printable(sequence)}\r\n\r\n".encode()


def parse_message(buffer: bytes | bytearray, start: int, end: int) -> tuple[Message, int] | None:
    """Reads one message.

    Args:
        buffer: holds it, and anything before and after.
        start: where it begins.
        end: where what has come so far ends.

    Returns:
        The message and where it ends; None: it has not come as a whole.

    Raises:
        ProtocolError: it is none.
    """
    head_end = buffer.find(_END, start, end)
    if head_end < 0:
        if end - start > MAX_HEAD:
            raise ProtocolError("a head without an end")
        return None
    first, *lines = bytes(buffer[start:head_end]).decode("utf-8", "replace").split("\r\n")
    status = _status(first)
    headers = tuple(
        (name.strip().lower(), value.strip()) for name, found, value in (line.partition(":") for line in lines) if found
    )
    message = Message(status, headers)
    length = message.header("content-length", "0")
    if not (length.isascii() and length.isdecimal()) or len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
        raise ProtocolError("a body of no sensible length")
    body = head_end + len(_END)
    if body + int(length) > end:
        return None
    message_end = body + int(length)
    return Message(status, headers, bytes(buffer[body:message_end])), message_end


def _status(first: str) -> int:
    words = first.split(None, 2)
    # Cameras count their versions as they like.
    if len(words) >= 2 and words[0].startswith("RTSP/"):  # noqa: PLR2004
        if words[1].isascii() and words[1].isdecimal() and len(words[1]) == 3:  # noqa: PLR2004
            return int(words[1])
    elif len(words) == 3 and words[2].startswith("RTSP/"):  # noqa: PLR2004
        return 0
    raise ProtocolError("the first line is of no message")


def _printable(value: str) -> str:
    return "".join(character for character in value if character.isprintable())
