"""Camera: one device, where its stream is, and what is known about it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from camera_api.analytics import TaskOverride
from camera_api.base import ApiModel, Deadline, DnsLabel, ObjectName, ShortText, Timestamp, list_map, rule, rules
from camera_api.conditions import Condition
from camera_api.urls import credential_rules, url_rules

StreamUrl = Annotated[str, StringConstraints(max_length=512)]

_RTSP_URL = url_rules(("rtsp", "rtsps"), "rtsp://192.0.2.10:554/stream1")
_HTTP_URL = url_rules(("http", "https"), "http://192.0.2.10:8080/video.mjpg")
_SECRET_FIELD = "spec.credentialsSecretRef"  # noqa: S105 - the name of a field


class Transport(StrEnum):
    """How RTP packets travel."""

    AUTO = "Auto"
    TCP = "TCP"
    UDP = "UDP"


class RtspSource(ApiModel):
    """A camera that serves RTSP or RTSPS."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "self.transport != 'UDP' || !(self.url.startsWith('rtsps://') "
                "|| (has(self.subStreamUrl) && self.subStreamUrl.startsWith('rtsps://')))",
                "must be Auto or TCP for an rtsps:// URL: encrypted RTSP has no UDP transport",
                field_path=".transport",
            ),
            *credential_rules("url", _SECRET_FIELD),
            *credential_rules("subStreamUrl", _SECRET_FIELD),
        )
    }

    url: Annotated[StreamUrl, Field(json_schema_extra=_RTSP_URL)]
    """Main stream, for example rtsp://192.0.2.10:554/stream1 (rtsp:// or rtsps://), without user name and password:
    they come from the Secret in credentialsSecretRef. rtsps:// encrypts, but any certificate is accepted."""
    sub_stream_url: Annotated[StreamUrl | None, Field(json_schema_extra=_RTSP_URL)] = None
    """Smaller stream of the same picture, pulled only while someone needs it; same form as url."""
    transport: Transport = Transport.AUTO
    """Auto tries TCP first and then UDP; TCP or UDP use only that."""


class HttpSource(ApiModel):
    """A camera that serves Motion JPEG or MPEG-TS over HTTP."""

    model_config = {"json_schema_extra": rules(*credential_rules("url", _SECRET_FIELD))}

    url: Annotated[StreamUrl, Field(json_schema_extra=_HTTP_URL)]
    """Stream, for example http://192.0.2.10:8080/video.mjpg (http:// or https://), without user name and password:
    they come from the Secret in credentialsSecretRef. https:// encrypts, but any certificate is accepted."""


class Source(ApiModel):
    """Where the stream is: exactly one of rtsp and http."""

    model_config = {
        "json_schema_extra": rules(rule("has(self.rtsp) != has(self.http)", "must have exactly one of rtsp and http"))
    }

    rtsp: RtspSource | None = None
    """A camera that serves RTSP."""
    http: HttpSource | None = None
    """A camera that serves HTTP."""


class CredentialsSecretRef(ApiModel):
    """A Secret of the same namespace with the keys username and password (type kubernetes.io/basic-auth fits)."""

    name: ObjectName
    """Name of the Secret."""


class Location(ApiModel):
    """Where the camera stands."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "has(self.latitude) == has(self.longitude)",
                "must have both latitude and longitude, or neither of them",
            )
        )
    }

    site: ShortText = ""
    """Site whose cameras share an uplink, for example station-road-12."""
    address: Annotated[str, StringConstraints(max_length=256)] = ""
    """Address for people."""
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    """Degrees north, -90 to 90."""
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    """Degrees east, -180 to 180."""


class CameraAnalytics(ApiModel):
    """What this camera's pictures are searched for, beyond its category's tasks."""

    tasks: Annotated[list[TaskOverride], Field(max_length=16, json_schema_extra=list_map("name"))] = []
    """Adjustments of the category's tasks by name, and further tasks."""


class Consent(ApiModel):
    """Agreement of a private owner that the city watches the camera."""

    granted_by: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """Who agreed."""
    expires_at: Deadline
    """When the agreement ends, for example 2030-01-31T00:00:00Z; the camera is released then."""


class Lifecycle(StrEnum):
    """What the owner wants with the camera."""

    PLANNED = "Planned"
    ACTIVE = "Active"
    MAINTENANCE = "Maintenance"
    RETIRED = "Retired"


class CameraSpec(ApiModel):
    """One camera."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "!has(oldSelf.consent) || has(self.consent)",
                "cannot be removed once it is recorded; set lifecycle Retired or delete the Camera",
                field_path=".consent",
            )
        )
    }

    group: DnsLabel
    """Name of a CameraGroup of the same namespace."""
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    """Planned and Retired cameras are not watched; Maintenance time counts neither as up nor as down."""
    source: Source
    """Where the stream is: exactly one of rtsp and http."""
    credentials_secret_ref: CredentialsSecretRef | None = None
    """Secret with the user name and password of the camera."""
    location: Location = Location()
    """Where the camera stands."""
    analytics: CameraAnalytics = CameraAnalytics()
    """What the pictures are searched for."""
    consent: Consent | None = None
    """Agreement of the owner, for private cameras."""


class CameraState(StrEnum):
    """State of a camera in one word, derived from its conditions."""

    PLANNED = "Planned"
    PENDING = "Pending"
    WORKING = "Working"
    FAULTY = "Faulty"
    UNKNOWN = "Unknown"
    MAINTENANCE = "Maintenance"
    RETIRED = "Retired"


class CameraStatus(ApiModel):
    """What is known about a camera. Written only when something changes."""

    state: CameraState | None = None
    """State in one word."""
    reason: Annotated[str, StringConstraints(max_length=64)] = ""
    """Why the camera is in this state, for example ConnectionRefused."""
    since: Timestamp | None = None
    """Since when the camera is in this state for this reason."""
    category: Annotated[str, StringConstraints(max_length=63)] = ""
    """Category of the camera's group."""
    worker: Annotated[str, StringConstraints(max_length=63)] = ""
    """Ingest worker that watches the camera."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """metadata.generation that the status was worked out from."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))] = []
    """Accepted, Assigned, Reachable, Authenticated, Streaming, PictureHealthy and Ready (it is watched as declared);
    Stalled while only another declaration helps."""
