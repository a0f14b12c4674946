"""Cameras that speak HTTP: Motion JPEG as parts of an endless answer, H.264 and H.265 as an MPEG transport stream.

Threads: `HttpCamera` is for the main loop's thread. A client is served by a thread of its own, which reads what the
camera does at present and paces itself.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from camera_simulator.accounts import Account, account_of
from camera_simulator.bitstream import AccessUnit, Codec
from camera_simulator.camera import Camera, Feed
from camera_simulator.errors import ConfigError
from camera_simulator.faults import NO_FAULT, Behaviour
from camera_simulator.footage import Clip, ClipSpec, Variant
from camera_simulator.mpegts import TransportStream
from camera_simulator.playback import Playback
from camera_simulator.stream import unwrap_access_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from camera_simulator.config import CameraConfig
    from camera_simulator.stream import Library

log = logging.getLogger(__name__)

_BOUNDARY: Final = "picture"
#: How often a session looks at what the camera does at present, seconds.
_LOOK_SECONDS: Final = 0.02
#: A client that takes nothing for so long is gone.
_CLIENT_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a camera does, as one value that threads can read."""

    behaviour: Behaviour = NO_FAULT.behaviour
    since: float = 0.0
    offset: float = 0.0


class JpegParts:
    """Motion JPEG over HTTP: each picture is a part of its own (RFC 2046, 5.1)."""

    content_type: Final = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"

    @staticmethod
    def picture(unit: AccessUnit, _seconds: float) -> bytes:
        """One picture; it has no time."""
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(unit.data)}\r\n\r\n"
        return head.encode() + unit.data + b"\r\n"


class HttpStream(Feed):
    """One path of a camera; every session plays the clip by itself.

    Args:
        path: absolute path in the camera's addresses.
        spec: the clip.
        library: where it is in memory.
        phase: seconds the scene is ahead of that of other cameras.
    """

    def __init__(self, path: str, spec: ClipSpec, library: Library, phase: float) -> None:
        self.path = path
        self.spec = spec
        self.frames_sent = 0
        self._sessions = 0
        self._library = library
        self._phase = phase
        self._moment = _Moment()
        self._lock = threading.Lock()

    @property
    def sessions(self) -> int:
        """Clients that are being sent pictures, or would be if the camera did not stall."""
        return self._sessions

    @property
    def content_type(self) -> str:
        """Of the answer."""
        return (JpegParts if self.spec.codec is Codec.MJPEG else TransportStream).content_type

    def apply(self, behaviour: Behaviour, now: float) -> None:
        """Change what is sent, at the next key frame; the variant is in memory already."""
        self._moment = _Moment(behaviour, now, self._moment.offset)

    def set_offset(self, seconds: float) -> None:
        """Add this to the timestamps from now on; Motion JPEG has none."""
        self._moment = _Moment(self._moment.behaviour, self._moment.since, seconds)

    def play(self, send: Callable[[bytes], None]) -> None:
        """Serve one session, until `send` raises OSError; for the session's own thread."""
        wrapping = JpegParts() if self.spec.codec is Codec.MJPEG else TransportStream(self.spec.codec)
        playback = Playback(self._clip, time.monotonic(), self._phase)
        with self._counted():
            seen = None
            while True:
                moment, now = self._moment, time.monotonic()
                if moment is not seen:
                    seen = moment
                    _apply(playback, moment, now)
                for buffer, seconds in playback.due(now):
                    send(wrapping.picture(unwrap_access_unit(buffer), seconds + moment.offset))
                    with self._lock:
                        self.frames_sent += 1
                wait = min(playback.next_due - time.monotonic(), _LOOK_SECONDS)
                time.sleep(max(0.0, wait if math.isfinite(wait) else _LOOK_SECONDS))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._sessions += 1
        try:
            yield
        finally:
            with self._lock:
                self._sessions -= 1

    def _clip(self, variant: Variant) -> Clip[Any]:
        clip = self._library.loaded(self.spec, variant)
        # Loading may take an encoder many seconds and is done before a fault is applied.
        assert clip is not None, f"{self.spec.name} {variant.value} was not loaded"  # noqa: S101
        return clip


def _apply(playback: Playback[Any], moment: _Moment, now: float) -> None:
    variant = moment.behaviour.variant
    playback.show(variant, held_at=moment.since if variant is Variant.FROZEN else None)
    if moment.behaviour.sends_media:
        playback.resume(now)
    else:
        playback.stall()


class HttpCamera(Camera):
    """A camera that speaks HTTP.

    Args:
        config: the camera as declared.
        address: host address and TCP port to listen on.
        library: where clips come from; the two normal ones are in memory.
    """

    streams: Mapping[str, HttpStream]

    def __init__(self, config: CameraConfig, address: tuple[str, int], library: Library) -> None:
        super().__init__(config, address, self._listen)
        self._address = address
        phase = config.scene_phase
        self.streams = {
            "main": HttpStream(f"/{config.name}/main", config.clip, library, phase),
            "sub": HttpStream(f"/{config.name}/sub", config.sub_clip, library, phase),
        }
        self._account: Account | None = None
        self._set_password(None)
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._connections)

    @property
    def refusal(self) -> HTTPStatus | None:
        """What every request for a stream is answered; None: the stream."""
        status = self._behaviour.describe_status
        return None if status is None else HTTPStatus(status)

    @property
    def account(self) -> Account | None:
        """Who may watch; None: everybody."""
        return self._account

    def kick(self) -> None:
        """Close every connection and session."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def expire_sessions(self) -> None:
        """Nothing to do: a client that takes nothing runs into the time-out of its connection."""

    @contextlib.contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        """Remembers a connection, for ``kick``."""
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _set_password(self, password: str | None) -> None:
        self._account = account_of(self.config, password)

    def _listen(self) -> Callable[[], None]:
        try:
            server = _Server(self._address, self)
        except OSError as error:
            raise ConfigError("port: {}:{}: {}".format(*self._address, error.strerror)) from None
        threading.Thread(target=server.serve_forever, args=(_LOOK_SECONDS,), name="http", daemon=True).start()

        def stop() -> None:
            server.shutdown()
            server.server_close()

        return stop


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], camera: HttpCamera) -> None:
        super().__init__(address, _Handler)
        self.camera = camera


class _Handler(BaseHTTPRequestHandler):
    server_version = "camera"
    sys_version = ""
    timeout = _CLIENT_TIMEOUT
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError), self.server.camera.connected(self.connection):
            super().handle()

    def do_GET(self) -> None:
        camera = self.server.camera
        account = camera.account
        if account is not None and not account.admits("GET", self.path, self.headers.get("Authorization", "")):
            self.send_response(HTTPStatus.UNAUTHORIZED)
            self.send_header("WWW-Authenticate", account.challenge())
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        stream = next((stream for stream in camera.streams.values() if stream.path == self.path), None)
        refusal = HTTPStatus.NOT_FOUND if stream is None else camera.refusal
        if stream is None or refusal is not None:
            self.send_error(refusal or HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", stream.content_type)
        self.send_header("Connection", "close")
        self.end_headers()
        stream.play(self.connection.sendall)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        log.debug("%s %s", self.address_string(), format % args)
