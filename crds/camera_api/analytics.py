"""What the pictures are searched for: tasks that a category sets by default and a camera adjusts by name."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from camera_api.base import LIST_ATOMIC, LIST_SET, ApiModel, DnsLabel, list_map
from camera_api.quantities import Duration


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

    x: Annotated[float, Field(ge=0, le=1)]
    """Distance from the left edge as a part of the width, 0 to 1."""
    y: Annotated[float, Field(ge=0, le=1)]
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


ObjectClass = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z][a-z ]*$")]


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
    min_duration: Duration | None = None
    """How long something must last before it is reported, for example 30s."""
    min_count: Annotated[int | None, Field(ge=1, le=1000)] = None
    """How many objects make a crowd (Crowding only)."""


class TaskDefault(TaskSettings):
    """A task of every camera of a category."""

    name: DnsLabel
    """Name of the task; a camera adjusts the task by this name."""
    type: TaskType
    """What is recognised."""


class TaskOverride(TaskSettings):
    """Adjusts the category's task of the same name for one camera, or adds a task."""

    name: DnsLabel
    """Name of the category's task, or of a further one."""
    type: TaskType | None = None
    """What is recognised; required for a task that the category does not have."""
