"""Faults are read from JSON with errors that name the field."""

from typing import Any

import pytest

from camera_simulator.errors import ConfigError
from camera_simulator.faults import FAULTS, NO_FAULT, Fault, Listener, parse_fault
from camera_simulator.footage import Variant


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_read_by_name_and_as_an_object(name: str) -> None:
    assert parse_fault(name) == parse_fault({"fault": name})
    assert parse_fault(name).name == name


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_written_is_read_back_the_same(name: str) -> None:
    fault = parse_fault(name)

    assert parse_fault(fault.to_json()) == fault


def test_good_order_changes_nothing() -> None:
    behaviour = NO_FAULT.behaviour

    assert behaviour.listener is Listener.OPEN
    assert behaviour.sends_media
    assert behaviour.variant is Variant.NORMAL
    assert not behaviour.closes_sessions
    assert behaviour.describe_status is None


def test_every_picture_variant_is_shown_by_exactly_one_fault() -> None:
    shown = [behaviour.variant for behaviour in FAULTS.values() if behaviour.variant is not Variant.NORMAL]

    assert sorted(shown, key=lambda variant: variant.value) == sorted(
        set(Variant) - {Variant.NORMAL}, key=lambda variant: variant.value
    )


def test_restart_ends_by_itself_and_can_be_given_another_time() -> None:
    assert parse_fault("restart").for_seconds == 10
    assert parse_fault({"fault": "restart", "forSeconds": 2}).for_seconds == 2


def test_kick_is_a_single_act_unless_it_repeats() -> None:
    assert parse_fault("kick").is_single_act
    assert not parse_fault({"fault": "kick", "everySeconds": 3}).is_single_act


def test_clock_jump_repeats_by_default() -> None:
    assert parse_fault("clockjump") == Fault("clockjump", every_seconds=5.0, for_seconds=None, offset_seconds=3600.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("stal", r"^fault: 'stal' is no fault; allowed are none, .*stall"),
        ({}, r"^fault: None is no fault"),
        ({"fault": ["stall"]}, r"^fault: \['stall'\] is no fault"),
        (7, r"^fault: expected a name or an object"),
        ({"fault": "stall", "every": 1}, r"^every: unknown field; allowed are fault, everySeconds"),
        ({"fault": "stall", "everySeconds": 1}, r"^everySeconds: stall does not repeat"),
        ({"fault": "kick", "everySeconds": 0.1}, r"^everySeconds: 0\.1 is outside 0\.5 to"),
        ({"fault": "kick", "everySeconds": True}, r"^everySeconds: expected a number"),
        ({"fault": "kick", "everySeconds": float("nan")}, r"^everySeconds: expected a number"),
        ({"fault": "kick", "forSeconds": 5}, r"^forSeconds: kick happens once unless everySeconds"),
        ({"fault": "stall", "forSeconds": -1}, r"^forSeconds: -1 is outside"),
        ({"fault": "stall", "forSeconds": "5"}, r"^forSeconds: expected a number"),
        ({"fault": "none", "forSeconds": 5}, r"^forSeconds: a camera without a fault"),
        ({"fault": "stall", "offsetSeconds": 5}, r"^offsetSeconds: stall leaves timestamps alone"),
        ({"fault": "clockjump", "offsetSeconds": 30_000}, r"^offsetSeconds: 30000 is outside 0\.1 to 20000"),
    ],
)
def test_error_names_the_field_and_what_is_allowed(body: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_fault(body)


def test_log_line_of_a_fault_shows_its_parameters() -> None:
    assert str(parse_fault("stall")) == "stall"
    assert str(parse_fault({"fault": "kick", "everySeconds": 2, "forSeconds": 60})) == (
        "kick everySeconds=2 forSeconds=60"
    )
