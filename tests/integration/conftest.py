"""A real API server once for all integration tests: etcd and kube-apiserver of the local cluster, without nodes.

``CAMERA_OPERATOR_TEST_CLUSTER`` names an instance that is to be used as it is and left up, which saves the seconds of
starting one:

    deploy/local/cluster --name tests up --profile control-plane
    CAMERA_OPERATOR_TEST_CLUSTER=tests .venv/bin/pytest tests/integration
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import kubernetes.client
import kubernetes.config
import pytest

from camera_api.render_crds import KINDS
from local_cluster import Cluster
from local_cluster.progress import Reporter

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A control plane of this session alone, empty at first (no kinds: see ``crds``)."""
    existing = os.environ.get("CAMERA_OPERATOR_TEST_CLUSTER")
    if existing:
        yield Cluster.attach(existing)
        return
    capture = request.config.pluginmanager.getplugin("capturemanager")
    # The first start on a machine builds Kubernetes, which takes minutes: its progress must be seen.
    with capture.global_and_fixture_disabled():
        cluster = Cluster.up(
            profile="control-plane", name=f"tests-{os.getpid()}-{secrets.token_hex(2)}", reporter=Reporter()
        )
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> Cluster:
    """The cluster with the project's kinds installed and served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds" / "manifests"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind.crd_name}" for kind in KINDS))
    return cluster


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[kubernetes.client.ApiClient]:
    """A client of the cluster with the rights of cluster-admin."""
    client = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
        str(cluster.kubeconfig)
    )
    with client:
        yield client
