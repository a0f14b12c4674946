"""Flags, environment and defaults."""

import tempfile
from dataclasses import fields
from pathlib import Path

import pytest

from camera_worker.__main__ import main
from camera_worker.errors import SettingsError
from camera_worker.settings import Settings, load_settings


def test_defaults_are_those_of_a_pod() -> None:
    assert load_settings([], {}) == Settings(
        assignment=Path("/etc/camera-worker/assignment.json"),
        bind="0.0.0.0",
        port=8080,
        log_level="info",
        log_format="text",
        memory=Path(tempfile.gettempdir()) / "camera-worker",
        simultaneous_opens=8,
    )


def test_the_environment_overrides_defaults_and_flags_the_environment() -> None:
    environment = {"CAMERA_WORKER_PORT": "9000", "CAMERA_WORKER_LOG_LEVEL": "DEBUG"}

    settings = load_settings(["--port", "9001"], environment)

    assert (settings.port, settings.log_level) == (9001, "debug")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "http"], "port must be a whole number from 0 to 65535, not 'http'"),
        (["--port", "65536"], "port must be"),
        (["--simultaneous-opens", "0"], "simultaneous-opens must be a whole number from 1 to 64"),
        (["--log-level", "loud"], "log-level must be one of debug, info, warning, error, not 'loud'"),
        (["--log-format", "xml"], "log-format must be one of text, json"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(arguments: list[str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(arguments, {})


def test_wrong_usage_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "http"]) == 2
    assert capsys.readouterr().err.startswith("camera-worker: port must be")


def test_help_names_every_setting_and_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--help"], {})

    text = capsys.readouterr().out
    for setting in fields(Settings):
        assert f"--{setting.name.replace('_', '-')}" in text
        assert f"CAMERA_WORKER_{setting.name.upper()}" in text
