"""What of a plan is worth a Kubernetes Event of its group: one line for many cameras, never one each.

An outage of a district is thousands of transitions. Who reads ``kubectl describe cameragroup`` wants the numbers, and a
few names to begin with; each camera's own story is in its status.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from camera_api.camera import CameraState
from camera_api.conditions import ConditionStatus
from camera_operator.conditions import CameraCondition, GroupCondition, Reason
from camera_operator.decide.model import CameraStatusView, GroupStatusView, Observed, Plan

#: The API's limit for the note of an event.
MAX_NOTE_LENGTH = 1024
_SHOWN_NAMES = 3


class EventReason(StrEnum):
    """Reasons of events; closed, for programs."""

    CAMERAS_FAULTY = "CamerasFaulty"
    CAMERAS_LOST = "CamerasLost"
    CAMERAS_RECOVERED = "CamerasRecovered"
    CAMERAS_REJECTED = "CamerasRejected"
    CAMERAS_MOVED = "CamerasMoved"
    WORKERS_CREATED = "WorkersCreated"
    WORKERS_DELETED = "WorkersDeleted"
    WORKERS_REPLACED = "WorkersReplaced"
    ROLLOUT_PAUSED = "RolloutPaused"
    PICTURES_SKIPPED = "PicturesSkipped"


#: What people have to look at; the others are of the normal course.
WARNINGS = frozenset(
    {
        EventReason.CAMERAS_FAULTY,
        EventReason.CAMERAS_LOST,
        EventReason.CAMERAS_REJECTED,
        EventReason.ROLLOUT_PAUSED,
        EventReason.PICTURES_SKIPPED,
    }
)

_SENTENCES = {
    EventReason.CAMERAS_FAULTY: "became faulty",
    EventReason.CAMERAS_LOST: "are not watched at the moment",
    EventReason.CAMERAS_RECOVERED: "work again",
    EventReason.CAMERAS_REJECTED: "cannot be used as they are declared",
    EventReason.CAMERAS_MOVED: "go to another worker",
    EventReason.WORKERS_CREATED: "were created",
    EventReason.WORKERS_DELETED: "were deleted",
    EventReason.WORKERS_REPLACED: "get a new pod",
}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to a camera or worker of a group, or to the group itself."""

    reason: EventReason
    subject: str  #: name of the camera or worker; empty: the group
    detail: str  #: by which occurrences are counted, for example a fault; or the whole text about a group


def occurrences(observed: Observed, plan: Plan, failed: Iterable[str] = ()) -> Iterator[Occurrence]:
    """What a plan makes happen.

    Args:
        observed: what it was made from.
        plan: as it was carried out.
        failed: workers whose writes did not succeed.
    """
    left_out = set(failed)
    known = {worker.name for worker in observed.workers if worker.stateful_set_fingerprint is not None}
    for write in plan.writes:
        if write.worker in left_out:
            continue
        if write.stateful_set is not None and write.worker not in known:
            yield Occurrence(EventReason.WORKERS_CREATED, write.worker, "")
        if write.replacements:
            yield Occurrence(EventReason.WORKERS_REPLACED, write.worker, "")
    for worker in plan.deletions:
        if worker in known and worker not in left_out:
            yield Occurrence(EventReason.WORKERS_DELETED, worker, "")
    for camera in observed.cameras if plan.camera_statuses else ():
        status = plan.camera_statuses.get(camera.key)
        if status is not None:
            yield from _of_camera(camera.name, camera.status, status)
    if observed.group is not None and plan.group_status is not None:
        yield from _of_group(observed.group.status, plan.group_status)


def _of_camera(name: str, before: CameraStatusView, after: CameraStatusView) -> Iterator[Occurrence]:
    is_another = (before.state, before.reason) != (after.state, after.reason)
    if after.state is CameraState.FAULTY and is_another:
        yield Occurrence(EventReason.CAMERAS_FAULTY, name, after.reason)
    elif after.state is CameraState.UNKNOWN and is_another:
        yield Occurrence(EventReason.CAMERAS_LOST, name, after.reason)
    elif after.state is CameraState.WORKING and before.state in {CameraState.FAULTY, CameraState.UNKNOWN}:
        yield Occurrence(EventReason.CAMERAS_RECOVERED, name, before.reason)
    why = _rejection(after)
    if why and why != _rejection(before):
        yield Occurrence(EventReason.CAMERAS_REJECTED, name, why)
    if before.worker and after.worker and before.worker != after.worker:
        yield Occurrence(EventReason.CAMERAS_MOVED, name, after.worker)


def _rejection(status: CameraStatusView) -> str:
    accepted = next((each for each in status.conditions if each.type == CameraCondition.ACCEPTED), None)
    return accepted.reason if accepted is not None and accepted.status is ConditionStatus.FALSE else ""


def _of_group(before: GroupStatusView, after: GroupStatusView) -> Iterator[Occurrence]:
    for kind, reason, told in (
        (GroupCondition.UP_TO_DATE, Reason.ROLLOUT_PAUSED, EventReason.ROLLOUT_PAUSED),
        (GroupCondition.PICTURES_CHECKED, Reason.DECODE_REDUCED, EventReason.PICTURES_SKIPPED),
    ):
        old = next((each.reason for each in before.conditions if each.type == kind), "")
        new = next((each for each in after.conditions if each.type == kind), None)
        if new is not None and new.reason == reason and old != reason:
            yield Occurrence(told, "", new.message)


def note(reason: EventReason, happened: Mapping[str, Sequence[str]]) -> str:
    """One line about all occurrences of a reason.

    Args:
        reason: what they have in common.
        happened: subjects by detail; at least one.
    """
    if reason not in _SENTENCES:
        return "; ".join(happened)[:MAX_NOTE_LENGTH]
    count = sum(len(subjects) for subjects in happened.values())
    kind = "worker" if reason.value.startswith("Workers") else "camera"
    opening = f"{count} {kind}{'' if count == 1 else 's'} {_in_number(_SENTENCES[reason], count)}"
    parts = [
        f"{detail} {len(subjects)} ({_names(subjects)})" if detail else _names(subjects)
        for detail, subjects in sorted(happened.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    text = f"{opening}: {', '.join(parts)}."
    return text if len(text) <= MAX_NOTE_LENGTH else f"{text[: MAX_NOTE_LENGTH - 1]}…"


def _in_number(sentence: str, count: int) -> str:
    if count != 1:
        return sentence
    singular = {"were": "was", "are": "is", "work": "works", "go": "goes", "get": "gets", "they": "it"}
    return " ".join(singular.get(word, word) for word in sentence.split())


def _names(subjects: Sequence[str]) -> str:
    shown = sorted(subjects)[:_SHOWN_NAMES]
    more = len(subjects) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
