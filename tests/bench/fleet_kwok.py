"""Nodes that do not exist, played by KWOK: the scheduler binds pods to them, and KWOK writes what kubelet would."""

import subprocess
from pathlib import Path

from bench.fleet import Object
from camera_operator.cluster_api import KubernetesApi, Resource
from local_cluster import Cluster

#: Of all nodes and so of all pods. Of the loopback network, but not 127.0.0.1, whose ports others may use.
ADDRESS = "127.80.80.80"
_NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
_NUMBER = 5
_STAGES = Path(__file__).parent
_HEARTBEATS, _PODS = _STAGES / "fleet_kwok_nodes.yaml", _STAGES / "fleet_kwok_pods.yaml"


def _node(name: str) -> Object:
    # No worker is to be refused for want of room, nor to be resized out of it.
    room = {"cpu": "100k", "memory": "100Ti", "pods": "10k"}
    return {
        "apiVersion": _NODES.api_version,
        "kind": _NODES.kind,
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": ADDRESS}],
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Played"}],
        },
    }


class Kwok:
    """KWOK on a cluster of the profile ``workloads``.

    Args:
        program: see ``local_cluster.build.ensure_kwok``.
        cluster: where the nodes are to be.
    """

    def __init__(self, program: Path, cluster: Cluster) -> None:
        self._program = program
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None

    async def start_nodes(self, api: KubernetesApi) -> None:
        """Makes the nodes; pods are bound to them and do not start yet, as where an image is being pulled."""
        for number in range(_NUMBER):
            await api.create(_NODES, _node(f"node-{number}"))
        self._run(_HEARTBEATS)

    def start_pods(self) -> None:
        """From now on, pods start as soon as they are bound; KWOK itself takes a moment to begin."""
        self._run(_HEARTBEATS, _PODS)

    def check(self) -> None:
        """Whether it still runs.

        Raises:
            SystemExit: it does not.
        """
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(f"KWOK has ended with exit code {self._process.returncode}")

    def stop(self) -> None:
        """Ends it; the nodes are lost as soon as their heartbeats are missed."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def _run(self, *stages: Path) -> None:
        # KWOK reads its configuration once.
        self.stop()
        with self._cluster.paths.log("kwok").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(str(self._program), "--kubeconfig", str(self._cluster.kubeconfig), "--manage-all-nodes"),
                    # A Lease would be held against its own successor.
                    *("--node-lease-duration-seconds", "0"),
                    *(f"--config={path}" for path in stages),
                ],
                stdout=output,
                stderr=output,
            )
