"""What a platform engineer sees of cameras that come, go, break and are mended."""

from collections.abc import Iterator

import pytest

from story import PASSWORD, City, eventually

pytestmark = pytest.mark.e2e

GROUP = "square"
CATEGORY = "e2e-strict"
OFFLINE_AFTER_S = 4.0

WIRE_FAULTS = {
    "refused": "ConnectionRefused",
    "wrongpassword": "AuthFailed",
    "unknownpath": "StreamNotFound",
    "silent": "TimedOut",
    "stall": "Stalled",
}


@pytest.fixture(scope="module", autouse=True)
def square(city: City) -> Iterator[None]:
    """One group with two cameras that stay in good order."""
    city.add_category(CATEGORY, health={"offlineAfter": f"{OFFLINE_AFTER_S:.0f}s"})
    city.add_group(GROUP, CATEGORY)
    for name in ("steady-1", "steady-2"):
        city.add_camera(name, GROUP)
    yield
    city.target.kubectl("delete", "cameracategory", CATEGORY)


@pytest.fixture
def neighbours_untouched(city: City) -> Iterator[None]:
    """The steady cameras go on without a reconnect while the story is told, in the same pod."""
    for name in ("steady-1", "steady-2"):
        city.wait_for(name, "Working", within_s=30)
    pods = {pod.metadata.uid for pod in city.worker_pods(GROUP)}
    frames, reconnects = city.frames(GROUP), city.reconnects(GROUP)
    yield

    def goes_on(name: str) -> bool:
        return city.frames(GROUP)[name] > frames[name]

    for name in ("steady-1", "steady-2"):
        assert city.verdict(name) == ("Working", "Working")
        assert city.reconnects(GROUP).get(name, 0) == reconnects.get(name, 0)
        eventually(lambda: goes_on(name), 5, f"{name} goes on")  # noqa: B023 - called before name changes
    assert {pod.metadata.uid for pod in city.worker_pods(GROUP)} == pods


def test_a_healthy_camera_becomes_working(city: City) -> None:
    city.wait_for("steady-1", "Working", within_s=30)

    status = city.camera("steady-1")["status"]

    assert {condition["type"]: condition["status"] for condition in status["conditions"]} == {
        "Accepted": "True",
        "Assigned": "True",
        "Reachable": "True",
        "Authenticated": "True",
        "Streaming": "True",
        "PictureHealthy": "True",
        "Ready": "True",
    }
    assert status["category"] == CATEGORY
    assert status["worker"] == f"{GROUP}-ingest-0"
    assert status["since"]


@pytest.mark.usefixtures("neighbours_untouched")
def test_each_wire_fault_is_named_and_mended(city: City) -> None:
    for fault in WIRE_FAULTS:
        city.add_camera(f"wire-{fault}", GROUP)
    for fault in WIRE_FAULTS:
        city.wait_for(f"wire-{fault}", "Working", within_s=15)

    for fault in WIRE_FAULTS:
        city.simulator.set_fault(f"wire-{fault}", fault)
    for fault, reason in WIRE_FAULTS.items():
        city.wait_for(f"wire-{fault}", "Faulty", reason, within_s=OFFLINE_AFTER_S + 3)

    for fault in WIRE_FAULTS:
        city.simulator.clear_fault(f"wire-{fault}")
    for fault in set(WIRE_FAULTS) - {"wrongpassword"}:
        city.wait_for(f"wire-{fault}", "Working", within_s=15)
    for fault in WIRE_FAULTS:
        city.delete_camera(f"wire-{fault}")


@pytest.mark.usefixtures("neighbours_untouched")
def test_a_host_name_that_does_not_resolve_is_named(city: City) -> None:
    city.add_camera("nowhere", GROUP, url="rtsp://no-such-host.invalid:554/main")

    city.wait_for("nowhere", "Faulty", "DnsFailed", within_s=OFFLINE_AFTER_S + 3)
    assert city.condition("nowhere", "Reachable")["status"] == "False"
    city.delete_camera("nowhere")


@pytest.mark.usefixtures("neighbours_untouched")
def test_credentials_mended_in_the_secret_bring_the_camera_back(city: City) -> None:
    city.add_secret("outdated", "not-the-password")
    city.add_camera("locked-out", GROUP, secret="outdated")
    city.wait_for("locked-out", "Faulty", "AuthFailed", within_s=15)
    assert city.condition("locked-out", "Reachable")["status"] == "True"
    assert city.condition("locked-out", "Authenticated")["status"] == "False"

    city.set_password("outdated", PASSWORD)

    city.wait_for("locked-out", "Working", within_s=5)
    city.delete_camera("locked-out")


@pytest.mark.usefixtures("neighbours_untouched")
def test_adding_and_removing_a_camera_does_not_interrupt_the_others(city: City) -> None:
    city.add_camera("guest", GROUP)
    city.wait_for("guest", "Working", within_s=15)

    city.delete_camera("guest")

    eventually(lambda: "guest" not in city.frames(GROUP), 10, "the guest's series are gone")


def test_a_camera_of_an_unknown_group_is_not_accepted(city: City) -> None:
    city.add_camera("stray", "no-such-group")

    eventually(lambda: city.camera("stray").get("status", {}).get("conditions"), 10, "a status")

    accepted = city.condition("stray", "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "GroupNotFound")
    assert "no-such-group" in accepted["message"]
    city.delete_camera("stray")


def test_no_password_shows_in_what_people_and_machines_read(city: City) -> None:
    city.wait_for("steady-1", "Working", within_s=30)
    operator_logs = city.target.kubectl(
        *("-n", "camera-system", "logs", "-l", "app.kubernetes.io/name=camera-operator", "--tail=-1")
    )
    worker_logs = city.target.kubectl(
        "-n", city.namespace, "logs", "-l", f"camera-operator.io/group={GROUP}", "--tail=-1"
    )
    objects = city.target.kubectl(
        "-n", city.namespace, "get", "cameras,cameragroups,pods,statefulsets,events", "-o", "yaml"
    )

    assert worker_logs.strip()
    assert operator_logs.strip()
    for text in (operator_logs, worker_logs, objects):
        assert PASSWORD not in text
        assert "not-the-password" not in text


def test_deleting_the_group_removes_everything(city: City) -> None:
    city.add_group("short-lived", CATEGORY)
    city.add_camera("orphan", "short-lived")
    city.wait_for("orphan", "Working", within_s=30)

    city.delete_group("short-lived")

    def nothing_left() -> bool:
        kinds = "statefulsets,pods,services,secrets"
        found = city.target.kubectl(
            "-n", city.namespace, "get", kinds, "-l", "camera-operator.io/group=short-lived", "-o", "name"
        )
        return not found.strip()

    eventually(nothing_left, 40, "workers, Services and Secrets are gone")
    city.wait_for("orphan", "Pending", "GroupNotFound", within_s=10)
