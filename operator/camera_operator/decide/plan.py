"""One pass over a group: accept, place, tell the workers, say what is known."""

from camera_api.assignment import Role
from camera_api.health import Verdict
from camera_operator.decide import status
from camera_operator.decide.acceptance import reject
from camera_operator.decide.maintenance import group_maintenance, maintenance_end
from camera_operator.decide.model import CameraStatusView, GroupStatusView, Observed, Plan
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.times import format_time
from camera_operator.decide.workers import Rejections, WorkerSteps, plan_workers

#: Seconds until a camera that waits for a worker of another group is looked at again: nothing of this group tells.
_ELSEWHERE_AFTER = 1.0
#: Seconds between two passes at least, or a moment that is just not reached would be asked for in a tight loop ...
_SOONEST = 0.05
#: ... and at most, for moments of the wall clock, which may be set.
_LATEST = 3600.0


def make_plan(observed: Observed, settings: PlanSettings) -> Plan:
    """What has to change about a group; empty if nothing has.

    Args:
        observed: everything about the group at one moment.
        settings: of the operator.
    """
    rejections = {camera.name: reject(camera, observed) for camera in observed.cameras}
    ingest = plan_workers(observed, Role.INGEST, rejections, settings)
    watches = {
        worker.name: status.watch(worker, observed.monotonic_now, settings)
        for worker in observed.workers
        if worker.role is Role.INGEST
    }
    statuses = _camera_statuses(observed, rejections, ingest, watches, settings)
    return Plan(
        writes=tuple(ingest.writes),
        deletions=tuple(ingest.deletions),
        camera_statuses={
            camera.key: statuses[camera.name]
            for camera in observed.cameras
            if camera.name in statuses and statuses[camera.name] is not camera.status
        },
        group_status=_group_status(observed, statuses, ingest),
        look_again_after=_look_again_after(observed, watches, ingest, settings),
    )


def _camera_statuses(
    observed: Observed,
    rejections: Rejections,
    steps: WorkerSteps,
    watches: dict[str, status.Watch],
    settings: PlanSettings,
) -> dict[str, CameraStatusView]:
    """Status by name of all cameras that are not being deleted."""
    group = observed.group
    shared = status.Circumstances(
        observed=observed,
        settings=settings,
        category=group.spec.category if group is not None else "",
        maintenance=group_maintenance(group, observed.now) if group is not None else None,
        now=format_time(observed.now),
    )
    known = {name: watches.get(name) or status.starting(name) for name in set(steps.worker_of.values())}
    statuses = {}
    for camera in observed.cameras:
        if camera.deleting:
            continue
        name = camera.name
        worker = steps.worker_of.get(name)
        statuses[name] = status.camera_status(
            camera,
            rejections[name],
            known[worker] if worker is not None else None,
            steps.waiting.get(name),
            shared,
        )
    return statuses


def _group_status(
    observed: Observed, statuses: dict[str, CameraStatusView], steps: WorkerSteps
) -> GroupStatusView | None:
    group = observed.group
    if group is None or group.deleting:
        return None
    wanted = status.group_status(observed, group, statuses=statuses, workers=steps.needed)
    return None if wanted is group.status else wanted


def _look_again_after(
    observed: Observed, watches: dict[str, status.Watch], steps: WorkerSteps, settings: PlanSettings
) -> float | None:
    """Seconds until time alone changes something; None: never."""
    moments = [camera.consent_expires_at for camera in observed.cameras if camera.consent_expires_at is not None]
    end = maintenance_end(observed.group) if observed.group is not None else None
    if end is not None:
        moments.append(end)
    waits = [(moment - observed.now).total_seconds() for moment in moments if moment > observed.now]
    waits.extend(each.changes_after for each in watches.values() if each.changes_after is not None)
    if any(health.verdict is Verdict.CONNECTING for health in observed.health.values()):
        waits.append(settings.worker_lost_after)
    if not steps.waiting.keys().isdisjoint(observed.held_elsewhere):
        waits.append(_ELSEWHERE_AFTER)
    return min(max(min(waits), _SOONEST), _LATEST) if waits else None
