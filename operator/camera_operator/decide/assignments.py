"""What a worker is told. What has not changed stays the very same object: that makes "nothing to do" cheap to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import SecretStr

from camera_api.analytics import TaskDefault
from camera_api.assignment import SCHEMA_VERSION, AssignedCamera, Assignment, Credentials, HealthThresholds, Role
from camera_api.base import ApiModel
from camera_api.camera import Lifecycle
from camera_api.category import CameraCategorySpec, DecodePolicy
from camera_api.quantities import parse_duration
from camera_operator.decide.model import CameraView, Observed, WorkerView
from camera_operator.decide.tasks import effective_tasks
from camera_operator.specs.names import parse_nudge


@dataclass(frozen=True, slots=True)
class Relay:
    """Where an analytics worker reads a camera."""

    url: str  #: packets route, by the name of the ingest worker's Service: it survives the worker's pods
    token: SecretStr  #: bearer token of the ingest worker


def relay(namespace: str, camera: str, worker: str, port: int, token: SecretStr) -> Relay:
    """The relay of a camera at an ingest worker."""
    return Relay(f"http://{worker}.{namespace}.svc:{port}/v1/cameras/{namespace}/{camera}/packets", token)


@dataclass(frozen=True)
class Terms:
    """What all cameras of a group share in workers of one role."""

    role: Role
    category: CameraCategorySpec
    maintenance: bool
    relays: Mapping[str, Relay] = field(default_factory=dict)  #: by camera name; analytics only

    @property
    def decode(self) -> DecodePolicy:
        """What ingest workers decode."""
        return self.category.ingest.decode

    @cached_property
    def health(self) -> HealthThresholds:
        """When a camera counts as faulty."""
        health = self.category.health
        relearn = health.relearn_view_after
        return HealthThresholds(
            offline_after_seconds=parse_duration(health.offline_after),
            min_frames_per_second_ratio=health.min_frames_per_second_ratio,
            disabled_faults=tuple(health.disabled_faults),
            relearn_view_after_seconds=parse_duration(relearn) if relearn is not None else None,
        )

    @cached_property
    def _default_tasks(self) -> tuple[TaskDefault, ...]:
        return effective_tasks(self.category.analytics.tasks, ())

    def tasks(self, camera: CameraView) -> tuple[TaskDefault, ...]:
        """What workers of the role are to search for in the camera's pictures."""
        if self.role is Role.INGEST:
            return ()
        if not camera.tasks:
            return self._default_tasks
        return effective_tasks(self.category.analytics.tasks, camera.tasks)

    def concerns(self, camera: CameraView) -> bool:
        """Whether workers of the role have to do with the camera at all."""
        return self.role is Role.INGEST or bool(self.tasks(camera))

    def can_start(self, camera: CameraView) -> bool:
        """Whether a camera can be given to a worker now: for analytics, an ingest worker must have it."""
        return self.role is Role.INGEST or camera.name in self.relays


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
    credentials, source = None, shared.relays.get(camera.name)
    if shared.role is Role.INGEST:
        found = observed.credentials.get(camera.credentials_secret) if camera.credentials_secret else None
        credentials = found if isinstance(found, Credentials) else None
    elif source is None and standing is not None:
        # Between two ingest workers: the address follows.
        source = Relay(standing.relay_url or "", standing.relay_token or SecretStr(""))
    maintenance = shared.maintenance or camera.lifecycle is Lifecycle.MAINTENANCE
    tasks = shared.tasks(camera)
    if (
        standing is not None
        and standing.uid == camera.uid
        and standing.maintenance is maintenance
        and standing.decode is shared.decode
        and standing.acknowledged_view == camera.acknowledged_view
        and _equal(standing.source, camera.source)
        and _equal(standing.credentials, credentials)
        and _equal(standing.health, shared.health)
        and standing.tasks == tasks
        and (source is None or (standing.relay_url, standing.relay_token) == (source.url, source.token))
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
        acknowledged_view=camera.acknowledged_view,
        tasks=tasks,
        relay_url=source.url if source is not None else None,
        relay_token=source.token if source is not None else None,
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
    epoch: int = 1,
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
        epoch: at least.
    """
    current = worker.assignment if worker is not None else None
    if current is not None:
        changes = {
            "category": category,
            "revision": current.revision + 1,
            "epoch": max(current.epoch, epoch),
            "cameras": tuple(cameras),
        }
        return current.model_copy(update=changes)
    return Assignment.model_construct(
        schema_version=SCHEMA_VERSION,
        worker=name,
        namespace=observed.namespace,
        role=role,
        group=observed.group_name,
        category=category,
        revision=1 if worker is None else _revision_after_loss(worker, observed),
        epoch=epoch,
        bearer_token=SecretStr(new_token),
        cameras=tuple(cameras),
    )


def _revision_after_loss(worker: WorkerView, observed: Observed) -> int:
    """A revision above all that the lost assignment can have had, or an old acknowledgement would pass for a new one.

    Revisions rise by one per write, so the seconds since 1970 are out of their reach.
    """
    nudged = (parse_nudge(pod.revision_annotation) for pod in worker.pods)
    known = [nudge[0] + 1 for nudge in nudged if nudge is not None]
    return max(int(observed.now.timestamp()), worker.acknowledged_revision + 1, *known)
