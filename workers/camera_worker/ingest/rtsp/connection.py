"""One RTSP connection: requests, answers, and the data between them."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from camera_api.assignment import Credentials
from camera_worker.ingest.rtsp.authentication import Login, is_stale, login_for
from camera_worker.ingest.rtsp.depacketizer import FRAME_HEADER, MAGIC
from camera_worker.ingest.rtsp.messages import Message, format_request, format_response, parse_message

#: Bytes that are received at once, at most. Pages of it that no camera fills cost nothing.
BUFFER = 256 << 10
_DEFAULT_PORT = 554
_UNAUTHORIZED = 401
#: Seconds after which a silent connection wakes its thread, which then looks at its deadlines.
WAKE_S = 0.5
_AGENT = "camera-operator"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_TIMEVAL = struct.Struct("ll")


class Closed(Exception):  # noqa: N818 - no error of ours: the camera has ended the connection
    """The camera has closed the connection."""


class RtspConnection:
    """For one thread.

    Args:
        url: of the stream, without user name and password.
        credentials: for the camera; None: there are none.
        connect_s: seconds for the TCP connection.
        clock: monotonic seconds.

    Raises:
        OSError: no connection came about.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None,
        connect_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        self.login: Login | None = None
        #: What has come and was not taken yet, from ``at`` to ``end``.
        self.buffer = bytearray(BUFFER)
        self.at = self.end = 0
        self._view = memoryview(self.buffer)
        #: Takes interleaved data while an answer is awaited, as ``Depacketizer.take`` does; None: it is left out.
        self.take_data: Callable[[bytearray, int, int], int] | None = None
        self._credentials = credentials
        self._clock = clock
        self._sequence = 0
        self._socket = socket.create_connection((parts.hostname or "", parts.port or _DEFAULT_PORT), connect_s)
        # The kernel's own time-out: Python's would ask for readiness before each receive.
        self._socket.settimeout(None)
        seconds = int(WAKE_S)
        wake = _TIMEVAL.pack(seconds, round((WAKE_S - seconds) * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wake)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(max(1, round(connect_s)), 0))

    def receive(self) -> bool:
        """Takes what has come; false: nothing has for ``WAKE_S``.

        Raises:
            Closed: nothing ever will.
            OSError: the connection is broken.
        """
        at, end = self.at, self.end
        if at:
            left = end - at
            self.buffer[:left] = self._view[at:end]
            self.at, self.end = 0, left
            end = left
        try:
            count = self._socket.recv_into(self._view[end:])
        except BlockingIOError:
            return False
        if not count:
            raise Closed
        self.end = end + count
        return True

    def send(self, method: str, url: str, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Sends a request, without waiting for its answer.

        Raises:
            OSError: the connection is broken.
        """
        self._sequence += 1
        authorization = {"Authorization": self.login.authorization(method, url)} if self.login is not None else {}
        request = format_request(method, url, self._sequence, {"User-Agent": _AGENT, **headers, **authorization})
        self._socket.sendall(request)

    def send_data(self, frame: bytes) -> None:
        """Sends a frame of interleaved data.

        Raises:
            OSError: the connection is broken.
        """
        self._socket.sendall(frame)

    def request(self, method: str, url: str, headers: Mapping[str, str], deadline: float) -> Message:
        """Sends a request and waits for its answer, with the password if the camera wants one.

        Some cameras send video before they answer PLAY: see ``take_data``.

        Raises:
            TimeoutError: no answer has come before the deadline.
            Closed: the camera has closed the connection.
            ProtocolError: what it says is no RTSP.
            OSError: the connection is broken.
        """
        retries = 0
        while True:
            self.send(method, url, headers)
            answer = self._answer(deadline)
            had_login = self.login is not None
            if answer.status != _UNAUTHORIZED or not self.challenged(answer):
                return answer
            retries += 1
            # Once without a password, once with a nonce that was too old: more may lock the account.
            if retries > 1 + had_login:
                return answer

    def challenged(self, answer: Message) -> bool:
        """Takes a 401 over; false: the camera refuses the password, or there is none that would answer it."""
        challenges = answer.all("www-authenticate")
        if self._credentials is None or (self.login is not None and not is_stale(challenges)):
            return False
        self.login = login_for(challenges, self._credentials)
        return self.login is not None

    def next_message(self) -> Message | None:
        """The message that comes next; None: it has not come as a whole.

        Raises:
            ProtocolError: it is none.
        """
        parsed = parse_message(self.buffer, self.at, self.end)
        if parsed is None:
            return None
        message, self.at = parsed
        if not message.status:
            # Requests of the server are for other clients than this one.
            self._socket.sendall(format_response(501, "Not Implemented", message.header("cseq")))
        return message

    def skip_data(self) -> bool:
        """Leaves out one frame of interleaved data; false: it has not come as a whole, or none comes next."""
        if self.end - self.at < FRAME_HEADER or self.buffer[self.at] != MAGIC:
            return False
        stop = self.at + FRAME_HEADER + int.from_bytes(self.buffer[self.at + 2 : self.at + FRAME_HEADER], "big")
        if stop > self.end:
            return False
        self.at = stop
        return True

    def close(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _take_data(self) -> None:
        while True:
            if self.take_data is not None:
                self.at = self.take_data(self.buffer, self.at, self.end)
            if not self.skip_data():
                return

    def _answer(self, deadline: float) -> Message:
        while True:
            self._take_data()
            if self.end > self.at and self.buffer[self.at] != MAGIC:
                message = self.next_message()
                if message is not None and message.status:
                    return message
                if message is not None:
                    continue
            if self._clock() >= deadline:
                raise TimeoutError
            self.receive()
