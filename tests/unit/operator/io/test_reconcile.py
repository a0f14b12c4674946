import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from camera_api.camera import CameraState
from camera_operator.apply import Applier
from camera_operator.cache import Cache
from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS
from camera_operator.decide.model import CameraStatusView, GroupStatusView, ObjectKey, Observed, Plan, WorkerWrite
from camera_operator.decide.settings import PlanSettings
from camera_operator.errors import ClusterError, ConflictError, NotLeadingError, UnavailableError
from camera_operator.events import EventRecorder
from camera_operator.health_poller import HealthPoller
from camera_operator.metrics import Metrics
from camera_operator.move_budget import MoveBudget
from camera_operator.observe import Observer
from camera_operator.reconcile import Reconciler
from camera_operator.status import StatusWriter
from camera_operator.work_queue import WorkQueue
from fakes import FakeApi

GROUP = ("city", "shops")
PASSWORD = "hunter2"
FAULTY = CameraStatusView(state=CameraState.FAULTY, reason="Frozen", category="shops", worker="shops-ingest-0")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Office:
    """A reconciler whose decisions are the test's."""

    def __init__(self, decide: Callable[[Observed], Plan]) -> None:
        self.api = FakeApi()
        self.cache = Cache()
        self.api.on_event = lambda resource, _type, raw: self.cache.put(resource, raw)
        self.clock = Clock()
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock=self.clock, linger=0.0, linger_at_most=0.0)
        self.metrics = Metrics()
        self.leading = True
        self.seen: list[Observed] = []
        self.statuses = StatusWriter(
            self.api, self.cache, rate=1e9, burst=1e9, require_leading=self.require_leading, clock=self.clock
        )
        health = HealthPoller(self.cache, changed=self.queue.add, clock=self.clock)

        def plan(observed: Observed, _settings: PlanSettings) -> Plan:
            self.seen.append(observed)
            return decide(observed)

        self.moves = MoveBudget(60)
        self.reconciler = Reconciler(
            cache=self.cache,
            queue=self.queue,
            observer=Observer(
                self.cache, health, self.statuses, moves=self.moves, worker_image="worker", clock=self.clock
            ),
            applier=Applier(self.api, self.cache, require_leading=self.require_leading),
            statuses=self.statuses,
            moves=self.moves,
            events=EventRecorder(self.api, instance="here", require_leading=self.require_leading, clock=self.clock),
            health=health,
            metrics=self.metrics,
            plan_settings=PlanSettings(worker_image="worker"),
            is_leading=lambda: self.leading,
            plan=plan,
            clock=self.clock,
        )
        self.api.put(CATEGORIES, {"metadata": {"name": "shops"}, "spec": {}})
        self.api.put(GROUPS, {"metadata": {"namespace": "city", "name": "shops"}, "spec": {"category": "shops"}})
        spec = {"group": "shops", "source": {"rtsp": {"url": "rtsp://cam/main"}}}
        self.api.put(CAMERAS, {"metadata": {"namespace": "city", "name": "a"}, "spec": spec})
        for scope in self.cache.scopes:
            self.cache.finish_sweep(scope, {(GROUP[0], "shops"), ("city", "a"), ("", "shops")}, 1)

    def require_leading(self) -> None:
        if not self.leading:
            raise NotLeadingError("not leading")

    async def work(self, passes: int) -> None:
        """Works until so many passes have been decided."""
        task = asyncio.create_task(self.reconciler.run(1))
        async with asyncio.timeout(10):
            while len(self.seen) < passes:  # noqa: ASYNC110 - as many passes as there are
                await asyncio.sleep(0)
            # The last pass is finished when its worker waits again.
            self.queue.close()
            await task

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def make_service(_observed: Observed) -> Plan:
    service = {"kind": "Service", "metadata": {"namespace": "city", "name": "shops-ingest-0"}}
    return Plan(writes=(WorkerWrite(worker="shops-ingest-0", reason="there is none", service=service),))


async def test_a_pass_sees_everything_about_its_group() -> None:
    office = Office(lambda _observed: Plan())
    office.queue.add(GROUP)
    await office.work(1)
    observed = office.seen[0]
    assert observed.group is not None
    assert observed.category is not None
    assert [camera.name for camera in observed.cameras] == ["a"]


async def test_a_pass_that_finds_nothing_to_do_writes_nothing() -> None:
    office = Office(lambda _observed: Plan())
    office.queue.add(GROUP)
    await office.work(1)
    assert office.api.writes == []
    assert len(office.queue) == 0


async def test_others_have_their_turn_between_two_passes() -> None:
    office = Office(lambda _observed: Plan())
    for number in range(20):
        name = f"group-{number}"
        office.api.put(GROUPS, {"metadata": {"namespace": "city", "name": name}, "spec": {"category": "shops"}})
        office.queue.add(("city", name))
    passes_by_turn: list[int] = []

    async def look() -> None:
        while len(office.seen) < 20:
            passes_by_turn.append(len(office.seen))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await office.work(20)
    await looking

    assert passes_by_turn == sorted(passes_by_turn)
    assert max(after - before for before, after in itertools.pairwise(passes_by_turn)) == 1


async def test_a_pass_that_wrote_is_followed_by_another_until_one_finds_nothing() -> None:
    plans = iter((make_service, make_service))
    office = Office(lambda observed: plan(observed) if (plan := next(plans, None)) is not None else Plan())
    office.queue.add(GROUP)
    await office.work(3)
    assert len(office.seen) == 3
    assert len(office.queue) == 0


async def test_the_next_pass_plans_from_statuses_that_are_about_to_be_written() -> None:
    def decide(observed: Observed) -> Plan:
        status = observed.cameras[0].status
        return Plan(camera_statuses={} if status == FAULTY else {("city", "a"): FAULTY})

    office = Office(decide)
    office.queue.add(GROUP)
    await office.work(1)
    assert len(office.statuses) == 1
    health = HealthPoller(office.cache, changed=lambda _group: None)
    observer = Observer(office.cache, health, office.statuses, moves=office.moves, worker_image="worker")
    observed = observer.observe(GROUP)
    assert observed.cameras[0].status == FAULTY


async def test_nothing_is_decided_before_the_cache_is_complete() -> None:
    office = Office(lambda _observed: Plan())
    office.cache._unswept.add(office.cache.scopes[0])
    office.queue.add(GROUP)
    task = asyncio.create_task(office.reconciler.run(1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert office.seen == []
    office.cache._unswept.clear()
    office.reconciler.start_over()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await office.work(1)


async def test_a_standby_decides_nothing_and_starts_over_as_leader() -> None:
    office = Office(lambda _observed: Plan())
    office.leading = False
    office.queue.add(GROUP)
    task = asyncio.create_task(office.reconciler.run(1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert office.seen == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    office.leading = True
    office.reconciler.start_over()
    await office.work(1)
    assert len(office.seen) == 1


def failing(error: Callable[[int], ClusterError | None]) -> Callable[[str, str, str], ClusterError | None]:
    calls = iter(range(1000))
    return lambda _verb, kind, _name: error(next(calls)) if kind == "Service" else None


async def test_an_error_is_tried_again_after_the_time_that_the_server_asks_for() -> None:
    office = Office(make_service)
    office.api.fail = failing(lambda _call: UnavailableError("apply", 429, "TooManyRequests", retry_after=9.0))
    office.queue.add(GROUP)
    await office.work(1)
    assert office.queue._schedule.pop(8.9) is None
    assert office.queue._schedule.pop(9.1) is not None
    assert office.sample("camera_operator_reconcile_duration_seconds_count", result="error") == 1.0


async def test_a_conflict_is_planned_again_at_once_and_the_next_one_later() -> None:
    office = Office(make_service)
    office.api.fail = failing(lambda _call: ConflictError("apply", 409, "Conflict"))
    office.queue.add(GROUP)
    await office.work(2)
    assert office.queue._schedule.pop(0.0) is None
    assert office.queue._schedule.pop(2.0) is not None


async def test_health_is_told_although_a_worker_cannot_be_written() -> None:
    told = CameraStatusView(state=CameraState.FAULTY, reason="Black", worker="shops-ingest-1")

    def decide(_observed: Observed) -> Plan:
        metadata = {"namespace": "city", "name": "shops-ingest-0"}
        return Plan(
            writes=(
                WorkerWrite(worker="shops-ingest-0", reason="new", secret={"kind": "Secret", "metadata": metadata}),
            ),
            camera_statuses={("city", "a"): told, ("city", "b"): FAULTY},
            group_status=GroupStatusView(category="shops"),
        )

    office = Office(decide)
    office.api.fail = lambda verb, _kind, _name: UnavailableError(verb, 403, "exceeded quota")
    office.queue.add(GROUP)
    await office.work(1)
    assert office.statuses.camera_status(("city", "a")) == told
    # Its worker is the one that was not written: that it is assigned would not be true.
    assert office.statuses.camera_status(("city", "b")) is None
    assert office.statuses.group_status(GROUP) is not None


async def test_health_is_told_when_only_something_around_the_assignment_cannot_be_written() -> None:
    def decide(observed: Observed) -> Plan:
        return Plan(writes=make_service(observed).writes, camera_statuses={("city", "b"): FAULTY})

    office = Office(decide)
    office.api.fail = failing(lambda _call: UnavailableError("apply", 403, "exceeded quota"))
    office.queue.add(GROUP)
    await office.work(1)

    assert office.statuses.camera_status(("city", "b")) == FAULTY


async def test_a_defect_in_a_decision_costs_one_group_and_shows_no_value(caplog: pytest.LogCaptureFixture) -> None:
    def decide(observed: Observed) -> Plan:
        if observed.group_name == "shops":
            raise ValueError(f"password {PASSWORD}")
        return Plan()

    office = Office(decide)
    office.api.put(GROUPS, {"metadata": {"namespace": "city", "name": "schools"}, "spec": {"category": "shops"}})
    office.queue.add(GROUP)
    office.queue.add(("city", "schools"))
    await office.work(2)
    assert [observed.group_name for observed in office.seen] == ["shops", "schools"]
    assert "group city/shops: pass failed with ValueError" in caplog.text
    assert PASSWORD not in caplog.text


async def test_the_group_s_numbers_end_with_the_group() -> None:
    status = GroupStatusView(category="shops", cameras={"declared": 1, "faulty": 1}, faults={"Frozen": 1})
    office = Office(lambda observed: Plan(group_status=status if observed.group is not None else None))
    office.queue.add(GROUP)
    await office.work(1)
    labels = {"namespace": "city", "group": "shops", "category": "shops"}
    assert office.sample("camera_operator_cameras", **labels, state="faulty") == 1.0
    assert office.sample("camera_operator_faulty_cameras", **labels, fault="Frozen") == 1.0
    gone: dict[str, Any] = {"resourceVersion": "9999"}
    for resource in (GROUPS, CAMERAS):
        raw = office.api.objects(resource)[0]
        office.cache.delete(resource, {**raw, "metadata": {**raw["metadata"], **gone}})
    await office.reconciler.reconcile(GROUP, 0.0)
    assert office.sample("camera_operator_cameras", **labels, state="faulty") is None
    assert office.sample("camera_operator_faulty_cameras", **labels, fault="Frozen") is None


async def test_time_alone_leads_to_another_pass() -> None:
    office = Office(lambda _observed: Plan(look_again_after=30.0))
    office.queue.add(GROUP)
    await office.work(1)
    assert office.queue._schedule.pop(29.0) is None
    assert office.queue._schedule.pop(30.0) == (GROUP, 30.0)
