"""What a worker is told: built anew at each pass, kept as it stands where nothing differs."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import SecretStr

from camera_api.assignment import AssignedCamera, Assignment, Credentials, HealthThresholds, Release, Role
from camera_api.camera import Lifecycle
from camera_api.category import CameraCategorySpec, DecodePolicy
from camera_api.quantities import parse_duration
from camera_operator.decide.model import CameraView, Observed, WorkerView
from camera_operator.decide.settings import PlanSettings


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


def assigned_camera(camera: CameraView, observed: Observed, shared: Terms) -> AssignedCamera:
    """One camera as its worker needs it. The camera must have been accepted."""
    assert camera.source is not None, "an accepted camera has a source"  # noqa: S101 - the caller's contract
    credentials = observed.credentials.get(camera.credentials_secret) if camera.credentials_secret else None
    # Not validated again: every part is, and a group may have thousands of cameras.
    return AssignedCamera.model_construct(
        namespace=camera.namespace,
        name=camera.name,
        uid=camera.uid,
        source=camera.source,
        credentials=credentials if isinstance(credentials, Credentials) else None,
        decode=shared.decode,
        health=shared.health,
        maintenance=shared.maintenance or camera.lifecycle is Lifecycle.MAINTENANCE,
    )


def next_assignment(
    *,
    name: str,
    role: Role,
    observed: Observed,
    worker: WorkerView | None,
    cameras: Iterable[AssignedCamera],
    settings: PlanSettings,
) -> Assignment:
    """The assignment of a worker: the very object that stands if nothing differs, else the next revision.

    Args:
        name: of the worker.
        role: of the worker.
        observed: the group.
        worker: what exists of it; None: nothing.
        cameras: all that it is to watch.
        settings: for the token of a new worker.
    """
    category = observed.group.spec.category if observed.group is not None else ""
    wanted = tuple(sorted(cameras, key=lambda camera: camera.name))
    current = worker.assignment if worker is not None else None
    if current is None or worker is None:
        return Assignment.model_construct(
            schema_version=1,
            worker=name,
            namespace=observed.namespace,
            role=role,
            group=observed.group_name,
            category=category,
            revision=1,
            epoch=1,
            bearer_token=SecretStr(settings.new_token()),
            cameras=wanted,
            releasing=(),
        )
    if current.cameras == wanted and current.category == category:
        return current
    revision = current.revision + 1
    staying = {camera.uid for camera in wanted}
    gone = (camera.uid for camera in current.cameras if camera.uid not in staying)
    still = (
        release
        for release in current.releasing
        if release.revision > worker.acknowledged_revision and release.uid not in staying
    )
    return current.model_copy(
        update={
            "category": category,
            "revision": revision,
            "cameras": wanted,
            "releasing": (*still, *(Release.model_construct(uid=uid, revision=revision) for uid in gone)),
        }
    )
