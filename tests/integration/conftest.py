"""A real API server once for all integration tests: etcd and kube-apiserver of the local cluster, without nodes.

``CAMERA_OPERATOR_TEST_CLUSTER`` names an instance that is to be used as it is and left up, which saves the seconds of
starting one:

    deploy/local/cluster --name tests up --profile control-plane
    CAMERA_OPERATOR_TEST_CLUSTER=tests .venv/bin/pytest tests/integration
"""

from collections.abc import Iterator

import kubernetes.client
import kubernetes.config
import pytest

from control_plane import install_kinds, session_control_plane
from local_cluster import Cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A control plane of this session alone, empty at first (no kinds: see ``crds``)."""
    with session_control_plane(request.config) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> Cluster:
    """The cluster with the project's kinds installed and served."""
    install_kinds(cluster)
    return cluster


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[kubernetes.client.ApiClient]:
    """A client of the cluster with the rights of cluster-admin."""
    client = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
        str(cluster.kubeconfig)
    )
    with client:
        yield client
