"""A namespace of its own for each test of the operator on the session's API server."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from camera_operator.cluster_api import KubernetesApi, load_configuration
from local_cluster import Cluster
from operator_city import NAMESPACES, NODE, SERVICE_ACCOUNTS, City, NewCity
from users import PASSWORD


@pytest.fixture(scope="session")
def cluster_with_node(crds: Cluster) -> Cluster:
    """The cluster with the node of all pods: those of a node that is not there cannot be resized."""
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    status = {"allocatable": {"cpu": "1000", "memory": "1000Gi", "pods": "1000"}}
    crds.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    crds.kubectl("patch", "node", NODE, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    return crds


@pytest.fixture
def new_city(cluster_with_node: Cluster, tmp_path: Path) -> NewCity:
    """Makes a namespace with a category, a group ``shops`` and the Secret ``login``; no operator yet."""

    @asynccontextmanager
    async def new_city() -> AsyncIterator[City]:
        api = KubernetesApi(await load_configuration(str(cluster_with_node.kubeconfig)))
        namespace = f"operator-{secrets.token_hex(4)}"
        await api.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        # Made by a controller in a whole cluster; pods cannot be created without it.
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"namespace": namespace, "name": "default"},
        }
        await api.apply(SERVICE_ACCOUNTS, account)
        folder = tmp_path / namespace
        folder.mkdir()
        city = City(cluster_with_node, api, namespace, folder)
        await city.add_category()
        await city.add_group()
        await city.add_secret(username="admin", password=PASSWORD)
        try:
            yield city
        finally:
            await city.clean_up()
            await api.close()

    return new_city


@pytest.fixture
async def city(new_city: NewCity) -> AsyncIterator[City]:
    """A city of the test's own."""
    async with new_city() as city:
        yield city
