"""Against a real HTTP server that plays the worker."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from camera_api.assignment import Assignment
from camera_api.health import CameraHealth, HealthReport, Verdict
from camera_operator.cache import Cache, WorkerObjects
from camera_operator.decide.model import PodView
from camera_operator.health_poller import HealthPoller, WorkerHealth, choose_target
from camera_operator.slim import slim_health
from camera_operator.views import WorkerPodView, WorkerRef, WorkerSecretView

GROUP = ("city", "shops")
WORKER = ("city", "shops-ingest-0")
REF = WorkerRef("city", "shops", "shops-ingest-0")
TOKEN = "worker-token"


def health(name: str, verdict: Verdict = Verdict.WORKING) -> CameraHealth:
    return CameraHealth(namespace="city", name=name, uid=f"uid-{name}", verdict=verdict, since="2030-01-31T12:00:00Z")


def report(cursor: int, *cameras: CameraHealth, full: bool = False, **more: Any) -> HealthReport:
    values = {"worker": WORKER[1], "instance": "one", "acknowledged_revision": 1, **more}
    return HealthReport(cursor=cursor, full=full, cameras=cameras, **values)


class Worker:
    """Answers a poll as soon as there is a report for it; a poll beyond the last one waits."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.answers: asyncio.Queue[HealthReport | int] = asyncio.Queue()
        self.polled = asyncio.Event()
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        self.queries.append(dict(request.query))
        self.polled.set()
        answer = await self.answers.get()
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.Response(text=answer.model_dump_json(by_alias=True), content_type="application/json")


StartWorker = Callable[[], Awaitable[Worker]]


@pytest.fixture
async def start_worker() -> AsyncIterator[StartWorker]:
    runners: list[web.AppRunner] = []

    async def start() -> Worker:
        worker = Worker()
        application = web.Application()
        application.router.add_get("/v1/health", worker.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.01, handler_cancellation=True)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        worker.port = runner.addresses[0][1]
        return worker

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def worker(start_worker: StartWorker) -> Worker:
    return await start_worker()


class Polling:
    """A poller that runs, and the groups that it has reported."""

    def __init__(self) -> None:
        self.changed: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.now = 100.0
        self.poller = HealthPoller(Cache(), changed=self.changed.put_nowait, clock=lambda: self.now)

    async def next_change(self) -> tuple[str, str]:
        async with asyncio.timeout(10):
            return await self.changed.get()


@pytest.fixture
async def polling() -> AsyncIterator[Polling]:
    polling = Polling()
    task = asyncio.create_task(polling.poller.run())
    await asyncio.sleep(0)
    yield polling
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def objects(*pods: tuple[str, dict[str, Any]], port: int = 8080, token: str = TOKEN) -> WorkerObjects:
    assignment = Assignment(
        worker=WORKER[1],
        namespace="city",
        role="ingest",
        group="shops",
        category="shops",
        revision=1,
        bearer_token=token,
    )
    found = WorkerObjects(secret=WorkerSecretView(REF, "uid", "1", assignment))
    for name, more in pods:
        values = {
            "node": "",
            "address": "127.0.0.1",
            "ready": True,
            "terminating": False,
            "revision_annotation": "",
            **more,
        }
        found.pods[name] = WorkerPodView(REF, PodView(name=name, uid=f"uid-{name}", **values), port)
    return found


def follow(polling: Polling, found: WorkerObjects | None = None) -> None:
    polling.poller.follow(GROUP, {} if found is None else {WORKER[1]: found})


async def test_a_report_reaches_the_group(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(1, health("a"), health("b"), full=True, acknowledged_revision=7))
    follow(polling, objects(("p", {}), port=worker.port))
    assert await polling.next_change() == GROUP
    known = polling.poller.health(WORKER)
    assert set(known.cameras) == {"uid-a", "uid-b"}
    assert (known.acknowledged_revision, known.last_report_at, known.reachable_since) == (7, 100.0, 100.0)


def decoded_cameras() -> int:
    gc.collect()
    return sum(isinstance(each, CameraHealth) for each in gc.get_objects())


async def test_a_report_is_not_kept_while_the_next_poll_waits(polling: Polling, worker: Worker) -> None:
    before = decoded_cameras()
    worker.answers.put_nowait(report(5, health("a"), full=True))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    async with asyncio.timeout(10):
        while len(worker.queries) < 2:  # noqa: ASYNC110 - the event may be that of the first one
            await asyncio.sleep(0.001)
    assert decoded_cameras() == before


async def test_the_next_poll_asks_for_what_came_after_the_last(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(5, health("a"), health("b"), full=True))
    worker.answers.put_nowait(report(6, health("a", Verdict.FAULTY), removed=("uid-b",)))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    await polling.next_change()
    assert worker.queries[0] == {}
    assert worker.queries[1] == {"instance": "one", "after": "5", "wait": "8"}
    assert polling.poller.health(WORKER).cameras == {"uid-a": slim_health(health("a", Verdict.FAULTY))}


async def test_an_answer_without_news_only_shows_that_the_worker_lives(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(5, health("a"), full=True))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    polling.now = 108.0
    worker.answers.put_nowait(report(5))
    worker.answers.put_nowait(report(6, acknowledged_revision=2))
    # The acknowledgement is news; the answer before it was none.
    await polling.next_change()
    assert polling.changed.empty()
    assert polling.poller.health(WORKER).last_report_at == 108.0
    assert polling.poller.health(WORKER).acknowledged_revision == 2


async def test_a_restarted_worker_replaces_what_the_old_one_said(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(5, health("a"), health("b"), full=True))
    worker.answers.put_nowait(report(1, health("a"), full=True, instance="two"))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    await polling.next_change()
    assert set(polling.poller.health(WORKER).cameras) == {"uid-a"}


async def test_errors_are_tried_again_and_told_once_each_way(
    polling: Polling, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for answer in (500, 500, report(1, health("a"), full=True)):
        worker.answers.put_nowait(answer)
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    told = [record.getMessage() for record in caplog.records if record.name == "camera_operator.health_poller"]
    assert told == [
        "worker city/shops-ingest-0 does not report: ClientResponseError",
        "worker city/shops-ingest-0 reports again",
    ]
    assert TOKEN not in caplog.text


async def test_a_new_pod_has_to_acknowledge_by_itself(
    polling: Polling, worker: Worker, start_worker: StartWorker
) -> None:
    worker.answers.put_nowait(report(1, health("a"), full=True, acknowledged_revision=7))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    successor = await start_worker()
    follow(polling, objects(("q", {}), port=successor.port))
    known = polling.poller.health(WORKER)
    assert known.acknowledged_revision == 0
    assert known.last_report_at == 100.0
    successor.answers.put_nowait(report(1, health("a"), full=True, acknowledged_revision=8))
    await polling.next_change()
    assert known.acknowledged_revision == 8


async def test_what_an_ending_pod_has_acknowledged_holds_until_it_is_gone(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(1, health("a"), full=True, acknowledged_revision=7))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    follow(polling, objects(("p", {"terminating": True}), port=worker.port))
    assert polling.poller.health(WORKER).acknowledged_revision == 7
    follow(polling, objects(port=worker.port))
    assert polling.poller.health(WORKER).acknowledged_revision == 0


async def test_another_token_means_that_nothing_is_acknowledged(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(1, health("a"), full=True, acknowledged_revision=7))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    follow(polling, objects(("p", {}), port=worker.port, token="another"))
    assert polling.poller.health(WORKER).acknowledged_revision == 0


async def test_the_same_target_is_not_asked_twice_at_once(polling: Polling, worker: Worker) -> None:
    for _ in range(3):
        follow(polling, objects(("p", {}), port=worker.port))
    async with asyncio.timeout(10):
        await worker.polled.wait()
    worker.answers.put_nowait(report(1, health("a"), full=True))
    await polling.next_change()
    assert len(worker.queries) <= 2


async def test_a_worker_that_is_gone_is_forgotten(polling: Polling, worker: Worker) -> None:
    worker.answers.put_nowait(report(1, health("a"), full=True))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    follow(polling)
    assert polling.poller.health(WORKER) == WorkerHealth()


async def test_a_process_that_does_not_lead_knows_nothing(
    polling: Polling, worker: Worker, start_worker: StartWorker
) -> None:
    worker.answers.put_nowait(report(1, health("a"), full=True))
    follow(polling, objects(("p", {}), port=worker.port))
    await polling.next_change()
    polling.poller.pause()
    assert polling.poller.health(WORKER) == WorkerHealth()
    again = await start_worker()
    again.answers.put_nowait(report(1, health("a"), full=True))
    follow(polling, objects(("p", {}), port=again.port))
    assert await polling.next_change() == GROUP


@pytest.mark.parametrize(
    ("pods", "chosen"),
    [
        ([], None),
        ([("a", {"address": ""})], None),
        ([("a", {"terminating": True})], None),
        ([("a", {"ready": False})], "uid-a"),
        ([("a", {"ready": False}), ("b", {})], "uid-b"),
        ([("a", {"terminating": True}), ("b", {"ready": False})], "uid-b"),
    ],
)
def test_the_pod_to_ask_is_one_that_can_answer(pods: list[tuple[str, dict[str, Any]]], chosen: str | None) -> None:
    target = choose_target(objects(*pods))
    assert (target.pod_uid if target is not None else None) == chosen


def test_a_target_does_not_show_its_token() -> None:
    assert TOKEN not in repr(choose_target(objects(("a", {}))))
