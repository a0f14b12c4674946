"""What happens to cameras when a part of the system dies."""

import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from city_demo.steps import NAMESPACE as OPERATOR_NAMESPACE
from story import City, eventually, http

pytestmark = pytest.mark.e2e

GROUP = "harbour"


@pytest.fixture(scope="module", autouse=True)
def harbour(city: City) -> Iterator[None]:
    """One group with three cameras in good order."""
    city.add_category("e2e-failures")
    city.add_group(GROUP, "e2e-failures")
    for name in ("pier", "crane", "gate"):
        city.add_camera(name, GROUP)
    for name in ("pier", "crane", "gate"):
        city.wait_for(name, "Working", within_s=30)
    yield
    city.target.kubectl("delete", "cameracategory", "e2e-failures")


def operator_pods(city: City) -> dict[str, str]:
    """Address by UID of the operator pods that are ready."""
    selector = "app.kubernetes.io/name=camera-operator"
    pods = city.core.list_namespaced_pod(OPERATOR_NAMESPACE, label_selector=selector).items
    return {
        pod.metadata.uid: pod.status.pod_ip
        for pod in pods
        if pod.metadata.deletion_timestamp is None
        and pod.status.container_statuses
        and pod.status.container_statuses[0].ready
    }


def operator_metric(address: str, name: str) -> float:
    """Sum of one metric's samples of an operator pod."""
    families = text_string_to_metric_families(http("GET", f"http://{address}:8080/metrics").decode())
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def _quiet_versions(city: City) -> dict[tuple[str, str], str]:
    """Versions of all objects, once the workers are up and nothing has been written for a while."""

    def quiet() -> dict[tuple[str, str], str] | None:
        ready = [condition for condition in city.group(GROUP)["status"]["conditions"] if condition["type"] == "Ready"]
        versions = city.versions()
        time.sleep(3)
        return versions if ready[0]["status"] == "True" and city.versions() == versions else None

    versions = eventually(quiet, 30, "the group is ready and nothing is written any more")
    assert versions is not None
    return versions


def test_an_operator_that_is_killed_and_restarted_moves_nothing_and_writes_nothing(city: City) -> None:
    before = _quiet_versions(city)
    killed, frames = operator_pods(city), city.frames(GROUP)
    assert killed

    city.target.kubectl(
        *("-n", OPERATOR_NAMESPACE, "delete", "pods", "-l", "app.kubernetes.io/name=camera-operator"),
        *("--grace-period=0", "--force"),
    )

    def successor_has_looked() -> bool:
        fresh = {uid: address for uid, address in operator_pods(city).items() if uid not in killed}
        leading = [address for address in fresh.values() if operator_metric(address, "camera_operator_leader") == 1]
        return any(
            operator_metric(address, "camera_operator_reconcile_duration_seconds_count") > 0 for address in leading
        )

    eventually(successor_has_looked, 60, "a new leader has reconciled")
    # Longer than any grace time of the operator, so that what it would write late shows as well.
    time.sleep(40)
    assert city.versions() == before
    assert all(city.frames(GROUP)[name] > number for name, number in frames.items())


def test_cameras_of_a_killed_worker_are_unknown_and_then_work_again(city: City) -> None:
    (pod,) = city.worker_pods(GROUP)
    seen: list[str] = []

    city.core.delete_namespaced_pod(pod.metadata.name, city.namespace, grace_period_seconds=0)

    def unknown_then_working() -> bool:
        state, reason = city.verdict("pier")
        if not seen or seen[-1] != f"{state}/{reason}":
            seen.append(f"{state}/{reason}")
        return "Unknown/WorkerLost" in seen and seen[-1] == "Working/Working"

    eventually(unknown_then_working, 60, f"Unknown, then Working; seen {seen}")
    for name in ("crane", "gate"):
        city.wait_for(name, "Working", within_s=10)
