"""RFC 3339 times as the API server stores them: UTC, whole seconds."""

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """A moment for a status, cut down to whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time as an aware value; None: the text is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
