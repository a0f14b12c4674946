"""A namespace of its own for each test of the operator on the session's API server."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from camera_operator.cluster_api import KubernetesApi, load_configuration
from local_cluster import Cluster
from operator_city import NAMESPACES, SERVICE_ACCOUNTS, City
from users import PASSWORD


@pytest.fixture
async def city(crds: Cluster, tmp_path: Path) -> AsyncIterator[City]:
    """A namespace with a category, a group ``shops`` and the Secret ``login``; no operator yet."""
    api = KubernetesApi(await load_configuration(str(crds.kubeconfig)))
    namespace = f"operator-{secrets.token_hex(4)}"
    await api.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    # Made by a controller in a whole cluster; pods cannot be created without it.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": "default"}}
    await api.apply(SERVICE_ACCOUNTS, account)
    city = City(crds, api, namespace, tmp_path)
    await city.add_category()
    await city.add_group()
    await city.add_secret(username="admin", password=PASSWORD)
    try:
        yield city
    finally:
        await city.clean_up()
        await api.close()
