import json
from datetime import UTC, datetime
from typing import Any

import pytest

from camera_operator.report import first_sentence, format_age, make_report, render_json, render_table

Object = dict[str, Any]
NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)


def camera(name: str, state: str | None, reason: str = "", *, group: str = "shops-1", **status: Any) -> Object:
    found: Object = {"metadata": {"namespace": "city", "name": name}, "spec": {"group": group}}
    if state is not None:
        found["status"] = {"state": state, "reason": reason, "category": "shops", **status}
    return found


def refused(name: str, since: str) -> Object:
    condition = {
        "type": "Reachable",
        "status": "False",
        "reason": "ConnectionRefused",
        "message": "10.0.0.7:554 refused the connection. Check the port in spec.source.",
        "observedGeneration": 1,
        "lastTransitionTime": since,
    }
    return camera(name, "Faulty", "ConnectionRefused", since=since, conditions=[condition])


GROUPS = [
    {"metadata": {"namespace": "city", "name": "shops-1"}, "spec": {"category": "shops"}},
    {"metadata": {"namespace": "city", "name": "banks-1"}, "spec": {"category": "banks"}},
]
CATEGORIES = [{"metadata": {"name": "shops"}, "spec": {"displayName": "Shops"}}, {"metadata": {"name": "unused"}}]


def test_the_table_tells_how_many_work_and_what_is_wrong() -> None:
    cameras = [
        camera("a", "Working"),
        refused("b", "2030-01-31T09:40:00Z"),
        camera("c", "Unknown", "WorkerLost"),
        camera("d", None, group="banks-1"),
    ]
    assert render_table(make_report(cameras, GROUPS, CATEGORIES, NOW)) == (
        "CATEGORY       DECLARED  WORKING  FAULTY  UNKNOWN  PENDING\n"
        "banks                 1        0       0        0        1\n"
        "shops (Shops)         3        1       1        1        0\n"
        "TOTAL                 4        1       1        1        1\n"
        "\n"
        "FAULTY CAMERA  CATEGORY  REASON             FOR    SINCE                 MESSAGE\n"
        "city/b         shops     ConnectionRefused  2h20m  2030-01-31T09:40:00Z  10.0.0.7:554 refused the connection\n"
    )


def test_a_city_without_faults_says_so() -> None:
    text = render_table(make_report([camera("a", "Working")], GROUPS, CATEGORIES, NOW))
    assert text.endswith("TOTAL                 1        1       0        0\n\nNo camera is faulty.\n")
    assert "PENDING" not in text


def test_planned_and_maintained_cameras_have_their_columns() -> None:
    text = render_table(make_report([camera("a", "Planned"), camera("b", "Maintenance")], GROUPS, CATEGORIES, NOW))
    assert text.splitlines()[0] == "CATEGORY       DECLARED  WORKING  FAULTY  UNKNOWN  PLANNED  MAINTENANCE"


def test_no_cameras_at_all_says_what_to_do() -> None:
    assert "kubectl apply" in render_table(make_report([], GROUPS, CATEGORIES, NOW))


def test_a_camera_of_an_unknown_group_is_counted_too() -> None:
    report = make_report([camera("a", None, group="nowhere")], GROUPS, CATEGORIES, NOW)
    assert [count.name for count in report.categories] == ["(none)"]
    assert report.total.declared == 1


def test_a_garbled_status_counts_as_pending() -> None:
    text = render_json(make_report([camera("a", "Nonsense")], GROUPS, CATEGORIES, NOW))
    assert json.loads(text)["total"]["pending"] == 1


def test_the_json_holds_everything() -> None:
    value = json.loads(render_json(make_report([refused("b", "2030-01-31T09:40:00Z")], GROUPS, CATEGORIES, NOW)))
    assert value["madeAt"] == "2030-01-31T12:00:00Z"
    assert value["categories"][0]["displayName"] == "Shops"
    assert value["total"] == {
        "declared": 1,
        "planned": 0,
        "pending": 0,
        "working": 0,
        "faulty": 1,
        "unknown": 0,
        "maintenance": 0,
        "retired": 0,
    }
    assert value["faulty"] == [
        {
            "namespace": "city",
            "name": "b",
            "group": "shops-1",
            "category": "shops",
            "reason": "ConnectionRefused",
            "since": "2030-01-31T09:40:00Z",
            "message": "10.0.0.7:554 refused the connection. Check the port in spec.source.",
        }
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (45, "45s"),
        (60, "1m"),
        (3600, "1h"),
        (12_000, "3h20m"),
        (2 * 86_400 + 4 * 3600, "2d4h"),
        (30 * 86_400 + 3600, "30d"),
    ],
)
def test_ages_read_as_in_kubectl(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "rtsp://cam.example.org:554/main does not answer. Check it.",
            "rtsp://cam.example.org:554/main does not answer",
        ),
        ("no frames for 12.5 s; restart the camera", "no frames for 12.5 s"),
        ("the picture is black.", "the picture is black"),
        ("", ""),
    ],
)
def test_the_first_sentence_is_not_cut_inside_a_name_or_number(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence
