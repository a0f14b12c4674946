"""Whether a host can be reached at all. FFmpeg has one error for a wrong name, a missing route and a silent host."""

import http.client
import os
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.av_errors import UNREACHABLE

#: Cameras sign their certificates themselves.
_UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE
_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
#: Host address as ``socket.getaddrinfo`` tells it.
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]


def check_reachable(url: str, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
    """Resolves a URL's host and makes a TCP connection, which is closed at once.

    Args:
        url: of the camera.
        timeout_s: for all of the host's addresses together.
        clock: monotonic seconds.

    Raises:
        StreamError: DnsFailed, ConnectionRefused, Unreachable or TimedOut.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 554)
    addresses = _resolve(host, port)
    deadline = clock() + timeout_s
    failure: OSError | None = None
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        remaining = deadline - clock()
        if remaining <= 0:
            break
        with socket.socket(family, kind, protocol) as probe:
            # A name with several addresses: the first may be dead without using the others' time up.
            probe.settimeout(remaining / (len(addresses) - number))
            try:
                probe.connect(address)
            except OSError as error:
                failure = error
            else:
                return
    raise _unreachable(failure, f"{host}:{port}", timeout_s)


def answers_http(url: str, timeout_s: float) -> bool:
    """Whether a web server answers a request at all, be it by a refusal.

    Args:
        url: of a stream; asked for without credentials.
        timeout_s: for the connection, and again for the answer.
    """
    parts = urlsplit(url)
    connection = http_connection(url, timeout_s)
    try:
        connection.request("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")))
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def http_connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to a URL's web server, which is made by the first request."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_UNVERIFIED)
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def _resolve(host: str, port: int) -> list[_Address]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
    except socket.gaierror as error:
        reason = error.strerror or "the resolver gives no reason"
    except UnicodeError:
        reason = "it is no valid host name"
    raise StreamError(Fault.DNS_FAILED, f"host name {host} does not resolve: {reason}", connected=False)


def _unreachable(error: OSError | None, where: str, timeout_s: float) -> StreamError:
    if isinstance(error, ConnectionRefusedError):
        return StreamError(Fault.CONNECTION_REFUSED, f"{where} refused the connection", connected=False)
    if error is not None and error.errno in UNREACHABLE:
        return StreamError(Fault.UNREACHABLE, f"{where}: {os.strerror(error.errno)}", connected=False)
    return StreamError(Fault.TIMED_OUT, f"{where} accepted no connection within {timeout_s:g} s", connected=False)
