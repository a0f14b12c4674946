"""What runs, whether it is healthy, and what to type next."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from local_cluster.paths import disk_bytes
from local_cluster.progress import elapsed

if TYPE_CHECKING:
    from local_cluster.cluster import Cluster
    from local_cluster.components import Component
    from local_cluster.instance import Instance

_DEFAULT_NAME = "node"


@dataclass(frozen=True)
class ComponentStatus:
    """One component.

    Attributes:
        name: name of the component.
        pid: process id; None when it does not run.
        up_seconds: seconds since it started; None when it does not run.
        healthy: whether it answers its health check.
    """

    name: str
    pid: int | None
    up_seconds: float | None
    healthy: bool


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster.

    Attributes:
        name: name of the instance.
        profile: node, control-plane or workloads.
        healthy: whether all components are, and the node is ready.
        endpoint: base URL of kube-apiserver.
        kubeconfig: path of the kubeconfig, readable by its owner only.
        state: folder of the instance.
        disk_bytes: space that the folder takes, images of pods included.
        node: Ready, NotReady or Unknown; None without a node.
        components: in the order in which they start.
    """

    name: str
    profile: str
    healthy: bool
    endpoint: str
    kubeconfig: str
    state: str
    disk_bytes: int
    node: str | None
    components: list[ComponentStatus]

    def as_json(self) -> str:
        """For scripts."""
        return json.dumps(asdict(self), indent=2)

    def as_table(self) -> str:
        """For people."""
        rows = [("COMPONENT", "PID", "UP", "HEALTHY")]
        rows += [
            (
                component.name,
                "-" if component.pid is None else str(component.pid),
                "-" if component.up_seconds is None else elapsed(component.up_seconds),
                "yes" if component.healthy else "NO",
            )
            for component in self.components
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        prefix = command_prefix(self.name)
        advice = (
            f"next         {prefix} kubectl get pods -A"
            if self.healthy
            else f"next         {prefix} up heals it; {prefix} logs COMPONENT tells why"
        )
        return "\n".join(
            [
                f"cluster      {self.name} ({self.profile}): {'healthy' if self.healthy else 'NOT healthy'}",
                *([f"node         {self.node}"] if self.node else []),
                f"endpoint     {self.endpoint}",
                f"kubeconfig   {self.kubeconfig} (for its owner only; others use sudo)",
                f"state, logs  {self.state} ({self.disk_bytes / 1e6:.0f} MB)",
                advice,
                "",
                *lines,
            ]
        )


def gather(cluster: Cluster) -> ClusterStatus:
    """Ask every component."""
    components = cluster.components()
    with ThreadPoolExecutor(len(components)) as pool:
        statuses = list(pool.map(lambda component: _component_status(cluster, component), components))
    node = _node_state(cluster) if cluster.instance.is_node else None
    return ClusterStatus(
        name=cluster.name,
        profile=cluster.instance.profile,
        healthy=all(status.healthy for status in statuses) and node in (None, "Ready"),
        endpoint=cluster.apiserver_url,
        kubeconfig=str(cluster.kubeconfig),
        state=str(cluster.paths.root),
        disk_bytes=disk_bytes(cluster.paths.root),
        node=node,
        components=statuses,
    )


def next_steps(instance: Instance) -> str:
    """What to type after ``up``."""
    prefix = command_prefix(instance.name)
    return f"Cluster {instance.name} is ready at {instance.api_url}. Next:\n" + "\n".join(
        [
            f"  {prefix} kubectl get all -A",
            f"  export KUBECONFIG=$({prefix} kubeconfig)",
            f"  {prefix} down",
        ]
    )


def command_prefix(name: str) -> str:
    """The command of an instance, as a person types it."""
    return "deploy/local/cluster" if name == _DEFAULT_NAME else f"deploy/local/cluster --name {name}"


def _component_status(cluster: Cluster, component: Component) -> ComponentStatus:
    record = cluster.supervisor.running(component.name)
    if record is None:
        return ComponentStatus(component.name, None, None, healthy=False)
    return ComponentStatus(
        component.name, record.process.pid, round(record.process.age(), 1), healthy=component.is_healthy()
    )


def _node_state(cluster: Cluster) -> str:
    node = cluster.blueprint.api.get(f"/api/v1/nodes/{cluster.name}")
    for condition in (node or {}).get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return {"True": "Ready", "False": "NotReady"}.get(condition["status"], "Unknown")
    return "Unknown"
