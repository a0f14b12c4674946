"""Cameras are read from JSON with errors that name the field, and no password leaves."""

import json
from pathlib import Path
from typing import Any

import pytest

from camera_simulator.config import parse_camera, read_config
from camera_simulator.errors import ConfigError
from camera_simulator.faults import parse_fault


def test_a_name_is_all_a_camera_needs() -> None:
    camera = parse_camera({"name": "gate"})

    assert (camera.clip.name, camera.sub_clip.name) == ("h264-720p", "h264-360p")
    assert (camera.auth, camera.username, camera.password, camera.port) == ("none", "", "", None)
    assert camera.fault.name == "none"


@pytest.mark.parametrize(("codec", "clip"), [("h264", "h264-720p"), ("h265", "h265-720p"), ("mjpeg", "mjpeg-480p")])
def test_codec_alone_chooses_a_clip(codec: str, clip: str) -> None:
    assert parse_camera({"name": "gate", "codec": codec}).clip.name == clip


def test_user_name_alone_means_digest() -> None:
    assert parse_camera({"name": "gate", "username": "viewer", "password": "p"}).auth == "digest"


def test_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")
    account = {"name": "gate", "username": "viewer"}

    assert parse_camera({**account, "passwordFile": str(file)}).password == "from file"
    assert parse_camera({**account, "passwordEnv": "CAMERA"}, environment={"CAMERA": "secret"}).password == "secret"


def test_password_is_not_in_the_text_of_a_camera() -> None:
    camera = parse_camera({"name": "gate", "username": "viewer", "password": "hunter2"})

    assert "hunter2" not in repr(camera)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Gate"}, r"^name: 'Gate' is no camera name; allowed are up to 63"),
        ({"name": None}, r"^name: None is no camera name"),
        ({"name": "a/b"}, r"^name: 'a/b'"),
        ({"colour": "red"}, r"^colour: unknown field; allowed are name, protocol, port"),
        ({"clip": "h264-8k"}, r"^clip: 'h264-8k' is no clip; allowed are h264-1080p"),
        ({"subClip": 3}, r"^subClip: 3 is no clip"),
        ({"codec": "av1"}, r"^codec: 'av1' is unknown; allowed are h264, h265, mjpeg"),
        ({"codec": "h265", "clip": "h264-720p"}, r"^codec: clip h264-720p is h264, not h265"),
        ({"port": 0}, r"^port: 0 is no TCP port"),
        ({"port": "8554"}, r"^port: '8554' is no TCP port"),
        ({"port": True}, r"^port: True is no TCP port"),
        ({"protocol": "rtmp"}, r"^protocol: 'rtmp' is unknown; allowed are rtsp, rtsps, http"),
        ({"auth": "ntlm"}, r"^auth: 'ntlm' is unknown; allowed are none, basic, digest"),
        ({"auth": "digest"}, r"^username: digest authentication needs one"),
        ({"auth": "basic", "username": "a:b", "password": "p"}, r"^username: a colon"),
        ({"username": "viewer"}, r"^password: digest authentication needs password, passwordFile or passwordEnv"),
        ({"username": "viewer", "password": ""}, r"^password: the password is empty"),
        ({"username": "viewer", "password": "a", "passwordEnv": "B"}, r"^passwordEnv: password is given as well"),
        ({"username": "viewer", "passwordEnv": "B"}, r"^passwordEnv: the environment has no variable B"),
        ({"username": "viewer", "passwordFile": "/nonexistent"}, r"^passwordFile: /nonexistent: No such file"),
        ({"auth": "none", "username": "viewer"}, r"^auth: none, yet"),
        ({"fault": "broken"}, r"^fault: 'broken' is no fault"),
    ],
)
def test_error_names_the_field_and_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_camera({"name": "gate", **fields}, environment={})


def test_name_of_a_request_must_be_the_same_in_path_and_body() -> None:
    assert parse_camera({}, name="gate").name == "gate"
    with pytest.raises(ConfigError, match=r"^name: 'door' differs from the request's path, 'gate'"):
        parse_camera({"name": "door"}, name="gate")


def written(folder: Path, body: Any) -> Path:
    file = folder / "cameras.json"
    file.write_text(body if isinstance(body, str) else json.dumps(body))
    return file


@pytest.mark.parametrize("wrapped", [False, True])
def test_file_is_a_list_of_cameras_or_an_object_with_one(tmp_path: Path, *, wrapped: bool) -> None:
    cameras = [{"name": "gate", "port": 9001, "fault": "stall"}, {"name": "door"}]

    read = read_config(written(tmp_path, {"cameras": cameras} if wrapped else cameras))

    assert [(camera.name, camera.port) for camera in read] == [("gate", 9001), ("door", None)]
    assert read[0].fault == parse_fault("stall")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[", r"cameras\.json: not JSON: "),
        ({"camera": []}, r"cameras\.json: expected a list of cameras"),
        ([{"name": "gate"}, {"name": "door", "port": -1}], r"cameras\.json: cameras\[1\]\.port: -1 is no TCP port"),
        ([{"name": "gate"}, {"name": "gate"}], r"name: two cameras are called 'gate'"),
        ([{"name": "a", "port": 9001}, {"name": "b", "port": 9001}], r"port: b and a both want port 9001"),
    ],
)
def test_error_in_a_file_names_the_file_and_the_camera(tmp_path: Path, body: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(written(tmp_path, body))


def test_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^/nonexistent\.json: No such file"):
        read_config(Path("/nonexistent.json"))
