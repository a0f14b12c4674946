import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from camera_api.analytics import Point, TaskDefault, TaskType, Zone
from camera_api.assignment import (
    AssignedCamera,
    AssignedSource,
    Assignment,
    Credentials,
    HealthThresholds,
    Role,
    SourceKind,
)
from camera_api.camera import Transport
from camera_api.category import DecodePolicy
from camera_api.faults import Fault

PASSWORD = "hunter-two"
TOKEN = "bearer-of-this-worker"


def camera(name: str = "gate", password: str = PASSWORD) -> AssignedCamera:
    return AssignedCamera(
        namespace="police",
        name=name,
        uid=f"uid-of-{name}",
        source=AssignedSource(
            kind=SourceKind.RTSP,
            main_url="rtsp://192.0.2.10/main",
            sub_url="rtsp://192.0.2.10/sub",
            transport=Transport.TCP,
        ),
        credentials=Credentials(username="operator", password=SecretStr(password)),
        decode=DecodePolicy.NONE,
        health=HealthThresholds(offline_after_seconds=2.5, disabled_faults=(Fault.MOVED,)),
        tasks=(
            TaskDefault(
                name="yard",
                type=TaskType.INTRUSION,
                zones=[Zone(name="gate", points=[Point(x=0, y=0), Point(x=1, y=0), Point(x=1, y=0.5)])],
            ),
        ),
    )


def assignment(*cameras: AssignedCamera) -> Assignment:
    return Assignment(
        worker="shops-ingest-0",
        namespace="police",
        role=Role.INGEST,
        group="shops",
        category="shops",
        revision=7,
        bearer_token=SecretStr(TOKEN),
        cameras=cameras,
    )


def test_an_assignment_survives_the_secret() -> None:
    written = assignment(
        camera(), AssignedCamera.model_validate({**camera("yard").to_json_dict(), "credentials": None})
    )
    assert Assignment.from_secret_text(written.to_secret_text()) == written
    assert Assignment.from_secret_text(written.to_secret_text().encode()) == written


@given(st.text(max_size=64))
def test_a_password_of_any_characters_survives_the_secret(password: str) -> None:
    read = Assignment.from_secret_text(assignment(camera(password=password)).to_secret_text())
    credentials = read.cameras[0].credentials
    assert credentials is not None
    assert credentials.password.get_secret_value() == password


def test_the_secret_holds_camel_case_and_points_as_manifests_spell_them() -> None:
    written = json.loads(assignment(camera()).to_secret_text())
    assert written["schemaVersion"] == 1
    assert written["bearerToken"] == TOKEN
    first = written["cameras"][0]
    assert first["source"]["mainUrl"] == "rtsp://192.0.2.10/main"
    assert first["credentials"] == {"username": "operator", "password": PASSWORD}
    assert first["health"]["offlineAfterSeconds"] == 2.5
    assert first["tasks"][0]["zones"][0]["points"][2] == {"left": 1.0, "top": 0.5}
    assert "relayUrl" not in first


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda value: repr(value.model_dump())])
def test_passwords_and_tokens_are_not_shown(show: object) -> None:
    assert callable(show)
    shown = show(assignment(camera()))
    assert "shops-ingest-0" in shown
    assert PASSWORD not in shown
    assert TOKEN not in shown


def test_the_same_content_is_the_same_value_and_another_password_is_another() -> None:
    assert camera() == camera()
    assert camera() != camera(password="changed")


def test_an_assignment_of_a_newer_release_stays_readable_while_its_schema_version_does() -> None:
    content = json.loads(assignment(camera()).to_secret_text())
    content["cameras"][0]["novelty"] = {"on": True}
    assert Assignment.from_secret_text(json.dumps(content)) == assignment(camera())


def test_another_schema_version_is_refused() -> None:
    content = {**json.loads(assignment().to_secret_text()), "schemaVersion": 2}
    with pytest.raises(ValueError, match=r"^invalid assignment: schemaVersion: literal_error$"):
        Assignment.from_secret_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"offlineAfterSeconds":2.5', f'"offlineAfterSeconds":"{PASSWORD}"'),
        lambda text: text.replace('"revision":7', f'"revision":"{TOKEN}"'),
        lambda text: text[:-20],
        lambda text: text.replace("{", "[", 1),
        lambda text: text.replace(f'"password":"{PASSWORD}"', f'"password":["{PASSWORD}"]'),
        lambda text: text.replace('"type":"Intrusion"', f'"type":"{PASSWORD}"'),
        lambda text: text.replace('"type":"Intrusion"', f'"type":"Intrusion","minDuration":"{PASSWORD}"'),
    ],
)
def test_what_is_wrong_with_an_assignment_is_told_without_its_content(damage: object) -> None:
    assert callable(damage)
    text = damage(assignment(camera()).to_secret_text())
    with pytest.raises(ValueError, match=r"^invalid assignment: [\w.]+: \w+") as caught:
        Assignment.from_secret_text(text)
    logged = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in logged
    assert TOKEN not in logged


def test_many_mistakes_are_counted_rather_than_listed() -> None:
    content = json.loads(assignment(*(camera(f"c{number}") for number in range(20))).to_secret_text())
    for item in content["cameras"]:
        del item["uid"]
    with pytest.raises(ValueError, match=r"cameras\.0\.uid: missing, .*cameras\.4\.uid: missing and 15 more$"):
        Assignment.from_secret_text(json.dumps(content))


def test_revisions_and_epochs_start_at_one() -> None:
    content = json.loads(assignment().to_secret_text())
    for field in ("revision", "epoch"):
        with pytest.raises(ValueError, match=f"{field}: greater_than_equal"):
            Assignment.from_secret_text(json.dumps({**content, field: 0}))
