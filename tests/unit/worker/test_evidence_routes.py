"""The routes that show what a fault looks like; the cameras' threads are the test's own, see conftest.py."""

import time
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from bench.picture import effects
from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.health import HealthStore
from camera_worker.ingest.source import KeyFrame
from camera_worker.ingest.ts_muxer import TsMuxer
from camera_worker.relay.hub import Relay
from camera_worker.server import Api
from camera_worker.supervisor import Supervisor

TOKEN = {"Authorization": "Bearer token-of-the-worker"}
CLOSED = StreamError(Fault.DISCONNECTED, "rtsp://192.0.2.7:554/door closed the connection")
REFUSED = StreamError(Fault.CONNECTION_REFUSED, "192.0.2.7:554 refused the connection", connected=False)
DOOR = "/v1/cameras/city/door/evidence"


@pytest.fixture
async def api(make_assignment: Any) -> AsyncIterator[Any]:
    """The worker's API; cameras are put under ``api.cameras``."""
    supervisor: Any = Supervisor(lambda _: None, HealthStore("this-process"))
    supervisor.assignment = make_assignment()
    api = Api(supervisor, CollectorRegistry(), str, relay=Relay(time.monotonic, TsMuxer))
    async with TestClient(TestServer(api.application())) as client:
        client.cameras = supervisor.cameras  # type: ignore[attr-defined]
        yield client


async def get(api: Any, path: str) -> tuple[int, Any]:
    response = await api.get(path, headers=TOKEN)
    if response.content_type == "application/json":
        return response.status, await response.json()
    assert response.headers["Cache-Control"] == "no-store"
    picture = cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return response.status, picture


async def test_a_picture_fault_is_shown_beside_the_last_good_picture(api: Any, bench: Any, video: Any) -> None:
    camera = bench.camera()
    api.cameras["uid-door"] = camera
    bench.run(camera, video(30.0, effect=lambda moment: effects.black if moment >= 20 else None))

    status, body = await get(api, DOOR)

    assert status == 200
    assert body == {
        "fault": "Black",
        "active": True,
        "since": "2030-01-31T12:00:18Z",
        "message": camera.health().faults[0].message,
        "pictures": [
            {"name": "good.jpg", "at": "2030-01-31T12:00:18Z"},
            {"name": "faulty.jpg", "at": "2030-01-31T12:00:24Z"},
        ],
    }
    status, good = await get(api, f"{DOOR}/good.jpg")
    assert (status, good.shape) == (200, (270, 480))
    assert good.std() > 20
    status, faulty = await get(api, f"{DOOR}/faulty.jpg")
    assert (status, faulty.shape) == (200, (270, 480))
    assert faulty.mean() < 45


async def test_a_fault_that_has_ended_is_shown_as_such(api: Any, bench: Any, video: Any) -> None:
    api.cameras["uid-door"] = camera = bench.camera()
    bench.run(camera, video(60.0, effect=lambda moment: effects.black if 20 <= moment < 30 else None))

    _, body = await get(api, DOOR)

    assert (body["fault"], body["active"], len(body["pictures"])) == ("Black", False, 2)


async def test_a_lost_camera_shows_what_it_saw_last(api: Any, bench: Any, video: Any) -> None:
    api.cameras["uid-door"] = camera = bench.camera()
    bench.run(camera, video(21.0, CLOSED), *[REFUSED] * 8)
    bench.clock.now += 30
    camera.tick()

    status, body = await get(api, DOOR)

    assert status == 200
    assert (body["fault"], body["active"]) == ("ConnectionRefused", True)
    assert [picture["name"] for picture in body["pictures"]] == ["good.jpg"]
    assert (await get(api, f"{DOOR}/good.jpg"))[0] == 200
    assert await get(api, f"{DOOR}/faulty.jpg") == (
        404,
        {"error": "camera city/door: ConnectionRefused has no picture of its own"},
    )


async def test_a_camera_that_never_showed_anything_says_so(api: Any, bench: Any) -> None:
    api.cameras["uid-door"] = camera = bench.camera()
    bench.run(camera, REFUSED)

    assert (await get(api, DOOR))[1]["pictures"] == []
    assert await get(api, f"{DOOR}/good.jpg") == (
        404,
        {"error": "camera city/door has not shown a picture in good order since it is watched"},
    )


async def test_a_damaged_picture_says_so(api: Any, bench: Any, video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.cameras["uid-door"] = camera = bench.camera()
    packet = type(next(video(0.1).packets()))
    monkeypatch.setattr(packet, "key_frame", lambda *_: KeyFrame("h264", b"", b"\0\0\0\1garbage"))
    bench.run(camera, video(21.0, CLOSED), *[REFUSED] * 8)
    bench.clock.now += 30
    camera.tick()

    assert await get(api, f"{DOOR}/good.jpg") == (404, {"error": "the picture of camera city/door is damaged"})


@pytest.mark.parametrize("picture", ["", "/good.jpg", "/faulty.jpg"])
async def test_where_there_is_nothing_to_show_it_says_why(api: Any, bench: Any, video: Any, picture: str) -> None:
    assert await get(api, DOOR + picture) == (404, {"error": "camera city/door is not assigned to this worker"})

    api.cameras["uid-door"] = camera = bench.camera()
    bench.run(camera, video(21.0, camera.stop))
    assert await get(api, DOOR + picture) == (
        404,
        {"error": "camera city/door has no fault, and its picture has had none"},
    )


@pytest.mark.parametrize("picture", ["", "/good.jpg", "/faulty.jpg"])
async def test_pictures_are_for_those_who_know_the_token(api: Any, picture: str) -> None:
    response = await api.get(DOOR + picture)

    assert response.status == 401
