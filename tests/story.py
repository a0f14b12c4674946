"""Vocabulary of the end-to-end stories: a namespace of cameras, the simulator behind them, waiting for the truth."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Self, TypeVar

import kubernetes.client
import kubernetes.config
from prometheus_client.parser import text_string_to_metric_families

from camera_api import GROUP, VERSION
from city_demo.targets import LocalTarget

Object = dict[str, Any]
Result = TypeVar("Result")

SIMULATOR_NAMESPACE = "city-simulator"
USERNAME = "operator"
#: Of the simulated cameras; CAMERA_PASSWORD in the simulator's pod holds the same.
PASSWORD = "demo-camera-password"
#: Ports of cameras that stories add to the simulator: above those of the demo's city.
_FIRST_PORT = 8701


def eventually(probe: Callable[[], Result], within_s: float, what: str) -> Result:
    """The first result that is true (not None, not empty).

    Raises:
        AssertionError: there is none in time.
    """
    deadline = time.monotonic() + within_s
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.1)


def http(method: str, url: str, body: Object | None = None) -> bytes:
    """One request on the pod network."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        content: bytes = response.read()
        return content


def counters(addresses: list[str], name: str) -> dict[str, float]:
    """A metric by camera, summed over its other labels, from workers at these addresses; needs no API server."""
    sums: dict[str, float] = {}
    for address in addresses:
        text = http("GET", f"http://{address}:8080/metrics").decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    camera = sample.labels["camera"]
                    sums[camera] = sums.get(camera, 0) + sample.value
    return sums


class Simulator:
    """The simulator's pod. Cameras that were added are removed at the end."""

    def __init__(self, target: LocalTarget) -> None:
        address = target.kubectl(
            *("-n", SIMULATOR_NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/name=camera-simulator"),
            *("--field-selector", "status.phase=Running", "-o", "jsonpath={.items[0].status.podIP}"),
        )
        self._api = f"http://{address}:8555"
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._ports):
            self.remove(name)

    def add(self, name: str, clip: str = "h264-720p") -> str:
        """Adds a camera in good order and returns the URL of its main stream, as pods reach it."""
        port = self._ports.setdefault(name, _FIRST_PORT + len(self._ports))
        camera = {"port": port, "clip": clip, "auth": "digest", "username": USERNAME, "password": PASSWORD}
        http("PUT", f"{self._api}/cameras/{name}", camera)
        return f"rtsp://simulator.{SIMULATOR_NAMESPACE}:{port}/{name}/main"

    def remove(self, name: str) -> None:
        """Takes a camera away."""
        del self._ports[name]
        http("DELETE", f"{self._api}/cameras/{name}")

    def set_fault(self, name: str, fault: str) -> None:
        """Switches a fault on."""
        http("PUT", f"{self._api}/cameras/{name}/fault", {"fault": fault})

    def clear_fault(self, name: str) -> None:
        """Puts the camera in good order again."""
        http("DELETE", f"{self._api}/cameras/{name}/fault")


class City:
    """A namespace with groups and cameras; it is deleted at the end."""

    def __init__(self, target: LocalTarget, simulator: Simulator, namespace: str) -> None:
        self.target = target
        self.simulator = simulator
        self.namespace = namespace
        client = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
            str(target.kubeconfig)
        )
        # Any: the generated models say of every field that it may be missing.
        self.custom: Any = kubernetes.client.CustomObjectsApi(client)
        self.core: Any = kubernetes.client.CoreV1Api(client)
        self.apps: Any = kubernetes.client.AppsV1Api(client)
        self._simulated: list[str] = []

    def __enter__(self) -> Self:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})
        self.add_secret("credentials", PASSWORD)
        return self

    def __exit__(self, *_: object) -> None:
        self.core.delete_namespace(self.namespace)
        for name in self._simulated:
            self.simulator.remove(name)
        eventually(self._is_gone, 60, f"namespace {self.namespace} is gone")

    def _is_gone(self) -> bool:
        names = [item.metadata.name for item in self.core.list_namespace().items]
        return self.namespace not in names

    # What stories do.

    def add_secret(self, name: str, password: str) -> None:
        """A Secret with the cameras' user name and a password."""
        body = {
            "metadata": {"name": name},
            "type": "kubernetes.io/basic-auth",
            "stringData": {"username": USERNAME, "password": password},
        }
        self.core.create_namespaced_secret(self.namespace, body)

    def set_password(self, secret: str, password: str) -> None:
        """Changes the password in a Secret."""
        self.core.patch_namespaced_secret(secret, self.namespace, {"stringData": {"password": password}})

    def add_category(self, name: str, **spec: object) -> None:
        """A CameraCategory, or changes one; it is cluster-scoped and stays."""
        self.target.kubectl(
            *("apply", "--server-side", "-f", "-"),
            stdin=json.dumps(
                {
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "kind": "CameraCategory",
                    "metadata": {"name": name},
                    "spec": spec,
                }
            ),
        )

    def add_group(self, name: str, category: str) -> None:
        """A CameraGroup."""
        self._create("CameraGroup", "cameragroups", name, {"category": category})

    def add_camera(self, name: str, group: str, *, url: str | None = None, secret: str = "credentials") -> None:
        """A Camera; without a URL, one that the simulator serves under the same name."""
        if url is None:
            url = self.simulator.add(name)
            self._simulated.append(name)
        spec = {"group": group, "source": {"rtsp": {"url": url}}, "credentialsSecretRef": {"name": secret}}
        self._create("Camera", "cameras", name, spec)

    def delete_camera(self, name: str) -> None:
        """Deletes a Camera; the simulated device goes on."""
        self.custom.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, "cameras", name)

    def delete_group(self, name: str) -> None:
        """Deletes a CameraGroup."""
        self.custom.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, "cameragroups", name)

    def _create(self, kind: str, plural: str, name: str, spec: Object) -> None:
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, plural, body)

    # What stories look at.

    def camera(self, name: str) -> Object:
        """The Camera object."""
        found: Object = self.custom.get_namespaced_custom_object(GROUP, VERSION, self.namespace, "cameras", name)
        return found

    def group(self, name: str) -> Object:
        """The CameraGroup object."""
        found: Object = self.custom.get_namespaced_custom_object(GROUP, VERSION, self.namespace, "cameragroups", name)
        return found

    def verdict(self, name: str) -> tuple[str, str]:
        """State and reason of a camera."""
        status = self.camera(name).get("status", {})
        return status.get("state", ""), status.get("reason", "")

    def condition(self, name: str, kind: str) -> Object:
        """One condition of a camera."""
        conditions = self.camera(name)["status"]["conditions"]
        return next(condition for condition in conditions if condition["type"] == kind)

    def wait_for(self, name: str, state: str, reason: str | None = None, *, within_s: float) -> float:
        """Waits for a camera's state, and reason if given; returns the seconds it took."""
        began = time.monotonic()

        def arrived() -> bool:
            now = self.verdict(name)
            return now[0] == state and reason in (None, now[1])

        def describe() -> str:
            return f"{name} is {state}/{reason}; it is {'/'.join(self.verdict(name))}"

        try:
            eventually(arrived, within_s, "")
        except AssertionError:
            raise AssertionError(f"not within {within_s:.0f} s: {describe()}") from None
        return time.monotonic() - began

    def worker_pods(self, group: str) -> list[Any]:
        """The running worker pods of a group."""
        selector = f"camera-operator.io/group={group}"
        pods = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return [pod for pod in pods if pod.metadata.deletion_timestamp is None and pod.status.pod_ip]

    def addresses(self, group: str) -> list[str]:
        """Addresses of the running worker pods of a group."""
        return [pod.status.pod_ip for pod in self.worker_pods(group)]

    def frames(self, group: str) -> dict[str, float]:
        """Frames received so far by camera, from the workers' metrics."""
        return counters(self.addresses(group), "camera_frames_total")

    def reconnects(self, group: str) -> dict[str, float]:
        """Reconnects so far by camera, from the workers' metrics."""
        return counters(self.addresses(group), "camera_reconnects_total")

    def versions(self) -> dict[tuple[str, str], str]:
        """resourceVersion of all that the operator writes in the namespace: equal means that nothing was written."""
        versions: dict[tuple[str, str], str] = {}
        for plural in ("cameras", "cameragroups"):
            items = self.custom.list_namespaced_custom_object(GROUP, VERSION, self.namespace, plural)["items"]
            versions |= {(plural, item["metadata"]["name"]): item["metadata"]["resourceVersion"] for item in items}
        for plural, items in (
            ("secrets", self.core.list_namespaced_secret(self.namespace).items),
            ("services", self.core.list_namespaced_service(self.namespace).items),
            ("statefulsets", self.apps.list_namespaced_stateful_set(self.namespace).items),
            ("pods", self.core.list_namespaced_pod(self.namespace).items),
        ):
            versions |= {(plural, item.metadata.name): item.metadata.resource_version for item in items}
        return versions
