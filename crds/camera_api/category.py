"""CameraCategory: how big workers are and what health means, for all cameras of one kind."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from camera_api.analytics import TaskDefault
from camera_api.base import LIST_ATOMIC, LIST_SET, ApiModel, ObjectName, ShortText, list_map, rule, rules
from camera_api.faults import OPTIONAL_FAULTS, Fault
from camera_api.quantities import CpuQuantity, Duration, MemoryQuantity, duration_rule


class DecodePolicy(StrEnum):
    """How much of a stream ingest workers decode; picture faults need decoded pictures."""

    EVERY_KEY_FRAME = "EveryKeyFrame"
    KEY_FRAME_EVERY_10S = "KeyFrameEvery10s"
    NONE = "None"


class IngestPerCamera(ApiModel):
    """What one camera costs in an ingest worker."""

    cpu: CpuQuantity = "20m"
    """CPU of one camera in cores, for example 20m (measured: 11m for 1080p25 H.264, every key frame decoded)."""
    memory: MemoryQuantity = "16Mi"
    """Memory of one camera, for example 16Mi."""


class IngestOverhead(ApiModel):
    """What an ingest worker costs before its first camera."""

    cpu: CpuQuantity = "50m"
    """CPU of an empty worker in cores, for example 50m."""
    memory: MemoryQuantity = "128Mi"
    """Memory of an empty worker, for example 128Mi."""


class AnalyticsPerCamera(ApiModel):
    """What one camera costs in an analytics worker."""

    cpu: CpuQuantity = "100m"
    """CPU of one camera in cores, for example 100m."""
    memory: MemoryQuantity = "48Mi"
    """Memory of one camera, for example 48Mi."""


class AnalyticsOverhead(ApiModel):
    """What an analytics worker costs before its first camera."""

    cpu: CpuQuantity = "100m"
    """CPU of an empty worker in cores, for example 100m."""
    memory: MemoryQuantity = "256Mi"
    """Memory of an empty worker, for example 256Mi."""


class IngestSettings(ApiModel):
    """Sizing of the workers that watch the cameras."""

    max_cameras_per_worker: Annotated[int, Field(ge=1, le=200)] = 50
    """Cameras in one ingest worker at most (1 to 200)."""
    per_camera: IngestPerCamera = IngestPerCamera()
    """What one camera adds to a worker's requests."""
    overhead: IngestOverhead = IngestOverhead()
    """What a worker requests without cameras."""
    decode: DecodePolicy = DecodePolicy.EVERY_KEY_FRAME
    """Which frames are decoded to check the picture."""


class AnalyticsSettings(ApiModel):
    """Sizing and tasks of the workers that search the pictures."""

    max_cameras_per_worker: Annotated[int, Field(ge=1, le=100)] = 8
    """Cameras in one analytics worker at most (1 to 100)."""
    per_camera: AnalyticsPerCamera = AnalyticsPerCamera()
    """What one camera adds to a worker's requests."""
    overhead: AnalyticsOverhead = AnalyticsOverhead()
    """What a worker requests without cameras."""
    frames_per_second: Annotated[int, Field(ge=1, le=30)] = 5
    """Pictures looked at per camera and second (1 to 30)."""
    tasks: Annotated[list[TaskDefault], Field(max_length=16, json_schema_extra=list_map("name"))] = []
    """Tasks of every camera of the category; none by default, so no analytics worker runs."""


class HealthSettings(ApiModel):
    """When a camera counts as faulty."""

    offline_after: Annotated[Duration, Field(json_schema_extra=duration_rule("1s", "1h"))] = "10s"
    """How long a camera may deliver nothing before it counts as faulty, for example 10s (1s to 1h)."""
    min_frames_per_second_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Part of the camera's usual frame rate below which it has the fault LowFrameRate (0 to 1)."""
    relearn_view_after: Annotated[Duration | None, Field(json_schema_extra=duration_rule("1m", "720h"))] = None
    """Time after which a moved camera's new view counts as the right one, for example 24h (1m to 720h); by default
    only when the Camera's annotation camera-operator.io/view-acknowledged is set to a new value, such as a date."""
    disabled_faults: Annotated[
        list[Fault],
        Field(
            max_length=len(OPTIONAL_FAULTS),
            json_schema_extra={
                **LIST_SET,
                "items": {"type": "string", "enum": [str(fault) for fault in OPTIONAL_FAULTS]},
            },
        ),
    ] = []
    """Measured faults that do not matter for this category, for example Moved for turning cameras."""


_LABEL_KEY_TEXT = "letters, digits, '-', '_' and '.', optionally after a DNS name and '/', such as example.org/zone"
_LABEL_VALUE_TEXT = "at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
_LABEL_KEY = rules(
    rule("!format.qualifiedName().validate(self).hasValue()", f"must be the name of a label: {_LABEL_KEY_TEXT}")
)
_LABEL_KEY_OR_EMPTY = rules(
    rule(
        "self == '' || !format.qualifiedName().validate(self).hasValue()",
        f"must be empty or the name of a taint: {_LABEL_KEY_TEXT}",
    )
)
_LABEL_VALUE = rules(
    rule("!format.labelValue().validate(self).hasValue()", f"must be the value of a taint: {_LABEL_VALUE_TEXT}")
)


class TolerationOperator(StrEnum):
    """How a toleration compares with a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """A toleration, as in a pod's specification."""

    # The API server's own rules of a pod: what breaks them here would break the workers' StatefulSets later.
    model_config = {
        "json_schema_extra": rules(
            rule(
                "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
                "must be Exists when key is empty",
                field_path=".operator",
            ),
            rule(
                "!has(self.value) || self.value == '' || !has(self.operator) || self.operator == 'Equal'",
                "must be empty when operator is Exists",
                field_path=".value",
            ),
            rule(
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "must be NoExecute when tolerationSeconds is set",
                field_path=".effect",
            ),
        )
    }

    key: Annotated[str | None, StringConstraints(max_length=316), Field(json_schema_extra=_LABEL_KEY_OR_EMPTY)] = None
    """Taint key; empty tolerates every key (operator Exists)."""
    operator: TolerationOperator | None = None
    """Exists or Equal (default Equal)."""
    value: Annotated[str | None, StringConstraints(max_length=63), Field(json_schema_extra=_LABEL_VALUE)] = None
    """Taint value for Equal."""
    effect: TaintEffect | None = None
    """Taint effect; empty tolerates all effects."""
    toleration_seconds: Annotated[int | None, Field(ge=0, le=31_536_000)] = None
    """How long a NoExecute taint is tolerated, in seconds (at most a year)."""


class WhenUnsatisfiable(StrEnum):
    """What the scheduler does when a spread cannot be had."""

    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class TopologySpread(ApiModel):
    """Spread of a group's workers over a topology, for example nodes or zones."""

    topology_key: Annotated[str, StringConstraints(max_length=316), Field(json_schema_extra=_LABEL_KEY)]
    """Node label whose values are the places, for example topology.kubernetes.io/zone."""
    max_skew: Annotated[int, Field(ge=1, le=100)] = 1
    """Largest difference between the numbers of workers of two places (1 to 100)."""
    when_unsatisfiable: WhenUnsatisfiable = WhenUnsatisfiable.SCHEDULE_ANYWAY
    """Whether the spread is wanted (ScheduleAnyway) or required (DoNotSchedule)."""


class Scheduling(ApiModel):
    """Where workers may run."""

    node_selector: Annotated[
        dict[
            Annotated[str, StringConstraints(max_length=316)],
            Annotated[str, StringConstraints(max_length=63)],
        ],
        Field(
            max_length=16,
            json_schema_extra=rules(
                rule(
                    "self.all(key, !format.qualifiedName().validate(key).hasValue())",
                    f"must have label names as keys: {_LABEL_KEY_TEXT}",
                ),
                rule(
                    "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
                    f"must have label values as values: {_LABEL_VALUE_TEXT}",
                ),
            ),
        ),
    ] = {}
    """Labels that a node must have (at most 16)."""
    tolerations: Annotated[list[Toleration], Field(max_length=16, json_schema_extra=LIST_ATOMIC)] = []
    """Taints that workers tolerate."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the workers."""
    topology_spread: Annotated[
        list[TopologySpread], Field(max_length=4, json_schema_extra=list_map("topologyKey"))
    ] = []
    """How a group's workers spread over nodes and zones (default: over nodes, where possible)."""


class CameraCategorySpec(ApiModel):
    """What a category settles for its cameras. Every field has a default, so an empty spec works."""

    display_name: ShortText = ""
    """Name for people, for example Petrol pumps."""
    ingest: IngestSettings = IngestSettings()
    """Workers that watch the cameras."""
    analytics: AnalyticsSettings = AnalyticsSettings()
    """Workers that search the pictures for events."""
    health: HealthSettings = HealthSettings()
    """When a camera counts as faulty."""
    uptime_target: Annotated[float, Field(ge=0, le=100)] = 95
    """Percentage of time that cameras of this category should work (0 to 100)."""
    scheduling: Scheduling = Scheduling()
    """Where workers may run."""
