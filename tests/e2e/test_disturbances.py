"""Parts of the cluster die, are drained, resized and rolled out while cameras stream: nobody else loses a frame."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from city_demo.steps import NAMESPACE as OPERATOR_NAMESPACE
from city_demo.steps import RELEASE, install_operator
from city_demo.targets import DemoError
from local_cluster import Cluster
from story import City, eventually

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


@dataclass
class Stream:
    """What cameras delivered from a moment on."""

    city: City
    frames: dict[str, float] = field(default_factory=dict)
    reconnects: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.frames, self.reconnects = self.city.frames(GROUP), self.city.reconnects(GROUP)

    def has_gone_on(self, *names: str) -> None:
        """Asserts that the cameras were neither connected anew nor missed a frame worth a second."""
        frames, reconnects = self.city.frames(GROUP), self.city.reconnects(GROUP)
        seconds = time.monotonic() - self.began
        for name in names or CAMERAS:
            assert reconnects.get(name, 0) == self.reconnects.get(name, 0), f"{name} was connected anew"
            rate = (frames[name] - self.frames[name]) / seconds
            assert frames[name] - self.frames[name] >= (seconds - 1.5) * FRAMES_PER_SECOND * 0.97, (
                f"{name} delivered {rate:.1f} frames/s in {seconds:.1f} s"
            )


#: Of the simulator's clip.
FRAMES_PER_SECOND = 10.0


def containers(city: City) -> dict[str, tuple[str, int]]:
    """UID and restarts by name of the group's pods."""
    return {
        pod.metadata.name: (pod.metadata.uid, pod.status.container_statuses[0].restart_count)
        for pod in city.worker_pods(GROUP)
        if pod.status.container_statuses
    }


def requests_of(city: City, camera: str) -> dict[str, str]:
    """What the pod of a camera's worker requests."""
    worker = city.camera(camera)["status"]["worker"]
    (pod,) = [pod for pod in city.worker_pods(GROUP) if pod.metadata.name.startswith(f"{worker}-")]
    requests: dict[str, str] = pod.spec.containers[0].resources.requests
    return requests


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
    small = requests_of(city, lonely)

    city.add_camera("exit", GROUP)
    city.wait_for("exit", "Working", within_s=30)

    eventually(lambda: requests_of(city, lonely) != small, 30, f"the pod's requests {small} grow")
    assert containers(city) == before
    stream.has_gone_on()
    city.delete_camera("exit")
    eventually(lambda: requests_of(city, lonely) == small, 30, "they shrink again")
    assert containers(city) == before


@pytest.mark.parametrize("component", ["kubelet", "containerd", "kube-apiserver", "etcd", "kube-controller-manager"])
def test_cameras_go_on_while_a_part_of_the_cluster_is_dead(city: City, node: Cluster, component: str) -> None:
    before, stream = containers(city), Stream(city)

    node.kill_component(component)
    try:
        time.sleep(3)
        stream.has_gone_on()
    finally:
        node.restart_component(component)

    takes_a_camera(city, f"after-{component}")
    stream.has_gone_on()
    assert containers(city) == before
    for name in CAMERAS:
        city.wait_for(name, "Working", within_s=30)


def test_cameras_of_other_workers_go_on_when_a_worker_is_killed(city: City) -> None:
    doomed = city.camera(CAMERAS[0])["status"]["worker"]
    others = [name for name in CAMERAS if city.camera(name)["status"]["worker"] != doomed]
    assert others
    stream = Stream(city)

    city.target.kubectl("-n", city.namespace, "exec", f"{doomed}-0", "--", "python3", "-c", "import os; os.kill(1, 9)")
    city.target.kubectl(
        *("-n", city.namespace, "delete", "pod", f"{doomed}-0", "--grace-period=0", "--force", "--wait=false")
    )

    eventually(lambda: city.verdict(CAMERAS[0])[0] == "Unknown", 30, "its cameras are Unknown")
    city.wait_for(CAMERAS[0], "Working", within_s=60)
    stream.has_gone_on(*others)


def test_a_drain_takes_one_worker_at_a_time(city: City) -> None:
    (name,) = [item.metadata.name for item in city.core.list_node().items]
    kubectl = city.target.kubectl
    with ThreadPoolExecutor(1) as pool:
        drain = pool.submit(
            kubectl,
            *("drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=15s"),
            *(f"--pod-selector=camera-operator.io/group={GROUP}",),
        )
        try:
            with pytest.raises(DemoError, match="disruption budget|timeout|timed out"):
                drain.result()
            pods = city.core.list_namespaced_pod(
                city.namespace, label_selector=f"camera-operator.io/group={GROUP}"
            ).items
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
        stream = Stream(city)
        time.sleep(5)
        same = [name for name, identity in before.items() if containers(city).get(name) == identity]
        assert len(same) == 1
        stream.has_gone_on(*[name for name in CAMERAS if f"{city.camera(name)['status']['worker']}-0" == same[0]])
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
