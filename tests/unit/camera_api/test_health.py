import json

import pytest
from pydantic import ValidationError

from camera_api.faults import Fault
from camera_api.health import ActiveFault, CameraHealth, HealthReport, StreamFacts, Verdict

REPORT = HealthReport(
    worker="shops-ingest-0",
    instance="f3a9",
    acknowledged_revision=7,
    cursor=41,
    full=False,
    cameras=(
        CameraHealth(
            namespace="police",
            name="gate",
            uid="uid-of-gate",
            verdict=Verdict.FAULTY,
            since="2026-01-31T18:00:00Z",
            faults=(
                ActiveFault(fault=Fault.STALLED, since="2026-01-31T18:00:00Z", message="no packet for 10 s"),
                ActiveFault(fault=Fault.FLAPPING, since="2026-01-31T17:50:00Z"),
            ),
            stream=StreamFacts(
                codec="h264", width=1920, height=1080, frames_per_second=25, bits_per_second=4_000_000, transport="TCP"
            ),
            last_frame_at="2026-01-31T17:59:50Z",
        ),
    ),
    removed=("uid-of-yard",),
)


def test_a_report_survives_the_wire() -> None:
    assert HealthReport.model_validate_json(json.dumps(REPORT.to_json_dict())) == REPORT


def test_a_report_is_camel_case_and_leaves_out_what_is_unknown() -> None:
    wire = REPORT.to_json_dict()
    assert wire["acknowledgedRevision"] == 7
    assert wire["cameras"][0]["stream"]["framesPerSecond"] == 25
    assert wire["cameras"][0]["faults"][0] == {
        "fault": "Stalled",
        "since": "2026-01-31T18:00:00Z",
        "message": "no packet for 10 s",
    }
    camera = REPORT.cameras[0].model_copy(update={"stream": None, "last_frame_at": None})
    assert {"stream", "lastFrameAt"} & set(camera.to_json_dict()) == set()


def test_a_report_of_a_newer_worker_stays_readable() -> None:
    wire = {**REPORT.to_json_dict(), "novelty": 1}
    assert HealthReport.model_validate(wire) == REPORT


def test_equal_health_is_no_news() -> None:
    camera = REPORT.cameras[0]
    assert camera == CameraHealth.model_validate(camera.to_json_dict())
    assert camera != camera.model_copy(update={"verdict": Verdict.WORKING})


def test_cursors_and_revisions_are_not_negative() -> None:
    for field in ("cursor", "acknowledgedRevision"):
        with pytest.raises(ValidationError, match="greater than or equal to 0"):
            HealthReport.model_validate({**REPORT.to_json_dict(), field: -1})


def test_a_report_cannot_be_changed_after_the_fact() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        REPORT.cursor = 42  # type: ignore[misc]
