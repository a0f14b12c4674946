"""The cache under everything a watch, a LIST and the answers to writes can do to each other."""

import base64
import itertools
from typing import Any

import pytest

from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, Credentials, Role, SourceKind
from camera_operator.cache import CACHED, Cache, Scope
from camera_operator.cluster_api import BUDGETS, CAMERAS, CATEGORIES, GROUPS, PODS, SECRETS, SERVICES, STATEFUL_SETS
from camera_operator.decide.model import SecretProblem
from camera_operator.specs import names

Object = dict[str, Any]
SHOPS, SCHOOLS = ("city", "shops"), ("city", "schools")
ALL_CAMERAS = Scope(CAMERAS, None)


def camera(name: str, version: int, *, group: str = "shops", uid: str = "", secret: str | None = None) -> Object:
    spec: Object = {"group": group, "source": {"rtsp": {"url": f"rtsp://{name}/main"}}}
    if secret is not None:
        spec["credentialsSecretRef"] = {"name": secret}
    return {"metadata": metadata(name, version, uid), "spec": spec}


def metadata(name: str, version: int, uid: str = "", **more: Any) -> Object:
    return {
        "namespace": "city",
        "name": name,
        "uid": uid or f"uid-{name}",
        "generation": 1,
        "resourceVersion": str(version),
        **more,
    }


def worker_metadata(version: int, worker: str = "shops-ingest-0", name: str = "", **more: Any) -> Object:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_GROUP: "shops", names.LABEL_WORKER: worker}
    return metadata(name or worker, version, labels=labels, **more)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def assigned(name: str, url: str = "") -> AssignedCamera:
    source = AssignedSource(kind=SourceKind.RTSP, main_url=url or f"rtsp://{name}/main")
    return AssignedCamera(namespace="city", name=name, uid=f"uid-{name}", source=source)


def assignment_secret(version: int, revision: int, *cameras: AssignedCamera) -> Object:
    assignment = Assignment(
        worker="shops-ingest-0",
        namespace="city",
        role="ingest",
        group="shops",
        category="shops",
        revision=revision,
        bearer_token="token",
        cameras=cameras,
    )
    return {"metadata": worker_metadata(version), "data": {"assignment.json": encoded(assignment.to_secret_text())}}


@pytest.fixture
def cache() -> Cache:
    return Cache()


def names_of(cache: Cache, group: tuple[str, str] = SHOPS) -> list[str]:
    return [view.name for view in cache.cameras(group)]


def assignment_in(cache: Cache) -> Assignment:
    secret = cache.workers(SHOPS)["shops-ingest-0"].secret
    assert secret is not None
    assert secret.assignment is not None
    return secret.assignment


@pytest.mark.parametrize("camera_first", [True, False])
def test_a_source_is_here_once_whichever_comes_first(cache: Cache, camera_first: bool) -> None:
    declared = {**camera("a", 1), "status": {"worker": "shops-ingest-0"}}
    objects = [(CAMERAS, declared), (SECRETS, assignment_secret(2, 1, assigned("a")))]
    for resource, raw in objects if camera_first else reversed(objects):
        cache.put(resource, raw)
    cache.put(CAMERAS, {**declared, "metadata": metadata("a", 3)})
    view = cache.camera(("city", "a"))
    assert view is not None
    assert view.source is assignment_in(cache).cameras[0].source


def test_a_later_assignment_keeps_what_is_equal_and_nothing_else(cache: Cache) -> None:
    cache.put(CAMERAS, camera("b", 1))
    cache.put(SECRETS, assignment_secret(2, 1, assigned("a"), assigned("b"), assigned("c")))
    before = assignment_in(cache)
    cameras = (assigned("a"), assigned("b", "rtsp://elsewhere/main"))
    cache.put(SECRETS, assignment_secret(3, 2, *cameras))
    after = assignment_in(cache)
    assert after.revision == 2
    assert after.cameras == cameras
    assert after.cameras[0] is before.cameras[0]


def test_a_change_concerns_the_camera_s_group(cache: Cache) -> None:
    assert cache.put(CAMERAS, camera("a", 1)) == {SHOPS}
    assert names_of(cache) == ["a"]


def test_a_camera_that_changes_its_group_concerns_both(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 1))
    assert cache.put(CAMERAS, camera("a", 2, group="schools")) == {SHOPS, SCHOOLS}
    assert names_of(cache) == []
    assert names_of(cache, SCHOOLS) == ["a"]
    assert cache.group_keys() == {SCHOOLS}


def test_what_decisions_do_not_look_at_concerns_nobody(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 1))
    labelled = camera("a", 2)
    labelled["metadata"]["labels"] = {"somebody": "else"}
    assert cache.put(CAMERAS, labelled) == set()


def test_an_older_state_does_not_replace_a_newer_one(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 5, group="schools"))
    assert cache.put(CAMERAS, camera("a", 4)) == set()
    assert names_of(cache, SCHOOLS) == ["a"]


def test_a_deleted_camera_does_not_come_back_by_a_late_answer(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 1))
    assert cache.delete(CAMERAS, camera("a", 9)) == {SHOPS}
    assert cache.put(CAMERAS, camera("a", 8)) == set()
    assert names_of(cache) == []


def test_a_late_deletion_does_not_remove_the_namesake(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 1))
    cache.put(CAMERAS, camera("a", 9, uid="second"))
    assert cache.delete(CAMERAS, camera("a", 8)) == set()
    assert [view.uid for view in cache.cameras(SHOPS)] == ["second"]


def test_a_sweep_removes_what_the_list_does_not_hold(cache: Cache) -> None:
    cache.put(CAMERAS, camera("gone", 1))
    cache.put(CAMERAS, camera("kept", 2))
    sweep = cache.sweep(ALL_CAMERAS)
    assert sweep.add([camera("kept", 2), camera("missed", 3)]) == {SHOPS}
    assert sweep.finish(10) == {SHOPS}
    assert names_of(cache) == ["kept", "missed"]


def test_a_sweep_keeps_what_came_after_its_moment(cache: Cache) -> None:
    sweep = cache.sweep(ALL_CAMERAS)
    sweep.add([])
    cache.put(CAMERAS, camera("new", 11))
    sweep.finish(10)
    assert names_of(cache) == ["new"]


def test_a_sweep_does_not_bring_back_what_is_deleted_while_it_runs(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 1))
    sweep = cache.sweep(ALL_CAMERAS)
    cache.delete(CAMERAS, camera("a", 11))
    sweep.add([camera("a", 1)])
    sweep.finish(10)
    assert names_of(cache) == []


def test_events_from_before_a_sweep_are_known_already(cache: Cache) -> None:
    cache.sweep(ALL_CAMERAS).finish(10)
    assert cache.put(CAMERAS, camera("ghost", 9)) == set()
    assert names_of(cache) == []


def test_a_sweep_of_one_namespace_leaves_the_others_alone() -> None:
    cache = Cache(("city", "port"))
    elsewhere = camera("there", 1)
    elsewhere["metadata"]["namespace"] = "port"
    cache.put(CAMERAS, elsewhere)
    cache.put(CAMERAS, camera("here", 1))
    cache.sweep(Scope(CAMERAS, "city")).finish(10)
    assert names_of(cache) == []
    assert names_of(cache, ("port", "shops")) == ["there"]
    late = camera("late", 9)
    late["metadata"]["namespace"] = "port"
    assert cache.put(CAMERAS, late) == {("port", "shops")}


@pytest.mark.parametrize("order", list(itertools.permutations(["listed", "modified", "deleted", "sweep"])))
def test_any_order_of_arrival_ends_in_the_same_truth(cache: Cache, order: tuple[str, ...]) -> None:
    """The camera was listed at 1, modified at 5 and deleted at 8; the sweep's LIST is of moment 6."""
    sweep = cache.sweep(ALL_CAMERAS)
    steps: dict[str, Any] = {
        "listed": lambda: cache.put(CAMERAS, camera("a", 1)),
        "modified": lambda: cache.put(CAMERAS, camera("a", 5, group="schools")),
        "deleted": lambda: cache.delete(CAMERAS, camera("a", 8)),
        "sweep": lambda: (sweep.add([camera("a", 5, group="schools")]), sweep.finish(6)),
    }
    for step in order:
        steps[step]()
    assert cache.group_keys() == set()


def test_the_cache_is_complete_after_the_last_first_sweep() -> None:
    cache = Cache(("city", "port"))
    assert len(cache.scopes) == 2 * (len(CACHED) - 1) + 1
    for scope in cache.scopes:
        assert not cache.is_synced
        assert scope in cache.unswept
        cache.sweep(scope).finish(1)
    assert cache.is_synced


def test_a_secret_concerns_the_groups_of_its_cameras(cache: Cache) -> None:
    cache.put(CAMERAS, camera("a", 1, secret="login"))
    cache.put(CAMERAS, camera("b", 2, group="schools", secret="login"))
    assert cache.credentials("city", "login") is SecretProblem.NOT_FOUND
    login = {
        "metadata": metadata("login", 3),
        "data": {"username": encoded("admin"), "password": encoded("pass"), "other": encoded("x")},
    }
    assert cache.put(SECRETS, login) == {SHOPS, SCHOOLS}
    found = cache.credentials("city", "login")
    assert isinstance(found, Credentials)
    assert found.username == "admin"
    assert found.password.get_secret_value() == "pass"
    cache.delete(CAMERAS, camera("b", 4, group="schools", secret="login"))
    assert cache.delete(SECRETS, {"metadata": metadata("login", 5), "data": {}}) == {SHOPS}
    assert cache.credentials("city", "login") is SecretProblem.NOT_FOUND


@pytest.mark.parametrize("data", [{}, {"username": "YQ=="}, {"username": "YQ==", "password": "/w=="}])
def test_a_secret_without_usable_keys_is_incomplete(cache: Cache, data: dict[str, str]) -> None:
    cache.put(SECRETS, {"metadata": metadata("login", 1), "data": data})
    assert cache.credentials("city", "login") is SecretProblem.INCOMPLETE


def test_a_category_concerns_the_groups_of_it(cache: Cache) -> None:
    for version, (group, category) in enumerate((("shops", "retail"), ("schools", "education"))):
        cache.put(GROUPS, {"metadata": metadata(group, version + 1), "spec": {"category": category}})
    retail = {"metadata": {"name": "retail", "uid": "c", "resourceVersion": "9"}, "spec": {}}
    assert cache.put(CATEGORIES, retail) == {SHOPS}
    assert cache.category("retail") is not None
    assert cache.delete(CATEGORIES, {**retail, "metadata": {**retail["metadata"], "resourceVersion": "10"}}) == {SHOPS}
    assert cache.category("retail") is None


def test_a_worker_is_made_of_its_parts_and_ends_with_the_last(cache: Cache) -> None:
    part = {"metadata": worker_metadata(1, annotations={names.ANNOTATION_FINGERPRINT: "f"})}
    pod = {"metadata": worker_metadata(2, name="shops-ingest-0-abc"), "status": {"podIP": "10.0.0.1"}}
    assert cache.put(STATEFUL_SETS, part) == {SHOPS}
    assert cache.put(SERVICES, part) == {SHOPS}
    assert cache.put(SECRETS, assignment_secret(3, revision=4)) == {SHOPS}
    assert cache.put(PODS, pod) == {SHOPS}
    objects = cache.workers(SHOPS)["shops-ingest-0"]
    assert objects.secret is not None
    assert objects.secret.assignment is not None
    assert objects.secret.assignment.revision == 4
    assert objects.stateful_set is not None
    assert objects.stateful_set.fingerprint == "f"
    assert objects.pods["shops-ingest-0-abc"].pod.address == "10.0.0.1"
    for resource, raw in ((STATEFUL_SETS, part), (SERVICES, part), (PODS, pod), (SECRETS, assignment_secret(3, 4))):
        assert cache.workers(SHOPS)
        gone = {**raw, "metadata": {**raw["metadata"], "resourceVersion": "99"}}
        assert cache.delete(resource, gone) == {SHOPS}
    assert not cache.workers(SHOPS)
    assert cache.group_keys() == set()


def test_the_answer_to_an_own_write_is_not_undone_by_an_older_event(cache: Cache) -> None:
    cache.put(SECRETS, assignment_secret(1, revision=1))
    cache.put(SECRETS, assignment_secret(5, revision=3))
    assert cache.put(SECRETS, assignment_secret(3, revision=2)) == set()
    secret = cache.workers(SHOPS)["shops-ingest-0"].secret
    assert secret is not None
    assert secret.resource_version == "5"


def test_an_unreadable_assignment_is_told_apart_from_none(cache: Cache) -> None:
    broken = {"metadata": worker_metadata(1), "data": {"assignment.json": encoded("{not json")}}
    cache.put(SECRETS, broken)
    secret = cache.workers(SHOPS)["shops-ingest-0"].secret
    assert secret is not None
    assert secret.assignment is None


def test_a_pod_that_has_ended_is_gone(cache: Cache) -> None:
    pod = {"metadata": worker_metadata(1, name="p"), "status": {"phase": "Running"}}
    cache.put(PODS, pod)
    ended = {"metadata": worker_metadata(2, name="p"), "status": {"phase": "Failed"}}
    assert cache.put(PODS, ended) == {SHOPS}
    assert not cache.workers(SHOPS)


def group(name: str, version: int, *, canary: bool = False, image: str = "") -> Object:
    status = {"workerImage": image, "cameras": {"declared": version}}
    return {"metadata": metadata(name, version), "spec": {"category": "shops", "canary": canary}, "status": status}


def test_a_canary_that_has_tried_an_image_concerns_all_groups_and_otherwise_only_itself(cache: Cache) -> None:
    cache.put(GROUPS, group("shops", 1))
    assert cache.put(GROUPS, group("schools", 2, canary=True, image="worker:1")) == {SHOPS, SCHOOLS}
    assert cache.put(GROUPS, group("schools", 3, canary=True, image="worker:1")) == {SCHOOLS}
    assert cache.put(GROUPS, group("schools", 4, canary=True, image="worker:2")) == {SHOPS, SCHOOLS}
    assert [view.key for view in cache.canaries()] == [SCHOOLS]
    assert cache.put(GROUPS, group("schools", 5)) == {SHOPS, SCHOOLS}
    assert not list(cache.canaries())


def test_a_disruption_budget_concerns_its_group(cache: Cache) -> None:
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_GROUP: "shops",
        names.LABEL_ROLE: "ingest",
    }
    annotations = {names.ANNOTATION_FINGERPRINT: "f"}
    budget = {"metadata": metadata("shops-ingest", 1, labels=labels, annotations=annotations)}
    assert cache.put(BUDGETS, budget) == {SHOPS}
    assert cache.budgets(SHOPS) == {Role.INGEST: "f"}
    assert cache.delete(BUDGETS, {"metadata": {**budget["metadata"], "resourceVersion": "2"}}) == {SHOPS}
    assert not cache.budgets(SHOPS)
