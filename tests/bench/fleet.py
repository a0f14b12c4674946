"""A fleet of cameras on a real API server: its objects, and how fast that server is for anybody."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS, SECRETS, KubernetesApi, Resource
from local_cluster import Cluster

REPOSITORY = Path(__file__).resolve().parents[2]
NAMESPACE = CATEGORY = "bench"
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
#: Connections that make objects at the same time.
CREATORS = 16

Object = dict[str, Any]


async def eventually(probe: Callable[[], Awaitable[bool]], what: str, limit_s: float = 120.0) -> None:
    """Waits until the probe is true.

    Raises:
        SystemExit: it is not in time.
    """
    deadline = time.monotonic() + limit_s
    while not await probe():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {limit_s:.0f} s: {what}")
        await asyncio.sleep(0.02)


async def in_parallel(jobs: Iterable[Awaitable[Any]], at_once: int = CREATORS) -> float:
    """Awaits jobs, some at a time; returns the seconds it took."""
    waiting = iter(jobs)
    began = time.monotonic()

    async def work() -> None:
        for job in waiting:
            await job

    await asyncio.gather(*(work() for _ in range(at_once)))
    return time.monotonic() - began


async def create_all(api: KubernetesApi, resource: Resource, manifests: Iterable[Object]) -> float:
    """Creates objects over several connections; returns the seconds it took."""
    return await in_parallel(api.create(resource, manifest) for manifest in manifests)


def group_name(number: int) -> str:
    """Name of a group."""
    return f"group-{number:03}"


def camera_name(number: int) -> str:
    """Name of a camera."""
    return f"camera-{number:06}"


def camera(number: int, groups: int) -> Object:
    """A camera of one of the groups; nobody answers at its address."""
    return {
        "apiVersion": CAMERAS.api_version,
        "kind": CAMERAS.kind,
        "metadata": {"namespace": NAMESPACE, "name": camera_name(number)},
        "spec": {
            "group": group_name(number % groups),
            "source": {"rtsp": {"url": f"rtsp://192.0.2.{number % 250 + 1}:{number % 60_000 + 1024}/main"}},
            "credentialsSecretRef": {"name": "login"},
        },
    }


async def prepare(cluster: Cluster, api: KubernetesApi, groups: int) -> None:
    """Kinds, a namespace, a category, groups and the cameras' Secret."""
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds" / "manifests"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    for name in (NAMESPACE,):
        await api.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    category = {"apiVersion": CATEGORIES.api_version, "kind": CATEGORIES.kind, "metadata": {"name": CATEGORY}}
    await api.create(CATEGORIES, {**category, "spec": {}})
    group = {"apiVersion": GROUPS.api_version, "kind": GROUPS.kind}
    for number in range(groups):
        metadata = {"namespace": NAMESPACE, "name": group_name(number)}
        await api.create(GROUPS, {**group, "metadata": metadata, "spec": {"category": CATEGORY}})
    login = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": NAMESPACE, "name": "login"}}
    await api.create(SECRETS, {**login, "stringData": {"username": "u", "password": "p"}})


async def creates_per_second(api: KubernetesApi, number: int = 500) -> float:
    """How many ConfigMaps the API server creates in a second: tells a slow machine from a slow operator."""
    manifests: Sequence[Object] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "generateName": "yardstick-"}}
        for _ in range(number)
    ]
    for index, manifest in enumerate(manifests):
        manifest["metadata"]["name"] = f"yardstick-{time.monotonic_ns()}-{index}"
    return number / await create_all(api, CONFIG_MAPS, manifests)


async def statuses_per_second(api: KubernetesApi, number: int = 500) -> float:
    """How many statuses of cameras the API server applies in a second. The cameras are gone afterwards."""
    manifests = [camera(each, 1) for each in range(number)]
    await create_all(api, CAMERAS, manifests)
    now = "2030-01-31T12:00:00Z"
    kinds = ("Accepted", "Assigned", "Reachable", "Authenticated", "Streaming", "PictureHealthy", "Ready")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "Yardstick",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": now,
        }
        for kind in kinds
    ]
    status = {"state": "Working", "reason": "Working", "since": now, "worker": "w", "conditions": conditions}
    took = await in_parallel(
        api.apply_status(CAMERAS, {**{key: each[key] for key in ("apiVersion", "kind", "metadata")}, "status": status})
        for each in manifests
    )
    found = [item async for page in api.list_pages(CAMERAS, NAMESPACE) for item in page.items]
    await in_parallel(
        api.delete(CAMERAS, NAMESPACE, each["metadata"]["name"], uid=each["metadata"]["uid"]) for each in found
    )
    return number / took
