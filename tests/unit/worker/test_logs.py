"""Log lines."""

import json
import logging

from camera_worker.logs import JsonFormatter


def test_json_lines_hold_one_record_each() -> None:
    record = logging.LogRecord("camera_worker", logging.WARNING, "", 1, "camera %s:\nTimedOut", ("a",), None)
    record.created = 1_896_091_200.25

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2030-01-31T12:00:00.250+00:00",
        "level": "warning",
        "logger": "camera_worker",
        "message": "camera a:\nTimedOut",
    }
