"""Condition types and the closed set of reasons, each with the message that tells people what to do next.

A reason is for programs and never changes its meaning; a message is for people. Reasons of faulty cameras are the words
of ``camera_api.faults``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from camera_api.conditions import ConditionStatus
from camera_api.faults import FAULTS, Fault
from camera_api.health import ActiveFault

#: The schema's limit for the message of a condition.
MAX_MESSAGE_LENGTH = 1024
_SHOWN_WORKERS = 5


#: Condition type that says, while it stands, that nothing but another declaration helps. kstatus, and so Flux and
#: ``kubectl`` plugins that wait by it, fail at once rather than wait for Ready.
STALLED = "Stalled"


class CameraCondition(StrEnum):
    """Condition types of a Camera, in the order of diagnosis.

    Ready is about the declaration: it is in force, and somebody watches the camera. What is seen is told by the others:
    a rollout of manifests has succeeded although a lens is broken.
    """

    ACCEPTED = "Accepted"
    ASSIGNED = "Assigned"
    REACHABLE = "Reachable"
    AUTHENTICATED = "Authenticated"
    STREAMING = "Streaming"
    PICTURE_HEALTHY = "PictureHealthy"
    READY = "Ready"


class GroupCondition(StrEnum):
    """Condition types of a CameraGroup."""

    ACCEPTED = "Accepted"
    WORKERS_READY = "WorkersReady"
    UP_TO_DATE = "UpToDate"
    PICTURES_CHECKED = "PicturesChecked"
    READY = "Ready"


class Reason(StrEnum):
    """Reasons beside the names of faults."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    GROUP_NOT_FOUND = "GroupNotFound"
    GROUP_DELETING = "GroupDeleting"
    CATEGORY_NOT_FOUND = "CategoryNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_INCOMPLETE = "SecretIncomplete"  # noqa: S105 - a reason
    CONSENT_EXPIRED = "ConsentExpired"
    # Assigned
    ASSIGNED = "Assigned"
    AWAITING_RELEASE = "AwaitingRelease"
    GROUP_PAUSED = "GroupPaused"
    PLANNED = "Planned"
    RETIRED = "Retired"
    # Reachable to PictureHealthy
    CONNECTED = "Connected"
    AUTHENTICATED = "Authenticated"
    STREAMING = "Streaming"
    PICTURE_HEALTHY = "PictureHealthy"
    NOT_CHECKED = "NotChecked"
    NOT_WATCHED = "NotWatched"
    NOT_KNOWN = "NotKnown"
    # Ready and status.reason
    WATCHED = "Watched"
    WORKING = "Working"
    MAINTENANCE = "Maintenance"
    WAITING_FOR_WORKER = "WaitingForWorker"
    # Groups
    PAUSED = "Paused"
    NO_WORKERS_NEEDED = "NoWorkersNeeded"
    WORKERS_READY = "WorkersReady"
    WORKERS_NOT_READY = "WorkersNotReady"
    UP_TO_DATE = "UpToDate"
    ROLLING_OUT = "RollingOut"
    ROLLOUT_PAUSED = "RolloutPaused"
    AWAITING_CANARY = "AwaitingCanary"
    DECODING = "Decoding"
    DECODE_REDUCED = "DecodeReduced"


@dataclass(frozen=True, slots=True)
class Finding:
    """Status, reason and message of a condition, before it is compared with the one that stands."""

    status: ConditionStatus
    reason: str
    message: str = ""
    #: The message holds figures of a measurement: they differ from report to report and are worth no write.
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a camera cannot be used as it is declared."""

    reason: Reason
    message: str


def true(reason: Reason, message: str = "") -> Finding:
    """A condition that holds."""
    return Finding(ConditionStatus.TRUE, reason.value, message)


def false(reason: Reason, message: str) -> Finding:
    """A condition that does not hold."""
    return Finding(ConditionStatus.FALSE, reason.value, message)


def unknown(reason: Reason, message: str = "") -> Finding:
    """A condition that nobody can tell."""
    return Finding(ConditionStatus.UNKNOWN, reason.value, message)


def _next(fault: Fault, runbook: str) -> str:
    """What to check first, and where to read on."""
    return f". Next: {FAULTS[fault].check_first}; see {runbook}#{fault.value.lower()}."


def faulty(active: ActiveFault, runbook: str) -> Finding:
    """A condition that a fault makes false: what was measured, what it means, and what to check first.

    Args:
        active: the fault.
        runbook: address of the page with a section for each fault.
    """
    info = FAULTS[active.fault]
    measured = active.message.rstrip(". ")
    opening = f"{measured}: {info.meaning}" if measured else _capitalised(info.meaning)
    advice = _next(active.fault, runbook)
    # The advice is what must not be cut off.
    message = opening[: MAX_MESSAGE_LENGTH - len(advice)] + advice
    return Finding(ConditionStatus.FALSE, active.fault.value, message, measured=True)


def unobserved(fault: Fault, runbook: str) -> Finding:
    """A condition that nobody can tell because nobody watches the camera, and what to check first."""
    message = _capitalised(FAULTS[fault].meaning) + _next(fault, runbook)
    return Finding(ConditionStatus.UNKNOWN, fault.value, message)


def invalid_spec(problem: str) -> Rejection:
    """The stored object cannot be used; ``problem`` names the field."""
    message = f"The Camera cannot be used as it is stored: {problem.rstrip('.')}"
    return Rejection(Reason.INVALID_SPEC, f"{message[: MAX_MESSAGE_LENGTH - 1]}.")


def group_not_found(namespace: str, group: str) -> Rejection:
    """The camera names a group that does not exist."""
    return Rejection(
        Reason.GROUP_NOT_FOUND,
        f"spec.group: there is no CameraGroup {group!r} in namespace {namespace!r}."
        " Next: create it, or correct spec.group.",
    )


def group_deleting(group: str) -> Rejection:
    """The camera's group is on its way out."""
    return Rejection(
        Reason.GROUP_DELETING,
        f"spec.group: CameraGroup {group!r} is being deleted, and its workers with it. Next: name another group.",
    )


def category_not_found(category: str, group: str) -> Rejection:
    """The group's category does not exist."""
    return Rejection(
        Reason.CATEGORY_NOT_FOUND,
        f"There is no CameraCategory {category!r}, which CameraGroup {group!r} names. Next: create it; until then"
        " cameras that are watched go on with their last settings, and no others are taken on.",
    )


def consent_expired(expired_at: datetime) -> Rejection:
    """The owner's agreement has ended."""
    return Rejection(
        Reason.CONSENT_EXPIRED,
        f"spec.consent.expiresAt: the owner's agreement ended on {expired_at:%Y-%m-%d %H:%M} UTC, so the camera is no"
        " longer watched. Next: renew it, or retire the camera.",
    )


def secret_not_found(namespace: str, secret: str) -> Rejection:
    """The Secret with the camera's credentials does not exist."""
    return Rejection(
        Reason.SECRET_NOT_FOUND,
        f"spec.credentialsSecretRef.name: there is no Secret {secret!r} in namespace {namespace!r}."
        " Next: create it with the keys username and password.",
    )


def secret_incomplete(secret: str) -> Rejection:
    """The Secret with the camera's credentials lacks something."""
    return Rejection(
        Reason.SECRET_INCOMPLETE,
        f"spec.credentialsSecretRef.name: Secret {secret!r} needs the keys username and password, both UTF-8 text.",
    )


def assigned(worker: str) -> Finding:
    """A worker has the camera."""
    return true(Reason.ASSIGNED, f"Worker {worker}.")


def awaiting_release(worker: str) -> Finding:
    """The camera may still be watched by a worker that it was taken from."""
    return false(
        Reason.AWAITING_RELEASE,
        f"Worker {worker} has not yet confirmed that it let go of the camera. Next: look at its pod and node.",
    )


def workers_not_ready(count: int, waiting_for: Sequence[str]) -> Finding:
    """Some workers have no ready pod.

    Args:
        count: of workers that the group needs.
        waiting_for: names of those that are not ready; at least one.
    """
    shown = ", ".join(waiting_for[:_SHOWN_WORKERS])
    more = f" and {len(waiting_for) - _SHOWN_WORKERS} more" if len(waiting_for) > _SHOWN_WORKERS else ""
    return false(
        Reason.WORKERS_NOT_READY,
        f"{len(waiting_for)} of {count} workers are not ready: {shown}{more}. Next: look at their pods,"
        f" kubectl describe pod -l camera-operator.io/worker={waiting_for[0]}.",
    )


def rolling_out(outdated: int, count: int) -> Finding:
    """Workers get another template, one after the other."""
    return false(
        Reason.ROLLING_OUT,
        f"{outdated} of {count} workers still run an earlier specification; they are replaced one at a time.",
    )


def rollout_paused(outdated: int, worker: str, working: int, wanted: int) -> Finding:
    """The cameras of a replaced worker have not come back, or not yet.

    Args:
        outdated: workers that are still to be replaced.
        worker: the one that was replaced.
        working: its cameras that work.
        wanted: as many have to.
    """
    return Finding(
        ConditionStatus.FALSE,
        Reason.ROLLOUT_PAUSED.value,
        f"Worker {worker} was replaced, and {working} of at least {wanted} cameras work again; {outdated} workers wait"
        f" for that. Next: look at its pod, kubectl logs {worker}-0, and if it does not recover, take the change back.",
        measured=True,
    )


def awaiting_canary(groups: Sequence[str]) -> Finding:
    """The workers get the new image after the canary groups.

    Args:
        groups: canary groups that do not have it yet, as namespace/name; at least one.
    """
    more = f" and {len(groups) - _SHOWN_WORKERS} more" if len(groups) > _SHOWN_WORKERS else ""
    return Finding(
        ConditionStatus.FALSE,
        Reason.AWAITING_CANARY.value,
        f"A new worker image comes here once the canary groups run it: {', '.join(groups[:_SHOWN_WORKERS])}{more}.",
        measured=True,
    )


def decode_reduced(workers: Sequence[str], policy: str) -> Finding:
    """Workers are out of CPU and decode less than the category asks for.

    Args:
        workers: their names; at least one.
        policy: the lowest that one of them decodes.
    """
    shown = ", ".join(workers[:_SHOWN_WORKERS])
    more = f" and {len(workers) - _SHOWN_WORKERS} more" if len(workers) > _SHOWN_WORKERS else ""
    return Finding(
        ConditionStatus.FALSE,
        Reason.DECODE_REDUCED.value,
        f"Out of CPU, {shown}{more} decode less than the category asks for, down to {policy}, so that faults of the"
        " picture show later or not at all. Next: give the nodes more CPU, or raise perCamera.cpu of the category.",
        measured=True,
    )


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
