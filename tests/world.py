"""A small model of the cluster that the planner acts on: what a plan does to it, and what kubelet and workers do.

Secrets and their annotation go through the text that the API server would store, so what is planned from is what was
written. Workers' processes are modelled apart from their Secrets: what a process watches is what it took over last.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from builders import GROUP, MONOTONIC_NOW, NAMESPACE, NOW, SETTINGS, USUAL_STREAM, category, group, health, pod
from camera_api.assignment import ASSIGNMENT_KEY, Assignment, Credentials, Role
from camera_api.health import CameraHealth
from camera_api.quantities import parse_cpu, parse_memory
from camera_operator.decide.model import (
    CameraView,
    CategoryView,
    GroupView,
    HealthView,
    Observed,
    Plan,
    PodView,
    ResizeRefusal,
    Resources,
    SecretProblem,
    WorkerView,
    WorkerWrite,
)
from camera_operator.decide.plan import make_plan
from camera_operator.slim import slim_health
from camera_operator.specs import names

if TYPE_CHECKING:
    from camera_api.faults import Fault


@dataclass(slots=True)
class Process:
    """A worker's pod and what runs in it."""

    pod: PodView
    assignment: Assignment | None  #: that it has taken over; None: it has not started


@dataclass(slots=True)
class StoredWorker:
    """The objects of one worker."""

    secret: str | None = None
    released: str | None = None
    resource_version: int = 0
    stateful_set: str | None = None
    sized_for: str | None = None
    template: str = ""  #: hash
    image: str = ""
    requests: Resources | None = None  #: of the template
    limit: int = 0  #: of its memory, bytes
    working_before: str | None = None
    service: str | None = None
    processes: list[Process] = field(default_factory=list)


@dataclass(slots=True)
class Hearsay:
    """What the operator remembers of a worker's reports; lost when it restarts."""

    pod_uid: str = ""
    acknowledged: int = 0
    last_report_at: float | None = None
    reachable_since: float | None = None
    behind: tuple[int, float] | None = None  #: revision that it has not acknowledged, and since when
    cameras: dict[str, CameraHealth] = field(default_factory=dict)


class World:
    """One group and everything that belongs to it."""

    def __init__(self, *, max_cameras: int = 3) -> None:
        self.group: GroupView | None = group()
        self.category: CategoryView | None = category(max_cameras)
        self.cameras: dict[str, CameraView] = {}
        self.credentials: dict[str, Credentials | SecretProblem] = {}
        self.faults: dict[str, tuple[Fault, ...]] = {}  #: of the devices, by camera name
        self.workers: dict[str, StoredWorker] = {}
        self.moves_allowed = 0
        self.canaries_waiting: tuple[str, ...] = ()
        self.settings = SETTINGS
        self.node_room: Resources | None = None  #: that a node gives one pod; None: all that is asked for
        self.stream = USUAL_STREAM  #: of all cameras
        self.unschedulable: set[str] = set()  #: workers that no node has room for
        self.cut_off: set[str] = set()  #: UIDs of pods whose node nothing gets through to, either way
        self.behind: set[str] = set()  #: UIDs of pods that were cut off, and have got no Secret since
        self.broken_images: set[str] = set()  #: images whose workers do not come up
        self.budgets: dict[Role, str] = {}
        self.elapsed = 0.0
        self.started_at = 0.0
        self._hearsay: dict[str, Hearsay] = {}
        self._pods = 0
        self._uids = 0

    # What users do.

    def add(self, view: CameraView) -> None:
        """kubectl create."""
        self._uids += 1
        self.cameras[view.name] = replace(view, uid=f"uid-{view.name}-{self._uids}")

    def edit(self, name: str, change: Callable[[CameraView], CameraView]) -> None:
        """kubectl edit."""
        view = change(self.cameras[name])
        self.cameras[name] = replace(view, generation=view.generation + 1)

    def edit_group(self, **spec: Any) -> None:
        """kubectl edit of the group."""
        assert self.group is not None
        changed = self.group.spec.model_copy(update=spec)
        self.group = replace(self.group, spec=changed, generation=self.group.generation + 1)

    # What the operator does.

    def observe(self) -> Observed:
        """What the operator sees."""
        workers = [self._view(name) for name in self.workers]
        reports: dict[str, HealthView] = {}
        for view in workers:
            for entry in view.assignment.cameras if view.assignment is not None else ():
                known = self._hearsay[view.name].cameras
                if entry.uid in known:
                    reports[entry.uid] = slim_health(known[entry.uid])
        return Observed(
            namespace=NAMESPACE,
            group_name=GROUP,
            group=self.group,
            category=self.category,
            cameras=tuple(self.cameras[name] for name in sorted(self.cameras)),
            credentials=dict(self.credentials),
            workers=tuple(sorted(workers, key=lambda view: (view.role, view.ordinal))),
            health=reports,
            now=NOW + timedelta(seconds=self.elapsed),
            monotonic_now=MONOTONIC_NOW + self.elapsed,
            moves_allowed=self.moves_allowed,
            canaries_waiting=self.canaries_waiting,
            budgets=dict(self.budgets),
        )

    def _resized(self, view: PodView, requests: Resources, limit: int) -> PodView:
        """What kubelet makes of a resize."""
        most = self.node_room
        if most is not None and (requests.cpu > most.cpu or requests.memory > most.memory):
            return replace(view, requests=requests, memory_limit=limit, refusal=ResizeRefusal.DEFERRED)
        return replace(view, requests=requests, allocated=requests, memory_limit=limit, refusal=None)

    def _view(self, name: str) -> WorkerView:
        stored = self.workers[name]
        known = self._hearsay.setdefault(name, Hearsay())
        if known.reachable_since is None:
            known.reachable_since = MONOTONIC_NOW + self.elapsed
        if all(process.pod.uid != known.pod_uid or process.pod.terminating for process in stored.processes):
            # A new pod has to say itself what it has taken over.
            known.acknowledged = 0
        parsed = names.parse_worker_name(name)
        assert parsed is not None
        released = names.parse_released(stored.released)
        assignment = None
        if stored.secret is not None and released is not None:
            try:
                assignment = Assignment.from_secret_text(stored.secret)
            except ValueError:
                assignment = None
        return WorkerView(
            name=name,
            ordinal=parsed[2],
            role=parsed[1],
            assignment=assignment,
            secret_resource_version=str(stored.resource_version) if stored.secret is not None else None,
            secret_invalid=stored.secret is not None and assignment is None,
            stateful_set_fingerprint=stored.stateful_set,
            service_fingerprint=stored.service,
            pods=tuple(process.pod for process in stored.processes),
            acknowledged_revision=known.acknowledged,
            last_report_at=known.last_report_at,
            reachable_since=known.reachable_since,
            released=released or {},
            sized_for=names.parse_count(stored.sized_for),
            template=stored.template if stored.stateful_set is not None else None,
            image=stored.image,
            working_before=names.parse_count(stored.working_before),
            behind_since=self._behind_since(known, assignment),
        )

    def _behind_since(self, known: Hearsay, assignment: Assignment | None) -> float | None:
        if assignment is None or known.acknowledged >= assignment.revision:
            known.behind = None
            return None
        if known.behind is None or known.behind[0] != assignment.revision:
            known.behind = (assignment.revision, MONOTONIC_NOW + self.elapsed)
        return known.behind[1]

    def plan(self) -> Plan:
        """What the operator would do now."""
        return make_plan(self.observe(), self.settings)

    def reconcile(self) -> Plan:
        """One pass, carried out in full."""
        plan = self.plan()
        for write in plan.writes:
            self.write(write)
        self.finish(plan)
        return plan

    def finish(self, plan: Plan) -> None:
        """Everything of a plan that comes after its writes."""
        for name in plan.deletions:
            self._delete(name)
        for budget in plan.budgets:
            role = Role(budget["metadata"]["labels"][names.LABEL_ROLE])
            self.budgets[role] = budget["metadata"]["annotations"][names.ANNOTATION_FINGERPRINT]
        for key, status in plan.camera_statuses.items():
            if key[1] in self.cameras:
                self.cameras[key[1]] = replace(self.cameras[key[1]], status=status)
        if plan.group_status is not None and self.group is not None:
            self.group = replace(self.group, status=plan.group_status)

    def settle(self, passes: int = 20) -> int:
        """Passes, deliveries and reports until nothing is planned any more; returns the number of passes."""
        for number in range(passes):
            plan = self.reconcile()
            self.run_kubelet()
            self.report()
            if plan.is_empty and self.plan().is_empty:
                return number
        raise AssertionError(f"still not settled: {self.plan()}")

    def write(self, write: WorkerWrite) -> None:
        """Applies the objects of one worker."""
        stored = self.workers.setdefault(write.worker, StoredWorker())
        if write.secret is not None:
            assert write.secret["metadata"]["name"] == write.worker
            present = None if stored.secret is None else str(stored.resource_version)
            assert write.secret_resource_version == present, "the precondition would fail"
            stored.secret = base64.b64decode(write.secret["data"][ASSIGNMENT_KEY]).decode()
            stored.released = write.secret["metadata"].get("annotations", {}).get(names.ANNOTATION_RELEASED)
            stored.resource_version += 1
        for process in stored.processes:
            if process.pod.name in write.nudges:
                process.pod = replace(process.pod, revision_annotation=write.nudges[process.pod.name])
            if process.pod.name in write.fits:
                process.pod = replace(process.pod, fits=write.fits[process.pod.name])
        if write.service is not None:
            stored.service = write.service["metadata"]["annotations"][names.ANNOTATION_FINGERPRINT]
        if write.stateful_set is not None:
            self._write_stateful_set(stored, write.stateful_set)
        self._change_pods(stored, write)

    @staticmethod
    def _write_stateful_set(stored: StoredWorker, manifest: Mapping[str, Any]) -> None:
        annotations = manifest["metadata"]["annotations"]
        stored.stateful_set = annotations[names.ANNOTATION_FINGERPRINT]
        stored.sized_for = annotations[names.ANNOTATION_SIZED_FOR]
        stored.template = annotations[names.ANNOTATION_TEMPLATE]
        stored.working_before = annotations.get(names.ANNOTATION_WORKING_BEFORE)
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        stored.image = container["image"]
        stored.requests, stored.limit = _read(container["resources"])

    def _change_pods(self, stored: StoredWorker, write: WorkerWrite) -> None:
        sizes = {resize.pod: _read(resize.resources) for resize in write.resizes}
        replaced = {replacement.uid for replacement in write.replacements}
        for process in stored.processes:
            if process.pod.name in sizes:
                process.pod = self._resized(process.pod, *sizes[process.pod.name])
            if process.pod.uid in replaced:
                process.pod = replace(process.pod, terminating=True, ready=False)

    def _delete(self, name: str) -> None:
        stored = self.workers[name]
        stored.secret = stored.released = stored.stateful_set = stored.sized_for = stored.service = None
        self._terminate(stored)
        if not stored.processes:
            self._forget(name)

    @staticmethod
    def _terminate(stored: StoredWorker) -> None:
        for process in stored.processes:
            process.pod = replace(process.pod, terminating=True, ready=False)

    def _forget(self, name: str) -> None:
        del self.workers[name]
        self._hearsay.pop(name, None)

    def restart_operator(self) -> None:
        """Everything that it has heard is lost; what it has written is not."""
        self._hearsay.clear()
        self.started_at = self.elapsed

    # What nodes and workers do.

    def run_kubelet(self) -> None:
        """Terminating pods end, missing ones start, and Secrets are delivered."""
        for name in list(self.workers):
            self.end_terminating(name)
        for name in list(self.workers):
            self.start_pod(name)
            self.deliver(name)

    def end_terminating(self, name: str) -> None:
        """The worker's terminating pods end."""
        stored = self.workers[name]
        stored.processes = [
            process for process in stored.processes if not process.pod.terminating or process.pod.uid in self.cut_off
        ]
        if not stored.processes and stored.secret is stored.stateful_set is stored.service is None:
            self._forget(name)

    def start_pod(self, name: str) -> None:
        """The StatefulSet's pod is made if it is missing; it mounts the Secret, or waits for one."""
        stored = self.workers.get(name)
        if stored is None or stored.stateful_set is None or stored.secret is None:
            return
        if not stored.processes:
            self._pods += 1
            made = pod(
                f"{name}-pod-{self._pods}",
                template=stored.template,
                node="" if name in self.unschedulable else "node",
                ready=name not in self.unschedulable and stored.image not in self.broken_images,
                requests=stored.requests,
                allocated=stored.requests,
                memory_limit=stored.limit,
            )
            stored.processes.append(Process(made, None))

    def deliver(self, name: str) -> None:
        """Kubelet delivers the Secret, and the process takes it over if it can read it."""
        stored = self.workers.get(name)
        if stored is None or stored.secret is None:
            return
        try:
            assignment = Assignment.from_secret_text(stored.secret)
        except ValueError:
            return
        for process in stored.processes:
            is_reached = process.pod.uid not in self.cut_off
            if process.pod.ready and is_reached and not process.pod.terminating:
                process.assignment = assignment
                self.behind.discard(process.pod.uid)

    def cut_off_node(self, name: str) -> None:
        """The node of the worker's pod is cut off; what runs there runs on."""
        for process in self.workers[name].processes:
            self.cut_off.add(process.pod.uid)
            self.behind.add(process.pod.uid)
            process.pod = replace(process.pod, ready=False)

    def mend_nodes(self) -> None:
        """Nothing is cut off any more, and every node has room."""
        self.unschedulable.clear()
        self.broken_images.clear()
        self.node_room = None
        for stored in self.workers.values():
            for process in stored.processes:
                if process.pod.uid in self.cut_off or not process.pod.node:
                    process.pod = replace(process.pod, node="node", ready=not process.pod.terminating)
                if process.pod.refusal is not None and process.pod.requests is not None:
                    process.pod = replace(process.pod, allocated=process.pod.requests, refusal=None)
        self.cut_off.clear()

    def kill_pod(self, name: str) -> None:
        """The worker's pods are gone at once."""
        self.workers[name].processes = []

    def evict_pod(self, name: str) -> None:
        """The worker's pods are asked to end, and run on until they do."""
        self._terminate(self.workers[name])

    def delete_stateful_set(self, name: str) -> None:
        """kubectl delete statefulset."""
        stored = self.workers[name]
        stored.stateful_set = stored.sized_for = None
        self._terminate(stored)

    def lose_secret(self, name: str, *, garbled: bool) -> None:
        """kubectl delete secret, or an editor's accident."""
        stored = self.workers[name]
        if stored.secret is not None:
            stored.secret = "no assignment" if garbled else None
            stored.released = None

    def report(self, only: Iterable[str] | None = None) -> None:
        """Workers answer the operator's poll."""
        for name in self.workers if only is None else only:
            for process in self.workers[name].processes:
                is_reached = process.pod.uid not in self.cut_off
                if process.assignment is not None and is_reached and not process.pod.terminating:
                    self._take_report(name, process, process.assignment)

    def _take_report(self, name: str, process: Process, assignment: Assignment) -> None:
        known = self._hearsay.setdefault(name, Hearsay())
        known.pod_uid = process.pod.uid
        known.acknowledged = assignment.revision
        known.last_report_at = MONOTONIC_NOW + self.elapsed
        for entry in assignment.cameras:
            if entry.uid not in known.cameras or self._verdict_differs(known.cameras[entry.uid], entry.name):
                view = self.cameras.get(entry.name)
                if view is not None:
                    since = NOW + timedelta(seconds=self.elapsed)
                    known.cameras[entry.uid] = replace_uid(
                        health(view, *self.faults.get(entry.name, ()), since=since, stream=self.stream), entry.uid
                    )

    def _verdict_differs(self, known: CameraHealth, name: str) -> bool:
        return {active.fault for active in known.faults} != set(self.faults.get(name, ()))

    # What is asked of it.

    def record(self) -> dict[str, list[str]]:
        """Ingest workers by camera name, as the Secrets say."""
        result: dict[str, list[str]] = {}
        for name in sorted(self.workers):
            view = self._view(name)
            if view.role is not Role.INGEST:
                continue
            for entry in view.assignment.cameras if view.assignment is not None else ():
                result.setdefault(entry.name, []).append(name)
        return result

    def watchers(self) -> dict[str, set[str]]:
        """Ingest workers by camera name whose processes watch it at this very moment."""
        result: dict[str, set[str]] = {}
        for name, stored in self.workers.items():
            for process in stored.processes if "-ingest-" in name else ():
                for entry in process.assignment.cameras if process.assignment is not None else ():
                    result.setdefault(entry.name, set()).add(name)
        return result


def _read(resources: Mapping[str, Any]) -> tuple[Resources, int]:
    requests = resources["requests"]
    sizes = Resources(parse_cpu(requests["cpu"]), parse_memory(requests["memory"]))
    return sizes, parse_memory(resources["limits"]["memory"])


def replace_uid(report: CameraHealth, uid: str) -> CameraHealth:
    """The report, of the camera with this UID."""
    return report.model_copy(update={"uid": uid})
