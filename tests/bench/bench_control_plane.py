"""The operator against a real API server without nodes: how fast workers are applied, and how calm it is then.

Starts etcd, kube-apiserver and one operator; creates a group's cameras at once; measures

* the time from the first and from the last create until all workers' Secrets, Services and StatefulSets are applied;
* the writes of a camera more, and of one less;
* the writes over a minute of idleness, by the API server's own count, without the Lease;
* the time of a restarted operator until it is ready, and its writes;
* the rate at which this API server creates ConfigMaps, to tell a slow machine from a slow operator.

Prints a table; ``--output json`` the same as JSON.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "deploy" / "local")]

import aiohttp  # noqa: E402 - after the path of the next one

from camera_api.assignment import ASSIGNMENT_KEY, Assignment  # noqa: E402
from camera_operator.cluster_api import (  # noqa: E402
    CAMERAS,
    CATEGORIES,
    GROUPS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    KubernetesApi,
    Resource,
    load_configuration,
)
from local_cluster import Cluster  # noqa: E402

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
WORKERS = "app.kubernetes.io/managed-by=camera-operator"
NAMESPACE, CATEGORY, LIMIT_S = "bench", "bench", 120.0
#: Connections that create objects at the same time.
CREATORS = 16
_WRITE_VERBS = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}
_REQUESTS = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure."""

    what: str
    value: float
    unit: str
    goal: str = ""


class Operator:
    """An operator process with a metrics port of its own.

    Args:
        cluster: that it serves.
        port: of its endpoints.
        log: file of its log lines.
    """

    def __init__(self, cluster: Cluster, port: int, log: Path) -> None:
        self.port = port
        self.began = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "camera_operator", "run", "--worker-image", "camera-worker:bench"),
                    *("--kubeconfig", str(cluster.kubeconfig), "--http-port", str(port), "--namespace", "default"),
                ],
                stdout=output,
                stderr=output,
                env=os.environ,
            )

    async def ready(self) -> float:
        """Waits until it leads; returns the seconds since its start."""
        await eventually(self._leads, "the operator leads")
        return time.monotonic() - self.began

    async def metrics(self) -> str:
        """Its metrics as text; empty while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/metrics") as response,
            ):
                return await response.text()
        except aiohttp.ClientConnectionError:
            return ""

    async def _leads(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"the operator ended with exit code {self.process.returncode}")
        return "camera_operator_leader 1.0" in await self.metrics()

    def memory_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def stop(self) -> None:
        """Stops it and waits for its end."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


async def eventually(probe: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits until the probe is true.

    Raises:
        SystemExit: it is not in time.
    """
    deadline = time.monotonic() + LIMIT_S
    while not await probe():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {LIMIT_S:.0f} s: {what}")
        await asyncio.sleep(0.02)


async def create_all(api: KubernetesApi, resource: Resource, manifests: Sequence[Object]) -> float:
    """Creates objects over several connections; returns the seconds it took."""
    waiting = iter(manifests)
    began = time.monotonic()

    async def work() -> None:
        for manifest in waiting:
            await api.create(resource, manifest)

    await asyncio.gather(*(work() for _ in range(CREATORS)))
    return time.monotonic() - began


def group_name(number: int) -> str:
    """Name of a group."""
    return f"group-{number:02}"


def camera(number: int, groups: int) -> Object:
    """A camera of one of the groups; nobody answers at its address."""
    return {
        "apiVersion": CAMERAS.api_version,
        "kind": CAMERAS.kind,
        "metadata": {"namespace": NAMESPACE, "name": f"camera-{number:05}"},
        "spec": {
            "group": group_name(number % groups),
            "source": {"rtsp": {"url": f"rtsp://192.0.2.{number % 250 + 1}:{number + 1024}/main"}},
            "credentialsSecretRef": {"name": "login"},
        },
    }


async def assigned(api: KubernetesApi) -> set[str]:
    """Names of the cameras of complete workers: Secret, Service and StatefulSet are there."""

    async def items(resource: Resource) -> list[Object]:
        pages = api.list_pages(resource, NAMESPACE, label_selector=WORKERS)
        return [item async for page in pages for item in page.items]

    secrets, services, stateful_sets = await asyncio.gather(*map(items, (SECRETS, SERVICES, STATEFUL_SETS)))
    complete = {item["metadata"]["name"] for item in services} & {item["metadata"]["name"] for item in stateful_sets}
    return {
        camera.name
        for secret in secrets
        if secret["metadata"]["name"] in complete
        for camera in Assignment.from_secret_text(base64.b64decode(secret["data"][ASSIGNMENT_KEY])).cameras
    }


async def writes(api: KubernetesApi) -> dict[str, int]:
    """Writes that the API server has counted so far, by resource; its own and those of Leases are left out."""
    counts: dict[str, int] = {}
    for match in _REQUESTS.finditer(await api.read_text("/metrics")):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"]))
        if labels.get("verb") not in _WRITE_VERBS or labels.get("resource") in {"leases", "apiservices", ""}:
            continue
        resource = "/".join(filter(None, (labels["resource"], labels.get("subresource", ""))))
        counts[resource] = counts.get(resource, 0) + int(float(match["count"]))
    return counts


async def writes_during(api: KubernetesApi, work: Awaitable[Any]) -> dict[str, int]:
    """Writes by resource that some work has caused."""
    before = await writes(api)
    await work
    after = await writes(api)
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


async def settled(api: KubernetesApi) -> None:
    """Waits until nothing has been written for three seconds."""
    last, since = await writes(api), time.monotonic()
    while time.monotonic() - since < 3.0:
        await asyncio.sleep(0.5)
        now = await writes(api)
        if now != last:
            last, since = now, time.monotonic()


async def prepare(cluster: Cluster, api: KubernetesApi, groups: int) -> None:
    """Kinds, a namespace, a category, groups and the cameras' Secret."""
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds" / "manifests"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    await api.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    category = {"apiVersion": CATEGORIES.api_version, "kind": CATEGORIES.kind, "metadata": {"name": CATEGORY}}
    await api.create(CATEGORIES, {**category, "spec": {}})
    group = {"apiVersion": GROUPS.api_version, "kind": GROUPS.kind}
    for number in range(groups):
        metadata = {"namespace": NAMESPACE, "name": group_name(number)}
        await api.create(GROUPS, {**group, "metadata": metadata, "spec": {"category": CATEGORY}})
    login = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": NAMESPACE, "name": "login"}}
    await api.create(SECRETS, {**login, "stringData": {"username": "u", "password": "p"}})


async def yardstick(api: KubernetesApi) -> Row:
    """How many ConfigMaps the API server creates in a second."""
    number = 500
    manifests = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": f"yardstick-{n}"}}
        for n in range(number)
    ]
    return Row("yardstick: ConfigMaps created", number / await create_all(api, CONFIG_MAPS, manifests), "1/s")


async def measure(cluster: Cluster, cameras: int, groups: int, idle_s: float, log: Path) -> list[Row]:
    """Everything of the module's text."""
    api = KubernetesApi(await load_configuration(str(cluster.kubeconfig)))
    await prepare(cluster, api, groups)
    rows = [await yardstick(api)]
    operator = Operator(cluster, 18480, log)
    try:
        await operator.ready()
        rows += await measure_creation(api, cameras, groups)
        await settled(api)
        rows += await measure_single_changes(api, cameras)
        rows += await measure_calm(api, idle_s)
        operator.stop()
        operator = Operator(cluster, 18481, log)
        restarted = await writes_during(api, _ready_and_settled(api, operator, rows))
        rows.append(Row("restart: writes besides the Lease", sum(restarted.values()), "", "0"))
        rows.append(Row(f"operator's memory with {cameras} cameras", operator.memory_mib(), "MiB", "<= 150"))
    finally:
        operator.stop()
        await api.close()
    return rows


async def measure_creation(api: KubernetesApi, cameras: int, groups: int) -> list[Row]:
    """From the creates to complete workers."""
    manifests = [camera(number, groups) for number in range(cameras)]
    began = time.monotonic()
    took = await create_all(api, CAMERAS, manifests)
    wanted = {manifest["metadata"]["name"] for manifest in manifests}

    async def all_assigned() -> bool:
        return await assigned(api) == wanted

    await eventually(all_assigned, "all cameras are assigned")
    total = time.monotonic() - began
    return [
        Row(f"{cameras} cameras created", took, "s"),
        Row("... first create until all workers applied", total, "s"),
        Row("... last create until all workers applied", total - took, "s", "<= 2"),
    ]


async def measure_single_changes(api: KubernetesApi, cameras: int) -> list[Row]:
    """Latency and writes of one camera more and one less."""
    seen: dict[str, float] = {}
    extra = camera(cameras, 1)
    name = extra["metadata"]["name"]

    async def add() -> None:
        began = time.monotonic()
        created = await api.create(CAMERAS, extra)
        extra["metadata"]["uid"] = created["metadata"]["uid"]

        async def is_assigned() -> bool:
            return name in await assigned(api)

        await eventually(is_assigned, "one more camera is assigned")
        seen["added"] = time.monotonic() - began
        await settled(api)

    async def remove() -> None:
        await api.delete(CAMERAS, NAMESPACE, name, uid=extra["metadata"]["uid"])

        async def is_gone() -> bool:
            return name not in await assigned(api)

        await eventually(is_gone, "the camera is assigned no more")
        await settled(api)

    more, less = await changed_workers(api, add()), await changed_workers(api, remove())
    return [
        Row("one camera more: create until Secret applied", seen["added"], "s", "<= 0.3"),
        Row("one camera more: workers changed", more, "", "1"),
        Row("one camera less: workers changed", less, "", "1"),
    ]


async def changed_workers(api: KubernetesApi, work: Awaitable[Any]) -> int:
    """How many workers' Secrets some work has made, changed or removed."""

    async def versions() -> set[tuple[str, str]]:
        pages = api.list_pages(SECRETS, NAMESPACE, label_selector=WORKERS)
        return {
            (item["metadata"]["name"], item["metadata"]["resourceVersion"])
            async for page in pages
            for item in page.items
        }

    before = await versions()
    await work
    return len({name for name, _ in before ^ await versions()})


async def measure_calm(api: KubernetesApi, idle_s: float) -> list[Row]:
    """Writes while nothing changes."""
    await settled(api)
    idle = await writes_during(api, asyncio.sleep(idle_s))
    for resource, count in sorted(idle.items()):
        sys.stderr.write(f"idle write: {resource} {count}\n")
    return [Row(f"idle for {idle_s:.0f} s: writes besides the Lease", sum(idle.values()), "", "0")]


async def _ready_and_settled(api: KubernetesApi, operator: Operator, rows: list[Row]) -> None:
    rows.append(Row("restart: start until leading", await operator.ready(), "s", "<= 4"))
    await settled(api)


def render(rows: Sequence[Row]) -> str:
    """The table."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'FIGURE'.ljust(width)}  {'VALUE':>9}  UNIT  GOAL"]
    lines += [f"{row.what.ljust(width)}  {row.value:>9.2f}  {row.unit:<4}  {row.goal}".rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Measure the operator against a real API server without nodes.")
    parser.add_argument("--cameras", type=int, default=300, help="cameras (default %(default)s)")
    parser.add_argument("--groups", type=int, default=1, help="groups they are in (default %(default)s)")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idleness (default %(default)s)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="format (default %(default)s)")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="file for the operator's log lines")
    options = parser.parse_args()
    cluster = Cluster.up(profile="control-plane", name=f"bench-{os.getpid()}")
    try:
        rows = asyncio.run(measure(cluster, options.cameras, options.groups, options.idle, options.log))
    finally:
        cluster.down()
    sys.stdout.write(
        json.dumps([asdict(row) for row in rows], indent=2) + "\n" if options.output == "json" else render(rows)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
