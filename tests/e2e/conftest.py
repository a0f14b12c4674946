"""The real thing once for all stories: node, images, simulator, operator by Helm.

A node that is already up (``make demo``) is used as it is and left up; otherwise the stories bring one up and take it
down again.
"""

import subprocess
from collections.abc import Iterator

import pytest

from city_demo import steps
from city_demo.targets import LOCAL_CLUSTER, LocalTarget
from story import City, Simulator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The local cluster's own stories come first: one of them compares the machine before and after a node."""
    items.sort(key=lambda item: item.path.name != "test_local_cluster.py")


def _node_is_up() -> bool:
    return subprocess.run([str(LOCAL_CLUSTER), "status"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def target() -> Iterator[LocalTarget]:
    """The local node with all that the demo puts on it but the city itself."""
    was_up = _node_is_up()
    target = LocalTarget()
    try:
        target.prepare()
        target.provide_images()
        steps.apply_simulator(target)
        steps.install_operator(target)
        target.kubectl("apply", "--server-side", "-f", str(steps.CATEGORIES))
        yield target
    finally:
        if not was_up:
            target.down()


@pytest.fixture(scope="session")
def simulator(target: LocalTarget) -> Iterator[Simulator]:
    """The simulator in the cluster; cameras that stories add are removed at the end."""
    with Simulator(target) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def city(target: LocalTarget, simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[City]:
    """A namespace of its own for the stories of one file."""
    name = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_").replace("_", "-")
    with City(target, simulator, namespace=f"e2e-{name}") as city:
        yield city
