"""What the operator keeps of each camera: 100,000 have to fit into 500 MB, and the program alone takes 85 MB."""

import gc
import json
import tracemalloc
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from camera_api.camera import CameraState
from camera_api.health import CameraHealth, HealthReport, StreamFacts, Verdict
from camera_operator.cache import Cache
from camera_operator.cluster_api import (
    CAMERAS,
    CATEGORIES,
    GROUPS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from camera_operator.decide.model import ObjectKey, Plan
from camera_operator.decide.plan import make_plan
from camera_operator.health_poller import HealthPoller, WorkerHealth
from camera_operator.move_budget import MoveBudget
from camera_operator.observe import Observer
from camera_operator.specs import names
from camera_operator.status import StatusWriter, camera_status_manifest
from fakes import FakeApi
from operator_life import PLAN_SETTINGS

Object = dict[str, Any]

CAMERA_COUNT = 1000
GROUP = ("city", "shops")
NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
STREAM = StreamFacts(
    codec="h264", width=1920, height=1080, frames_per_second=25.0, bits_per_second=4_000_000, transport="TCP"
)


class Reports(HealthPoller):
    """What workers have reported, without the workers."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(cache, changed=lambda _group: None, clock=lambda: 0.0)
        self._reports: dict[tuple[str, str], WorkerHealth] = {}

    def health(self, worker: tuple[str, str]) -> WorkerHealth:
        return self._reports.setdefault(worker, WorkerHealth())

    def take(self, worker: str, body: str) -> None:
        self.health((GROUP[0], worker)).take(HealthReport.model_validate_json(body), 0.0, first=True)


class Fleet:
    """A group's cameras on their way through the operator. What comes from outside is decoded from JSON, as it is."""

    def __init__(self) -> None:
        self.cache = Cache()
        for scope in self.cache.scopes:
            self.cache.sweep(scope).finish(1)
        self.reports = Reports(self.cache)
        self.statuses = StatusWriter(
            FakeApi(),
            self.cache,
            rate=1.0,
            burst=1.0,
            require_leading=lambda: None,
        )
        self.observer = Observer(
            self.cache,
            self.reports,
            self.statuses,
            moves=MoveBudget(60),
            worker_image=PLAN_SETTINGS.worker_image,
            clock=lambda: 0.0,
            now=lambda: NOW,
        )
        self._version = 1
        self.answer(CATEGORIES, {"metadata": {"name": "shops"}, "spec": {}})
        self.answer(GROUPS, {"metadata": _metadata(GROUP), "spec": {"category": "shops"}})
        self.answer(
            SECRETS, {"metadata": _metadata(("city", "login")), "data": {"username": "dQ==", "password": "cA=="}}
        )

    def answer(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        """The API server tells of an object."""
        self._version += 1
        uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{resource.kind} {manifest['metadata']['name']}"))
        metadata = {"uid": uid, "generation": 1, **manifest["metadata"], "resourceVersion": str(self._version)}
        self.cache.put(resource, json.loads(json.dumps({**manifest, "metadata": metadata})))

    def declare(self, key: ObjectKey, status: Object | None = None) -> None:
        """A camera with its status, if it has one."""
        source = {"rtsp": {"url": f"rtsp://192.0.2.1:554/{key[1]}/main"}}
        spec = {"group": GROUP[1], "source": source, "credentialsSecretRef": {"name": "login"}}
        self.answer(CAMERAS, {"metadata": _metadata(key), "spec": spec, "status": status or {}})

    def work(self) -> Plan:
        """One pass; its statuses wait."""
        plan = make_plan(self.observer.observe(GROUP), PLAN_SETTINGS)
        for write in plan.writes:
            for resource, manifest in (
                (SECRETS, write.secret),
                (SERVICES, write.service),
                (STATEFUL_SETS, write.stateful_set),
            ):
                if manifest is not None:
                    self.answer(resource, manifest)
        self.statuses.put(GROUP, None, plan.camera_statuses)
        return plan

    def write_statuses(self) -> None:
        for name in map(_name, range(CAMERA_COUNT)):
            status = self.statuses.camera_status((GROUP[0], name))
            if status is not None:
                self.declare((GROUP[0], name), camera_status_manifest(status))
        self.statuses.drop_all()

    def report(self) -> None:
        """All workers' pods become ready and report for the first time."""
        for name, objects in self.cache.workers(GROUP).items():
            assert objects.secret is not None
            assert objects.secret.assignment is not None
            self.answer(PODS, _pod(name))
            report = HealthReport(
                worker=name,
                instance="one",
                acknowledged_revision=objects.secret.assignment.revision,
                cursor=1,
                full=True,
                cameras=tuple(
                    CameraHealth(
                        namespace=camera.namespace,
                        name=camera.name,
                        uid=camera.uid,
                        verdict=Verdict.WORKING,
                        since="2030-01-31T12:00:00Z",
                        stream=STREAM,
                    )
                    for camera in objects.secret.assignment.cameras
                ),
            )
            self.reports.take(name, report.model_dump_json(by_alias=True))


def _metadata(key: ObjectKey) -> Object:
    return {"namespace": key[0], "name": key[1]}


def _pod(worker: str) -> Object:
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_GROUP: GROUP[1],
        names.LABEL_WORKER: worker,
    }
    return {
        "metadata": {"namespace": GROUP[0], "name": names.pod_name(worker), "labels": labels},
        "spec": {"nodeName": "node"},
        "status": {"podIP": "192.0.2.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _name(number: int) -> str:
    return f"camera-{number:06}"


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def _bytes_per_camera() -> float:
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / CAMERA_COUNT


@pytest.mark.usefixtures("traced")
def test_a_camera_costs_little_at_rest_and_not_much_more_while_its_status_waits() -> None:
    fleet = Fleet()
    before = _bytes_per_camera()
    for number in range(CAMERA_COUNT):
        fleet.declare((GROUP[0], _name(number)))
    assert _bytes_per_camera() - before < 1100
    assert len(fleet.work().camera_statuses) == CAMERA_COUNT
    assert _bytes_per_camera() - before < 2400
    fleet.write_statuses()
    fleet.report()
    assert len(fleet.work().camera_statuses) == CAMERA_COUNT
    assert _bytes_per_camera() - before < 2400
    fleet.write_statuses()
    states = {camera.status.state for camera in fleet.cache.cameras(GROUP)}
    assert states == {CameraState.WORKING}
    assert _bytes_per_camera() - before < 2200
