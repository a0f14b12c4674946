from pathlib import Path

import pytest

from local_cluster.instance import Instance
from local_cluster.paths import InstancePaths

PORT_NAMES = (
    "kube-apiserver",
    "etcd-client",
    "etcd-peer",
    "etcd-metrics",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet-health",
    "kube-proxy-health",
    "kube-proxy-metrics",
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or changes the instances and caches of this machine."""
    monkeypatch.setenv("CAMERA_OPERATOR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CAMERA_OPERATOR_CLUSTER", raising=False)
    return tmp_path / "state"


@pytest.fixture
def paths(state: Path) -> InstancePaths:
    paths = InstancePaths(state / "t1")
    paths.root.mkdir(parents=True)
    return paths


@pytest.fixture
def node() -> Instance:
    return Instance("t1", "node", dict(zip(PORT_NAMES, range(21000, 21100), strict=False)))


@pytest.fixture
def control_plane() -> Instance:
    return Instance("t1", "control-plane", dict(zip(PORT_NAMES, range(21000, 21100), strict=False)))
