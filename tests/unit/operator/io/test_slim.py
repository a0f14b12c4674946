import copy
from typing import Any

from pydantic import SecretStr

from camera_api.assignment import (
    AssignedCamera,
    AssignedSource,
    Assignment,
    Credentials,
    HealthThresholds,
    Role,
    SourceKind,
)
from camera_api.faults import Fault
from camera_api.health import ActiveFault, CameraHealth, StreamFacts, Verdict
from camera_operator.slim import slim_assignment, slim_health


def fresh(text: str) -> str:
    """The same text as another object, as a decoder makes it."""
    return "".join(list(text))


def camera(name: str, username: str = "admin") -> AssignedCamera:
    return AssignedCamera(
        namespace=fresh("city"),
        name=fresh(name),
        uid=fresh(f"uid-{name}"),
        source=AssignedSource(kind=SourceKind.RTSP, main_url=fresh(f"rtsp://{name}/main")),
        credentials=Credentials(username=username, password=SecretStr("hunter2")),
        health=HealthThresholds(offline_after_seconds=7.0),
        maintenance=True,
    )


def assignment(*cameras: AssignedCamera) -> Assignment:
    return Assignment(
        worker="shops-ingest-0",
        namespace="city",
        role=Role.INGEST,
        group="shops",
        category="shops",
        revision=3,
        bearer_token=SecretStr("token"),
        cameras=cameras,
    )


def health(name: str, **changes: Any) -> CameraHealth:
    fault = ActiveFault(fault=Fault.FROZEN, since="2030-01-31T12:00:00Z", message="no motion")
    stream = StreamFacts(
        codec="h264", width=1920, height=1080, frames_per_second=25.0, bits_per_second=2_000_000, transport="TCP"
    )
    values = {
        "namespace": fresh("city"),
        "name": fresh(name),
        "uid": fresh(f"uid-{name}"),
        "verdict": Verdict.FAULTY,
        "since": "2030-01-31T12:00:00Z",
        "faults": (fault,),
        "stream": stream,
    }
    return CameraHealth.model_validate({**values, **changes})


def test_an_assignment_says_the_same_as_before() -> None:
    before = assignment(camera("a"), camera("b", "other"), camera("c"))
    after = slim_assignment(copy.deepcopy(before))
    assert after == before
    assert after.to_secret_text() == before.to_secret_text()


def test_cameras_of_an_assignment_share_what_is_equal() -> None:
    one, other, third = slim_assignment(assignment(camera("a"), camera("b", "other"), camera("c"))).cameras
    assert one.health is other.health
    assert one.credentials is third.credentials
    assert one.credentials is not other.credentials
    assert one.model_fields_set is other.model_fields_set
    assert one.source.model_fields_set is other.source.model_fields_set


def test_a_report_says_the_same_as_before() -> None:
    for before in (health("a"), health("b", faults=(), stream=None, verdict=Verdict.WORKING)):
        after = slim_health(copy.deepcopy(before))
        assert (after.verdict, after.since) == (before.verdict, before.since)
        assert (after.faults, after.stream) == (before.faults, before.stream)


def test_cameras_of_which_the_same_is_said_share_it() -> None:
    one, other, later = slim_health(health("a")), slim_health(health("b")), health("c", since="2030-01-31T12:00:01Z")
    assert one is other
    assert slim_health(later) != one
    assert slim_health(later).stream is one.stream
    assert slim_health(later).faults[0] is one.faults[0]
