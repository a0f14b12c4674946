"""The real API server for the half of the contract tests that needs one."""

from collections.abc import Iterator

import pytest

from control_plane import install_kinds, session_control_plane
from local_cluster import Cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A control plane of this session alone."""
    with session_control_plane(request.config) as cluster:
        yield cluster


@pytest.fixture
def kinds(request: pytest.FixtureRequest) -> None:
    """The project's kinds, where the test runs on a real API server."""
    if request.node.callspec.params.get("api") == "real":
        install_kinds(request.getfixturevalue("cluster"))
