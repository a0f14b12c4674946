"""What a group's pass is told of the workers of other groups."""

import base64
from typing import Any

import pytest

from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, SourceKind
from camera_operator.cache import Cache
from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS, PODS, SECRETS
from camera_operator.decide.model import Observed
from camera_operator.health_poller import HealthPoller
from camera_operator.move_budget import MoveBudget
from camera_operator.observe import Observer
from camera_operator.specs import names
from camera_operator.status import StatusWriter
from fakes import FakeApi

Object = dict[str, Any]

SHOPS, MALL_WORKER = ("city", "shops"), "mall-ingest-0"


class Desk:
    """A camera of the group shops that was of the group mall before; its status tells nothing."""

    def __init__(self) -> None:
        self.cache = Cache()
        self._version = 0
        self.put(CATEGORIES, "shops", {})
        for group in ("shops", "mall"):
            self.put(GROUPS, group, {"spec": {"category": "shops"}})
        self.put(CAMERAS, "door", {"spec": {"group": "shops", "source": {"rtsp": {"url": "rtsp://door/main"}}}})

    def put(self, resource: Any, name: str, content: Object, worker: str = "", **metadata: Any) -> None:
        self._version += 1
        if worker:
            metadata["labels"] = {
                names.LABEL_MANAGED_BY: names.MANAGED_BY,
                names.LABEL_GROUP: "mall",
                names.LABEL_WORKER: worker,
            }
        identity = {"namespace": "city", "name": name, "uid": f"{resource.kind} {name}", "generation": 1}
        self.cache.put(
            resource, {**content, "metadata": {**identity, "resourceVersion": str(self._version), **metadata}}
        )

    def add_worker(self, *cameras: str, released: str = "") -> None:
        assignment = Assignment(
            worker=MALL_WORKER,
            namespace="city",
            role="ingest",
            group="mall",
            category="shops",
            revision=3,
            bearer_token="token",
            cameras=tuple(
                AssignedCamera(
                    namespace="city",
                    name=name,
                    uid=name,
                    source=AssignedSource(kind=SourceKind.RTSP, main_url=f"rtsp://{name}/main"),
                )
                for name in cameras
            ),
        )
        text = base64.b64encode(assignment.to_secret_text().encode()).decode()
        annotations = {names.ANNOTATION_RELEASED: released} if released else {}
        self.put(SECRETS, MALL_WORKER, {"data": {"assignment.json": text}}, MALL_WORKER, annotations=annotations)

    def add_pod(self) -> None:
        self.put(PODS, names.pod_name(MALL_WORKER), {"spec": {"nodeName": "node"}, "status": {}}, MALL_WORKER)

    def observe(self) -> Observed:
        return Observer(
            self.cache,
            HealthPoller(self.cache, changed=lambda _group: None),
            StatusWriter(FakeApi(), self.cache, rate=1.0, burst=1.0, require_leading=lambda: None),
            moves=MoveBudget(60),
            worker_image="worker",
        ).observe(SHOPS)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(("cameras", "released"), [(("door",), ""), ((), '{"door": 3}'), ((), '{"*": 3}')])
def test_a_worker_that_runs_holds_what_it_has_and_what_it_has_not_let_go(
    desk: Desk, cameras: tuple[str, ...], released: str
) -> None:
    desk.add_worker(*cameras, released=released)
    desk.add_pod()

    observed = desk.observe()

    assert observed.held_elsewhere == {"door": MALL_WORKER}
    assert observed.unseen == {}


@pytest.mark.parametrize("released", ['{"door": 3}', '{"*": 3}'])
def test_a_worker_that_seems_not_to_run_may_have_had_what_it_was_to_let_go(desk: Desk, released: str) -> None:
    desk.add_worker(released=released)

    observed = desk.observe()

    assert observed.held_elsewhere == {}
    assert observed.unseen == {"door": {MALL_WORKER}}


def test_a_worker_that_has_other_cameras_is_left_alone(desk: Desk) -> None:
    desk.add_worker("gate", released='{"hall": 3}')
    desk.add_pod()

    observed = desk.observe()

    assert (observed.held_elsewhere, observed.unseen) == ({}, {})
