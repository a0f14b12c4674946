"""Cameras as they are declared: a JSON file, or the body of an API request, read with errors that name the field."""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from camera_simulator.bitstream import Codec
from camera_simulator.errors import ConfigError
from camera_simulator.faults import NO_FAULT, Fault, parse_fault
from camera_simulator.footage import CLIPS, ClipSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A DNS label: a camera's name is also a Kubernetes object's.
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_AUTHENTICATIONS: Final = ("none", "basic", "digest")
_PROTOCOLS: Final = ("rtsp", "rtsps", "http")
_FIELDS: Final = (
    *("name", "protocol", "port", "clip", "codec", "subClip", "auth", "username"),
    *("password", "passwordFile", "passwordEnv", "fault"),
)
#: What `codec` alone stands for.
_MAIN_CLIPS: Final = {Codec.H264: "h264-720p", Codec.H265: "h265-720p", Codec.MJPEG: "mjpeg-480p"}
_SUB_CLIP: Final = "h264-360p"
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """One camera as declared."""

    name: str
    clip: ClipSpec = CLIPS["h264-720p"]
    sub_clip: ClipSpec = CLIPS[_SUB_CLIP]
    #: `rtsp`, `rtsps` (RTSP over TLS) or `http` (Motion JPEG, or H.264 and H.265 as MPEG transport stream).
    protocol: str = "rtsp"
    #: `none`, `basic` or `digest`.
    auth: str = "none"
    username: str = ""
    password: str = field(default="", repr=False)
    #: TCP port of this camera; `None`: the next free one.
    port: int | None = None
    fault: Fault = NO_FAULT

    @property
    def scene_phase(self) -> float:
        """Seconds the scene is ahead: cameras with the same clip show different moments, the same ones in every run."""
        return float(zlib.crc32(self.name.encode()) % 3600)

    @property
    def realm(self) -> str:
        """What the account is of, as cameras name it."""
        return f"IP Camera({zlib.crc32(self.name.encode()):08X})"


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> list[CameraConfig]:
    """Read a file holding a list of cameras, or an object with such a list as `cameras`.

    Raises:
        ConfigError: the file cannot be read, or names what is wrong in it.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    items = body.get("cameras") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise ConfigError(f'{path}: expected a list of cameras, or {{"cameras": [...]}}')
    cameras = []
    for index, item in enumerate(items):
        try:
            cameras.append(parse_camera(item, environment=environment))
        except ConfigError as error:
            raise ConfigError(f"{path}: cameras[{index}].{error}") from None
    check_unique(cameras)
    return cameras


def check_unique(cameras: list[CameraConfig]) -> None:
    """Raise ConfigError when two cameras share a name or a port."""
    names: set[str] = set()
    ports: dict[int, str] = {}
    for camera in cameras:
        if camera.name in names:
            raise ConfigError(f"name: two cameras are called {camera.name!r}")
        names.add(camera.name)
        if camera.port is not None:
            if camera.port in ports:
                raise ConfigError(f"port: {camera.name} and {ports[camera.port]} both want port {camera.port}")
            ports[camera.port] = camera.name


def parse_camera(body: object, *, name: str | None = None, environment: Mapping[str, str] = os.environ) -> CameraConfig:
    """Read one camera from decoded JSON.

    Args:
        body: the decoded object.
        name: the camera's name where something else than the object says it, a request's path.
        environment: where `passwordEnv` is looked up.

    Raises:
        ConfigError: names the field that is wrong and what is allowed.
    """
    if not isinstance(body, dict):
        raise ConfigError("camera: expected an object")
    unknown = sorted(set(body) - set(_FIELDS))
    if unknown:
        raise ConfigError(f"{unknown[0]}: unknown field; allowed are {', '.join(_FIELDS)}")
    if name is not None and body.get("name", name) != name:
        raise ConfigError(f"name: {body['name']!r} differs from the request's path, {name!r}")
    auth, username, password = _credentials(body, environment)
    main = _main_clip(body)
    return CameraConfig(
        name=_name(body.get("name") if name is None else name),
        protocol=_protocol(body),
        clip=main,
        sub_clip=_clip(body["subClip"], "subClip") if "subClip" in body else CLIPS[_SUB_CLIP],
        auth=auth,
        username=username,
        password=password,
        port=_port(body.get("port")),
        fault=parse_fault(body.get("fault", "none")),
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ConfigError(
            f"name: {value!r} is no camera name; allowed are up to 63 lower-case letters, digits and inner hyphens"
        )
    return value


def _protocol(body: Mapping[str, object]) -> str:
    value = _text(body, "protocol") or "rtsp"
    if value not in _PROTOCOLS:
        raise ConfigError(f"protocol: {value!r} is unknown; allowed are {', '.join(_PROTOCOLS)}")
    return value


def _port(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_PORT:
        raise ConfigError(f"port: {value!r} is no TCP port; allowed are 1 to {_MAX_PORT}")
    return value


def _main_clip(body: Mapping[str, object]) -> ClipSpec:
    clip = _clip(body["clip"], "clip") if "clip" in body else None
    if "codec" not in body:
        return clip or CLIPS["h264-720p"]
    try:
        codec = Codec(body["codec"])
    except ValueError:
        allowed = ", ".join(known.value for known in Codec)
        raise ConfigError(f"codec: {body['codec']!r} is unknown; allowed are {allowed}") from None
    if clip is not None and clip.codec is not codec:
        raise ConfigError(f"codec: clip {clip.name} is {clip.codec.value}, not {codec.value}")
    return clip or CLIPS[_MAIN_CLIPS[codec]]


def _clip(value: object, key: str) -> ClipSpec:
    if not isinstance(value, str) or value not in CLIPS:
        raise ConfigError(f"{key}: {value!r} is no clip; allowed are {', '.join(CLIPS)}")
    return CLIPS[value]


def _credentials(body: Mapping[str, object], environment: Mapping[str, str]) -> tuple[str, str, str]:
    username = _text(body, "username") or ""
    given = [key for key in ("password", "passwordFile", "passwordEnv") if key in body]
    if len(given) > 1:
        raise ConfigError(f"{given[1]}: {given[0]} is given as well; one of them is enough")
    auth = _text(body, "auth") or ("digest" if username else "none")
    if auth not in _AUTHENTICATIONS:
        raise ConfigError(f"auth: {auth!r} is unknown; allowed are {', '.join(_AUTHENTICATIONS)}")
    if auth == "none":
        if username or given:
            raise ConfigError("auth: none, yet there is a username or password")
        return auth, "", ""
    if not username:
        raise ConfigError(f"username: {auth} authentication needs one")
    if ":" in username:
        raise ConfigError("username: a colon is not allowed (RFC 7617)")
    if not given:
        raise ConfigError(f"password: {auth} authentication needs password, passwordFile or passwordEnv")
    return auth, username, _password(body, given[0], environment)


def _password(body: Mapping[str, object], key: str, environment: Mapping[str, str]) -> str:
    value = _text(body, key) or ""
    if key == "passwordFile":
        try:
            value = Path(value).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ConfigError(f"passwordFile: {value}: {error.strerror}") from None
    elif key == "passwordEnv":
        if value not in environment:
            raise ConfigError(f"passwordEnv: the environment has no variable {value}")
        value = environment[value]
    if not value:
        raise ConfigError(f"{key}: the password is empty")
    return value


def _text(body: Mapping[str, object], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{key}: expected text")
    return value
