"""CameraGroup: cameras of one category that one department owns; the unit that gets workers."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from camera_api.analytics import TaskType
from camera_api.base import LIST_SET, ApiModel, Deadline, DnsLabel, ObjectName, ShortText, list_map, rule, rules, says
from camera_api.conditions import Condition
from camera_api.urls import credential_rules, url_rules

#: A worker is named ``<group>-analytics-<ordinal>``. It is a StatefulSet, whose name and a hash are the value of a
#: label of its pod, so that it may have at most 52 characters; and a Service, whose name starts with a letter.
MAX_GROUP_NAME_LENGTH = 38

_SECRET_FIELD = "secretRef of the same sink"  # noqa: S105 - the name of a field
SinkUrl = Annotated[str, StringConstraints(max_length=512)]


class FailoverPolicy(StrEnum):
    """What happens to the cameras of a worker that is lost."""

    STRICT = "Strict"
    FAST = "Fast"


class Department(ApiModel):
    """Who owns the cameras of a group."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """Name of the department."""


class SecretRef(ApiModel):
    """A Secret of the same namespace."""

    name: ObjectName
    """Name of the Secret."""


class HttpSink(ApiModel):
    """Delivery of events by HTTP, as CloudEvents."""

    model_config = {"json_schema_extra": rules(*credential_rules("url", _SECRET_FIELD))}

    url: Annotated[
        SinkUrl,
        Field(json_schema_extra=url_rules(("http", "https"), "https://events.example.org/cameras")),
    ]
    """Where events are posted, for example https://events.example.org/cameras (http:// or https://)."""
    secret_ref: SecretRef | None = None
    """Secret with the key token (bearer token), or username and password."""


class MqttSink(ApiModel):
    """Delivery of events by MQTT, as CloudEvents."""

    model_config = {"json_schema_extra": rules(*credential_rules("url", _SECRET_FIELD))}

    url: Annotated[
        SinkUrl,
        Field(json_schema_extra=url_rules(("mqtt", "mqtts"), "mqtts://broker.example.org:8883")),
    ]
    """Broker, for example mqtts://broker.example.org:8883 (mqtt:// or mqtts://)."""
    topic: Annotated[
        str,
        StringConstraints(min_length=1, max_length=256, pattern=r"^[^#+]+$"),
        Field(
            json_schema_extra=says("must be a topic to publish to: 1 to 256 characters without the wildcards # and +")
        ),
    ]
    """Topic that events are published to; no wildcards."""
    secret_ref: SecretRef | None = None
    """Secret with the keys username and password."""


class EventSink(ApiModel):
    """Where a department receives events."""

    model_config = {
        "json_schema_extra": rules(rule("has(self.http) != has(self.mqtt)", "must have exactly one of http and mqtt"))
    }

    name: DnsLabel
    """Name of the sink."""
    http: HttpSink | None = None
    """Delivery by HTTP."""
    mqtt: MqttSink | None = None
    """Delivery by MQTT."""
    types: Annotated[list[TaskType], Field(max_length=len(TaskType), json_schema_extra=LIST_SET)] = []
    """Kinds of events that are delivered; empty means all."""


class GroupMaintenance(ApiModel):
    """Planned work on all cameras of a group; its time counts neither as up nor as down."""

    until: Deadline
    """When the work ends, for example 2030-01-31T18:00:00Z."""
    note: ShortText = ""
    """What is being done."""


class CameraGroupSpec(ApiModel):
    """Cameras of one category that one department owns."""

    category: Annotated[
        DnsLabel,
        Field(
            json_schema_extra=rules(
                rule("self == oldSelf", "is immutable; create a new CameraGroup for another category")
            )
        ),
    ]
    """Name of the CameraCategory; cannot be changed."""
    department: Department | None = None
    """Who owns the cameras."""
    event_sinks: Annotated[list[EventSink], Field(max_length=8, json_schema_extra=list_map("name"))] = []
    """Where events are delivered."""
    failover: FailoverPolicy = FailoverPolicy.STRICT
    """Strict moves a lost worker's cameras once its pod is surely gone, Fast after a time-out."""
    min_workers: Annotated[int, Field(ge=0, le=200)] = 0
    """Ingest workers at least, whatever the number of cameras, 0 to 200 (kubectl scale sets this)."""
    maintenance: GroupMaintenance | None = None
    """Planned work on all cameras of the group."""
    paused: bool = False
    """true leaves workers and cameras as they are until it is false again."""
    canary: bool = False
    """true gives a new worker image to this group first; the others get it once the cameras here have come back."""


Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


class GroupCameraCounts(ApiModel):
    """Cameras of the group by state."""

    declared: Count = 0
    """All cameras that name the group."""
    planned: Count = 0
    """Not yet installed."""
    pending: Count = 0
    """Not accepted, or not yet seen by a worker."""
    working: Count = 0
    """Deliver a usable picture."""
    faulty: Count = 0
    """Have a fault."""
    unknown: Count = 0
    """Not watched at the moment."""
    maintenance: Count = 0
    """Under planned work."""
    retired: Count = 0
    """Taken out of service."""


class GroupWorkerCounts(ApiModel):
    """Workers of the group by role."""

    ingest: Count = 0
    """Ingest workers."""
    analytics: Count = 0
    """Analytics workers."""
    ready: Count = 0
    """Workers of both roles that are ready."""


class CameraGroupStatus(ApiModel):
    """State of a group."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """metadata.generation that the status was worked out from."""
    category: Annotated[str, StringConstraints(max_length=63)] = ""
    """Category of the group."""
    cameras: GroupCameraCounts = GroupCameraCounts()
    """Cameras by state."""
    faults: Annotated[dict[Annotated[str, StringConstraints(max_length=64)], Count], Field(max_length=64)] = {}
    """Faulty cameras by reason."""
    workers: GroupWorkerCounts = GroupWorkerCounts()
    """Workers by role."""
    worker_image: Annotated[str, StringConstraints(max_length=512)] = ""
    """Image that all workers run, with their cameras back."""
    selector: Annotated[str, StringConstraints(max_length=256)] = ""
    """Label selector of the ingest workers' pods, for the scale subresource."""
    conditions: Annotated[list[Condition], Field(max_length=8, json_schema_extra=list_map("type"))] = []
    """Accepted, WorkersReady, UpToDate, PicturesChecked and Ready; Stalled while only another declaration helps."""
