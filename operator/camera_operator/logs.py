"""Log lines: one per change, as text for people or as JSON for collectors."""

import json
import logging
import sys
from datetime import UTC, datetime

#: Libraries that tell about every request or object; their warnings are enough.
_CHATTY = ("kopf", "aiohttp", "asyncio", "kubernetes", "client", "urllib3")


class TextFormatter(logging.Formatter):
    """``2030-01-31T12:00:00.000Z INFO message``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several with a traceback."""
        name = "" if record.name.startswith("camera_operator") else f"{record.name}: "
        text = f"{_time(record)} {record.levelname} {name}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ``time``, ``level``, ``logger``, ``message``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(level: str, style: str) -> None:
    """Sends log lines to standard error.

    Args:
        level: debug, info, warning or error; libraries stay at warning unless it is debug.
        style: text or json.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        # What these say at DEBUG is about every object and request; INFO is what helps.
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.WARNING)
    # One line per object and event, even at INFO.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
