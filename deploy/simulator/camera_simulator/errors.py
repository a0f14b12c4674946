"""What can go wrong, by who can put it right.

SimulatorError
├── ConfigError      the caller named something that is wrong: which field, and what is allowed
│   └── UnknownCameraError
└── FootageError     the clips cannot be made or read: a missing package, a failed encoder
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Base class; its text is meant for the user and never holds a password."""


class ConfigError(SimulatorError):
    """A configuration or request is wrong; the text starts with the name of the field."""


class UnknownCameraError(ConfigError):
    """No camera of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"name: there is no camera {name!r}")


class FootageError(SimulatorError):
    """A clip cannot be encoded or read."""
