"""What the operator relies on in an API server; the fake of the unit tests and the real one both have to keep it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import builders
from camera_api.assignment import Role
from camera_operator.cluster_api import (
    BUDGETS,
    CAMERAS,
    CATEGORIES,
    EVENTS,
    GROUPS,
    LEASES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    ClusterApi,
    KubernetesApi,
    Resource,
    load_configuration,
)
from camera_operator.decide.events import EventReason, Occurrence
from camera_operator.errors import ConflictError, DeniedError, NotFoundError, RejectedError
from camera_operator.events import APART, EventRecorder
from camera_operator.specs import names
from camera_operator.specs.worker import disruption_budget, worker_service, worker_stateful_set
from fakes import FakeApi

if TYPE_CHECKING:
    from local_cluster import Cluster

Object = dict[str, Any]

WORKERS = builders.category().spec


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.integration)])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[ClusterApi]:
    if request.param == "fake":
        yield FakeApi()
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    real = KubernetesApi(await load_configuration(str(cluster.kubeconfig)))
    try:
        yield real
    finally:
        await real.close()


@pytest.fixture
async def namespace(api: ClusterApi, request: pytest.FixtureRequest) -> str:
    name = "contract-" + "".join(c if c.isalnum() else "-" for c in request.node.originalname.lower())[5:45].strip("-")
    if isinstance(api, KubernetesApi):
        await api.apply(
            Resource("", "v1", "namespaces", "Namespace", namespaced=False),
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        )
        # No controller makes it here, and pods need it.
        await api.apply(
            Resource("", "v1", "serviceaccounts", "ServiceAccount"),
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": name, "name": "default"}},
        )
    return name


def secret(namespace: str, name: str = "one", *, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"namespace": namespace, "name": name, **metadata},
        "data": {"key": "YQ=="} if data is None else data,
    }


def group(namespace: str, name: str = "shops") -> Object:
    return {
        "apiVersion": GROUPS.api_version,
        "kind": GROUPS.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"category": "shops"},
    }


def status_of(owner: Object, **status: Any) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": GROUPS.api_version,
        "kind": GROUPS.kind,
        "metadata": {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "status": status,
    }


def condition(type_: str, status: str, reason: str) -> Object:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2030-01-31T12:00:00Z",
    }


def version(thing: Object) -> int:
    return int(thing["metadata"]["resourceVersion"])


async def test_create_refuses_a_name_that_is_taken(api: ClusterApi, namespace: str) -> None:
    await api.create(SECRETS, secret(namespace))
    with pytest.raises(ConflictError):
        await api.create(SECRETS, secret(namespace, data={}))
    assert (await api.get(SECRETS, namespace, "one"))["data"] == {"key": "YQ=="}


async def test_apply_creates_what_is_not_there(api: ClusterApi, namespace: str) -> None:
    applied = await api.apply(SECRETS, secret(namespace))
    assert applied["metadata"]["uid"]
    assert (await api.get(SECRETS, namespace, "one"))["metadata"]["uid"] == applied["metadata"]["uid"]


async def test_apply_removes_what_it_had_set_and_leaves_out_now(api: ClusterApi, namespace: str) -> None:
    await api.apply(SECRETS, secret(namespace, data={"a": "YQ==", "b": "Yg=="}, labels={"x": "1"}))
    applied = await api.apply(SECRETS, secret(namespace, data={"a": "Yw=="}))
    assert applied["data"] == {"a": "Yw=="}
    assert not applied["metadata"].get("labels")


async def test_apply_leaves_what_others_have_set(api: ClusterApi, namespace: str) -> None:
    await api.apply(SECRETS, secret(namespace))
    await api.merge_patch(SECRETS, namespace, "one", {"metadata": {"annotations": {"somebody": "else"}}})
    applied = await api.apply(SECRETS, secret(namespace, data={"key": "Yg=="}))
    assert applied["metadata"]["annotations"] == {"somebody": "else"}


async def test_apply_of_the_same_changes_no_version(api: ClusterApi, namespace: str) -> None:
    first = await api.apply(SECRETS, secret(namespace))
    assert version(await api.apply(SECRETS, secret(namespace))) == version(first)


async def test_versions_rise(api: ClusterApi, namespace: str) -> None:
    first = await api.apply(SECRETS, secret(namespace))
    second = await api.apply(SECRETS, secret(namespace, data={"key": "Yg=="}))
    other = await api.apply(SECRETS, secret(namespace, "two"))
    assert version(first) < version(second) < version(other)


async def test_apply_at_another_version_is_a_conflict(api: ClusterApi, namespace: str) -> None:
    seen = await api.create(SECRETS, secret(namespace))
    first = secret(namespace, data={"key": "Yg=="}, resourceVersion=seen["metadata"]["resourceVersion"])
    second = secret(namespace, data={"key": "Yw=="}, resourceVersion=seen["metadata"]["resourceVersion"])
    await api.apply(SECRETS, first)
    with pytest.raises(ConflictError):
        await api.apply(SECRETS, second)
    assert (await api.get(SECRETS, namespace, "one"))["data"] == {"key": "Yg=="}


async def test_apply_at_a_version_does_not_bring_back_what_was_deleted(api: ClusterApi, namespace: str) -> None:
    seen = await api.create(SECRETS, secret(namespace))
    metadata = seen["metadata"]
    await api.delete(SECRETS, namespace, "one", uid=metadata["uid"])
    with pytest.raises(ConflictError):
        await api.apply(SECRETS, secret(namespace, resourceVersion=metadata["resourceVersion"], uid=metadata["uid"]))
    with pytest.raises(NotFoundError):
        await api.get(SECRETS, namespace, "one")


async def test_replace_at_another_version_is_a_conflict(api: ClusterApi, namespace: str) -> None:
    lease = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"namespace": namespace, "name": "lease"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
    }
    seen = await api.create(LEASES, lease)
    renewed = await api.replace(LEASES, {**seen, "spec": {**seen["spec"], "holderIdentity": "b"}})
    assert renewed["spec"]["holderIdentity"] == "b"
    with pytest.raises(ConflictError):
        await api.replace(LEASES, {**seen, "spec": {**seen["spec"], "holderIdentity": "c"}})


async def test_get_of_nothing_is_not_found(api: ClusterApi, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        await api.get(SECRETS, namespace, "nothing")


async def test_delete_wants_the_very_object(api: ClusterApi, namespace: str) -> None:
    seen = await api.create(SECRETS, secret(namespace))
    uid, at = seen["metadata"]["uid"], seen["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError):
        await api.delete(SECRETS, namespace, "one", uid="00000000-0000-0000-0000-000000000000")
    await api.apply(SECRETS, secret(namespace, data={"key": "Yg=="}))
    with pytest.raises(ConflictError):
        await api.delete(SECRETS, namespace, "one", uid=uid, resource_version=at)
    await api.delete(SECRETS, namespace, "one", uid=uid)
    with pytest.raises(NotFoundError):
        await api.delete(SECRETS, namespace, "one", uid=uid)


async def test_merge_patch_of_nothing_is_not_found(api: ClusterApi, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        await api.merge_patch(PODS, namespace, "nothing", {"metadata": {"annotations": {"a": "b"}}})


@pytest.mark.usefixtures("kinds")
async def test_status_and_spec_do_not_touch_each_other(api: ClusterApi, namespace: str) -> None:
    created = await api.create(GROUPS, group(namespace))
    ready = [condition("Ready", "True", "AllReady")]
    applied = await api.apply_status(GROUPS, status_of(created, category="shops", conditions=ready))
    assert applied["spec"]["category"] == "shops"
    assert applied["status"]["conditions"] == ready
    assert applied["metadata"]["generation"] == created["metadata"]["generation"]


@pytest.mark.usefixtures("kinds")
async def test_status_apply_removes_what_it_leaves_out(api: ClusterApi, namespace: str) -> None:
    created = await api.create(GROUPS, group(namespace))
    first = await api.apply_status(GROUPS, status_of(created, category="shops", faults={"Frozen": 2, "Black": 1}))
    second = await api.apply_status(GROUPS, status_of(first, category="shops", faults={"Black": 1}))
    assert second["status"]["faults"] == {"Black": 1}
    third = await api.apply_status(GROUPS, status_of(second, category="shops", faults={"Black": 1}))
    assert version(third) == version(second)


@pytest.mark.usefixtures("kinds")
async def test_a_map_is_emptied_by_leaving_it_out(api: ClusterApi, namespace: str) -> None:
    created = await api.create(GROUPS, group(namespace))
    first = await api.apply_status(GROUPS, status_of(created, category="shops", faults={"Frozen": 2}))
    with pytest.raises(RejectedError):
        await api.apply_status(GROUPS, status_of(first, category="shops", faults={}))
    second = await api.apply_status(GROUPS, status_of(first, category="shops"))
    assert "faults" not in second["status"]


@pytest.mark.usefixtures("kinds")
async def test_status_never_lands_on_a_namesake(api: ClusterApi, namespace: str) -> None:
    first = await api.create(GROUPS, group(namespace))
    await api.delete(GROUPS, namespace, "shops", uid=first["metadata"]["uid"])
    with pytest.raises(NotFoundError):
        await api.apply_status(GROUPS, status_of(first, category="old"))
    await api.create(GROUPS, group(namespace))
    with pytest.raises(ConflictError):
        await api.apply_status(GROUPS, status_of(first, category="old"))
    assert "status" not in await api.get(GROUPS, namespace, "shops")


@pytest.mark.usefixtures("kinds")
async def test_an_object_without_a_spec_is_refused(api: ClusterApi, namespace: str) -> None:
    broken = group(namespace)
    del broken["spec"]
    with pytest.raises(RejectedError):
        await api.create(GROUPS, broken)


async def test_list_gives_all_pages_of_one_moment(api: ClusterApi, namespace: str) -> None:
    for number in range(5):
        last = await api.create(SECRETS, secret(namespace, f"s{number}"))
    pages = [page async for page in api.list_pages(SECRETS, namespace)]
    names = [item["metadata"]["name"] for page in pages for item in page.items]
    assert names == ["s0", "s1", "s2", "s3", "s4"]
    assert len({page.resource_version for page in pages}) == 1
    assert pages[0].resource_version >= version(last)


async def test_list_of_nothing_has_a_moment_too(api: ClusterApi, namespace: str) -> None:
    pages = [page async for page in api.list_pages(STATEFUL_SETS, namespace)]
    assert [page.items for page in pages] == [[]]
    assert pages[0].resource_version > 0


async def test_list_selects_by_label_and_field(api: ClusterApi, namespace: str) -> None:
    await api.create(SECRETS, secret(namespace, "ours", labels={"app": "x"}))
    await api.create(SECRETS, secret(namespace, "plain"))
    await api.create(SECRETS, {**secret(namespace, "helm"), "type": "helm.sh/release.v1"})

    async def names(**selectors: str) -> list[str]:
        pages = api.list_pages(SECRETS, namespace, **selectors)
        return [item["metadata"]["name"] async for page in pages for item in page.items]

    assert await names(label_selector="app=x") == ["ours"]
    assert await names(field_selector="type!=helm.sh/release.v1") == ["ours", "plain"]


async def test_list_of_all_namespaces_holds_this_one(api: ClusterApi, namespace: str) -> None:
    await api.create(SECRETS, secret(namespace, "here"))
    found = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        async for page in api.list_pages(SECRETS, None)
        for item in page.items
    }
    assert (namespace, "here") in found


@pytest.mark.usefixtures("kinds")
async def test_installed_kinds_are_not_missing(api: ClusterApi) -> None:
    assert await api.missing_kinds() == ()
    assert [page.items async for page in api.list_pages(CATEGORIES, None)]
    assert [page.items async for page in api.list_pages(CAMERAS, None)]


def pod(namespace: str, name: str = "one") -> Object:
    """A pod that is bound to a node, as the scheduler leaves it."""
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "x"}},
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {"name": "worker", "image": "worker:1", "resources": resources, "env": [{"name": "A", "value": "b"}]}
            ],
        },
    }


async def make_node(api: ClusterApi, cpu: str) -> None:
    """A node so large that a resize beyond it is refused."""
    resource = Resource("", "v1", "nodes", "Node", namespaced=False)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
    await api.apply(resource, node)
    size = {"cpu": cpu, "memory": "4Gi", "pods": "110"}
    await api.apply_status(resource, {**node, "status": {"capacity": size, "allocatable": size}})


@pytest.mark.usefixtures("kinds")
async def test_a_pod_is_resized_and_nothing_else_of_it_changes(api: ClusterApi, namespace: str) -> None:
    assert await api.can_resize_pods()
    await make_node(api, cpu="200m")
    before = await api.create(PODS, pod(namespace))
    larger = {"requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    too_large = {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}

    with pytest.raises(DeniedError, match="enough allocatable"):
        await api.resize_pod(namespace, "one", "worker", too_large)
    after = await api.resize_pod(namespace, "one", "worker", larger)

    (container,) = after["spec"]["containers"]
    assert container["resources"] == larger
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {"app": "x"}
    assert version(after) > version(before)


@pytest.mark.usefixtures("kinds")
async def test_a_pod_that_is_deleted_stays_until_its_node_has_ended_it(api: ClusterApi, namespace: str) -> None:
    await make_node(api, cpu="200m")
    made = await api.create(PODS, pod(namespace))
    await api.delete(PODS, namespace, "one", uid=made["metadata"]["uid"])
    found = await api.get(PODS, namespace, "one")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert "deletionTimestamp" in found["metadata"]
    assert version(found) > version(made)


async def test_a_pod_that_is_gone_cannot_be_resized(api: ClusterApi, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        await api.resize_pod(namespace, "one", "worker", {"requests": {"cpu": "250m"}})


@pytest.mark.usefixtures("kinds")
async def test_all_that_is_made_for_a_worker_is_accepted(api: ClusterApi, namespace: str) -> None:
    owner = replace(builders.group(), namespace=namespace)
    name = names.worker_name(owner.name, Role.ANALYTICS, 0)
    parts = (
        (STATEFUL_SETS, worker_stateful_set(owner, name, Role.ANALYTICS, WORKERS, builders.SETTINGS, sized_for=3)),
        (SERVICES, worker_service(owner, name, Role.ANALYTICS)),
        (BUDGETS, disruption_budget(owner, Role.ANALYTICS)),
    )
    for resource, manifest in parts:
        first = await api.apply(resource, manifest)
        again = await api.apply(resource, manifest)
        assert first["metadata"]["name"] in {name, names.budget_name(owner.name, Role.ANALYTICS)}
        assert version(first) == version(again), f"a second apply of the {resource.kind} is a write"


async def test_an_event_is_written_and_its_series_counted_up(api: ClusterApi, namespace: str) -> None:
    recorder = EventRecorder(api, instance="operator-0", require_leading=lambda: None, clock=lambda: moment[0])
    owner = replace(builders.group(), namespace=namespace)
    moment = [0.0]
    for _ in range(2):
        recorder.record(owner, [Occurrence(EventReason.CAMERAS_FAULTY, "door", "Stalled")])
        moment[0] += APART
        await recorder.write_due()

    pages = [page async for page in api.list_pages(EVENTS, namespace)]
    (event,) = [item for page in pages for item in page.items]
    assert event["note"] == "1 camera became faulty: Stalled 1 (door)."
    assert event["series"]["count"] == 2
