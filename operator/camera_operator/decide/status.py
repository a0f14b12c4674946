"""What is said about cameras and groups: from acceptance, placement and reports to conditions and one state.

A status only changes when something has happened. Figures in messages move with every report, so a message stands as
long as the condition's status and reason do; times are those of transitions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from camera_api.assignment import Role
from camera_api.camera import CameraState, Lifecycle
from camera_api.conditions import ConditionStatus
from camera_api.faults import Fault, FaultLayer
from camera_api.health import ActiveFault, CameraHealth, Verdict
from camera_operator.conditions import (
    CameraCondition,
    Finding,
    GroupCondition,
    Reason,
    Rejection,
    false,
    fault_message,
    observer_message,
    true,
    unknown,
)
from camera_operator.decide.model import (
    CameraStatusView,
    CameraView,
    ConditionView,
    GroupStatusView,
    Observed,
    WorkerView,
)
from camera_operator.decide.settings import PlanSettings
from camera_operator.specs import names

#: Conditions that a worker's report decides, in the order of diagnosis, with the reason when they hold.
_WATCHED = (
    (CameraCondition.REACHABLE, FaultLayer.NETWORK, Reason.CONNECTED),
    (CameraCondition.AUTHENTICATED, FaultLayer.AUTHENTICATION, Reason.AUTHENTICATED),
    (CameraCondition.STREAMING, FaultLayer.STREAM, Reason.STREAMING),
    (CameraCondition.PICTURE_HEALTHY, FaultLayer.PICTURE, Reason.PICTURE_HEALTHY),
)


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, whole seconds, as the API server writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of the worker that a camera is assigned to."""

    worker: str  #: its name
    lost: Fault | None  #: why nobody watches: WorkerLost or ReportStale; None: somebody does, or may
    reports: bool  #: whether the worker's present process has reported


def watch(worker: WorkerView, monotonic_now: float, settings: PlanSettings) -> Watch:
    """Whether a worker's reports can be relied on.

    An operator that has just started has heard nobody yet: it waits ``report_stale_after`` before it calls that
    stale, so that its restart writes nothing.
    """
    running = [pod for pod in worker.pods if pod.address and not pod.terminating]
    heard_at = worker.last_report_at if worker.last_report_at is not None else worker.reachable_since
    age = 0.0 if heard_at is None else monotonic_now - heard_at
    reports = bool(running) and worker.last_report_at is not None and worker.acknowledged_revision > 0
    lost: Fault | None = None
    if not running:
        lost = Fault.WORKER_LOST
    elif age > settings.report_stale_after:
        lost = Fault.REPORT_STALE if any(pod.ready for pod in running) else Fault.WORKER_LOST
    elif worker.last_report_at is not None and worker.acknowledged_revision == 0:
        # Another process has taken the place of the one that reported.
        lost = Fault.WORKER_LOST
    return Watch(worker.name, lost, reports and lost is None)


def starting(worker: str) -> Watch:
    """A worker that this very pass makes."""
    return Watch(worker, Fault.WORKER_LOST, reports=False)


@dataclass(frozen=True, slots=True)
class Situation:
    """A camera's case: what decides its status."""

    camera: CameraView
    rejection: Rejection | None
    watch: Watch | None  #: None: not assigned
    health: CameraHealth | None
    waiting: Reason  #: why an accepted camera is not assigned
    maintenance: str | None  #: note of planned work; None: there is none


@dataclass(frozen=True, slots=True)
class _Outcome:
    state: CameraState
    reason: str
    since: str | None  #: None: now
    findings: tuple[Finding, ...]  #: Assigned to Ready, in order


def camera_status(situation: Situation, *, category: str, now: datetime) -> CameraStatusView:
    """The status that a camera is to have; equal to the present one if nothing has happened."""
    camera = situation.camera
    before = camera.status
    outcome = _outcome(situation)
    accepted = (
        true(Reason.ACCEPTED)
        if situation.rejection is None
        else false(situation.rejection.reason, situation.rejection.message)
    )
    conditions = _conditions(
        tuple(CameraCondition),
        (accepted, *outcome.findings),
        before.conditions,
        generation=camera.generation,
        now=now,
    )
    stands = (before.state, before.reason) == (outcome.state, outcome.reason) and before.since is not None
    return CameraStatusView(
        state=outcome.state,
        reason=outcome.reason,
        since=before.since if stands else outcome.since or timestamp(now),
        category=category,
        worker=situation.watch.worker if situation.watch is not None else "",
        observed_generation=camera.generation,
        conditions=conditions,
    )


def _outcome(situation: Situation) -> _Outcome:
    lifecycle = situation.camera.lifecycle
    if lifecycle is Lifecycle.PLANNED:
        return _unwatched(CameraState.PLANNED, Reason.PLANNED, "spec.lifecycle is Planned.")
    if lifecycle is Lifecycle.RETIRED:
        return _unwatched(CameraState.RETIRED, Reason.RETIRED, "spec.lifecycle is Retired.")
    if situation.watch is None:
        if situation.rejection is not None:
            return _unwatched(CameraState.PENDING, situation.rejection.reason, "The Camera is not accepted.")
        return _unwatched(CameraState.PENDING, situation.waiting, _WAITING_MESSAGES[situation.waiting])
    watched = _watched(situation, situation.watch)
    if situation.maintenance is None:
        return watched
    message = f"Planned work: {situation.maintenance}" if situation.maintenance else "Planned work."
    ready = false(Reason.MAINTENANCE, message)
    return _Outcome(CameraState.MAINTENANCE, Reason.MAINTENANCE.value, None, (*watched.findings[:-1], ready))


_WAITING_MESSAGES = {
    Reason.NOT_ASSIGNED: "No worker has the camera yet.",
    Reason.AWAITING_RELEASE: "The worker that had the camera has not yet confirmed that it let go of it.",
    Reason.GROUP_PAUSED: "The group is paused: spec.paused of the CameraGroup.",
}


def _unwatched(state: CameraState, reason: Reason, message: str) -> _Outcome:
    blind = (unknown(Reason.NOT_WATCHED),) * len(_WATCHED)
    return _Outcome(state, reason.value, None, (false(reason, message), *blind, false(reason, message)))


def _watched(situation: Situation, watching: Watch) -> _Outcome:
    assigned = true(Reason.ASSIGNED, f"Worker {watching.worker}.")
    before = situation.camera.status
    if watching.lost is not None:
        if before.state in {None, CameraState.PENDING}:
            # The worker is only just being made: nothing was known that could be lost.
            return _waiting(assigned, Reason.WAITING_FOR_WORKER, "The worker is starting.")
        blind = (unknown(watching.lost, observer_message(watching.lost)),) * (len(_WATCHED) + 1)
        return _Outcome(CameraState.UNKNOWN, watching.lost.value, None, (assigned, *blind))
    health = situation.health if watching.reports else None
    if health is not None and health.verdict is Verdict.WORKING and not health.faults:
        return _working(assigned, health)
    if health is not None and health.faults:
        return _faulty(assigned, health)
    return _undecided(situation, assigned, health)


def _working(assigned: Finding, health: CameraHealth) -> _Outcome:
    findings = tuple(true(reason) for _, _, reason in _WATCHED)
    return _Outcome(
        CameraState.WORKING, Reason.WORKING.value, health.since, (assigned, *findings, true(Reason.WORKING))
    )


def _faulty(assigned: Finding, health: CameraHealth) -> _Outcome:
    first = health.faults[0]
    by_layer: dict[FaultLayer, ActiveFault] = {}
    for active in health.faults:
        by_layer.setdefault(active.fault.layer, active)
    findings: list[Finding] = []
    blocked = False
    for _, layer, reason in _WATCHED:
        if layer in by_layer and not blocked:
            active = by_layer[layer]
            findings.append(false(active.fault, fault_message(active)))
            # A bad picture is known from a stream; whatever is behind another fault is not.
            blocked = layer is not FaultLayer.STREAM or health.verdict is Verdict.FAULTY
        elif blocked:
            findings.append(unknown(Reason.NOT_KNOWN))
        else:
            findings.append(true(reason))
    ready = false(first.fault, fault_message(first))
    return _Outcome(CameraState.FAULTY, first.fault.value, first.since, (assigned, *findings, ready))


def _undecided(situation: Situation, assigned: Finding, health: CameraHealth | None) -> _Outcome:
    """Neither a frame nor a fault yet, or no report of this camera yet: what was known stands, if anything was."""
    before = situation.camera.status
    known = {condition.type: condition for condition in before.conditions}
    if before.state in {CameraState.WORKING, CameraState.FAULTY, CameraState.UNKNOWN} and len(known) == len(
        CameraCondition
    ):
        standing = tuple(
            Finding(known[kind].status, known[kind].reason, known[kind].message) for kind in (*_kinds(), "Ready")
        )
        return _Outcome(before.state, before.reason, before.since, (assigned, *standing))
    if health is None:
        return _waiting(assigned, Reason.WAITING_FOR_WORKER, "The worker has not yet taken the camera over.")
    return _waiting(assigned, Reason.CONNECTING, "The worker is opening the stream.")


def _kinds() -> tuple[str, ...]:
    return tuple(kind.value for kind, _, _ in _WATCHED)


def _waiting(assigned: Finding, reason: Reason, message: str) -> _Outcome:
    findings = (unknown(reason, message),) * len(_WATCHED)
    return _Outcome(CameraState.PENDING, reason.value, None, (assigned, *findings, false(reason, message)))


def _conditions(
    kinds: Sequence[str],
    findings: Sequence[Finding],
    before: Sequence[ConditionView],
    *,
    generation: int,
    now: datetime,
) -> tuple[ConditionView, ...]:
    """Conditions in order; what has not changed keeps its time and its message."""
    standing = {condition.type: condition for condition in before}
    conditions = []
    for kind, finding in zip(kinds, findings, strict=True):
        old = standing.get(kind)
        same_status = old is not None and old.status == finding.status
        keeps_message = old is not None and same_status and old.reason == finding.reason and _moves(finding)
        conditions.append(
            ConditionView(
                type=kind,
                status=finding.status,
                reason=finding.reason,
                message=old.message if old is not None and keeps_message else finding.message,
                observed_generation=generation,
                last_transition_time=old.last_transition_time if old is not None and same_status else timestamp(now),
            )
        )
    return tuple(conditions)


_FAULT_NAMES = frozenset(fault.value for fault in Fault)


def _moves(finding: Finding) -> bool:
    """Whether the message holds figures of a measurement, which differ from report to report."""
    return finding.reason in _FAULT_NAMES


def group_status(
    observed: Observed,
    *,
    states: Mapping[str, CameraStatusView],
    workers: Sequence[str],
    rejection: Rejection | None,
) -> GroupStatusView:
    """The status of the group.

    Args:
        observed: the group; it must exist.
        states: status by camera UID, of the cameras that are not being deleted.
        workers: names of the ingest workers that are to exist.
        rejection: why the group's cameras cannot be placed.
    """
    group = observed.group
    assert group is not None, "a missing group has no status"  # noqa: S101 - the caller's contract
    counts = Counter(status.state for status in states.values() if status.state is not None)
    faults = Counter(status.reason for status in states.values() if status.state is CameraState.FAULTY)
    ready = [
        worker
        for worker in observed.workers
        if worker.name in workers and any(pod.ready and not pod.terminating for pod in worker.pods)
    ]
    accepted = true(Reason.ACCEPTED) if rejection is None else false(rejection.reason, rejection.message)
    if not workers:
        workers_ready = true(Reason.NO_WORKERS, "The group needs no worker.")
    elif len(ready) == len(workers):
        workers_ready = true(Reason.WORKERS_READY)
    else:
        # Without figures: they would be a write per pod that becomes ready; status.workers has them.
        workers_ready = false(Reason.WORKERS_STARTING, "Not all workers are ready; see status.workers and their pods.")
    if accepted.status is ConditionStatus.FALSE:
        overall = accepted
    elif workers_ready.status is ConditionStatus.FALSE:
        overall = workers_ready
    else:
        overall = true(Reason.READY)
    return GroupStatusView(
        observed_generation=group.generation,
        category=group.spec.category,
        cameras={"declared": len(states), **{state.value.lower(): counts[state] for state in CameraState}},
        faults=dict(sorted(faults.items())),
        workers={"ingest": len(workers), "analytics": 0, "ready": len(ready)},
        selector=",".join(
            f"{label}={value}" for label, value in names.worker_selector(group.name, Role.INGEST).items()
        ),
        conditions=_conditions(
            tuple(GroupCondition),
            (accepted, workers_ready, overall),
            group.status.conditions,
            generation=group.generation,
            now=observed.now,
        ),
    )
