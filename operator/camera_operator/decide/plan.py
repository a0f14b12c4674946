"""One pass over a group: accept, place, tell the workers, say what is known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from camera_api.assignment import AssignedCamera, Assignment, Role
from camera_api.camera import Lifecycle
from camera_operator.conditions import Reason, Rejection
from camera_operator.decide import status
from camera_operator.decide.acceptance import reject, wants_watching
from camera_operator.decide.assignments import assigned_camera, next_assignment, terms
from camera_operator.decide.model import (
    CameraStatusView,
    CameraView,
    GroupStatusView,
    GroupView,
    ObjectKey,
    Observed,
    Plan,
    WorkerView,
    WorkerWrite,
)
from camera_operator.decide.placement import Placement, place, surplus
from camera_operator.decide.settings import PlanSettings
from camera_operator.specs import names
from camera_operator.specs.worker import worker_deployment, worker_secret, worker_service


@dataclass(frozen=True, slots=True)
class _Steps:
    """What one role's workers need, and where its cameras are after that."""

    writes: tuple[WorkerWrite, ...]
    deletions: tuple[str, ...]
    placement: Placement


def make_plan(observed: Observed, settings: PlanSettings) -> Plan:
    """What has to change about a group; empty if nothing has.

    Args:
        observed: everything about the group at one moment.
        settings: of the operator.
    """
    rejections = {camera.uid: reject(camera, observed) for camera in observed.cameras}
    steps = _ingest_steps(observed, rejections, settings)
    statuses = _camera_statuses(observed, rejections, steps, settings)
    changed: dict[ObjectKey, CameraStatusView] = {
        camera.key: statuses[camera.uid]
        for camera in observed.cameras
        if camera.uid in statuses and statuses[camera.uid] != camera.status
    }
    return Plan(
        writes=steps.writes,
        deletions=steps.deletions,
        camera_statuses=changed,
        group_status=_group_status(observed, statuses, steps),
        look_again_after=_look_again_after(observed, settings),
    )


def _ingest_steps(observed: Observed, rejections: Mapping[str, Rejection | None], settings: PlanSettings) -> _Steps:
    workers = tuple(worker for worker in observed.workers if worker.role is Role.INGEST)
    group = observed.group
    if group is None:
        # Garbage collection removes them as well, unless the group was deleted without it.
        return _Steps((), tuple(worker.name for worker in workers), Placement())
    if group.deleting or group.spec.paused or observed.category is None:
        # Nothing may be made for a group that goes, nothing may change in a paused one, and without the category
        # nothing could be sized. Whatever runs goes on.
        return _Steps((), (), _as_it_stands(workers, observed.cameras))
    wanted = [camera for camera in observed.cameras if wants_watching(camera) and rejections[camera.uid] is None]
    placement = place(
        group=group.name,
        role=Role.INGEST,
        workers=workers,
        cameras=wanted,
        capacity=observed.category.spec.ingest.max_cameras_per_worker,
        min_workers=group.spec.min_workers,
    )
    deletions = tuple(surplus(workers, placement, group.spec.min_workers))
    existing = {worker.name: worker for worker in workers}
    shared = terms(observed.category.spec, maintenance=_group_maintenance(group, observed.now) is not None)
    writes = []
    for name, cameras in placement.workers.items():
        if name in deletions:
            continue
        assigned = [assigned_camera(camera, observed, shared) for camera in cameras]
        write = _worker_write(name, existing.get(name), assigned, observed=observed, group=group, settings=settings)
        if write is not None:
            writes.append(write)
    return _Steps(tuple(writes), deletions, placement)


def _as_it_stands(workers: Iterable[WorkerView], cameras: Iterable[CameraView]) -> Placement:
    by_uid = {camera.uid: camera for camera in cameras}
    return Placement(
        workers={
            worker.name: [
                by_uid[assigned.uid]
                for assigned in (worker.assignment.cameras if worker.assignment is not None else ())
                if assigned.uid in by_uid
            ]
            for worker in workers
        }
    )


def _worker_write(
    name: str,
    worker: WorkerView | None,
    cameras: Iterable[AssignedCamera],
    *,
    observed: Observed,
    group: GroupView,
    settings: PlanSettings,
) -> WorkerWrite | None:
    """What is missing of a worker, or differs; None: nothing."""
    assert observed.category is not None, "the caller has checked it"  # noqa: S101
    assignment = next_assignment(
        name=name, role=Role.INGEST, observed=observed, worker=worker, cameras=cameras, settings=settings
    )
    secret_differs = worker is None or worker.assignment is not assignment
    service = worker_service(group, name, Role.INGEST)
    deployment = worker_deployment(group, name, Role.INGEST, observed.category.spec, settings)
    service_differs = worker is None or worker.service_fingerprint != _fingerprint(service)
    deployment_differs = worker is None or worker.deployment_fingerprint != _fingerprint(deployment)
    stale_pods = tuple(
        pod.name
        for pod in (worker.pods if worker is not None else ())
        if not pod.terminating and pod.revision_annotation != str(assignment.revision)
    )
    if not (secret_differs or service_differs or deployment_differs or stale_pods):
        return None
    return WorkerWrite(
        worker=name,
        reason=_reason(worker, assignment, deployment_differs=deployment_differs),
        assignment=assignment if secret_differs else None,
        secret_resource_version=worker.secret_resource_version if worker is not None else None,
        secret=worker_secret(group, assignment) if secret_differs else None,
        service=service if service_differs else None,
        deployment=deployment if deployment_differs else None,
        nudge_pods=stale_pods,
    )


def _fingerprint(manifest: Mapping[str, object]) -> str:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict), "made by specs.worker"  # noqa: S101
    fingerprint: str = metadata["annotations"][names.ANNOTATION_FINGERPRINT]
    return fingerprint


def _reason(worker: WorkerView | None, assignment: Assignment, *, deployment_differs: bool) -> str:
    if worker is None:
        return f"new, for {len(assignment.cameras)} cameras"
    current = worker.assignment
    if current is None:
        return "its assignment cannot be read and is written anew" if worker.secret_invalid else "its Secret is missing"
    if current is not assignment:
        before, after = ({camera.uid: camera for camera in each.cameras} for each in (current, assignment))
        numbers = {
            "added": len(after.keys() - before.keys()),
            "removed": len(before.keys() - after.keys()),
            "changed": sum(before[uid] != after[uid] for uid in before.keys() & after.keys()),
        }
        return ", ".join(f"{number} cameras {what}" for what, number in numbers.items() if number) or "settings changed"
    return "its specification changed" if deployment_differs else "its pod has not been told the latest assignment"


def _camera_statuses(
    observed: Observed,
    rejections: Mapping[str, Rejection | None],
    steps: _Steps,
    settings: PlanSettings,
) -> dict[str, CameraStatusView]:
    """Status by UID of all cameras that are not being deleted."""
    watches = {
        worker.name: status.watch(worker, observed.monotonic_now, settings)
        for worker in observed.workers
        if worker.role is Role.INGEST
    }
    holder = {camera.uid: name for name, cameras in steps.placement.workers.items() for camera in cameras}
    group = observed.group
    group_note = _group_maintenance(group, observed.now) if group is not None else None
    category = group.spec.category if group is not None else ""
    statuses = {}
    for camera in observed.cameras:
        if camera.deleting:
            continue
        name = holder.get(camera.uid)
        situation = status.Situation(
            camera=camera,
            rejection=rejections[camera.uid],
            watch=_watch_of(name, watches),
            health=observed.health.get(camera.uid),
            waiting=_waiting(camera, observed, steps.placement),
            maintenance="" if camera.lifecycle is Lifecycle.MAINTENANCE and group_note is None else group_note,
        )
        statuses[camera.uid] = status.camera_status(situation, category=category, now=observed.now)
    return statuses


def _watch_of(name: str | None, watches: Mapping[str, status.Watch]) -> status.Watch | None:
    if name is None:
        return None
    return watches.get(name) or status.starting(name)


def _waiting(camera: CameraView, observed: Observed, placement: Placement) -> Reason:
    if observed.group is not None and observed.group.spec.paused:
        return Reason.GROUP_PAUSED
    return Reason.AWAITING_RELEASE if camera.uid in placement.awaiting_release else Reason.NOT_ASSIGNED


def _group_maintenance(group: GroupView, now: datetime) -> str | None:
    """The note of planned work on the group that is going on; None: there is none."""
    maintenance = group.spec.maintenance
    if maintenance is None or datetime.fromisoformat(maintenance.until) <= now:
        return None
    return maintenance.note


def _group_status(
    observed: Observed, statuses: Mapping[str, CameraStatusView], steps: _Steps
) -> GroupStatusView | None:
    if observed.group is None or observed.group.deleting:
        return None
    rejection = None
    if observed.category is None:
        rejection = Rejection(
            Reason.CATEGORY_NOT_FOUND,
            f"spec.category: there is no CameraCategory {observed.group.spec.category!r}. "
            "Next: create it, for example from deploy/categories. Workers that run go on.",
        )
    workers = [name for name in steps.placement.workers if name not in steps.deletions]
    wanted = status.group_status(observed, states=statuses, workers=workers, rejection=rejection)
    return None if wanted == observed.group.status else wanted


def _look_again_after(observed: Observed, settings: PlanSettings) -> float | None:
    """Seconds until time alone changes something: consent, maintenance, or a report that becomes stale."""
    moments = [camera.consent_expires_at for camera in observed.cameras if camera.consent_expires_at is not None]
    if observed.group is not None and observed.group.spec.maintenance is not None:
        moments.append(datetime.fromisoformat(observed.group.spec.maintenance.until))
    waits = [(moment - observed.now).total_seconds() for moment in moments if moment > observed.now]
    for worker in observed.workers:
        heard_at = worker.last_report_at if worker.last_report_at is not None else worker.reachable_since
        if heard_at is not None:
            stale_in = heard_at + settings.report_stale_after - observed.monotonic_now
            if stale_in >= 0:
                # A little later than the limit, or the pass would find it just not reached.
                waits.append(stale_in + 0.5)
    return min(waits, default=None)
