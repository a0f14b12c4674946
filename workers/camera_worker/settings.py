"""Settings of the worker, from flags and environment. No credential is a setting: those come with the assignment."""

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from camera_worker.errors import SettingsError

_ENVIRONMENT = "CAMERA_WORKER_"
_CHOICES = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("text", "json")}
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Settings:
    """What the worker was started with."""

    assignment: Path = Path("/etc/camera-worker/assignment.json")
    """File with the assignment, as the operator's Secret is mounted."""
    bind: str = "0.0.0.0"  # noqa: S104 - a pod's address is its own
    """Address to listen on; all of the pod's by default."""
    port: int = 8080
    """TCP port of the HTTP API."""
    log_level: str = "info"
    """debug, info, warning or error. Info has one line for each camera that fails or recovers, none for its retries."""
    log_format: str = "text"
    """text for people, or json for log collectors: one line each."""
    memory: Path = Path(tempfile.gettempdir()) / "camera-worker"
    """Folder in which what is learned of the cameras' pictures outlives a restart, 8 MiB at most. In a pod, its memory
    will do."""
    simultaneous_opens: int = 8
    """Sessions that are set up at the same time with cameras of one subnet, at most (1 to 64): with more, cameras
    behind one uplink time out. Twice as many with all cameras. Hosts that do not answer take no place."""


def load_settings(arguments: list[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads flags, then the environment, then defaults.

    Raises:
        SettingsError: a value is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="camera-worker",
        description="Watches the cameras of an assignment: connection, stream and picture health.",
        epilog="Each flag can be set by the environment variable in brackets; the flag wins.",
    )
    texts = {
        "assignment": "file with the assignment",
        "bind": "address to listen on",
        "port": "TCP port of the HTTP API",
        "log_level": "debug, info, warning or error",
        "log_format": "text or json",
        "memory": "folder for what is learned of the pictures",
        "simultaneous_opens": "sessions set up at the same time in one subnet, at most",
    }
    defaults = Settings()
    for setting in fields(Settings):
        name = setting.name
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="VALUE",
            help=f"{texts[name]} [{_ENVIRONMENT}{name.upper()}] (default: {getattr(defaults, name)})",
        )
    options = vars(parser.parse_args(arguments))
    given = {
        name: value if value is not None else environment.get(f"{_ENVIRONMENT}{name.upper()}")
        for name, value in options.items()
    }
    text = {name: value for name, value in given.items() if value is not None}
    return Settings(
        assignment=Path(text.get("assignment", defaults.assignment)),
        bind=text.get("bind", defaults.bind),
        port=_number("port", text.get("port", str(defaults.port)), 0, _MAX_PORT),
        log_level=_choice("log_level", text.get("log_level", defaults.log_level)),
        log_format=_choice("log_format", text.get("log_format", defaults.log_format)),
        memory=Path(text.get("memory", defaults.memory)),
        simultaneous_opens=_number(
            "simultaneous-opens", text.get("simultaneous_opens", str(defaults.simultaneous_opens)), 1, 64
        ),
    )


def _choice(name: str, text: str) -> str:
    allowed = _CHOICES[name]
    if text.lower() not in allowed:
        raise SettingsError(f"{name.replace('_', '-')} must be one of {', '.join(allowed)}, not {text!r}")
    return text.lower()


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not text.isdigit() or not lowest <= int(text) <= highest:
        raise SettingsError(f"{name} must be a whole number from {lowest} to {highest}, not {text!r}")
    return int(text)
