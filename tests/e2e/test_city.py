"""The city of the demo: what the review meeting reads."""

import re
import subprocess
import sys

import pytest

from city_demo import steps
from city_demo.targets import LocalTarget
from story import eventually

pytestmark = pytest.mark.e2e

#: The seven faulty cameras of deploy/demo/manifests/city.yaml and why they are.
FAULTY = {
    "water-works-gate": "ConnectionRefused",
    "district-hospital-parking": "TimedOut",
    "bypass-toll-lane-2": "Stalled",
    "industrial-area-phase-1": "StreamNotFound",
    "state-bank-atm-7": "AuthFailed",
    "lake-front-walk": "DnsFailed",
    "central-bus-stand-exit": "Black",
}

CATEGORIES = (
    *("shops", "schools", "smart-city", "municipal-corporation", "hospitals", "petrol-pumps", "automobile"),
    *("development-authority", "highways-authority", "police-posts", "industry", "banks-atms", "bus-stands"),
)


@pytest.fixture(scope="module")
def report(target: LocalTarget, simulator: object) -> str:  # noqa: ARG001 - the cameras must be there
    """The report on the demo's city, once it has settled."""
    steps.apply_city(target)
    steps.apply_prometheus(target)
    steps.wait_until_settled(target, steps.CITY, lambda _: None)
    command = [sys.executable, "-m", "camera_operator", "report", "--kubeconfig", str(target.kubeconfig)]
    return subprocess.run([*command, "-n", steps.CITY], capture_output=True, text=True, check=True).stdout


def test_the_report_counts_the_cameras_of_each_category(report: str) -> None:
    row = re.compile(r"^([a-z-]+) \(.+\) +(\d+) +(\d+) +(\d+) +(\d+)$", re.MULTILINE)
    rows = {name: [int(number) for number in numbers] for name, *numbers in row.findall(report)}

    assert sorted(rows) == sorted(CATEGORIES)
    assert rows["shops"] == [2, 2, 0, 0]
    assert rows["hospitals"] == [2, 1, 1, 0]
    assert [sum(column) for column in zip(*rows.values(), strict=True)] == [26, 19, 7, 0]


def test_the_report_names_each_faulty_camera_with_its_reason(report: str) -> None:
    for camera, reason in FAULTY.items():
        (line,) = [line for line in report.splitlines() if camera in line]
        assert reason in line


def test_prometheus_counts_the_same_faulty_cameras(target: LocalTarget, report: str) -> None:  # noqa: ARG001
    steps.wait_for_metrics(target, 26)

    def faulty() -> dict[str, str]:
        result = steps.prometheus_query(target, 'camera_fault_active{namespace="city"} == 1')
        return {series["metric"]["camera"]: series["metric"]["fault"] for series in result}

    eventually(lambda: faulty() == FAULTY, 30, "Prometheus shows the seven faults")


def test_prometheus_answers_the_review_meeting_by_category(target: LocalTarget, report: str) -> None:  # noqa: ARG001
    def working() -> float:
        expression = 'sum(camera_operator_cameras{namespace="city",state="working"})'
        return sum(float(series["value"][1]) for series in steps.prometheus_query(target, expression))

    # Two operator replicas may both know the fleet; only the leader exports it.
    eventually(lambda: working() == 19, 30, "19 working cameras")
