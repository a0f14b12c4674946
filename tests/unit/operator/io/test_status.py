import asyncio
from typing import Any

import pytest

from camera_api.camera import CameraState
from camera_api.conditions import ConditionStatus
from camera_operator.cache import Cache
from camera_operator.cluster_api import CAMERAS, GROUPS
from camera_operator.decide.model import CameraStatusView, ConditionView, GroupStatusView
from camera_operator.errors import ClusterError, NotLeadingError, RejectedError
from camera_operator.status import StatusWriter, TokenBucket
from fakes import FakeApi

GROUP = ("city", "shops")
WORKING = CameraStatusView(
    state=CameraState.WORKING,
    reason="Working",
    since="2030-01-31T12:00:00Z",
    category="shops",
    worker="shops-ingest-0",
    observed_generation=1,
    conditions=(ConditionView("Ready", ConditionStatus.TRUE, "Working", "", 1, "2030-01-31T12:00:00Z"),),
)
FAULTY = CameraStatusView(state=CameraState.FAULTY, reason="Frozen", category="shops")


class City:
    """An API with one group and some cameras, a cache that follows it, and a writer without a rate limit."""

    def __init__(self, *, rate: float = 1e9, burst: float = 1e9) -> None:
        self.api = FakeApi()
        self.cache = Cache()
        self.leading = True
        self.changed: list[tuple[str, str]] = []
        self.api.on_event = lambda resource, _type, raw: self.cache.put(resource, raw)
        self.api.put(GROUPS, {"metadata": {"namespace": "city", "name": "shops"}, "spec": {"category": "shops"}})
        for name in "abc":
            self.add_camera(name)
        self.writer = StatusWriter(
            self.api,
            self.cache,
            rate=rate,
            burst=burst,
            require_leading=self.require_leading,
            changed=self.changed.append,
        )

    def add_camera(self, name: str) -> None:
        spec = {"group": "shops", "source": {"rtsp": {"url": "rtsp://host/main"}}}
        self.api.put(CAMERAS, {"metadata": {"namespace": "city", "name": name}, "spec": spec})

    def require_leading(self) -> None:
        if not self.leading:
            raise NotLeadingError("not leading")

    async def write_all(self) -> None:
        task = asyncio.create_task(self.writer.run())
        async with asyncio.timeout(10):
            while len(self.writer):  # noqa: ASYNC110 - nothing tells when a line is empty
                await asyncio.sleep(0)
        self.writer.close()
        await task

    @property
    def written(self) -> list[str]:
        return [name for verb, _, name in self.api.writes if verb == "apply_status"]


async def test_a_status_arrives_whole_and_reads_back_as_it_was_meant() -> None:
    city = City()
    city.writer.put(GROUP, None, {("city", "a"): WORKING})
    await city.write_all()
    view = city.cache.camera(("city", "a"))
    assert view is not None
    assert view.status == WORKING


async def test_a_group_s_status_reads_back_as_it_was_meant() -> None:
    city = City()
    status = GroupStatusView(
        observed_generation=1,
        category="shops",
        cameras={"declared": 3, "working": 2, "faulty": 1},
        faults={"Frozen": 1},
        workers={"ingest": 1, "analytics": 0, "ready": 1},
        selector="app=x",
        conditions=WORKING.conditions,
    )
    city.writer.put(GROUP, status, {})
    await city.write_all()
    view = city.cache.group(GROUP)
    assert view is not None
    assert view.status == status


async def test_groups_come_first_and_then_the_oldest() -> None:
    city = City()
    city.writer.put(GROUP, None, {("city", "c"): WORKING, ("city", "a"): WORKING})
    city.writer.put(GROUP, GroupStatusView(category="shops"), {("city", "b"): WORKING})
    await city.write_all()
    assert city.written == ["shops", "c", "a", "b"]


async def test_a_newer_decision_takes_the_place_of_the_older_in_the_line() -> None:
    city = City()
    city.writer.put(GROUP, None, {("city", "a"): WORKING, ("city", "b"): WORKING})
    city.writer.put(GROUP, None, {("city", "a"): FAULTY})
    assert city.writer.camera_status(("city", "a")) == FAULTY
    await city.write_all()
    assert city.written == ["a", "b"]
    assert city.writer.camera_status(("city", "a")) is None
    view = city.cache.camera(("city", "a"))
    assert view is not None
    assert view.status == FAULTY


async def test_a_decision_back_to_what_is_stored_writes_nothing() -> None:
    city = City()
    stored = city.cache.camera(("city", "a"))
    assert stored is not None
    city.writer.put(GROUP, None, {("city", "a"): FAULTY})
    city.writer.put(GROUP, None, {("city", "a"): stored.status})
    await city.write_all()
    assert city.written == []


async def test_a_deleted_camera_is_skipped() -> None:
    city = City()
    city.writer.put(GROUP, None, {("city", "nowhere"): WORKING, ("city", "a"): WORKING})
    city.api.remove(CAMERAS, "city", "b")  # the cache does not know yet
    city.writer.put(GROUP, None, {("city", "b"): WORKING})
    await city.write_all()
    assert city.written == ["a", "b"]


async def test_a_conflict_is_looked_at_and_the_decision_written_again() -> None:
    city = City()
    on_event, city.api.on_event = city.api.on_event, lambda *_: None
    moved = city.api.objects(CAMERAS)[0]
    city.api.put(CAMERAS, {**moved, "spec": {**moved["spec"], "group": "schools"}})
    city.api.on_event = on_event
    city.writer.put(GROUP, None, {("city", "a"): WORKING})
    await city.write_all()
    assert city.written == ["a", "a"]
    assert sorted(city.changed) == [("city", "schools"), ("city", "shops")]


async def test_a_namesake_does_not_get_the_status_of_the_one_before() -> None:
    city = City()
    on_event, city.api.on_event = city.api.on_event, lambda *_: None
    city.api.remove(CAMERAS, "city", "a")
    city.add_camera("a")
    city.api.on_event = on_event
    city.writer.put(GROUP, None, {("city", "a"): WORKING})
    await city.write_all()
    assert "status" not in city.api.objects(CAMERAS)[0]


async def test_nothing_is_written_by_a_process_that_does_not_lead() -> None:
    city = City()
    city.leading = False
    city.writer.put(GROUP, GroupStatusView(category="shops"), {("city", "a"): WORKING})
    await city.write_all()
    assert city.written == []


async def test_a_refused_status_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    city = City()

    def refuse_a(_verb: str, _kind: str, name: str) -> ClusterError | None:
        return RejectedError("apply status Camera city/a", 422, "Invalid (status.reason)") if name == "a" else None

    city.api.fail = refuse_a
    city.writer.put(GROUP, None, {("city", "a"): WORKING, ("city", "b"): WORKING})
    await city.write_all()
    assert city.written == ["a", "b"]
    assert "status of Camera city/a is refused" in caplog.text


async def test_the_last_fault_of_a_group_goes_away() -> None:
    city = City()
    for faults in ({"Frozen": 2}, {}):
        city.writer = StatusWriter(
            city.api, city.cache, rate=1e9, burst=1e9, require_leading=city.require_leading, changed=city.changed.append
        )
        city.writer.put(GROUP, GroupStatusView(category="shops", faults=faults), {})
        await city.write_all()
        view = city.cache.group(GROUP)
        assert view is not None
        assert view.status.faults == faults


async def test_a_new_leader_decides_anew() -> None:
    city = City()
    city.writer.put(GROUP, GroupStatusView(category="shops"), {("city", "a"): WORKING})
    city.writer.drop_all()
    assert len(city.writer) == 0
    await city.write_all()
    assert city.written == []


def test_the_bucket_allows_the_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=10.0, burst=3.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0
    assert bucket.take(0.1) > 0.0


def test_the_bucket_holds_no_more_than_the_burst() -> None:
    bucket = TokenBucket(rate=10.0, burst=3.0, now=0.0)
    granted: list[Any] = [bucket.take(100.0) for _ in range(10)]
    assert granted.count(0.0) == 3
