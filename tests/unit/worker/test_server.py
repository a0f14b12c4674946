"""The HTTP API over a real socket, with cameras that do nothing by themselves."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from camera_api.assignment import AssignedCamera
from camera_api.health import CameraHealth, HealthReport, Verdict
from camera_worker.health import HealthStore
from camera_worker.ingest.source import KeyFrame
from camera_worker.ingest.ts_muxer import TsMuxer
from camera_worker.relay.hub import Relay
from camera_worker.server import Api
from camera_worker.supervisor import Supervisor

TOKEN = {"Authorization": "Bearer token-of-the-worker"}


def basic(password: str) -> str:
    return "Basic " + b64encode(f"viewer:{password}".encode()).decode()


@dataclass
class FakeCamera:
    assigned: AssignedCamera
    is_alive: bool = True
    is_stuck: bool = False
    verdict: Verdict = Verdict.CONNECTING
    key_frame: KeyFrame | None = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def update(self, assigned: AssignedCamera) -> None:
        pass

    def tick(self) -> None:
        pass

    def health(self) -> CameraHealth:
        return CameraHealth(
            namespace="city",
            name=self.assigned.name,
            uid=self.assigned.uid,
            verdict=self.verdict,
            since="2030-01-31T12:00:00Z",
        )


@dataclass
class Worker:
    supervisor: Any
    client: Any
    trouble: str = ""

    async def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        response = await self.client.get(path, headers=TOKEN if headers is None else headers)
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.read()

    async def report(self, query: str = "") -> HealthReport:
        status, body = await self.get(f"/v1/health{query}")
        assert status == 200
        return HealthReport.model_validate(body)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    supervisor: Any = Supervisor(FakeCamera, HealthStore("this-process"))
    worker = Worker(supervisor, None)
    api = Api(
        supervisor,
        CollectorRegistry(),
        lambda: "" if supervisor.assignment is not None else "no assignment yet",
        lambda: worker.trouble,
        relay=Relay(time.monotonic, TsMuxer),
    )
    async with TestClient(TestServer(api.application())) as client:
        worker.client = client
        yield worker


@pytest.fixture
async def watching(worker: Worker, assigned: Any, make_assignment: Any) -> Worker:
    worker.supervisor.take_over(make_assignment(assigned("a"), assigned("b"), revision=5))
    return worker


@pytest.mark.parametrize("path", ["/v1/health", "/v1/cameras/city/a/snapshot.jpg", "/v1/no-such-route"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        *(
            {"Authorization": value}
            for value in ("Bearer wrong", "Bearer tök", "token-of-the-worker", basic("wrong"), basic(""), "Basic ?")
        ),
    ],
)
async def test_without_the_token_nothing_is_told(watching: Worker, path: str, headers: dict[str, str]) -> None:
    status, body = await watching.get(path, headers)

    assert status == 401
    assert "bearer token" in body["error"]


async def test_the_token_may_come_as_a_password(watching: Worker) -> None:
    status, _ = await watching.get("/v1/health", {"Authorization": basic("token-of-the-worker")})

    assert status == 200
    response = await watching.client.get("/v1/health")
    assert response.headers.getall("WWW-Authenticate") == ["Bearer", 'Basic realm="camera-worker"']


async def test_before_the_first_assignment_no_token_is_known(worker: Worker) -> None:
    assert (await worker.get("/v1/health"))[0] == 503
    assert (await worker.get("/readyz", {}))[0] == 503
    assert (await worker.get("/healthz", {}))[0] == 200


async def test_the_first_report_holds_everything(watching: Worker) -> None:
    report = await watching.report()

    assert (report.full, report.worker, report.acknowledged_revision) == (True, "lobby-ingest-0", 5)
    assert [camera.name for camera in report.cameras] == ["a", "b"]


async def test_a_poll_waits_for_a_change_and_tells_only_that(watching: Worker) -> None:
    first = await watching.report()
    poll = asyncio.create_task(watching.report(f"?after={first.cursor}&instance={first.instance}&wait=20"))
    await asyncio.sleep(0)
    watching.supervisor.cameras["uid-b"].verdict = Verdict.WORKING
    watching.supervisor.collect()

    report = await poll

    assert (report.full, [camera.name for camera in report.cameras]) == (False, ["b"])


async def test_every_poll_of_several_is_answered(watching: Worker) -> None:
    first = await watching.report()
    query = f"?after={first.cursor}&instance={first.instance}&wait=20"
    polls = [asyncio.create_task(watching.report(query)) for _ in range(3)]
    await asyncio.sleep(0)
    watching.supervisor.cameras["uid-b"].verdict = Verdict.WORKING
    watching.supervisor.collect()

    assert [len(report.cameras) for report in await asyncio.gather(*polls)] == [1, 1, 1]


async def test_a_poll_without_news_is_answered_after_its_wait(watching: Worker) -> None:
    first = await watching.report()

    report = await watching.report(f"?after={first.cursor}&instance={first.instance}&wait=0.01")

    assert (report.full, report.cameras, report.cursor) == (False, (), first.cursor)


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", "?after=1e3", "?wait=long", "?wait=-1", "?wait=nan"])
async def test_a_query_that_makes_no_sense_is_refused(watching: Worker, query: str) -> None:
    status, body = await watching.get(f"/v1/health{query}")

    assert status == 400
    assert body["error"].startswith(query[1:].partition("=")[0])


async def test_a_snapshot_is_the_latest_key_frame_as_jpeg(watching: Worker, h264_key_frame: KeyFrame) -> None:
    watching.supervisor.cameras["uid-a"].key_frame = h264_key_frame

    status, body = await watching.get("/v1/cameras/city/a/snapshot.jpg")

    assert (status, body[:3]) == (200, b"\xff\xd8\xff")
    assert (await watching.get("/v1/cameras/city/a/snapshot.jpg"))[1] == body


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/cameras/city/b/snapshot.jpg", "city/b has not delivered a picture yet"),
        ("/v1/cameras/city/c/snapshot.jpg", "city/c is not assigned to this worker"),
        ("/v1/cameras/town/a/snapshot.jpg", "town/a is not assigned to this worker"),
    ],
)
async def test_a_snapshot_that_is_not_there_says_why(watching: Worker, path: str, named: str) -> None:
    status, body = await watching.get(path)

    assert status == 404
    assert named in body["error"]


async def test_a_damaged_key_frame_has_no_snapshot(watching: Worker) -> None:
    watching.supervisor.cameras["uid-a"].key_frame = KeyFrame("h264", b"", b"\0\0\0\1garbage")

    status, body = await watching.get("/v1/cameras/city/a/snapshot.jpg")

    assert (status, body["error"]) == (404, "the latest picture of camera city/a is damaged")


async def test_threads_that_have_ended_or_are_stuck_make_the_worker_unhealthy(watching: Worker) -> None:
    assert (await watching.get("/healthz", {}))[0] == 200

    watching.supervisor.cameras["uid-a"].is_alive = False
    watching.supervisor.cameras["uid-b"].is_stuck = True

    status, body = await watching.get("/healthz", {})
    assert (status, body["error"]) == (500, "the threads of 2 cameras have ended or are stuck: a, b")


async def test_a_broken_assignment_shows_but_does_not_make_the_worker_unready(watching: Worker) -> None:
    assert await watching.get("/readyz", {}) == (200, {"status": "ok"})

    watching.trouble = "assignment.json: revision: int_parsing"

    assert await watching.get("/readyz", {}) == (200, {"status": "ok", "warning": watching.trouble})


async def test_metrics_need_no_token(watching: Worker) -> None:
    assert (await watching.get("/metrics", {}))[0] == 200


@pytest.fixture
def h264_key_frame() -> KeyFrame:
    """One picture, encoded as a camera would."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 25), {"tune": "zerolatency"}
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24").reformat(format="yuv420p")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return KeyFrame("h264", b"", bytes(packets[0]))
