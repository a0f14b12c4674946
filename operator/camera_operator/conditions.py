"""Condition types and the closed set of reasons, each with the message that tells people what to do next."""

from dataclasses import dataclass
from enum import StrEnum

from camera_api.conditions import ConditionStatus
from camera_api.faults import FAULTS, Fault
from camera_api.health import ActiveFault


class CameraCondition(StrEnum):
    """Condition types of a Camera, in the order of diagnosis."""

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
    NOT_ASSIGNED = "NotAssigned"
    AWAITING_RELEASE = "AwaitingRelease"
    GROUP_PAUSED = "GroupPaused"
    PLANNED = "Planned"
    RETIRED = "Retired"
    MAINTENANCE = "Maintenance"
    # Reachable to PictureHealthy
    CONNECTED = "Connected"
    AUTHENTICATED = "Authenticated"
    STREAMING = "Streaming"
    PICTURE_HEALTHY = "PictureHealthy"
    NOT_WATCHED = "NotWatched"
    NOT_KNOWN = "NotKnown"
    # Ready and status.reason
    WORKING = "Working"
    CONNECTING = "Connecting"
    WAITING_FOR_WORKER = "WaitingForWorker"
    # Groups
    WORKERS_READY = "WorkersReady"
    WORKERS_STARTING = "WorkersStarting"
    NO_WORKERS = "NoWorkers"
    READY = "Ready"


@dataclass(frozen=True, slots=True)
class Finding:
    """Status, reason and message of a condition, before it is compared with the one that stands."""

    status: ConditionStatus
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a camera cannot be watched."""

    reason: Reason
    message: str


def true(reason: Reason, message: str = "") -> Finding:
    """A condition that holds."""
    return Finding(ConditionStatus.TRUE, reason.value, message)


def false(reason: Reason | Fault, message: str) -> Finding:
    """A condition that does not hold."""
    return Finding(ConditionStatus.FALSE, reason.value, message)


def unknown(reason: Reason | Fault, message: str = "") -> Finding:
    """A condition that nobody can tell."""
    return Finding(ConditionStatus.UNKNOWN, reason.value, message)


def fault_message(active: ActiveFault) -> str:
    """What was measured, what it means, and what to check first."""
    info = FAULTS[active.fault]
    measured = active.message.rstrip(". ")
    opening = f"{measured}: {info.meaning}" if measured else _capitalised(info.meaning)
    return f"{opening}. Next: {info.check_first}."[:1024]


def observer_message(fault: Fault) -> str:
    """Why nobody knows a camera's state, and what to check first."""
    info = FAULTS[fault]
    return f"{_capitalised(info.meaning)}. Next: {info.check_first}."


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
