"""The steps of the demo, from the operator's installation to the report."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from city_demo.images import OPERATOR, PROMETHEUS, REPOSITORY, SIMULATOR, WORKER
from city_demo.targets import DemoError, Target

NAMESPACE = "camera-system"
RELEASE = "camera-operator"
CITY = "city"
CHART = REPOSITORY / "charts" / "camera-operator"
CATEGORIES = REPOSITORY / "deploy" / "categories"
MANIFESTS = REPOSITORY / "deploy" / "demo" / "manifests"

#: A camera that has neither worked nor shown a fault by then will not; it takes image start, connection and
#: the longest offlineAfter of the categories.
SETTLE_TIMEOUT_S = 180.0
#: A picture fault takes three key frames, 2 s apart: so long nothing may have changed.
SETTLED_FOR_S = 10.0


def apply_simulator(target: Target) -> None:
    """Starts the simulated cameras and waits until they answer."""
    _apply_with_image(target, "simulator.yaml", "$(SIMULATOR_IMAGE)", ":".join(target.image(SIMULATOR)))
    target.kubectl("-n", "city-simulator", "rollout", "status", "deployment/simulator", "--timeout=180s")


def apply_prometheus(target: Target) -> None:
    """Starts Prometheus and waits until it is ready."""
    _apply_with_image(target, "prometheus.yaml", "$(PROMETHEUS_IMAGE)", ":".join(target.image(PROMETHEUS)))
    target.kubectl("-n", "city-monitoring", "rollout", "status", "deployment/prometheus", "--timeout=180s")


def _apply_with_image(target: Target, file: str, placeholder: str, reference: str) -> None:
    manifest = (MANIFESTS / file).read_text().replace(placeholder, reference)
    target.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)


def install_operator(target: Target) -> None:
    """Installs or upgrades the chart, and waits until the operator is ready."""
    operator_repository, operator_tag = target.image(OPERATOR)
    worker_repository, worker_tag = target.image(WORKER)
    target.helm(
        *("upgrade", "--install", RELEASE, str(CHART)),
        *("--namespace", NAMESPACE, "--create-namespace"),
        *("--set", f"image.repository={operator_repository}", "--set-string", f"image.tag={operator_tag}"),
        *("--set", f"worker.image.repository={worker_repository}", "--set-string", f"worker.image.tag={worker_tag}"),
        *("--wait", "--timeout", "180s"),
    )


def apply_city(target: Target) -> None:
    """Applies the categories, the groups and the cameras."""
    target.kubectl("apply", "--server-side", "-f", str(CATEGORIES))
    target.kubectl("apply", "--server-side", "-f", str(MANIFESTS / "city.yaml"))


def camera_states(target: Target, namespace: str) -> Counter[str]:
    """How many cameras of a namespace are in which state."""
    cameras = json.loads(target.kubectl("-n", namespace, "get", "cameras", "-o", "json"))["items"]
    return Counter(camera.get("status", {}).get("state", "Pending") for camera in cameras)


def wait_until_settled(target: Target, namespace: str, show: Callable[[str], None]) -> Counter[str]:
    """Waits until each camera works or has a fault, and that has been so for a while.

    Raises:
        DemoError: some do not after SETTLE_TIMEOUT_S.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    before, since = Counter[str](), time.monotonic()
    while True:
        states = camera_states(target, namespace)
        if states != before:
            before, since = states, time.monotonic()
        show(", ".join(f"{number} {state}" for state, number in sorted(states.items())))
        is_known = states and set(states) <= {"Working", "Faulty"}
        if is_known and time.monotonic() - since >= SETTLED_FOR_S:
            return states
        if time.monotonic() > deadline:
            raise DemoError(
                f"cameras are still not settled: {dict(states)}; look at "
                f"`{target.kubectl_hint} -n {NAMESPACE} logs deployment/{RELEASE}`"
            )
        time.sleep(1)


def prometheus_query(target: Target, expression: str) -> list[dict[str, Any]]:
    """Result of an instant query, through the API server: each with ``metric`` (labels) and ``value`` (time, text)."""
    path = f"/api/v1/namespaces/city-monitoring/services/prometheus:9090/proxy/api/v1/query?query={quote(expression)}"
    answer = json.loads(target.kubectl("get", "--raw", path))
    return list(answer["data"]["result"])


def wait_for_metrics(target: Target, cameras: int, timeout_s: float = 60.0) -> None:
    """Waits until Prometheus knows all cameras of the city.

    Raises:
        DemoError: it does not after the time-out.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        known = len(prometheus_query(target, f'camera_up{{namespace="{CITY}"}}'))
        if known >= cameras:
            return
        if time.monotonic() > deadline:
            raise DemoError(f"Prometheus knows {known} of {cameras} cameras after {timeout_s:.0f} s")
        time.sleep(1)


class Progress:
    """Says which step runs, and how long each took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._began = time.monotonic()

    def step(self, title: str, action: Callable[[], object]) -> None:
        """Runs one step."""
        self._number += 1
        sys.stdout.write(f"[{self._number}/{self._total}] {title}\n")
        sys.stdout.flush()
        began = time.monotonic()
        action()
        sys.stdout.write(f"      done in {time.monotonic() - began:.1f} s\n")
        sys.stdout.flush()

    def total_seconds(self) -> float:
        """Seconds since the first step."""
        return time.monotonic() - self._began


class StatusLine:
    """Prints a line when it differs from the one before, so that a log stays short."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        """Shows the text."""
        if text != self._last:
            sys.stdout.write(f"      {text}\n")
            sys.stdout.flush()
            self._last = text
