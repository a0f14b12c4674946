import base64
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

import builders
from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, Credentials, Role, SourceKind
from camera_operator.apply import Applier
from camera_operator.cache import Cache
from camera_operator.cluster_api import PODS, SECRETS, SERVICES, STATEFUL_SETS
from camera_operator.decide.model import ObjectKey, Plan, PodReplacement, PodResize, Resources, WorkerWrite
from camera_operator.errors import ClusterError, ConflictError, DeniedError, NotLeadingError, UnavailableError
from camera_operator.specs import names
from camera_operator.specs.worker import disruption_budget, fingerprint
from fakes import NODES, FakeApi

Object = dict[str, Any]
GROUP = ("city", "shops")
WORKER = "shops-ingest-0"
PASSWORD = "hunter2-of-the-camera"


def assignment(revision: int = 1, worker: str = WORKER) -> Assignment:
    camera = AssignedCamera(
        namespace="city",
        name="a",
        uid="u",
        source=AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://cam/main"),
        credentials=Credentials(username="admin", password=SecretStr(PASSWORD)),
    )
    return Assignment(
        worker=worker,
        namespace="city",
        role=Role.INGEST,
        group="shops",
        category="shops",
        revision=revision,
        bearer_token=SecretStr("token"),
        cameras=(camera,),
    )


def manifest(kind: str, worker: str = WORKER, **more: Any) -> Object:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_GROUP: "shops", names.LABEL_WORKER: worker}
    return {"kind": kind, "metadata": {"namespace": "city", "name": worker, "labels": labels}, **more}


def secret(content: Assignment) -> Object:
    text = base64.b64encode(content.to_secret_text().encode()).decode()
    return manifest("Secret", content.worker, data={"assignment.json": text})


def write(content: Assignment, version: str | None = None, **more: Any) -> WorkerWrite:
    return WorkerWrite(
        worker=content.worker,
        reason="a camera more",
        assignment=content,
        secret_resource_version=version,
        secret=secret(content),
        **more,
    )


def whole(content: Assignment) -> WorkerWrite:
    return write(
        content, service=manifest("Service", content.worker), stateful_set=manifest("StatefulSet", content.worker)
    )


class Desk:
    """An API, a cache that hears of nothing but own writes, and an applier."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.cache = Cache()
        self.leading = True
        self.found: list[ObjectKey] = []
        self.applier = Applier(self.api, self.cache, require_leading=self.require_leading, found=self.found.append)

    def require_leading(self) -> None:
        if not self.leading:
            raise NotLeadingError("not leading")

    def version(self) -> str:
        found = self.cache.workers(GROUP)[WORKER].secret
        assert found is not None
        return found.resource_version


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_new_worker_gets_its_parts_in_order(desk: Desk) -> None:
    assert await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),))) == ()
    assert desk.api.writes == [
        ("create", "Secret", WORKER),
        ("apply", "Service", WORKER),
        ("apply", "StatefulSet", WORKER),
    ]


async def test_what_was_written_is_known_without_a_watch(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    objects = desk.cache.workers(GROUP)[WORKER]
    assert objects.secret is not None
    assert objects.secret.assignment == assignment()
    assert objects.stateful_set is not None
    assert objects.service is not None


async def test_the_pod_is_told_right_after_the_secret(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    desk.api.put(PODS, {**manifest("Pod"), "metadata": {**manifest("Pod")["metadata"], "name": "pod"}})
    desk.api.writes.clear()
    update = write(
        assignment(2), desk.version(), stateful_set=manifest("StatefulSet"), nudges={"pod": "2", "gone": "2"}
    )
    assert await desk.applier.apply(GROUP, Plan(writes=(update,))) == ()
    assert [(verb, kind) for verb, kind, _ in desk.api.writes] == [
        ("apply", "Secret"),
        ("patch", "Pod"),
        ("patch", "Pod"),
        ("apply", "StatefulSet"),
    ]
    annotations = desk.api.objects(PODS)[0]["metadata"]["annotations"]
    assert annotations == {names.ANNOTATION_ASSIGNMENT_REVISION: "2"}


LARGER = {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


def pod_of_worker(name: str = "pod") -> Object:
    spec = {"nodeName": "node-1", "containers": [{"name": "worker", "resources": {"requests": {"cpu": "50m"}}}]}
    content = manifest("Pod", spec=spec)
    return {**content, "metadata": {**content["metadata"], "name": name}}


def resizing(*pods: str) -> Plan:
    resizes = tuple(PodResize(name, LARGER, fits=7) for name in pods)
    return Plan(writes=(WorkerWrite(worker=WORKER, reason="its size follows its cameras", resizes=resizes),))


async def test_a_pod_is_resized_and_one_that_is_gone_is_no_trouble(desk: Desk) -> None:
    desk.api.put(PODS, pod_of_worker())

    assert await desk.applier.apply(GROUP, resizing("gone", "pod")) == ()

    assert desk.api.objects(PODS)[0]["spec"]["containers"][0]["resources"] == LARGER
    assert desk.cache.workers(GROUP)[WORKER].pods["pod"].pod.requests == Resources(250, 128 * 2**20)


async def test_a_pod_whose_node_is_too_small_is_noted_as_full(desk: Desk) -> None:
    desk.api.put(PODS, pod_of_worker())
    size = {"cpu": "100m", "memory": "1Gi"}
    desk.api.put(NODES, {"metadata": {"name": "node-1"}, "status": {"allocatable": size}})

    assert await desk.applier.apply(GROUP, resizing("pod")) == ()

    assert desk.cache.workers(GROUP)[WORKER].pods["pod"].pod.fits == 7


async def test_a_pod_that_cannot_even_have_what_was_noted_is_tried_again_with_back_off(desk: Desk) -> None:
    desk.api.put(PODS, pod_of_worker())
    size = {"cpu": "100m", "memory": "1Gi"}
    desk.api.put(NODES, {"metadata": {"name": "node-1"}, "status": {"allocatable": size}})
    await desk.applier.apply(GROUP, resizing("pod"))

    (failure,) = await desk.applier.apply(GROUP, resizing("pod"))

    assert isinstance(failure.error, DeniedError)
    assert failure.is_assigned, "its cameras' statuses are true all the same"


async def test_a_missing_right_to_resize_is_a_failure_and_no_full_node(desk: Desk) -> None:
    desk.api.put(PODS, pod_of_worker())
    desk.api.fail = lambda verb, kind, _name: (
        DeniedError(f"{verb} {kind}", 403, "Forbidden") if verb == "patch_resize" else None
    )

    (failure,) = await desk.applier.apply(GROUP, resizing("pod"))

    assert isinstance(failure.error, DeniedError)
    assert failure.is_assigned
    assert desk.api.objects(PODS)[0]["metadata"].get("annotations") is None


async def test_an_outdated_pod_is_deleted_after_the_template_is_written(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    uid = desk.api.put(PODS, pod_of_worker())["metadata"]["uid"]
    desk.api.writes.clear()
    replaced = WorkerWrite(
        worker=WORKER,
        reason="its specification changed",
        stateful_set=manifest("StatefulSet"),
        replacements=(PodReplacement("pod", uid), PodReplacement("gone", "another")),
    )

    assert await desk.applier.apply(GROUP, Plan(writes=(replaced,))) == ()

    assert [(verb, kind) for verb, kind, _ in desk.api.writes][:2] == [("apply", "StatefulSet"), ("delete", "Pod")]
    assert "deletionTimestamp" in desk.api.objects(PODS)[0]["metadata"]


async def test_a_disruption_budget_is_applied_and_known(desk: Desk) -> None:
    budget = disruption_budget(replace(builders.group(), name="shops"), Role.INGEST)

    assert await desk.applier.apply(GROUP, Plan(budgets=(budget,))) == ()

    assert desk.cache.budgets(GROUP) == {Role.INGEST: fingerprint(budget)}


async def test_a_nudge_alone_names_the_revision_that_stands(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(write(assignment(7)),)))
    desk.api.put(PODS, {**manifest("Pod"), "metadata": {**manifest("Pod")["metadata"], "name": "pod"}})
    nudge = WorkerWrite(worker=WORKER, reason="the pod does not know", nudges={"pod": "7"})
    await desk.applier.apply(GROUP, Plan(writes=(nudge,)))
    annotations = desk.api.objects(PODS)[0]["metadata"]["annotations"]
    assert annotations == {names.ANNOTATION_ASSIGNMENT_REVISION: "7"}


async def test_of_two_leaders_only_one_can_replace_an_assignment(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))
    stale = desk.version()
    other = Applier(desk.api, desk.cache, require_leading=lambda: None)
    assert await other.apply(GROUP, Plan(writes=(write(assignment(2), stale),))) == ()
    failures = await desk.applier.apply(GROUP, Plan(writes=(write(assignment(2), stale),)))
    assert [type(failure.error) for failure in failures] == [ConflictError]


async def test_of_two_leaders_only_one_can_make_a_worker(desk: Desk) -> None:
    other = Desk()
    other.api = desk.api
    other.applier = Applier(desk.api, other.cache, require_leading=lambda: None)
    assert await other.applier.apply(GROUP, Plan(writes=(write(assignment()),))) == ()
    failures = await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))
    assert [type(failure.error) for failure in failures] == [ConflictError]
    # And the loser knows by now what the winner has written.
    assert desk.cache.workers(GROUP)[WORKER].secret is not None


async def test_a_deleted_assignment_is_not_brought_back_by_a_late_write(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))
    version = desk.version()
    desk.api.remove(SECRETS, "city", WORKER)
    failures = await desk.applier.apply(GROUP, Plan(writes=(write(assignment(2), version),)))
    assert [type(failure.error) for failure in failures] == [ConflictError]
    assert desk.api.objects(SECRETS) == []


async def test_somebody_else_s_secret_of_the_name_is_left_alone_and_named(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.api.put(SECRETS, {"metadata": {"namespace": "city", "name": WORKER}, "data": {"theirs": "eA=="}})
    failures = await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))
    assert [type(failure.error) for failure in failures] == [ConflictError]
    assert desk.api.objects(SECRETS)[0]["data"] == {"theirs": "eA=="}
    assert f"Secret city/{WORKER} is in the way" in caplog.text


async def test_one_worker_s_trouble_does_not_hold_up_the_others(desk: Desk) -> None:
    def fail(verb: str, _kind: str, name: str) -> ClusterError | None:
        return UnavailableError(f"{verb} {name}", 503, "ServiceUnavailable") if name == "shops-ingest-1" else None

    desk.api.fail = fail
    writes = tuple(whole(assignment(worker=f"shops-ingest-{ordinal}")) for ordinal in range(3))
    failures = await desk.applier.apply(GROUP, Plan(writes=writes))
    assert [failure.worker for failure in failures] == ["shops-ingest-1"]
    assert [item["metadata"]["name"] for item in desk.api.objects(STATEFUL_SETS)] == [
        "shops-ingest-0",
        "shops-ingest-2",
    ]


async def test_a_worker_is_deleted_with_its_record_last(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    desk.api.writes.clear()
    assert await desk.applier.apply(GROUP, Plan(deletions=(WORKER,))) == ()
    assert [(verb, kind) for verb, kind, _ in desk.api.writes] == [
        ("delete", "StatefulSet"),
        ("delete", "Service"),
        ("delete", "Secret"),
    ]
    for resource in (STATEFUL_SETS, SERVICES, SECRETS):
        assert desk.api.objects(resource) == []


async def test_no_camera_is_assigned_while_a_pod_that_had_it_runs_unseen(desk: Desk) -> None:
    plan = Plan(writes=(write(assignment(worker="shops-ingest-1"), vacated=frozenset({WORKER})),))
    desk.api.put(PODS, pod_of_worker(names.pod_name(WORKER)))

    failures = await desk.applier.apply(GROUP, plan)

    assert [type(failure.error) for failure in failures] == [ConflictError]
    assert desk.api.writes == []
    assert list(desk.cache.workers(GROUP)[WORKER].pods) == ["shops-ingest-0-0"]
    # The watch will find it known: whoever it concerns hears of it now or never.
    assert desk.found == [GROUP]


@pytest.mark.parametrize("left", [None, {"spec": {}}, {"status": {"phase": "Failed"}}], ids=str)
async def test_a_camera_is_assigned_when_nothing_of_its_last_worker_runs(desk: Desk, left: Object | None) -> None:
    if left is not None:
        desk.api.put(PODS, {**pod_of_worker(names.pod_name(WORKER)), **left})
    plan = Plan(writes=(write(assignment(worker="shops-ingest-1"), vacated=frozenset({WORKER})),))

    assert await desk.applier.apply(GROUP, plan) == ()
    assert desk.api.writes == [("create", "Secret", "shops-ingest-1")]


async def test_what_a_write_without_an_answer_has_done_is_looked_at_before_the_next_pass(desk: Desk) -> None:
    def lose(verb: str, _kind: str, _name: str) -> ClusterError | None:
        return UnavailableError("create Secret", 0, "no answer within 5 s") if verb == "create" else None

    succeed, desk.api.fail = desk.api.fail, lose
    await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))
    assert desk.cache.intents.holders(["a"], but=("city", "mall")) == {"a": WORKER}

    desk.api.fail = succeed
    desk.api.put(SECRETS, secret(assignment()))  # it was carried out after all
    assert await desk.applier.settle(GROUP) == ()

    assert desk.cache.intents.open_questions(GROUP) == []
    found = desk.cache.workers(GROUP)[WORKER].secret
    assert found is not None
    assert found.assignment == assignment()


async def test_a_group_is_not_planned_again_while_nobody_says_what_a_write_has_done(desk: Desk) -> None:
    def fail(verb: str, _kind: str, _name: str) -> ClusterError:
        return UnavailableError(f"{verb} Secret", 503, "ServiceUnavailable")

    desk.api.fail = fail
    await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))

    assert [failure.worker for failure in await desk.applier.settle(GROUP)] == [WORKER]
    assert desk.cache.intents.open_questions(GROUP) == [WORKER]


async def test_a_refused_write_gives_nothing_away(desk: Desk) -> None:
    def refuse(verb: str, _kind: str, _name: str) -> ClusterError:
        return DeniedError(f"{verb} Secret", 403, "Forbidden")

    desk.api.fail = refuse
    await desk.applier.apply(GROUP, Plan(writes=(write(assignment()),)))

    assert desk.cache.intents.holders(["a"], but=("city", "mall")) == {}


async def test_a_worker_s_record_is_kept_while_its_pod_runs_unseen(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    desk.api.put(PODS, pod_of_worker(names.pod_name(WORKER)))

    failures = await desk.applier.apply(GROUP, Plan(deletions=(WORKER,)))

    assert [type(failure.error) for failure in failures] == [ConflictError]
    assert len(desk.api.objects(SECRETS)) == 1


async def test_deleting_what_is_gone_already_is_no_error(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    for resource in (STATEFUL_SETS, SERVICES, SECRETS):
        desk.api.remove(resource, "city", WORKER)
    assert await desk.applier.apply(GROUP, Plan(deletions=(WORKER, "shops-ingest-9"))) == ()


async def test_an_assignment_that_was_changed_meanwhile_is_not_deleted(desk: Desk) -> None:
    await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    desk.api.put(SECRETS, secret(assignment(2)))
    failures = await desk.applier.apply(GROUP, Plan(deletions=(WORKER,)))
    assert [type(failure.error) for failure in failures] == [ConflictError]
    assert len(desk.api.objects(SECRETS)) == 1
    found = desk.cache.workers(GROUP)[WORKER].secret
    assert found is not None
    assert found.assignment == assignment(2)


async def test_a_process_that_does_not_lead_writes_nothing(desk: Desk) -> None:
    desk.leading = False
    failures = await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    assert [type(failure.error) for failure in failures] == [NotLeadingError]
    assert desk.api.writes == []


async def test_writes_stop_in_the_middle_when_leadership_ends(desk: Desk) -> None:
    def lose(_verb: str, kind: str, _name: str) -> None:
        desk.leading = kind != "Secret"

    desk.api.fail = lose
    failures = await desk.applier.apply(GROUP, Plan(writes=(whole(assignment()),)))
    assert [type(failure.error) for failure in failures] == [NotLeadingError]
    assert desk.api.writes == [("create", "Secret", WORKER)]


async def test_the_log_tells_one_story_and_no_secret(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    plan = Plan(writes=(whole(assignment()),))
    await desk.applier.apply(GROUP, plan)
    assert [record.getMessage() for record in caplog.records if record.name == "camera_operator.apply"] == [
        "group city/shops: worker shops-ingest-0: a camera more (assignment 1 with 1 camera, Service, StatefulSet)"
    ]
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(plan)
