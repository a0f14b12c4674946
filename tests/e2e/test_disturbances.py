"""Parts of the cluster die, are drained, resized and rolled out while cameras stream: nobody else loses a frame."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from camera_api.quantities import parse_cpu, parse_memory
from city_demo.steps import NAMESPACE as OPERATOR_NAMESPACE
from city_demo.steps import RELEASE, install_operator
from city_demo.targets import DemoError
from local_cluster import Cluster
from story import City, counters, eventually

pytestmark = pytest.mark.e2e

GROUP = "station"
CATEGORY = "e2e-disturbances"
CAMERAS = ("platform", "stairs", "hall")
#: The rest of the operator's chart is as the demo installs it.
BROKEN_IMAGE = "worker.image.tag=no-such-tag"


@pytest.fixture(scope="module", autouse=True)
def station(city: City) -> Iterator[None]:
    """One group whose workers take two cameras each, all in good order."""
    city.add_category(CATEGORY, ingest={"maxCamerasPerWorker": 2})
    city.add_group(GROUP, CATEGORY)
    for name in CAMERAS:
        city.add_camera(name, GROUP)
    for name in CAMERAS:
        city.wait_for(name, "Working", within_s=60)
    yield
    city.target.kubectl("delete", "cameracategory", CATEGORY)


@pytest.fixture(scope="module")
def node() -> Cluster:
    """The local cluster that everything runs on."""
    return Cluster.attach()


class Stream:
    """What cameras deliver from a moment on, as their workers count it; needs no API server.

    Args:
        city: where they are.
        names: of the cameras.
    """

    def __init__(self, city: City, *names: str) -> None:
        self._names = names or CAMERAS
        workers = {f"{city.camera(name)['status']['worker']}-0" for name in self._names}
        self._addresses = [pod.status.pod_ip for pod in city.worker_pods(GROUP) if pod.metadata.name in workers]
        self._frames, self._reconnects = self._count()
        self._began = time.monotonic()

    def _count(self) -> tuple[dict[str, float], dict[str, float]]:
        return counters(self._addresses, "camera_frames_total"), counters(self._addresses, "camera_reconnects_total")

    def has_gone_on(self) -> None:
        """Asserts that the cameras were neither connected anew nor missed frames worth a second."""
        frames, reconnects = self._count()
        seconds = time.monotonic() - self._began
        for name in self._names:
            assert reconnects.get(name, 0) == self._reconnects.get(name, 0), f"{name} was connected anew"
            came = frames[name] - self._frames[name]
            assert came >= (seconds - 1) * FRAMES_PER_SECOND * 0.98, f"{name} delivered {came:.0f} in {seconds:.1f} s"


#: Of the simulator's clip.
FRAMES_PER_SECOND = 10.0


def containers(city: City) -> dict[str, tuple[str, int]]:
    """UID and restarts by name of the group's pods."""
    return {
        pod.metadata.name: (pod.metadata.uid, pod.status.container_statuses[0].restart_count)
        for pod in city.worker_pods(GROUP)
        if pod.status.container_statuses
    }


def size_of(city: City, camera: str) -> tuple[int, int]:
    """Millicores and bytes that the pod of a camera's worker requests."""
    worker = city.camera(camera)["status"]["worker"]
    (pod,) = [pod for pod in city.worker_pods(GROUP) if pod.metadata.name == f"{worker}-0"]
    requests = pod.spec.containers[0].resources.requests
    return parse_cpu(requests["cpu"]), parse_memory(requests["memory"])


def answers(city: City) -> bool:
    """Whether the API server serves what is in etcd."""
    try:
        city.group(GROUP)
    except (ApiException, HTTPError):
        return False
    return True


def takes_a_camera(city: City, name: str) -> None:
    """Asserts that the operator does its work: a camera comes and goes."""
    city.add_camera(name, GROUP)
    city.wait_for(name, "Working", within_s=60)
    city.delete_camera(name)


def test_requests_follow_the_cameras_without_a_restart(city: City) -> None:
    before, stream = containers(city), Stream(city)
    (lonely,) = [
        name
        for name in CAMERAS
        if sum(city.camera(name)["status"]["worker"] == city.camera(other)["status"]["worker"] for other in CAMERAS)
        == 1
    ]
    # What a camera costs is corrected once its worker has told what it sends.
    small = eventually(lambda: _steady(lambda: size_of(city, lonely)), 30, "the size stands")

    city.add_camera("exit", GROUP)
    city.wait_for("exit", "Working", within_s=30)

    eventually(lambda: size_of(city, lonely) > small, 30, f"the requests {small} grow")
    stream.has_gone_on()
    city.delete_camera("exit")
    eventually(lambda: size_of(city, lonely) == small, 30, f"the requests shrink to {small} again")
    assert containers(city) == before
    stream.has_gone_on()


def _steady(look: Callable[[], Any]) -> Any:
    """What is seen, if it is the same after a while; None: it is not."""
    first = look()
    time.sleep(5)
    return first if look() == first else None


@pytest.mark.parametrize("component", ["kubelet", "containerd", "kube-apiserver", "etcd", "kube-controller-manager"])
def test_cameras_go_on_while_a_part_of_the_cluster_is_dead(city: City, node: Cluster, component: str) -> None:
    before, stream = containers(city), Stream(city)

    node.kill_component(component)
    try:
        time.sleep(3)
        stream.has_gone_on()
    finally:
        node.restart_component(component)

    eventually(lambda: answers(city), 60, "the API server answers")
    takes_a_camera(city, f"after-{component}")
    stream.has_gone_on()
    assert containers(city) == before
    for name in CAMERAS:
        city.wait_for(name, "Working", within_s=30)


def test_cameras_of_other_workers_go_on_when_a_worker_is_killed(city: City) -> None:
    doomed = city.camera(CAMERAS[0])["status"]["worker"]
    others = [name for name in CAMERAS if city.camera(name)["status"]["worker"] != doomed]
    assert others
    stream = Stream(city, *others)

    city.target.kubectl("-n", city.namespace, "exec", f"{doomed}-0", "--", "python3", "-c", "import os; os.kill(1, 9)")
    city.target.kubectl(
        *("-n", city.namespace, "delete", "pod", f"{doomed}-0", "--grace-period=0", "--force", "--wait=false")
    )

    eventually(lambda: city.verdict(CAMERAS[0])[0] == "Unknown", 30, "its cameras are Unknown")
    city.wait_for(CAMERAS[0], "Working", within_s=60)
    stream.has_gone_on()


def test_a_drain_takes_one_worker_at_a_time(city: City) -> None:
    (name,) = [item.metadata.name for item in city.core.list_node().items]
    kubectl = city.target.kubectl
    try:
        with pytest.raises(DemoError, match=r"disruption budget|timed? ?out"):
            kubectl(
                *("drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=15s"),
                f"--pod-selector=camera-operator.io/group={GROUP}",
            )
        selector = f"camera-operator.io/group={GROUP}"
        pods = city.core.list_namespaced_pod(city.namespace, label_selector=selector).items
        assert sum(_is_ready(pod) for pod in pods) == len(pods) - 1
    finally:
        kubectl("uncordon", name)
    for camera in CAMERAS:
        city.wait_for(camera, "Working", within_s=60)


def _is_ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())


def up_to_date(city: City) -> str:
    """Reason of the group's condition UpToDate."""
    conditions = city.group(GROUP)["status"]["conditions"]
    return str(next(each["reason"] for each in conditions if each["type"] == "UpToDate"))


def test_a_broken_image_takes_one_worker_and_a_good_one_mends_it(city: City) -> None:
    """The rest goes on with what it has, until somebody mends the image."""
    before = containers(city)
    assert len(before) == 2
    try:
        city.target.helm(
            *("upgrade", RELEASE, "charts/camera-operator", "--namespace", OPERATOR_NAMESPACE, "--reuse-values"),
            *("--set-string", BROKEN_IMAGE, "--wait", "--timeout", "120s"),
        )
        eventually(lambda: up_to_date(city) == "RolloutPaused", 60, "the rollout stops at the first worker")
        same = [name for name, identity in before.items() if containers(city).get(name) == identity]
        assert len(same) == 1
        stream = Stream(city, *[name for name in CAMERAS if f"{city.camera(name)['status']['worker']}-0" == same[0]])
        time.sleep(5)
        stream.has_gone_on()
    finally:
        install_operator(city.target)
    eventually(lambda: up_to_date(city) == "UpToDate", 90, "all workers run the good image")
    for name in CAMERAS:
        city.wait_for(name, "Working", within_s=60)
    # The worker that was never touched runs the same image as before: it is not replaced for nothing.
    assert same[0] in containers(city)
    assert containers(city)[same[0]] == before[same[0]]
    events = json.loads(city.target.kubectl("-n", city.namespace, "get", "events.events.k8s.io", "-o", "json"))["items"]
    assert {"RolloutPaused", "WorkersReplaced"} <= {event["reason"] for event in events}
