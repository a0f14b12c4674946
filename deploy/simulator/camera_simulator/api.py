"""The HTTP API that lists cameras and switches their faults.

    GET    /cameras                  every camera
    GET    /cameras/{name}           one camera
    PUT    /cameras/{name}           add or replace a camera
    DELETE /cameras/{name}           remove a camera
    PUT    /cameras/{name}/fault     switch a fault on: {"fault": "stall", "forSeconds": 30}
    DELETE /cameras/{name}/fault     back to good order
    GET    /faults, /clips           what there is to choose from
    GET    /healthz                  200 once every camera listens

An error is `{"error": "field: what is wrong"}` with status 400, 404, 405, 413 or 503.
"""

from __future__ import annotations

import json
import logging
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Protocol

from camera_simulator.config import CameraConfig, parse_camera
from camera_simulator.errors import ConfigError, FootageError, UnknownCameraError
from camera_simulator.faults import FAULTS, NO_FAULT, Fault, parse_fault
from camera_simulator.footage import CLIPS

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_MAX_BODY: Final = 64 * 1024
_SOCKET_TIMEOUT: Final = 30.0


class Cameras(Protocol):
    """What the API needs of the simulator; see `simulator.Simulator`."""

    def add(self, config: CameraConfig) -> dict[str, object]: ...  # noqa: D102
    def remove(self, name: str) -> None: ...  # noqa: D102
    def set_fault(self, name: str, fault: Fault) -> dict[str, object]: ...  # noqa: D102
    def describe(self, name: str) -> dict[str, object]: ...  # noqa: D102
    def describe_all(self) -> list[dict[str, object]]: ...  # noqa: D102


class ApiServer(ThreadingHTTPServer):
    """Listens at once; answers when `serve_forever` runs.

    Raises:
        OSError: the address is taken or not allowed.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], cameras: Cameras) -> None:
        super().__init__(address, _Handler)
        self.cameras = cameras


class _NoSuchRouteError(Exception):
    """The path, or the method on it, does not exist."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "camera-simulator"
    sys_version = ""
    timeout = _SOCKET_TIMEOUT
    server: ApiServer

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        log.debug("%s %s", self.address_string(), format % args)

    def _answer(self) -> None:
        try:
            body = self._read_body()
            status, answer = HTTPStatus.OK, self._route(body)
        except _NoSuchRouteError as error:
            status, answer = error.status, {"error": str(error)}
        except UnknownCameraError as error:
            status, answer = HTTPStatus.NOT_FOUND, {"error": str(error)}
        except ConfigError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except FootageError as error:
            status, answer = HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"footage: {error}"}
        payload = json.dumps(answer, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise _NoSuchRouteError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: at most {_MAX_BODY} bytes")
        return self.rfile.read(int(length))

    def _route(self, body: bytes) -> object:
        path = urllib.parse.urlsplit(self.path).path
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        cameras = self.server.cameras
        routes: dict[str, Callable[[], object]]
        match parts:
            case ["healthz"]:
                routes = {"GET": lambda: {"status": "ok"}}
            case ["faults"]:
                routes = {"GET": lambda: {name: behaviour.description for name, behaviour in FAULTS.items()}}
            case ["clips"]:
                routes = {"GET": lambda: {name: str(spec) for name, spec in CLIPS.items()}}
            case ["cameras"]:
                routes = {"GET": lambda: {"cameras": cameras.describe_all()}}
            case ["cameras", name]:
                routes = {
                    "GET": lambda: cameras.describe(name),
                    "PUT": lambda: cameras.add(parse_camera(_decode(body), name=name)),
                    "DELETE": lambda: _remove(cameras, name),
                }
            case ["cameras", name, "fault"]:
                routes = {
                    "GET": lambda: _fault_of(cameras.describe(name)),
                    "PUT": lambda: cameras.set_fault(name, parse_fault(_decode(body))),
                    "DELETE": lambda: cameras.set_fault(name, NO_FAULT),
                }
            case _:
                raise _NoSuchRouteError(HTTPStatus.NOT_FOUND, f"path: there is nothing at {path}")
        if self.command not in routes:
            allowed = ", ".join(routes)
            raise _NoSuchRouteError(HTTPStatus.METHOD_NOT_ALLOWED, f"method: {path} allows {allowed}")
        return routes[self.command]()


def _remove(cameras: Cameras, name: str) -> dict[str, object]:
    cameras.remove(name)
    return {}


def _fault_of(camera: dict[str, object]) -> dict[str, object]:
    keys = ("fault", "everySeconds", "forSeconds", "offsetSeconds")
    return {key: camera[key] for key in keys if key in camera}


def _decode(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ConfigError(f"body: not JSON: {error}") from None
