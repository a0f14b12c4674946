"""The assignment: what one worker has to watch, as the operator writes it into the worker's Secret.

The Secrets are the record of placement: a restarted operator reads them and moves nothing.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_serializer

from camera_api.analytics import TaskDefault
from camera_api.base import ApiModel
from camera_api.camera import Transport
from camera_api.category import DecodePolicy
from camera_api.faults import Fault

SCHEMA_VERSION: Literal[1] = 1
#: Key of the Secret, and name of the file in the worker's pod.
ASSIGNMENT_KEY = "assignment.json"
#: Annotation of a Camera: each new value, such as a date, says that the camera's present view is meant to be so.
VIEW_ACKNOWLEDGED = "camera-operator.io/view-acknowledged"

_SHOWN_MISTAKES = 5


class Role(StrEnum):
    """What a worker does with its cameras."""

    INGEST = "ingest"
    ANALYTICS = "analytics"


class Credentials(ApiModel):
    """User name and password of a camera. The password shows in no repr."""

    username: str
    password: SecretStr

    @field_serializer("password", when_used="json")
    def _reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


class SourceKind(StrEnum):
    """Protocol of a camera's stream."""

    RTSP = "rtsp"
    HTTP = "http"


class AssignedSource(ApiModel):
    """Where a camera's streams are."""

    kind: SourceKind
    main_url: str
    sub_url: str | None = None
    transport: Transport = Transport.AUTO


class HealthThresholds(ApiModel):
    """When a camera counts as faulty."""

    offline_after_seconds: Annotated[float, Field(gt=0)] = 10.0
    min_frames_per_second_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    disabled_faults: tuple[Fault, ...] = ()
    relearn_view_after_seconds: Annotated[float, Field(gt=0)] | None = None
    """Time after which a moved camera's new view counts as the right one; None: only when somebody acknowledges it."""


class AssignedCamera(ApiModel):
    """One camera of an assignment. Two equal values need no action by the worker."""

    namespace: str
    name: str
    uid: str
    source: AssignedSource
    credentials: Credentials | None = None
    decode: DecodePolicy = DecodePolicy.EVERY_KEY_FRAME
    health: HealthThresholds = HealthThresholds()
    maintenance: bool = False
    """Planned work: watched as usual, but its time counts neither as up nor as down."""
    acknowledged_view: str | None = None
    """Value of the Camera's annotation ``VIEW_ACKNOWLEDGED``: with another one the present view is the right one."""
    tasks: tuple[TaskDefault, ...] = ()
    """Analytics workers only: what to search for."""
    relay_url: str | None = None
    """Analytics workers only: the ingest worker's packets route for this camera."""
    relay_token: SecretStr | None = None
    """Analytics workers only: the bearer token of that ingest worker."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @field_serializer("relay_token", when_used="json")
    def _reveal(self, token: SecretStr | None) -> str | None:
        return token.get_secret_value() if token is not None else None


class Assignment(ApiModel):
    """What one worker has to do."""

    schema_version: Literal[1] = SCHEMA_VERSION
    worker: str
    """Name of the worker: of its StatefulSet, Service and Secret."""
    namespace: str
    role: Role
    group: str
    category: str
    revision: Annotated[int, Field(ge=1)]
    """Rises by one with each change of content; the worker reports the revision it has taken over."""
    epoch: Annotated[int, Field(ge=1)] = 1
    """Rises when cameras are taken from a worker that may still run; consumers refuse an older epoch."""
    bearer_token: SecretStr
    """Every /v1 route of the worker wants it."""
    cameras: tuple[AssignedCamera, ...] = ()
    """Sorted by name."""

    @field_serializer("bearer_token", when_used="json")
    def _reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()

    def to_secret_text(self) -> str:
        """The JSON for the Secret, credentials included: for the Secret only, never for a log."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @classmethod
    def from_secret_text(cls, text: str | bytes) -> "Assignment":
        """Reads the Secret's JSON.

        Raises:
            ValueError: not an assignment of a schema version that this release reads. It names the fields and what
                kind of mistake each has, and quotes nothing of the input, which holds credentials.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_context=False, include_input=False)
        shown = [f"{'.'.join(map(str, mistake['loc'])) or 'text'}: {mistake['type']}" for mistake in mistakes]
        more = f" and {len(shown) - _SHOWN_MISTAKES} more" if len(shown) > _SHOWN_MISTAKES else ""
        # Raised outside of the handler: the context of an exception is logged along with it.
        raise ValueError(f"invalid assignment: {', '.join(shown[:_SHOWN_MISTAKES])}{more}")
