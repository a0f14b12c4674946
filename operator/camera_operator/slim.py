"""Makes values small that are held once per camera of a fleet: what is equal becomes the same object. Pure.

A pydantic model has a dict and, as large again, the set of the fields that were given; 100,000 cameras have two
models each. The set only matters to ``exclude_unset``, which nobody uses: all values of a model share one. Strings that
appear in several places (a UID in the Camera, in the assignment and in the report) are interned.
"""

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar, cast

from camera_api.assignment import (
    AssignedCamera,
    AssignedSource,
    Assignment,
    Credentials,
    HealthThresholds,
    SourceKind,
)
from camera_api.base import ApiModel
from camera_api.camera import Transport
from camera_api.health import ActiveFault, CameraHealth, StreamFacts, Verdict
from camera_operator.decide.model import HealthView

Model = TypeVar("Model", bound=ApiModel)

_intern = sys.intern
_FIELDS: dict[type[ApiModel], set[str]] = {
    model: set(model.model_fields) for model in (AssignedCamera, AssignedSource, ActiveFault, StreamFacts)
}
#: Streams, faults and whole reports that differ: a fleet has few kinds of cameras and few ways to be out of order, and
#: many of its cameras come into the same state in the same second.
_STREAMS = 1024
_FAULTS = 4096
_HEALTH = 4096


def slim(value: Model, **changes: object) -> Model:
    """The same value with a shared set of fields.

    Args:
        value: of a model that is listed above.
        changes: fields that become equal, but other, objects.
    """
    model = type(value)
    return cast("Model", model.model_construct(_FIELDS[model], **{**value.__dict__, **changes}))


def assigned_source(
    kind: SourceKind, main_url: str, *, sub_url: str | None = None, transport: Transport = Transport.AUTO
) -> AssignedSource:
    """A camera's source, of parts that are validated already."""
    return AssignedSource.model_construct(
        _FIELDS[AssignedSource], kind=kind, main_url=_intern(main_url), sub_url=sub_url, transport=transport
    )


def slim_assignment(assignment: Assignment) -> Assignment:
    """An assignment whose cameras share what is equal among them: thresholds and credentials.

    Credentials are shared within an assignment only, so that they end with it.
    """
    shared: dict[HealthThresholds | tuple[str, str], HealthThresholds | Credentials] = {}
    cameras = []
    for camera in assignment.cameras:
        login = camera.credentials
        if login is not None:
            login = shared.setdefault((login.username, login.password.get_secret_value()), login)  # type: ignore[assignment]
        cameras.append(
            slim(
                camera,
                namespace=_intern(camera.namespace),
                name=_intern(camera.name),
                uid=_intern(camera.uid),
                source=slim(camera.source, main_url=_intern(camera.source.main_url)),
                credentials=login,
                health=shared.setdefault(camera.health, camera.health),
            )
        )
    return assignment.model_copy(update={"cameras": tuple(cameras)})


def share_assignment(
    assignment: Assignment,
    before: Assignment | None,
    source_of: Callable[[AssignedCamera], AssignedSource | None],
) -> Assignment:
    """The assignment, made of what is there already where that is equal.

    Args:
        assignment: slim.
        before: an earlier revision; None: there is none.
        source_of: the source that a camera is declared with; None: not known.
    """
    known = {camera.name: camera for camera in before.cameras} if before is not None else {}
    cameras = []
    for camera in assignment.cameras:
        old = known.get(camera.name)
        if old == camera:
            cameras.append(old)
            continue
        declared = source_of(camera)
        cameras.append(slim(camera, source=declared) if declared == camera.source else camera)
    return assignment.model_copy(update={"cameras": tuple(cameras)})


def slim_health(camera: CameraHealth) -> HealthView:
    """What a report says about a camera, without the camera's names."""
    return _health(camera.verdict, camera.since, camera.faults, camera.stream)


@lru_cache(_HEALTH)
def _health(verdict: Verdict, since: str, faults: tuple[ActiveFault, ...], stream: StreamFacts | None) -> HealthView:
    return HealthView(
        verdict=verdict,
        since=_intern(since),
        faults=tuple(map(_fault, faults)),
        stream=_stream(stream) if stream is not None else None,
    )


@lru_cache(_STREAMS)
def _stream(stream: StreamFacts) -> StreamFacts:
    return slim(stream)


@lru_cache(_FAULTS)
def _fault(fault: ActiveFault) -> ActiveFault:
    return slim(fault, since=_intern(fault.since))
