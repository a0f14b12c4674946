"""FFmpeg's errors as ours: the border where their texts end, since those hold the whole URL with its password.

What a camera has answered is known exactly from FFmpeg's log line, of which only the method and the status are taken;
the exception's type is the fall-back. Both are tables; the first row that fits is the fault.
"""

import os
import re
from collections.abc import Iterable
from errno import EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, EPROTONOSUPPORT

import av.error

from camera_api.faults import Fault
from camera_worker.errors import StreamError

UNREACHABLE = frozenset({EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN})
#: One line of FFmpeg's log as PyAV captures it: level, part of FFmpeg, text.
LogLine = tuple[int, str, str]

_ANSWER = re.compile(r"method (?P<method>[A-Z_]{3,16}) failed: (?P<status>\d{3})|HTTP error (?P<http>\d{3})")
_CLOSED = re.compile(r"End of file|Connection reset|Broken pipe", re.IGNORECASE)

#: Statuses of RTSP (RFC 2326, section 11) and HTTP. 400 is what some cameras say to a transport they do not speak.
_BY_STATUS: dict[int, Fault] = {
    400: Fault.UNSUPPORTED_TRANSPORT,
    401: Fault.AUTH_FAILED,
    403: Fault.AUTH_FAILED,
    404: Fault.STREAM_NOT_FOUND,
    405: Fault.STREAM_NOT_FOUND,
    406: Fault.UNSUPPORTED_CODEC,
    410: Fault.STREAM_NOT_FOUND,
    415: Fault.UNSUPPORTED_CODEC,
    461: Fault.UNSUPPORTED_TRANSPORT,
}
_BY_TYPE: tuple[tuple[type[BaseException], Fault, str], ...] = (
    (av.error.HTTPUnauthorizedError, Fault.AUTH_FAILED, "answered 401"),
    (av.error.HTTPForbiddenError, Fault.AUTH_FAILED, "answered 403"),
    (av.error.HTTPNotFoundError, Fault.STREAM_NOT_FOUND, "answered 404"),
    (av.error.HTTPBadRequestError, Fault.UNSUPPORTED_TRANSPORT, "answered 400"),
    (av.error.HTTPOtherClientError, Fault.STREAM_NOT_FOUND, "answered with a client error (4xx)"),
    (av.error.HTTPServerError, Fault.DISCONNECTED, "answered with a server error (5xx)"),
    (av.error.DecoderNotFoundError, Fault.UNSUPPORTED_CODEC, "sends a codec that cannot be read"),
    (av.error.ProtocolNotFoundError, Fault.UNSUPPORTED_TRANSPORT, "wants a protocol that is not allowed"),
    (av.error.DemuxerNotFoundError, Fault.STREAM_NOT_FOUND, "sends what is no video stream"),
    (ConnectionRefusedError, Fault.CONNECTION_REFUSED, "refused the connection"),
    (av.error.ExitError, Fault.TIMED_OUT, "did not answer in time"),
    (TimeoutError, Fault.TIMED_OUT, "did not answer in time"),
    (EOFError, Fault.DISCONNECTED, "closed the connection"),
    (ConnectionError, Fault.DISCONNECTED, "closed the connection"),
)


def opening_error(
    error: BaseException, lines: Iterable[LogLine], shown: str, *, transport: str, elapsed_s: float, limit_s: float
) -> StreamError:
    """Why a stream could not be opened.

    Args:
        error: what PyAV raised. Its text goes nowhere.
        lines: FFmpeg's log meanwhile.
        shown: URL without secrets.
        transport: TCP, UDP or HTTP.
        elapsed_s: seconds that the attempt took.
        limit_s: seconds that it was given.
    """
    lines = list(lines)
    text = "\n".join(line for _, _, line in lines)
    answers = list(_ANSWER.finditer(text))
    if answers:
        # The last one ended the attempt: a 401 before it only asked for the password.
        answer = answers[-1]
        status = int(answer["status"] or answer["http"])
        return answer_error(answer["method"] or "GET", status, shown, transport=transport)
    for kind, fault, meaning in _BY_TYPE:
        if isinstance(error, kind):
            return StreamError(fault, f"{shown} {meaning}")
    number = getattr(error, "errno", None)
    if number in UNREACHABLE:
        return StreamError(Fault.UNREACHABLE, f"{shown}: {os.strerror(number)}")
    if number == EPROTONOSUPPORT:
        return StreamError(Fault.UNSUPPORTED_TRANSPORT, f"{shown} refuses {transport}")
    is_tls = any(part == "tls" for _, part, _ in lines)
    return _by_time(error, text, shown, is_tls=is_tls, elapsed_s=elapsed_s, limit_s=limit_s)


def reading_error(error: BaseException, shown: str, *, silent_s: float) -> StreamError:
    """Why a stream that was open has ended."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return StreamError(Fault.STALLED, f"{shown}: connected, but no video for {silent_s:g} s")
    return StreamError(Fault.DISCONNECTED, f"{shown} closed the connection")


def answer_error(method: str, status: int, shown: str, *, transport: str) -> StreamError:
    """What a camera means by refusing a request.

    Args:
        method: of the request, for example DESCRIBE.
        status: of the answer.
        shown: URL without secrets.
        transport: TCP, UDP or HTTP.
    """
    fault = _BY_STATUS.get(status, Fault.DISCONNECTED)
    over = f" over {transport}" if fault is Fault.UNSUPPORTED_TRANSPORT else ""
    return StreamError(fault, f"{shown} answered {method}{over} with {status}")


def _by_time(
    error: BaseException, text: str, shown: str, *, is_tls: bool, elapsed_s: float, limit_s: float
) -> StreamError:
    """FFmpeg has one error, "invalid data", for a camera that says nothing, hangs up, or says what makes no sense."""
    if elapsed_s >= limit_s * 0.9:
        return StreamError(
            Fault.TIMED_OUT, f"{shown} accepted the connection, then gave no answer for {elapsed_s:.0f} s"
        )
    if is_tls:
        return StreamError(Fault.DISCONNECTED, f"{shown}: no TLS connection came about; its port may be one without")
    if not isinstance(error, av.error.InvalidDataError) or _CLOSED.search(text):
        return StreamError(Fault.DISCONNECTED, f"{shown} closed the connection while the stream was set up")
    return StreamError(Fault.STREAM_NOT_FOUND, f"{shown} answered with what is no video stream")
