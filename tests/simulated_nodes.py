"""What runs beside the operator in a cluster, simulated on the in-memory API server in virtual time.

The StatefulSet controller keeps one pod per worker, the garbage collector follows owners, kubelet delivers Secrets and
ends pods, and the process in each pod reports the health of the cameras that it took over last.
"""

import asyncio
import base64
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp

from camera_api.assignment import ASSIGNMENT_KEY, Assignment
from camera_api.faults import Fault
from camera_api.health import ActiveFault, CameraHealth, HealthReport, StreamFacts, Verdict
from camera_operator.cluster_api import PODS, SECRETS, STATEFUL_SETS, Resource
from camera_operator.decide.times import format_time
from camera_operator.health_poller import Target
from camera_operator.specs import names
from fakes import FakeApi

Object = dict[str, Any]
ObjectKey = tuple[str, str]

#: Seconds that things take. Kubelet looks for changed Secrets once a minute, and at once when a pod's annotation does.
MAKE_POD = 0.3
START_POD = 1.0
DELIVER_NUDGED = 0.1
DELIVER = 60.0
END_POD = 3.0
RESIZE_POD = 0.5
COLLECT_GARBAGE = 0.5


#: What a category's figures are meant for: each camera costs one unit.
_STREAM = StreamFacts(
    codec="h264", width=1920, height=1080, frames_per_second=25.0, bits_per_second=4_000_000, transport="TCP"
)


@dataclass(slots=True)
class Process:
    """The worker in a pod."""

    worker: ObjectKey  #: namespace and name
    assignment: Assignment
    instance: str
    taken_at: dict[str, datetime] = field(default_factory=dict)  #: by UID of the camera
    cursor: int = 1
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Nodes:
    """See the module.

    Args:
        api: the API server.
        now: wall clock.
        moved: called after each change of what a process watches.

    Attributes:
        processes: that run, by UID of their pod.
        faults: of the devices, by camera name.
        activity: number of things that were done.
        broken_images: images whose pods never start.
    """

    def __init__(self, api: FakeApi, now: Callable[[], datetime], moved: Callable[[], None] = lambda: None) -> None:
        self.processes: dict[str, Process] = {}
        self.faults: dict[str, tuple[Fault, ...]] = {}
        self.activity = 0
        self.broken_images: set[str] = set()
        self._api = api
        self._now = now
        self._moved = moved
        self._instances = itertools.count(1)
        self._garbage_is_due = False

    def watch(self, resource: Resource, event_type: str, raw: Object) -> None:
        """Takes notice of a change."""
        key = _key(raw)
        may_be_garbage = event_type == "DELETED" or (event_type == "ADDED" and "ownerReferences" in raw["metadata"])
        if may_be_garbage and not self._garbage_is_due:
            self._garbage_is_due = True
            self._later(COLLECT_GARBAGE, self._collect_garbage)
        if resource == STATEFUL_SETS:
            self._later(MAKE_POD, self._make_pod, key)
        elif resource == SECRETS:
            self._later(DELIVER, self._deliver, key)
        elif resource == PODS:
            self._watch_pod(event_type, raw)

    def _watch_pod(self, event_type: str, raw: Object) -> None:
        metadata = raw["metadata"]
        worker = _worker(raw)
        if event_type == "DELETED":
            self._end_process(metadata["uid"])
            self._later(MAKE_POD, self._make_pod, worker)
        elif "deletionTimestamp" in metadata:
            self._later(END_POD, self._end_pod, _key(raw), metadata["uid"])
        elif metadata["uid"] in self.processes:
            self._later(DELIVER_NUDGED, self._deliver, worker)
            self._later(RESIZE_POD, self._resize_pod, _key(raw))
        else:
            self._later(START_POD, self._start_pod, _key(raw), metadata["uid"])

    def _later(self, delay: float, action: Callable[..., None], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(delay, action, *arguments)

    # Controllers

    def _make_pod(self, worker: ObjectKey) -> None:
        """A pod of the StatefulSet, if there is none: never a second one beside one that is ending."""
        owner = self._find(STATEFUL_SETS, worker)
        pod_key = (worker[0], f"{worker[1]}-0")
        if owner is None or self._find(PODS, pod_key) is not None:
            return
        self.activity += 1
        template = owner["spec"]["template"]
        reference = {"kind": "StatefulSet", "name": worker[1], "uid": owner["metadata"]["uid"], "controller": True}
        metadata = {
            **template["metadata"],
            "namespace": pod_key[0],
            "name": pod_key[1],
            "ownerReferences": [reference],
        }
        spec = {**template["spec"], "nodeName": "node-1"}
        self._api.put(PODS, {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}})

    def _collect_garbage(self) -> None:
        self._garbage_is_due = False
        identities = list(self._api.identities())
        present = {metadata["uid"] for _, metadata in identities}
        for resource, metadata in identities:
            owners = metadata.get("ownerReferences") or ()
            if not owners or any(owner["uid"] in present for owner in owners):
                continue
            key = metadata.get("namespace", ""), metadata["name"]
            if resource == PODS:
                self.evict(key)
            else:
                self.activity += 1
                self._api.remove(resource, *key)

    # kubelet

    def _start_pod(self, key: ObjectKey, uid: str) -> None:
        """Starts the process as soon as its Secret can be mounted and read."""
        pod = self._find(PODS, key)
        if pod is None or pod["metadata"]["uid"] != uid or uid in self.processes:
            return
        if "deletionTimestamp" in pod["metadata"]:
            return
        if pod["spec"]["containers"][0]["image"] in self.broken_images:
            return
        assignment = self._read(_worker(pod))
        if assignment is None:
            self._later(START_POD, self._start_pod, key, uid)
            return
        self.processes[uid] = Process(_worker(pod), assignment, f"instance-{next(self._instances)}")
        self._take(self.processes[uid], assignment)
        pod["status"] = {
            "phase": "Running",
            "podIP": f"10.0.0.{len(self.processes)}",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": _granted(pod),
        }
        self._api.put(PODS, pod)

    def _resize_pod(self, key: ObjectKey) -> None:
        """Grants what the specification requests."""
        pod = self._find(PODS, key)
        if pod is None or "containerStatuses" not in pod.get("status", {}):
            return
        if pod["status"]["containerStatuses"] != _granted(pod):
            self.activity += 1
            pod["status"]["containerStatuses"] = _granted(pod)
            self._api.put(PODS, pod)

    def _deliver(self, worker: ObjectKey) -> None:
        assignment = self._read(worker)
        for process in self.processes.values():
            if process.worker == worker and assignment is not None and assignment != process.assignment:
                self._take(process, assignment)

    def _take(self, process: Process, assignment: Assignment) -> None:
        self.activity += 1
        process.assignment = assignment
        process.taken_at = {camera.uid: process.taken_at.get(camera.uid, self._now()) for camera in assignment.cameras}
        self._tell(process)
        self._moved()

    def _end_pod(self, key: ObjectKey, uid: str) -> None:
        self._end_process(uid)
        pod = self._find(PODS, key)
        if pod is not None and pod["metadata"]["uid"] == uid:
            self.activity += 1
            self._api.remove(PODS, *key)

    def _end_process(self, uid: str) -> None:
        process = self.processes.pop(uid, None)
        if process is not None:
            process.changed.set()

    def evict(self, key: ObjectKey) -> None:
        """Asks a pod to end: kubectl drain, or its owner is gone."""
        pod = self._find(PODS, key)
        if pod is not None and "deletionTimestamp" not in pod["metadata"]:
            self.activity += 1
            pod["metadata"]["deletionTimestamp"] = format_time(self._now())
            pod.get("status", {})["conditions"] = []
            self._api.put(PODS, pod)

    def kill(self, key: ObjectKey) -> None:
        """The pod is gone at once."""
        self.activity += 1
        self._api.remove(PODS, *key)

    # Workers

    def device_changes(self, name: str, *faults: Fault) -> None:
        """A camera itself fails, or works again."""
        self.faults[name] = faults
        for process in self.processes.values():
            for camera in process.assignment.cameras:
                if camera.name == name:
                    process.taken_at[camera.uid] = self._now()
                    self._tell(process)

    async def fetch_report(
        self, _session: aiohttp.ClientSession, target: Target, cursor: tuple[str, int] | None, *, wait: float = 8.0
    ) -> HealthReport:
        """Stands in for ``camera_operator.health_poller.fetch_report``."""
        process = self._answering(target)
        if cursor == (process.instance, process.cursor):
            process.changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await process.changed.wait()
            except TimeoutError:
                pass
            process = self._answering(target)
        return HealthReport(
            worker=process.worker[1],
            instance=process.instance,
            acknowledged_revision=process.assignment.revision,
            cursor=process.cursor,
            full=True,
            cameras=tuple(self._health(process)),
        )

    def _answering(self, target: Target) -> Process:
        process = self.processes.get(target.pod_uid)
        if process is None or process.assignment.bearer_token.get_secret_value() != target.token:
            raise aiohttp.ClientConnectionError
        return process

    def _health(self, process: Process) -> Iterator[CameraHealth]:
        for camera in process.assignment.cameras:
            faults, since = self.faults.get(camera.name, ()), format_time(process.taken_at[camera.uid])
            yield CameraHealth(
                namespace=camera.namespace,
                name=camera.name,
                uid=camera.uid,
                verdict=Verdict.FAULTY if faults else Verdict.WORKING,
                since=since,
                faults=tuple(ActiveFault(fault=fault, since=since) for fault in faults),
                stream=_STREAM,
            )

    @staticmethod
    def _tell(process: Process) -> None:
        process.cursor += 1
        process.changed.set()

    def _read(self, worker: ObjectKey) -> Assignment | None:
        secret = self._find(SECRETS, worker)
        return read_assignment(secret) if secret is not None else None

    def _find(self, resource: Resource, key: ObjectKey) -> Object | None:
        return self._api.find(resource, *key)


def read_assignment(secret: Object) -> Assignment | None:
    """The assignment of a worker's Secret; None: it has none that can be read."""
    try:
        return Assignment.from_secret_text(base64.b64decode(secret["data"][ASSIGNMENT_KEY]))
    except (KeyError, ValueError):
        return None


def _granted(pod: Object) -> list[Object]:
    return [
        {"name": each["name"], "allocatedResources": each["resources"]["requests"], "resources": each["resources"]}
        for each in pod["spec"]["containers"]
    ]


def _key(raw: Object) -> ObjectKey:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _worker(pod: Object) -> ObjectKey:
    return pod["metadata"]["namespace"], pod["metadata"]["labels"][names.LABEL_WORKER]
