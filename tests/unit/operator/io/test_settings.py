import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from camera_operator import settings as settings_module
from camera_operator.errors import SettingsError
from camera_operator.settings import Settings, add_flags, load_settings

IMAGE = {"CAMERA_OPERATOR_WORKER_IMAGE": "registry.example/worker:1"}


def parse(*flags: str, environment: dict[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return load_settings(parser.parse_args(flags), IMAGE if environment is None else environment)


def test_only_the_image_is_required() -> None:
    settings = parse()
    assert settings.worker_image == "registry.example/worker:1"
    assert settings.watch_namespaces == ()
    assert settings.lease_name == "camera-operator"
    with pytest.raises(SettingsError, match=r"--worker-image \(CAMERA_OPERATOR_WORKER_IMAGE\) is required"):
        parse(environment={})


def test_the_flag_wins_over_the_environment() -> None:
    environment = {**IMAGE, "CAMERA_OPERATOR_HTTP_PORT": "9000"}
    assert parse(environment=environment).http_port == 9000
    assert parse("--http-port", "9001", environment=environment).http_port == 9001


def test_an_empty_variable_is_an_absent_one() -> None:
    settings = parse(environment={**IMAGE, "CAMERA_OPERATOR_LOG_LEVEL": "", "CAMERA_OPERATOR_WATCH_NAMESPACES": ""})
    assert settings.log_level == "info"
    assert settings.watch_namespaces == ()


def test_lists_are_separated_by_commas() -> None:
    assert parse("--watch-namespaces", "city, port,").watch_namespaces == ("city", "port")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("HTTP_PORT", "65536", "'65536' is not a whole number from 0 to 65535"),
        ("RECONCILE_CONCURRENCY", "0", "'0' is not a whole number from 1 to 64"),
        ("LOG_FORMAT", "xml", "'xml' is not one of text, json"),
        ("WORKER_IMAGE_PULL_POLICY", "Sometimes", "'Sometimes' is not one of Always, IfNotPresent, Never"),
        ("WATCH_NAMESPACES", "City", "'City' is not a name: lower-case letters, digits and '-', at most 63"),
    ],
)
def test_a_wrong_value_is_named_with_flag_and_variable(variable: str, value: str, complaint: str) -> None:
    flag = "--" + variable.lower().replace("_", "-")
    with pytest.raises(SettingsError) as raised:
        parse(environment={**IMAGE, f"CAMERA_OPERATOR_{variable}": value})
    assert str(raised.value) == f"{flag} (CAMERA_OPERATOR_{variable}): {complaint}"


def test_the_help_names_every_variable() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    text = parser.format_help()
    for item in fields(Settings):
        assert f"CAMERA_OPERATOR_{item.name.upper()}" in text


def test_the_namespace_is_the_pod_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "namespace"
    own.write_text("camera-system\n")
    monkeypatch.setattr(settings_module, "NAMESPACE_FILE", own)
    assert parse().namespace == "camera-system"
    assert parse("--namespace", "other").namespace == "other"


def test_two_processes_never_have_the_same_identity() -> None:
    assert parse().pod_name != parse().pod_name
