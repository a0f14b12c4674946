"""What is said about cameras and groups: from acceptance, placement and reports to conditions and one state.

A status only changes when something has happened. Figures in messages move with every report, so a measured message
stands as long as the condition's status and reason do; times are those of transitions. A status that has not changed is
returned as the very same object, and none of its parts is built anew: a group may have thousands of cameras.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from camera_api.assignment import Role
from camera_api.camera import CameraState, Lifecycle
from camera_api.category import DecodePolicy
from camera_api.conditions import ConditionStatus
from camera_api.faults import Fault, FaultLayer
from camera_api.health import ActiveFault, Verdict
from camera_operator import conditions
from camera_operator.conditions import (
    CameraCondition,
    Finding,
    GroupCondition,
    Reason,
    Rejection,
    false,
    true,
    unknown,
)
from camera_operator.decide.model import (
    CameraStatusView,
    CameraView,
    ConditionView,
    GroupStatusView,
    GroupView,
    HealthView,
    Observed,
    WorkerView,
)
from camera_operator.decide.rollout import Rollout
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.times import format_time, parse_time
from camera_operator.specs import names

Findings = tuple[Finding, ...]

_TRUE, _FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE
_CAMERA_CONDITIONS = tuple(kind.value for kind in CameraCondition)
_GROUP_CONDITIONS = tuple(kind.value for kind in GroupCondition)

#: What decides the conditions Reachable to PictureHealthy, in the order of diagnosis, and the reason when they hold.
_LAYERS = (
    (FaultLayer.NETWORK, true(Reason.CONNECTED)),
    (FaultLayer.AUTHENTICATION, true(Reason.AUTHENTICATED)),
    (FaultLayer.STREAM, true(Reason.STREAMING)),
    (FaultLayer.PICTURE, true(Reason.PICTURE_HEALTHY)),
)
_HEALTHY: Findings = tuple(finding for _, finding in _LAYERS)
_PICTURE_NOT_CHECKED = unknown(
    Reason.NOT_CHECKED,
    "No picture is decoded: the category wants it so (spec.ingest.decode is None), or the worker is out of CPU, see the"
    " condition PicturesChecked of the group.",
)
_NOT_WATCHED: Findings = (unknown(Reason.NOT_WATCHED),) * len(_LAYERS)
_ACCEPTED = true(Reason.ACCEPTED)
_WATCHED = true(Reason.WATCHED)
#: Lists of conditions that differ and are remembered: those of the workers that a few passes are about.
_SHARED_CONDITIONS = 1024
_WAITING_FOR_WORKER = "The worker has not yet seen a frame or a fault of the camera."
_OBSERVER_REASONS = frozenset({Fault.WORKER_LOST.value, Fault.REPORT_STALE.value})
#: A camera in one of these states was watched before, so that there is something that can be lost or kept.
_WATCHED_STATES = frozenset({CameraState.WORKING, CameraState.FAULTY, CameraState.UNKNOWN, CameraState.MAINTENANCE})


@dataclass(frozen=True)
class Watch:
    """What is known of the worker that a camera is assigned to."""

    worker: str  #: its name
    lost: Fault | None = None  #: why nobody watches: WorkerLost or ReportStale; None: somebody does, or may
    reports: bool = False  #: whether the present pod has reported, and lately
    changes_after: float | None = None  #: seconds until time alone makes the worker lost
    silent_for: float = 0.0  #: seconds since it was heard, or since the operator tries to hear it
    told_of: frozenset[str] = frozenset()  #: cameras whose assignment it has taken over, or had the time to
    checks_pictures: bool = True  #: whether it decodes anything

    @cached_property
    def assigned(self) -> Finding:
        """The condition Assigned of its cameras."""
        return conditions.assigned(self.worker)

    @cached_property
    def working(self) -> Findings:
        """Assigned to Ready of a camera in good order."""
        layers = _HEALTHY if self.checks_pictures else (*_HEALTHY[:-1], _PICTURE_NOT_CHECKED)
        return (self.assigned, *layers, _WATCHED)


def watch(worker: WorkerView, monotonic_now: float, settings: PlanSettings) -> Watch:
    """Whether a worker's reports can be relied on.

    An operator that has just started has heard nobody yet, and a pod that has just started has not spoken yet: both
    get time, so that a restart writes nothing. A pod that is gone gets none.
    """
    live = [pod for pod in worker.pods if not pod.terminating]
    is_ready = any(pod.ready for pod in live)
    reports = worker.last_report_at is not None and worker.acknowledged_revision > 0
    heard_at = max((at for at in (worker.last_report_at, worker.reachable_since) if at is not None), default=None)
    if reports:
        heard_at = worker.last_report_at
    age = 0.0 if heard_at is None else monotonic_now - heard_at
    lost = Fault.REPORT_STALE if is_ready else Fault.WORKER_LOST
    limit = settings.report_stale_after if reports or is_ready else settings.worker_lost_after
    cameras = worker.assignment.cameras if worker.assignment is not None else ()
    is_blind = worker.decode_reduced_to is DecodePolicy.NONE
    checks_pictures = not is_blind and (not cameras or cameras[0].decode is not DecodePolicy.NONE)
    # Another pod has taken the place of the one that reported, or none has.
    is_gone = not live or (not reports and not is_ready and worker.last_report_at is not None)
    if is_gone or age >= limit:
        return Watch(worker.name, lost=lost, silent_for=age, checks_pictures=checks_pictures)
    behind_for = monotonic_now - worker.behind_since if worker.behind_since is not None else math.inf
    catches_up = behind_for < settings.worker_lost_after
    return Watch(
        worker.name,
        reports=reports,
        changes_after=min(limit - age, settings.worker_lost_after - behind_for if catches_up else math.inf),
        silent_for=age,
        told_of=frozenset() if catches_up else frozenset(camera.name for camera in cameras),
        checks_pictures=checks_pictures,
    )


def starting(worker: str) -> Watch:
    """A worker that this very pass makes."""
    return Watch(worker, lost=Fault.WORKER_LOST)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What all cameras of a group share."""

    observed: Observed
    settings: PlanSettings
    category: str
    maintenance: str | None  #: note of planned work on the group; None: there is none
    now: str  #: RFC 3339


@dataclass(slots=True)
class _Outcome:
    state: CameraState
    reason: str
    findings: Findings  #: Assigned to Ready, in order
    since: str | None = None  #: as the worker tells it; None: now


def camera_status(
    camera: CameraView,
    rejection: Rejection | None,
    watching: Watch | None,
    waits_for: Watch | None,
    shared: Circumstances,
) -> CameraStatusView:
    """The status that a camera is to have; the very same object if nothing has happened.

    Args:
        camera: with the status that stands.
        rejection: why it cannot be used as it is declared.
        watching: of the worker that it is assigned to; None: it is not.
        waits_for: of a worker that may still watch it, for which it has to wait; None: it waits for none.
        shared: with the other cameras.
    """
    before = camera.status
    outcome = _outcome(camera, rejection, watching, waits_for, shared)
    findings, kinds = (_ACCEPTED, *outcome.findings), _CAMERA_CONDITIONS
    if rejection is not None:
        # What is said about the picture stays true; but the camera is not ready as it is declared.
        refused = false(rejection.reason, rejection.message)
        ready = refused if findings[-1].status is _TRUE else findings[-1]
        findings = (refused, *findings[1:-1], ready, true(rejection.reason, rejection.message))
        kinds = (*_CAMERA_CONDITIONS, conditions.STALLED)
    stands = before.state is outcome.state and before.reason == outcome.reason and before.since is not None
    own = _own(before.conditions, _CAMERA_CONDITIONS)
    standing = _conditions(kinds, findings, own, camera.generation, shared.now)
    holder = watching or waits_for
    worker = holder.worker if holder is not None else ""
    if (
        stands
        and standing is own
        and before.worker == worker
        and before.category == shared.category
        and before.observed_generation == camera.generation
    ):
        return before
    return CameraStatusView(
        state=outcome.state,
        reason=outcome.reason,
        since=before.since if stands else _since(outcome.since, shared.now),
        category=shared.category,
        worker=worker,
        observed_generation=camera.generation,
        conditions=standing,
    )


def _since(told: str | None, now: str) -> str:
    moment = parse_time(told) if told is not None else None
    return format_time(moment) if moment is not None else now


def _outcome(
    camera: CameraView,
    rejection: Rejection | None,
    watching: Watch | None,
    waits_for: Watch | None,
    shared: Circumstances,
) -> _Outcome:
    lifecycle = camera.lifecycle
    if lifecycle is Lifecycle.PLANNED:
        return _unwanted(CameraState.PLANNED, Reason.PLANNED)
    if lifecycle is Lifecycle.RETIRED:
        return _unwanted(CameraState.RETIRED, Reason.RETIRED)
    outcome = _moving(camera, waits_for) if watching is None else _watched(camera, watching, shared)
    if outcome is None:
        return _unwatched(CameraState.PENDING, _why_unassigned(rejection, waits_for, shared))
    if shared.maintenance is None and lifecycle is not Lifecycle.MAINTENANCE:
        return outcome
    note = f"Planned work: {shared.maintenance}" if shared.maintenance else "Planned work."
    ready = outcome.findings[-1]
    findings = (*outcome.findings[:-1], true(Reason.MAINTENANCE, note) if ready.status is _TRUE else ready)
    return _Outcome(CameraState.MAINTENANCE, Reason.MAINTENANCE.value, findings)


def _moving(camera: CameraView, waits_for: Watch | None) -> _Outcome | None:
    """What is known of a camera that one worker lets go of so that another gets it; None: nothing.

    As long as the first one reports, that takes a second: not worth two writes.
    """
    if waits_for is None or not waits_for.reports or camera.status.state not in _WATCHED_STATES:
        return None
    return _as_it_was(camera.status, waits_for)


def _why_unassigned(rejection: Rejection | None, waits_for: Watch | None, shared: Circumstances) -> Finding:
    if rejection is not None:
        return false(rejection.reason, rejection.message)
    if waits_for is not None:
        return conditions.awaiting_release(waits_for.worker)
    # An accepted camera without a worker: only a paused group leaves it so.
    return false(Reason.GROUP_PAUSED, f"spec.paused of CameraGroup {shared.observed.group_name!r} is true.")


def _unwanted(state: CameraState, reason: Reason) -> _Outcome:
    """Nobody watches the camera, and that is as declared."""
    why = f"spec.lifecycle is {reason.value}."
    return _Outcome(state, reason.value, (false(reason, why), *_NOT_WATCHED, true(reason, why)))


def _unwatched(state: CameraState, why: Finding) -> _Outcome:
    return _Outcome(state, why.reason, (why, *_NOT_WATCHED, why))


def _watched(camera: CameraView, watching: Watch, shared: Circumstances) -> _Outcome:
    was_watched = camera.status.state in _WATCHED_STATES
    if watching.lost is not None and (was_watched or watching.lost is not Fault.WORKER_LOST):
        blind = conditions.unobserved(watching.lost, shared.settings.runbook)
        return _Outcome(CameraState.UNKNOWN, blind.reason, (watching.assigned, *(blind,) * (len(_LAYERS) + 1)))
    if watching.lost is not None:
        # The worker is only just being made: nothing was known that could be lost.
        return _waiting(watching)
    health = shared.observed.health.get(camera.uid) if watching.reports else None
    if health is not None and health.faults:
        return _faulty(watching, health, shared.settings.runbook)
    if health is not None and health.verdict is Verdict.WORKING:
        return _Outcome(CameraState.WORKING, Reason.WORKING.value, watching.working, health.since)
    is_told = watching.reports and camera.name in watching.told_of
    is_interlude = not is_told if health is None else _is_brief(health, shared)
    return (_as_it_was(camera.status, watching) if was_watched and is_interlude else None) or _waiting(watching)


def _is_brief(health: HealthView, shared: Circumstances) -> bool:
    """Whether a camera has been connecting for so short a time that what was known before still says more."""
    began = parse_time(health.since)
    if began is None:
        return False
    return (shared.observed.now - began).total_seconds() < shared.settings.worker_lost_after


def _waiting(watching: Watch) -> _Outcome:
    blind = unknown(Reason.WAITING_FOR_WORKER, _WAITING_FOR_WORKER)
    ready = false(Reason.WAITING_FOR_WORKER, _WAITING_FOR_WORKER)
    return _Outcome(
        CameraState.PENDING,
        Reason.WAITING_FOR_WORKER.value,
        (watching.assigned, *(blind,) * len(_LAYERS), ready),
    )


def _faulty(watching: Watch, health: HealthView, runbook: str) -> _Outcome:
    first = health.faults[0]
    by_layer: dict[FaultLayer, ActiveFault] = {}
    for active in health.faults:
        by_layer.setdefault(active.fault.layer, active)
    layers: list[Finding] = []
    blocked = False
    for layer, holds in _LAYERS:
        if layer in by_layer:
            layers.append(conditions.faulty(by_layer[layer], runbook))
            blocked = True
        else:
            # What lies behind a fault cannot be seen.
            layers.append(unknown(Reason.NOT_KNOWN) if blocked else holds)
    findings = (watching.assigned, *layers, _WATCHED)
    return _Outcome(CameraState.FAULTY, first.fault.value, findings, first.since)


def _as_it_was(before: CameraStatusView, watching: Watch) -> _Outcome | None:
    """What was known of a camera that nobody has reported on for a moment; None: nothing was.

    It is read from the conditions, not from the state, which planned work may have covered.
    """
    own = before.conditions
    if tuple(each.type for each in own[: len(_CAMERA_CONDITIONS)]) != _CAMERA_CONDITIONS:
        return None
    seen = own[2 : len(_CAMERA_CONDITIONS) - 1]
    layers = tuple(Finding(each.status, each.reason, each.message, measured=True) for each in seen)
    trouble = next((each for each in layers if each.status is _FALSE), None)
    if trouble is not None:
        return _Outcome(CameraState.FAULTY, trouble.reason, (watching.assigned, *layers, _WATCHED))
    if layers[0].reason in _OBSERVER_REASONS:
        return _Outcome(CameraState.UNKNOWN, layers[0].reason, (watching.assigned, *layers, layers[0]))
    if all(each.status is _TRUE for each in layers[:-1]):
        return _Outcome(CameraState.WORKING, Reason.WORKING.value, (watching.assigned, *layers, _WATCHED))
    return None


def _own(before: tuple[ConditionView, ...], kinds: Sequence[str]) -> tuple[ConditionView, ...]:
    """The conditions without those that somebody else keeps in the same list."""
    if len(before) == len(kinds):
        # Almost always; what is not as it should be shows when they are compared.
        return before
    own = tuple(condition for condition in before if condition.type in kinds or condition.type == conditions.STALLED)
    return before if len(own) == len(before) else own


def _conditions(
    kinds: Sequence[str], findings: Findings, before: tuple[ConditionView, ...], generation: int, now: str
) -> tuple[ConditionView, ...]:
    """Conditions in order; the very same tuple if nothing differs, and what has not changed keeps its time."""
    if len(before) == len(findings):
        for kind, finding, old in zip(kinds, findings, before, strict=True):
            if (
                old.reason != finding.reason
                or old.status is not finding.status
                or old.observed_generation != generation
                or old.type != kind
                or (old.message != finding.message and not finding.measured)
            ):
                break
        else:
            return before
    return _next_conditions(tuple(kinds), findings, before, generation, now)


# The cameras of a worker come into the same state together, and what is said about 100,000 of them waits for minutes to
# be written: equal conditions are one value, as they are when they come back from the API server.
@lru_cache(_SHARED_CONDITIONS)
def _next_conditions(
    kinds: tuple[str, ...], findings: Findings, before: tuple[ConditionView, ...], generation: int, now: str
) -> tuple[ConditionView, ...]:
    standing = {condition.type: condition for condition in before}
    return tuple(
        _condition(kind, finding, standing.get(kind), generation, now)
        for kind, finding in zip(kinds, findings, strict=True)
    )


def _condition(kind: str, finding: Finding, old: ConditionView | None, generation: int, now: str) -> ConditionView:
    is_steady = old is not None and old.status is finding.status
    keeps_message = finding.measured and is_steady and old is not None and old.reason == finding.reason
    return ConditionView(
        type=kind,
        status=finding.status,
        reason=finding.reason,
        message=old.message if old is not None and keeps_message else finding.message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old is not None and is_steady else now,
    )


def group_status(
    observed: Observed,
    group: GroupView,
    *,
    statuses: Mapping[str, CameraStatusView],
    needed: Mapping[Role, Sequence[str]],
    rollouts: Mapping[Role, Rollout],
    worker_image: str,
) -> GroupStatusView:
    """The status of the group; the very same object if nothing has happened.

    Args:
        observed: everything about it.
        group: the group itself.
        statuses: status by camera name, of the cameras that are not being deleted.
        needed: names of the workers that it needs, by role.
        rollouts: how far each role's workers are as they should be.
        worker_image: that they should run.
    """
    counts = Counter(status.state for status in statuses.values())
    faults = Counter(status.reason for status in statuses.values() if status.state is CameraState.FAULTY)
    ready = {
        worker.name for worker in observed.workers if any(pod.ready and not pod.terminating for pod in worker.pods)
    }
    workers = [name for names_of_role in needed.values() for name in names_of_role]
    unready = [name for name in workers if name not in ready]
    accepted = _group_accepted(observed, group)
    workers_ready = _workers_ready(workers, unready)
    up_to_date = _up_to_date(observed, rollouts, len(workers))
    trouble = next((each for each in (accepted, workers_ready) if each.status is _FALSE), None)
    ready_at_all = trouble or true(Reason.WORKERS_READY)
    findings: Findings = (accepted, workers_ready, up_to_date, _pictures_checked(observed), ready_at_all)
    kinds = _GROUP_CONDITIONS
    if accepted.status is _FALSE:
        findings, kinds = (*findings, replace(accepted, status=_TRUE)), (*kinds, conditions.STALLED)
    own = _own(group.status.conditions, _GROUP_CONDITIONS)
    # A paused group keeps what its workers run, and without the category nobody knows what they should.
    is_complete = all(rollout.is_complete for rollout in rollouts.values())
    is_settled = is_complete and not group.spec.paused and observed.category is not None
    wanted = GroupStatusView(
        observed_generation=group.generation,
        category=group.spec.category,
        cameras={"declared": len(statuses), **{state.value.lower(): counts[state] for state in CameraState}},
        faults=dict(sorted(faults.items())),
        workers={
            "ingest": len(needed.get(Role.INGEST, ())),
            "analytics": len(needed.get(Role.ANALYTICS, ())),
            "ready": len(workers) - len(unready),
        },
        worker_image=worker_image if is_settled else group.status.worker_image,
        selector=",".join(
            f"{label}={value}" for label, value in names.worker_selector(group.name, Role.INGEST).items()
        ),
        conditions=_conditions(kinds, findings, own, group.generation, format_time(observed.now)),
    )
    return group.status if wanted == replace(group.status, conditions=own) else wanted


def _group_accepted(observed: Observed, group: GroupView) -> Finding:
    if observed.category is None:
        rejection = conditions.category_not_found(group.spec.category, group.name)
        return false(rejection.reason, rejection.message)
    if group.spec.paused:
        return true(Reason.PAUSED, "spec.paused is true: workers and cameras are left as they are.")
    return _ACCEPTED


def _workers_ready(workers: Sequence[str], unready: Sequence[str]) -> Finding:
    if not workers:
        return true(Reason.NO_WORKERS_NEEDED, "No camera of the group is to be watched.")
    if unready:
        return conditions.workers_not_ready(len(workers), unready)
    return true(Reason.WORKERS_READY)


def _up_to_date(observed: Observed, rollouts: Mapping[Role, Rollout], count: int) -> Finding:
    """Whether the workers run what they should."""
    outdated = sum(rollout.outdated for rollout in rollouts.values())
    if not outdated:
        return true(Reason.UP_TO_DATE)
    if any(rollout.held for rollout in rollouts.values()):
        return conditions.awaiting_canary(observed.canaries_waiting)
    missing = next((rollout.waits_for for rollout in rollouts.values() if rollout.waits_for is not None), None)
    if missing is not None:
        return conditions.rollout_paused(outdated, missing.name, missing.working, missing.wanted_back)
    return conditions.rolling_out(outdated, count)


def _pictures_checked(observed: Observed) -> Finding:
    """Whether overloaded workers leave out pictures."""
    reduced = [worker for worker in observed.workers if worker.decode_reduced_to is not None]
    if not reduced:
        return true(Reason.DECODING)
    is_none = any(worker.decode_reduced_to is DecodePolicy.NONE for worker in reduced)
    policy = DecodePolicy.NONE if is_none else DecodePolicy.KEY_FRAME_EVERY_10S
    return conditions.decode_reduced([worker.name for worker in reduced], policy.value)
