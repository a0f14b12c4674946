"""A real API server for tests: etcd and kube-apiserver of the local cluster, without nodes.

``CAMERA_OPERATOR_TEST_CLUSTER`` names an instance that is to be used as it is and left up, which saves the seconds of
starting one.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from camera_api.render_crds import KINDS
from local_cluster import Cluster
from local_cluster.progress import Reporter

REPOSITORY = Path(__file__).resolve().parents[1]


@contextmanager
def session_control_plane(config: pytest.Config) -> Iterator[Cluster]:
    """A control plane, empty at first, that ends with the block."""
    existing = os.environ.get("CAMERA_OPERATOR_TEST_CLUSTER")
    if existing:
        yield Cluster.attach(existing)
        return
    # The first start on a machine builds Kubernetes, which takes minutes: its progress must be seen.
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        cluster = Cluster.up(
            profile="control-plane", name=f"tests-{os.getpid()}-{secrets.token_hex(2)}", reporter=Reporter()
        )
    try:
        yield cluster
    finally:
        cluster.down()


def install_kinds(cluster: Cluster) -> None:
    """Applies the project's CRDs and waits until they are served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds" / "manifests"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind.crd_name}" for kind in KINDS))
