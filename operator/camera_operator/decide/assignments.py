"""What a worker is told. What has not changed stays the very same object: that makes "nothing to do" cheap to see."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from camera_api.assignment import SCHEMA_VERSION, AssignedCamera, Assignment, Credentials, HealthThresholds, Role
from camera_api.base import ApiModel
from camera_api.camera import Lifecycle
from camera_api.category import CameraCategorySpec, DecodePolicy
from camera_api.quantities import parse_duration
from camera_operator.decide.model import CameraView, Observed, WorkerView


@dataclass(frozen=True, slots=True)
class Terms:
    """What all cameras of a group share."""

    decode: DecodePolicy
    health: HealthThresholds
    maintenance: bool


def terms(category: CameraCategorySpec, *, maintenance: bool) -> Terms:
    """What the category and the group settle for each camera."""
    return Terms(
        decode=category.ingest.decode,
        health=HealthThresholds(
            offline_after_seconds=parse_duration(category.health.offline_after),
            min_frames_per_second_ratio=category.health.min_frames_per_second_ratio,
            disabled_faults=tuple(category.health.disabled_faults),
        ),
        maintenance=maintenance,
    )


def assigned_camera(
    camera: CameraView, observed: Observed, shared: Terms, standing: AssignedCamera | None = None
) -> AssignedCamera:
    """One camera as its worker needs it.

    Args:
        camera: must have been accepted.
        observed: for the credentials.
        shared: settings of its group.
        standing: what the worker was told before; returned itself if nothing differs.
    """
    if camera.source is None:
        raise ValueError(f"camera {camera.name} has no source and so cannot have been accepted")
    found = observed.credentials.get(camera.credentials_secret) if camera.credentials_secret else None
    credentials = found if isinstance(found, Credentials) else None
    maintenance = shared.maintenance or camera.lifecycle is Lifecycle.MAINTENANCE
    if (
        standing is not None
        and standing.uid == camera.uid
        and standing.maintenance is maintenance
        and standing.decode is shared.decode
        and _equal(standing.source, camera.source)
        and _equal(standing.credentials, credentials)
        and _equal(standing.health, shared.health)
    ):
        return standing
    # Not validated again: every part is, and a group may have thousands of cameras.
    return AssignedCamera.model_construct(
        namespace=camera.namespace,
        name=camera.name,
        uid=camera.uid,
        source=camera.source,
        credentials=credentials,
        decode=shared.decode,
        health=shared.health,
        maintenance=maintenance,
    )


def _equal(one: ApiModel | None, other: ApiModel | None) -> bool:
    """Whether two values of the same model are equal: pydantic's own ``==`` takes three times as long."""
    return one is other or (one is not None and other is not None and one.__dict__ == other.__dict__)


def next_assignment(
    *,
    name: str,
    role: Role,
    observed: Observed,
    category: str,
    worker: WorkerView | None,
    cameras: Sequence[AssignedCamera],
    new_token: str,
) -> Assignment:
    """The revision of a worker's assignment that follows on the present one.

    Args:
        name: of the worker.
        role: of the worker.
        observed: the group.
        category: name of the group's category.
        worker: what exists of it; None: nothing.
        cameras: all that it is to watch, sorted by name.
        new_token: bearer token if there is no present assignment.
    """
    current = worker.assignment if worker is not None else None
    if current is not None:
        changes = {"category": category, "revision": current.revision + 1, "cameras": tuple(cameras)}
        return current.model_copy(update=changes)
    return Assignment.model_construct(
        schema_version=SCHEMA_VERSION,
        worker=name,
        namespace=observed.namespace,
        role=role,
        group=observed.group_name,
        category=category,
        revision=1 if worker is None else _revision_after_loss(worker, observed),
        epoch=1,
        bearer_token=SecretStr(new_token),
        cameras=tuple(cameras),
    )


def _revision_after_loss(worker: WorkerView, observed: Observed) -> int:
    """A revision above all that the lost assignment can have had, or an old acknowledgement would pass for a new one.

    Revisions rise by one per write, so the seconds since 1970 are out of their reach.
    """
    nudged = (pod.revision_annotation for pod in worker.pods)
    known = [int(text) for text in nudged if text.isascii() and text.isdigit()]
    return max(int(observed.now.timestamp()), worker.acknowledged_revision + 1, *(number + 1 for number in known))
