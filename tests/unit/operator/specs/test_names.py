"""Names and what is read back from them."""

import pytest

from camera_api.assignment import Role
from camera_operator.specs import names


@pytest.mark.parametrize("group", ["lobby", "a-ingest-1", "g" * 40])
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("ordinal", [0, 7, 120])
def test_a_workers_name_can_be_read_back_and_is_a_dns_label(group: str, role: Role, ordinal: int) -> None:
    name = names.worker_name(group, role, ordinal)

    assert names.parse_worker_name(name) == (group, role, ordinal)
    assert len(name) <= 63


@pytest.mark.parametrize("name", ["lobby", "lobby-ingest", "ingest-0", "-ingest-0", "lobby-ingest-01", "lobby-dvr-0"])
def test_other_names_are_not_workers(name: str) -> None:
    assert names.parse_worker_name(name) is None


@pytest.mark.parametrize("released", [{}, {"door": 7, "gate": 12}, {"*": 1900000000}])
def test_a_record_of_releases_can_be_read_back(released: dict[str, int]) -> None:
    assert names.parse_released(names.format_released(released)) == released


def test_no_annotation_means_no_releases() -> None:
    assert names.parse_released(None) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"door": "7"}', '{"door": true}', '{"door": 1.5}'])
def test_a_garbled_record_is_no_record(text: str) -> None:
    assert names.parse_released(text) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("12", 12), ("0", 0), (None, None), ("", None), ("-3", None), ("x", None)]
)
def test_the_size_is_a_number_or_unknown(text: str | None, expected: int | None) -> None:
    assert names.parse_count(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("8", (8, 0)), ("8+2", (8, 2)), ("", None), ("8+", None), ("x", None)])
def test_a_nudge_is_read_back(text: str, expected: tuple[int, int] | None) -> None:
    assert names.parse_nudge(text) == expected
    if expected is not None:
        assert names.format_nudge(*expected) == text
