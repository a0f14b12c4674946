"""The HTTP API: routes, status codes and error texts, over a simulator that only remembers."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from camera_simulator.api import ApiServer
from camera_simulator.config import CameraConfig
from camera_simulator.errors import FootageError, UnknownCameraError
from camera_simulator.faults import FAULTS, Fault
from camera_simulator.footage import CLIPS

Request = Callable[..., tuple[int, Any]]


class RememberedCameras:
    """Stands in for the simulator: a dictionary of cameras, no streams."""

    def __init__(self) -> None:
        self.faults: dict[str, Fault] = {}
        self.footage_error: FootageError | None = None

    def add(self, config: CameraConfig) -> dict[str, object]:
        self.faults[config.name] = config.fault
        return self.describe(config.name)

    def remove(self, name: str) -> None:
        self.describe(name)
        del self.faults[name]

    def set_fault(self, name: str, fault: Fault) -> dict[str, object]:
        self.describe(name)
        if self.footage_error is not None:
            raise self.footage_error
        self.faults[name] = fault
        return self.describe(name)

    def describe(self, name: str) -> dict[str, object]:
        if name not in self.faults:
            raise UnknownCameraError(name)
        return {"name": name, **self.faults[name].to_json()}

    def describe_all(self) -> list[dict[str, object]]:
        return [self.describe(name) for name in self.faults]


@pytest.fixture
def cameras() -> RememberedCameras:
    return RememberedCameras()


@pytest.fixture
def request_api(cameras: RememberedCameras) -> Iterator[Request]:
    server = ApiServer(("127.0.0.1", 0), cameras)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)

    def send(method: str, path: str, body: object = None) -> tuple[int, Any]:
        raw = body if isinstance(body, str | None) else json.dumps(body)
        connection.request(method, path, raw)
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "application/json"
        return response.status, json.loads(response.read())

    yield send
    connection.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_camera_is_added_listed_and_removed(request_api: Request) -> None:
    gate = {"name": "gate", "fault": "none"}

    assert request_api("PUT", "/cameras/gate", {"codec": "h265"}) == (200, gate)
    assert request_api("GET", "/cameras") == (200, {"cameras": [gate]})
    assert request_api("GET", "/cameras/gate") == (200, gate)
    assert request_api("DELETE", "/cameras/gate") == (200, {})
    assert request_api("GET", "/cameras") == (200, {"cameras": []})


def test_fault_is_switched_on_shown_and_off(request_api: Request, cameras: RememberedCameras) -> None:
    request_api("PUT", "/cameras/gate", {})
    fault = {"fault": "kick", "everySeconds": 3.0}

    assert request_api("PUT", "/cameras/gate/fault", fault) == (200, {"name": "gate", **fault})
    assert request_api("GET", "/cameras/gate/fault") == (200, fault)
    assert cameras.faults["gate"] == Fault("kick", every_seconds=3.0)
    assert request_api("DELETE", "/cameras/gate/fault") == (200, {"name": "gate", "fault": "none"})


def test_what_there_is_to_choose_from_is_listed(request_api: Request) -> None:
    assert set(request_api("GET", "/faults")[1]) == set(FAULTS)
    assert set(request_api("GET", "/clips")[1]) == set(CLIPS)
    assert request_api("GET", "/healthz") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("GET", "/cameras/door", None, 404, "name: there is no camera 'door'"),
        ("DELETE", "/cameras/door", None, 404, "name: there is no camera 'door'"),
        ("PUT", "/cameras/door/fault", {"fault": "stall"}, 404, "name: there is no camera 'door'"),
        ("GET", "/camera", None, 404, "path: there is nothing at /camera"),
        ("PUT", "/healthz", None, 405, "method: /healthz allows GET"),
        ("PUT", "/cameras/gate/fault", {"fault": "x"}, 400, "fault: 'x' is no fault"),
        ("PUT", "/cameras/gate/fault", "{", 400, "body: not JSON"),
        ("PUT", "/cameras/gate/fault", None, 400, "body: not JSON"),
        ("PUT", "/cameras/gate", {"clip": "x"}, 400, "clip: 'x' is no clip"),
        ("PUT", "/cameras/Gate", {}, 400, "name: 'Gate' is no camera name"),
        ("PUT", "/cameras/gate", {"name": "door"}, 400, "name: 'door' differs"),
    ],
)
def test_error_is_json_that_names_the_field(  # noqa: PLR0917 - a row of the table
    request_api: Request, method: str, path: str, body: object, status: int, error: str
) -> None:
    request_api("PUT", "/cameras/gate", {})

    answer = request_api(method, path, body)

    assert answer[0] == status
    assert answer[1]["error"].startswith(error)


def test_missing_footage_is_the_servers_fault(request_api: Request, cameras: RememberedCameras) -> None:
    request_api("PUT", "/cameras/gate", {})
    cameras.footage_error = FootageError("ffmpeg is not installed")

    assert request_api("PUT", "/cameras/gate/fault", {"fault": "black"}) == (
        503,
        {"error": "footage: ffmpeg is not installed"},
    )


def test_body_that_is_too_large_is_refused(request_api: Request) -> None:
    assert request_api("PUT", "/cameras/gate", "x" * 70_000)[0] == 413
