"""Planned work on a whole group."""

from datetime import datetime

from camera_operator.decide.model import GroupView
from camera_operator.decide.times import parse_time


def maintenance_end(group: GroupView) -> datetime | None:
    """When the planned work ends, or ended; None: there is none."""
    maintenance = group.spec.maintenance
    return parse_time(maintenance.until) if maintenance is not None else None


def group_maintenance(group: GroupView, now: datetime) -> str | None:
    """The note of planned work that is going on, perhaps empty; None: there is none."""
    end = maintenance_end(group)
    if group.spec.maintenance is None or end is None or end <= now:
        return None
    return group.spec.maintenance.note
