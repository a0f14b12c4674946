"""What the workers of one role need: who stays, who goes where, which objects differ."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from camera_api.assignment import AssignedCamera, Role
from camera_operator.conditions import Reason, Rejection
from camera_operator.decide.acceptance import must_let_go, wants_watching
from camera_operator.decide.assignments import Terms, assigned_camera, next_assignment, terms
from camera_operator.decide.maintenance import group_maintenance
from camera_operator.decide.model import CameraView, GroupView, Observed, WorkerView, WorkerWrite
from camera_operator.decide.placement import Bin, Newcomer, place, surplus
from camera_operator.decide.releases import ANY_CAMERA, in_force, next_record
from camera_operator.decide.settings import PlanSettings
from camera_operator.specs.worker import (
    Manifest,
    fingerprint,
    worker_secret,
    worker_service,
    worker_stateful_set,
)

Rejections = Mapping[str, Rejection | None]  #: by camera name


@dataclass(frozen=True, slots=True)
class WorkerSteps:
    """What is to be done about the workers of one role, and where the cameras are after that."""

    writes: Sequence[WorkerWrite] = ()
    deletions: Sequence[str] = ()
    needed: Sequence[str] = ()  #: names of the workers that stay or are made
    worker_of: Mapping[str, str] = field(default_factory=dict)  #: by camera name
    waiting: Mapping[str, str] = field(default_factory=dict)  #: see ``Placement.waiting``


def plan_workers(observed: Observed, role: Role, rejections: Rejections, settings: PlanSettings) -> WorkerSteps:
    """Plans the workers of one role.

    A group that is being deleted, or is gone, gets nothing: its workers belong to it and the garbage collector takes
    them. Nor are they deleted here, where a group that merely was not seen would lose all its workers.
    """
    group = observed.group
    if group is None or group.deleting:
        return WorkerSteps()
    workers = [worker for worker in observed.workers if worker.role is role]
    cameras = {camera.name: camera for camera in observed.cameras}
    builder = _Builder(observed, group, role, settings, _terms(observed, group))
    staying = _staying(workers, cameras, builder, rejections)
    if group.spec.paused:
        return _paused_steps(workers, staying, builder)
    present = [worker for worker in workers if not _is_leftover(worker)]
    worker_of = {camera.name: worker for worker, kept in staying.items() for camera in kept}
    placement = place(
        [Bin(worker.name, worker.ordinal, len(staying[worker.name])) for worker in present],
        _newcomers(observed, workers, rejections, worker_of),
        group=group.name,
        role=role,
        capacity=observed.category.spec.ingest.max_cameras_per_worker if observed.category is not None else 0,
        min_workers=_min_workers(observed, group, present),
        taken_ordinals={worker.ordinal for worker in workers},
    )
    needless = surplus(placement.bins, group.spec.min_workers)
    existing = {worker.name: worker for worker in workers}
    writes = []
    for each in placement.bins:
        content = builder.content(staying.get(each.name, ()), (cameras[name] for name in each.newcomers))
        write = builder.write(each.name, existing.get(each.name), content, is_needed=each.name not in needless)
        if write is not None:
            writes.append(write)
        worker_of.update(dict.fromkeys(each.newcomers, each.name))
    written = {write.worker for write in writes}
    return WorkerSteps(
        writes=writes,
        deletions=[worker.name for worker in workers if _can_go(worker, needless - written)],
        needed=[each.name for each in placement.bins if each.name not in needless],
        worker_of=worker_of,
        waiting=placement.waiting,
    )


def _staying(
    workers: Iterable[WorkerView], cameras: Mapping[str, CameraView], builder: "_Builder", rejections: Rejections
) -> dict[str, list[AssignedCamera]]:
    """By worker, the cameras that it keeps, as it is to be told of them from now on."""
    observed, shared, paused = builder.observed, builder.shared, builder.group.spec.paused
    seen: set[str] = set()
    result: dict[str, list[AssignedCamera]] = {}
    for worker in workers:
        kept: list[AssignedCamera] = []
        for standing in worker.assignment.cameras if worker.assignment is not None else ():
            name = standing.name
            camera = cameras.get(name)
            rejection = rejections.get(name)
            if name in seen:
                # Two workers cannot get the same camera; should they have it, the first one keeps it.
                continue
            if paused:
                if rejection is not None and rejection.reason is Reason.CONSENT_EXPIRED:
                    continue
                kept.append(standing)
            elif camera is None or must_let_go(camera, rejection):
                continue
            elif rejection is not None or shared is None:
                kept.append(standing)
            else:
                kept.append(assigned_camera(camera, observed, shared, standing))
            seen.add(name)
        result[worker.name] = kept
    return result


def _terms(observed: Observed, group: GroupView) -> Terms | None:
    if observed.category is None:
        return None
    return terms(observed.category.spec, maintenance=group_maintenance(group, observed.now) is not None)


def _newcomers(
    observed: Observed, workers: Sequence[WorkerView], rejections: Rejections, placed: Mapping[str, str]
) -> list[Newcomer]:
    """Cameras that are to be watched and that no worker has, each with the workers that may not have let go of it."""
    held: dict[str, set[str]] = {}
    for worker in workers:
        for name in in_force(worker):
            held.setdefault(name, set()).add(worker.name)
    anything = held.pop(ANY_CAMERA, set())
    newcomers = []
    for camera in observed.cameras:
        if camera.name in placed or rejections[camera.name] is not None or not wants_watching(camera):
            continue
        held_by = anything | held.get(camera.name, set())
        if camera.name in observed.held_elsewhere:
            held_by.add(observed.held_elsewhere[camera.name])
        newcomers.append(Newcomer(camera.name, camera.status.worker, held_by))
    return newcomers


def _is_leftover(worker: WorkerView) -> bool:
    """Whether the worker was deleted, and only its pods or its Service are still there."""
    return worker.assignment is None and worker.stateful_set_fingerprint is None and not worker.secret_invalid


def _min_workers(observed: Observed, group: GroupView, present: Sequence[WorkerView]) -> int:
    # Without the category nothing can be made.
    return group.spec.min_workers if observed.category is not None else min(group.spec.min_workers, len(present))


def _can_go(worker: WorkerView, needless: AbstractSet[str]) -> bool:
    """Whether nothing of the worker is needed any more, and nothing that runs of it watches a camera."""
    if _is_leftover(worker):
        return worker.service_fingerprint is not None
    is_empty = worker.assignment is None or not worker.assignment.cameras
    return worker.name in needless and is_empty and not in_force(worker)


def _paused_steps(
    workers: Sequence[WorkerView],
    staying: Mapping[str, Sequence[AssignedCamera]],
    builder: "_Builder",
) -> WorkerSteps:
    """Everything stays as it is, but no camera is watched against its owner's will."""
    writes = (
        builder.write(worker.name, worker, staying[worker.name], is_needed=False)
        for worker in workers
        if worker.assignment is not None
    )
    return WorkerSteps(
        writes=[write for write in writes if write is not None],
        needed=[worker.name for worker in workers if not _is_leftover(worker)],
        worker_of={camera.name: worker for worker, kept in staying.items() for camera in kept},
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    """Makes the writes of one group's workers."""

    observed: Observed
    group: GroupView
    role: Role
    settings: PlanSettings
    shared: Terms | None  #: None: there is no category

    def content(self, staying: Sequence[AssignedCamera], newcomers: Iterable[CameraView]) -> Sequence[AssignedCamera]:
        """The cameras of a worker, sorted by name."""
        if self.shared is None:
            return staying
        added = [assigned_camera(camera, self.observed, self.shared) for camera in newcomers]
        return sorted([*staying, *added], key=lambda camera: camera.name) if added else staying

    def write(
        self, name: str, worker: WorkerView | None, cameras: Sequence[AssignedCamera], *, is_needed: bool
    ) -> WorkerWrite | None:
        """What of a worker is missing or differs; None: nothing.

        Args:
            name: of the worker.
            worker: what exists of it; None: nothing.
            cameras: all that it is to watch, sorted by name.
            is_needed: whether it is to go on; else only its Secret is kept right until it can be deleted.
        """
        if worker is not None and not is_needed and worker.assignment is None and not in_force(worker):
            return None
        current = worker.assignment if worker is not None else None
        assignment = None
        if current is None or not self._stands(current.category, current.cameras, cameras):
            assignment = next_assignment(
                name=name,
                role=self.role,
                observed=self.observed,
                category=self.group.spec.category,
                worker=worker,
                cameras=cameras,
                new_token=self.settings.new_token(),
            )
        revision = assignment.revision if assignment is not None else current.revision if current is not None else 0
        service = self._service(name, worker) if is_needed else None
        stateful_set = self._stateful_set(name, worker, len(cameras)) if is_needed else None
        nudge = _pods_to_nudge(worker, revision, is_new=assignment is not None) if worker is not None else ()
        if assignment is None and service is None and stateful_set is None and not nudge:
            return None
        secret = None
        if assignment is not None:
            secret = worker_secret(self.group, assignment, _record(worker, assignment.cameras, revision))
        return WorkerWrite(
            worker=name,
            reason=_reason(worker, cameras, assignment is not None, stateful_set is not None),
            assignment=assignment,
            secret_resource_version=worker.secret_resource_version if worker is not None else None,
            secret=secret,
            service=service,
            stateful_set=stateful_set,
            nudge_pods=nudge,
        )

    def _stands(self, category: str, before: Sequence[AssignedCamera], after: Sequence[AssignedCamera]) -> bool:
        return (
            category == self.group.spec.category
            and len(before) == len(after)
            and all(old is new for old, new in zip(before, after, strict=True))
        )

    def _service(self, name: str, worker: WorkerView | None) -> Manifest | None:
        service = worker_service(self.group, name, self.role)
        return None if worker is not None and worker.service_fingerprint == fingerprint(service) else service

    def _stateful_set(self, name: str, worker: WorkerView | None, count: int) -> Manifest | None:
        """The StatefulSet if it differs.

        A change of the template replaces the pod and interrupts its cameras, so the number of cameras alone changes it
        only while there is no pod.
        """
        category = self.observed.category
        if category is None:
            return None
        sizes = [count]
        if worker is not None and worker.sized_for is not None and (worker.pods or count < worker.sized_for):
            sizes.insert(0, worker.sized_for)
        for sized_for in sizes:
            stateful_set = worker_stateful_set(
                self.group, name, self.role, category.spec, self.settings, sized_for=sized_for
            )
            if worker is not None and worker.stateful_set_fingerprint == fingerprint(stateful_set):
                return None
        return stateful_set


def _record(worker: WorkerView | None, cameras: Sequence[AssignedCamera], revision: int) -> Mapping[str, int]:
    if worker is None:
        return {}
    staying = {camera.name for camera in cameras}
    before = worker.assignment.cameras if worker.assignment is not None else ()
    released = [camera.name for camera in before if camera.name not in staying]
    return next_record(worker, released=released, staying=staying, revision=revision)


def _pods_to_nudge(worker: WorkerView, revision: int, *, is_new: bool) -> tuple[str, ...]:
    """Pods that kubelet has to be told of a new Secret for.

    A pod that has reported an older revision was missed by an earlier pass. One that has not reported yet was given
    the Secret as it is when it started.
    """
    if not is_new and not 0 < worker.acknowledged_revision < revision:
        return ()
    return tuple(pod.name for pod in worker.pods if not pod.terminating and pod.revision_annotation != str(revision))


def _reason(
    worker: WorkerView | None, cameras: Sequence[AssignedCamera], assignment_differs: bool, stateful_set_differs: bool
) -> str:
    """One sentence for the log."""
    if worker is None:
        return f"new, for {_cameras(len(cameras))}"
    if worker.assignment is None:
        return "its assignment cannot be read and is written anew" if worker.secret_invalid else "its Secret is missing"
    if not assignment_differs:
        return "its specification changed" if stateful_set_differs else "it has to be told of its latest assignment"
    before = {camera.name: camera for camera in worker.assignment.cameras}
    after = {camera.name: camera for camera in cameras}
    numbers = {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "changed": sum(before[name] is not after[name] for name in before.keys() & after.keys()),
    }
    parts = [f"{_cameras(number)} {what}" for what, number in numbers.items() if number]
    return ", ".join(parts) or "its category changed"


def _cameras(count: int) -> str:
    return f"{count} camera{'' if count == 1 else 's'}"
