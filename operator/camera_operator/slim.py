"""Makes values small that are held once per camera of a fleet: what is equal becomes the same object. Pure.

A pydantic model has a dict and, as large again, the set of the fields that were given; 100,000 cameras have three
models each. The set only matters to ``exclude_unset``, which nobody uses: all values of a model share one. Strings that
appear in several places (a UID in the Camera, in the assignment and in the report) are interned.
"""

import sys
from functools import lru_cache
from typing import TypeVar, cast

from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, Credentials, HealthThresholds
from camera_api.base import ApiModel
from camera_api.health import ActiveFault, CameraHealth, StreamFacts

Model = TypeVar("Model", bound=ApiModel)

_intern = sys.intern
_FIELDS: dict[type[ApiModel], set[str]] = {
    model: set(model.model_fields) for model in (AssignedCamera, AssignedSource, CameraHealth, ActiveFault, StreamFacts)
}
#: Streams that differ, and faults that do: a fleet has few kinds of cameras and few ways to be out of order.
_STREAMS = 1024
_FAULTS = 4096


def slim(value: Model, **changes: object) -> Model:
    """The same value with a shared set of fields.

    Args:
        value: of a model that is listed above.
        changes: fields that become equal, but other, objects.
    """
    model = type(value)
    return cast("Model", model.model_construct(_FIELDS[model], **{**value.__dict__, **changes}))


def slim_source(source: AssignedSource) -> AssignedSource:
    """A camera's source."""
    return slim(source, main_url=_intern(source.main_url))


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
                source=slim_source(camera.source),
                credentials=login,
                health=shared.setdefault(camera.health, camera.health),
            )
        )
    return assignment.model_copy(update={"cameras": tuple(cameras)})


def slim_health(camera: CameraHealth) -> CameraHealth:
    """A camera's health."""
    return slim(
        camera,
        namespace=_intern(camera.namespace),
        name=_intern(camera.name),
        uid=_intern(camera.uid),
        since=_intern(camera.since),
        faults=tuple(map(_fault, camera.faults)),
        stream=_stream(camera.stream) if camera.stream is not None else None,
    )


@lru_cache(_STREAMS)
def _stream(stream: StreamFacts) -> StreamFacts:
    return slim(stream)


@lru_cache(_FAULTS)
def _fault(fault: ActiveFault) -> ActiveFault:
    return slim(fault, since=_intern(fault.since))
