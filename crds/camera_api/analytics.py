"""What the pictures are searched for: tasks that a category sets by default and a camera adjusts by name."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from camera_api.base import LIST_ATOMIC, LIST_SET, ApiModel, DnsLabel, list_map, rule, rules, says
from camera_api.quantities import Duration, duration_rule


class TaskType(StrEnum):
    """Kinds of events that analytics workers recognise."""

    INTRUSION = "Intrusion"
    LINE_CROSSING = "LineCrossing"
    STOPPED_VEHICLE = "StoppedVehicle"
    WRONG_WAY = "WrongWay"
    CROWDING = "Crowding"
    ENCROACHMENT = "Encroachment"
    LEAKAGE = "Leakage"


class Point(ApiModel):
    """A point of the picture, independent of its resolution."""

    # Not called x and y in manifests: YAML 1.1, which kubectl and helm read, takes a bare y as the boolean true.
    x: Annotated[float, Field(ge=0, le=1, alias="left")]
    """Distance from the left edge as a part of the width, 0 to 1."""
    y: Annotated[float, Field(ge=0, le=1, alias="top")]
    """Distance from the top edge as a part of the height, 0 to 1."""


class Zone(ApiModel):
    """An area of the picture, as a polygon."""

    name: DnsLabel
    """Name of the zone, used in events."""
    points: Annotated[list[Point], Field(min_length=3, max_length=32, json_schema_extra=LIST_ATOMIC)]
    """Corners of the polygon, in order around it (3 to 32)."""


class Line(ApiModel):
    """A directed line; crossing it from left to right, seen from start towards end, counts as forward."""

    start: Point
    """Where the line begins."""
    end: Point
    """Where the line ends."""


ObjectClass = Annotated[
    str,
    StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z][a-z ]*$"),
    Field(json_schema_extra=says("must be an object class in lower-case letters and spaces, such as person or car")),
]

_LINE_TYPES = "['LineCrossing', 'WrongWay']"
_SWITCHED_OFF = "(has(self.enabled) && !self.enabled)"
_LINE_HAS_USE = rule(
    f"!has(self.line) || !has(self.type) || self.type in {_LINE_TYPES}",
    "is for tasks of type LineCrossing and WrongWay only",
    field_path=".line",
)
_MIN_COUNT_HAS_USE = rule(
    "!has(self.minCount) || !has(self.type) || self.type == 'Crowding'",
    "is for tasks of type Crowding only",
    field_path=".minCount",
)


class TaskSettings(ApiModel):
    """Settings of a task; what is left out keeps the default."""

    enabled: bool | None = None
    """false switches the task off (default true)."""
    zones: Annotated[list[Zone] | None, Field(max_length=16, json_schema_extra=list_map("name"))] = None
    """Areas that the task looks at (default: the whole picture)."""
    line: Line | None = None
    """The line of LineCrossing and WrongWay."""
    classes: Annotated[list[ObjectClass] | None, Field(max_length=16, json_schema_extra=LIST_SET)] = None
    """Object classes that count, for example person, car (default: those that make sense for the task)."""
    min_duration: Annotated[Duration | None, Field(json_schema_extra=duration_rule("0s", "24h"))] = None
    """How long something must last before it is reported, for example 30s (0s to 24h)."""
    min_count: Annotated[int | None, Field(ge=1, le=1000)] = None
    """How many objects make a crowd, 1 to 1000 (Crowding only)."""


class TaskDefault(TaskSettings):
    """A task of every camera of a category."""

    # No rule wants a line here: where it runs is different for each camera.
    model_config = {
        "json_schema_extra": rules(
            _LINE_HAS_USE,
            _MIN_COUNT_HAS_USE,
            rule(
                "self.type != 'Crowding' || has(self.minCount)",
                "must be set for a task of type Crowding: how many objects make a crowd (1 to 1000)",
                field_path=".minCount",
            ),
        )
    }

    name: DnsLabel
    """Name of the task; a camera adjusts the task by this name."""
    type: TaskType
    """What is recognised."""


class TaskOverride(TaskSettings):
    """Adjusts the category's task of the same name for one camera, or adds a task."""

    model_config = {
        "json_schema_extra": rules(
            _LINE_HAS_USE,
            _MIN_COUNT_HAS_USE,
            rule(
                f"!has(self.type) || self.type != 'Crowding' || has(self.minCount) || {_SWITCHED_OFF}",
                "must be set for a further task of type Crowding: how many objects make a crowd (1 to 1000)",
                field_path=".minCount",
            ),
            rule(
                f"!has(self.type) || !(self.type in {_LINE_TYPES}) || has(self.line) || {_SWITCHED_OFF}",
                "must be set for a further task of type LineCrossing or WrongWay: the line with its start and end",
                field_path=".line",
            ),
        )
    }

    name: DnsLabel
    """Name of the category's task, or of a further one."""
    type: TaskType | None = None
    """What is recognised; required for a task that the category does not have."""
