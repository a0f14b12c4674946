"""One pass over a group: accept, place, tell the workers, say what is known."""

from collections.abc import Mapping
from typing import Any

from camera_api.assignment import Role
from camera_api.health import Verdict
from camera_operator.decide import nudges, status
from camera_operator.decide.acceptance import reject
from camera_operator.decide.assignments import Relay, Terms, relay
from camera_operator.decide.failover import may_fail_over
from camera_operator.decide.maintenance import group_maintenance, maintenance_end
from camera_operator.decide.model import CameraStatusView, GroupStatusView, Observed, Plan
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.status import Watch
from camera_operator.decide.times import format_time
from camera_operator.decide.workers import Rejections, WorkerSteps, plan_workers
from camera_operator.specs.worker import HTTP_PORT, disruption_budget, fingerprint

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
    watches = {worker.name: status.watch(worker, observed.monotonic_now, settings) for worker in observed.workers}
    steps = _plan_roles(observed, rejections, watches, settings)
    ingest = steps.get(Role.INGEST, WorkerSteps())
    statuses = _camera_statuses(observed, rejections, ingest, watches, settings)
    return Plan(
        writes=tuple(write for each in steps.values() for write in each.writes),
        deletions=tuple(name for each in steps.values() for name in each.deletions),
        budgets=_budgets(observed, steps),
        moves=sum(each.moves for each in steps.values()),
        wants_moves=any(each.wants_moves for each in steps.values()),
        camera_statuses={
            camera.key: statuses[camera.name]
            for camera in observed.cameras
            if camera.name in statuses and statuses[camera.name] is not camera.status
        },
        group_status=_group_status(observed, statuses, steps, settings),
        look_again_after=_look_again_after(observed, watches, ingest, settings),
    )


def _plan_roles(
    observed: Observed, rejections: Rejections, watches: Mapping[str, Watch], settings: PlanSettings
) -> dict[Role, WorkerSteps]:
    """The workers of each role: first those that pull the cameras, then those that read from them."""
    steps: dict[Role, WorkerSteps] = {}
    for role in sorted(settings.roles, key=list(Role).index):
        terms = _terms(observed, role, _relays(observed, steps) if role is Role.ANALYTICS else {})
        steps[role] = plan_workers(
            observed, terms=terms, role=role, rejections=rejections, watches=watches, settings=settings
        )
    return steps


def _terms(observed: Observed, role: Role, relays: Mapping[str, Relay]) -> Terms | None:
    if observed.category is None or observed.group is None:
        return None
    is_maintenance = group_maintenance(observed.group, observed.now) is not None
    return Terms(role, observed.category.spec, maintenance=is_maintenance, relays=relays)


def _relays(observed: Observed, steps: Mapping[Role, WorkerSteps]) -> dict[str, Relay]:
    """Where analytics workers read each camera, after this pass."""
    ingest = steps.get(Role.INGEST, WorkerSteps())
    assignments = {worker.name: worker.assignment for worker in observed.workers}
    assignments |= {write.worker: write.assignment for write in ingest.writes if write.assignment is not None}
    return {
        camera: relay(observed.namespace, camera, worker, HTTP_PORT, assignment.bearer_token)
        for camera, worker in ingest.worker_of.items()
        if (assignment := assignments.get(worker)) is not None
    }


def _budgets(observed: Observed, steps: Mapping[Role, WorkerSteps]) -> tuple[Mapping[str, Any], ...]:
    """PodDisruptionBudgets of roles that have workers, where they differ. The group's end takes them along."""
    group = observed.group
    if group is None or group.deleting or group.spec.paused:
        return ()
    wanted = {role: disruption_budget(group, role) for role, each in steps.items() if each.needed}
    return tuple(budget for role, budget in wanted.items() if observed.budgets.get(role) != fingerprint(budget))


def _camera_statuses(
    observed: Observed,
    rejections: Rejections,
    steps: WorkerSteps,
    watches: Mapping[str, Watch],
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
    holders = {*steps.worker_of.values(), *steps.waiting.values()}
    known = {name: watches.get(name) or status.starting(name) for name in holders}
    statuses = {}
    for camera in observed.cameras:
        if camera.deleting:
            continue
        name = camera.name
        worker, holder = steps.worker_of.get(name), steps.waiting.get(name)
        statuses[name] = status.camera_status(
            camera,
            rejections[name],
            known[worker] if worker is not None else None,
            known[holder] if holder is not None else None,
            shared,
        )
    return statuses


def _group_status(
    observed: Observed,
    statuses: dict[str, CameraStatusView],
    steps: Mapping[Role, WorkerSteps],
    settings: PlanSettings,
) -> GroupStatusView | None:
    group = observed.group
    if group is None or group.deleting:
        return None
    wanted = status.group_status(
        observed,
        group,
        statuses=statuses,
        needed={role: each.needed for role, each in steps.items()},
        rollouts={role: each.rollout for role, each in steps.items()},
        worker_image=settings.worker_image,
    )
    return None if wanted is group.status else wanted


def _look_again_after(
    observed: Observed, watches: Mapping[str, Watch], steps: WorkerSteps, settings: PlanSettings
) -> float | None:
    """Seconds until time alone changes something; None: never."""
    moments = [camera.consent_expires_at for camera in observed.cameras if camera.consent_expires_at is not None]
    end = maintenance_end(observed.group) if observed.group is not None else None
    if end is not None:
        moments.append(end)
    waits = [(moment - observed.now).total_seconds() for moment in moments if moment > observed.now]
    waits.extend(each.changes_after for each in watches.values() if each.changes_after is not None)
    waits.extend(
        settings.failover_after - watches[worker.name].silent_for
        for worker in observed.workers
        if may_fail_over(worker, observed.group) and watches[worker.name].silent_for < settings.failover_after
    )
    for worker in observed.workers:
        again = nudges.look_again_after(worker, observed.monotonic_now)
        if again is not None:
            waits.append(again)
    if any(health.verdict is Verdict.CONNECTING for health in observed.health.values()):
        waits.append(settings.worker_lost_after)
    if not steps.waiting.keys().isdisjoint(observed.held_elsewhere):
        waits.append(_ELSEWHERE_AFTER)
    return min(max(min(waits), _SOONEST), _LATEST) if waits else None
