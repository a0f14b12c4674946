"""What the operator asks of the API server, by the API server's own count.

``apiserver_request_total`` does not say who has asked, and a whole control plane writes all the time. But the API
server counts requests by FlowSchema (API Priority and Fairness), too, and chooses that by user, verb and resource. So
the operator is a ServiceAccount of its own, and each kind of request that it makes has a FlowSchema of its own:
whatever kube-controller-manager, kube-scheduler, KWOK and this process ask for is counted elsewhere. The FlowSchemas
have the priority level ``exempt``: nothing waits, and nothing is refused.
"""

import asyncio
import re
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import yaml

from bench.fleet import NAMESPACE
from camera_operator.cluster_api import KubernetesApi
from local_cluster import Cluster

ACCOUNT = "camera-operator"
_VERBS = {"write": ("create", "update", "patch", "delete", "deletecollection"), "list": ("list",)}
#: Resources that are told apart. The first one that fits counts; "*" is any.
_RESOURCES = (
    "leases",
    "cameras/status",
    "cameragroups/status",
    "secrets",
    "services",
    "statefulsets",
    "poddisruptionbudgets",
    "pods",
    "pods/resize",
    "cameras",
    "events",
    "*",
)
_LEASES = "leases"
#: Behind this, the built-in FlowSchemas begin, apart from those of probes and administrators.
_FIRST_PRECEDENCE = 20
_DISPATCHED = re.compile(
    r'^apiserver_flowcontrol_dispatched_requests_total\{flow_schema="bench-(?P<kind>[^"]*)"[^}]*\} (?P<count>\S+)$',
    re.MULTILINE,
)


def prepare_operator(cluster: Cluster, folder: Path) -> Path:
    """The operator's ServiceAccount with the rights of cluster-admin, and its FlowSchemas; returns its kubeconfig."""
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [account],
    }
    manifests = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}},
        binding,
        *(_flow_schema(verb, index) for verb in _VERBS for index in range(len(_RESOURCES))),
    ]
    cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(manifests))
    # The condition is written when the FlowSchema is in force.
    cluster.kubectl("wait", "--for=condition=Dangling=False", "--timeout=30s", "flowschema", "--all")
    token = cluster.kubectl("create", "token", ACCOUNT, "--namespace", NAMESPACE, "--duration=24h").strip()
    configuration: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    configuration["users"][0]["user"] = {"token": token}
    path = folder / "operator.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(configuration))
    return path


def _kind(verb: str, resource: str) -> str:
    return f"{verb}.{resource.replace('/', '.').replace('*', 'other')}"


def _flow_schema(verb: str, index: int) -> dict[str, Any]:
    rule = {
        "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": ACCOUNT, "namespace": NAMESPACE}}],
        "resourceRules": [
            {
                "verbs": list(_VERBS[verb]),
                "apiGroups": ["*"],
                "resources": [_RESOURCES[index]],
                "namespaces": ["*"],
                "clusterScope": True,
            }
        ],
    }
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": f"bench-{_kind(verb, _RESOURCES[index])}"},
        "spec": {
            "matchingPrecedence": _FIRST_PRECEDENCE + index,
            "priorityLevelConfiguration": {"name": "exempt"},
            "rules": [rule],
        },
    }


async def writes(api: KubernetesApi) -> dict[str, int]:
    """The operator's writes so far, by resource; without those of its Lease.

    Raises:
        SystemExit: no operator leads, or the API server does not count its requests.
    """
    return await _requests(api, "write")


async def lists(api: KubernetesApi) -> dict[str, int]:
    """The operator's lists so far, each page of them, by resource.

    Raises:
        SystemExit: as ``writes``.
    """
    return await _requests(api, "list")


async def _requests(api: KubernetesApi, verb: str) -> dict[str, int]:
    metrics = await api.read_text("/metrics")
    counted = {match["kind"]: int(float(match["count"])) for match in _DISPATCHED.finditer(metrics)}
    if _kind("write", _LEASES) not in counted:
        # A leader renews its Lease, so this is no operator that writes nothing.
        raise SystemExit("the API server counts no requests of the operator")
    return {each: counted[_kind(verb, each)] for each in _RESOURCES if each != _LEASES and _kind(verb, each) in counted}


async def writes_during(api: KubernetesApi, work: Awaitable[Any]) -> dict[str, int]:
    """The operator's writes by resource while some work goes on."""
    before = await writes(api)
    await work
    after = await writes(api)
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


async def settled(api: KubernetesApi, quiet_s: float = 3.0, limit_s: float = 300.0) -> None:
    """Waits until the operator has written nothing for a while.

    Raises:
        SystemExit: something goes on being written.
    """
    deadline = time.monotonic() + limit_s
    last, since = await writes(api), time.monotonic()
    while time.monotonic() - since < quiet_s:
        if time.monotonic() > deadline:
            raise SystemExit(f"writes do not end within {limit_s:.0f} s; so far: {last}")
        await asyncio.sleep(0.5)
        now = await writes(api)
        if now != last:
            last, since = now, time.monotonic()
