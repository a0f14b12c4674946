"""Places for sessions that are set up at the same time."""

import pytest

from camera_worker.ingest.slots import OpenSlots


def test_a_place_is_given_back_also_after_an_error() -> None:
    slots = OpenSlots(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slots.taken(lambda: False) as taken:  # noqa: PT012 - what is raised within
            assert taken
            1 / 0  # noqa: B018


def test_who_does_not_want_a_place_any_more_stops_waiting_and_gives_none_back() -> None:
    slots = OpenSlots(1)
    with slots.taken(lambda: False):
        for _ in range(2):
            with slots.taken(lambda: True) as taken:
                assert not taken


def test_a_place_that_comes_too_late_is_not_used() -> None:
    with OpenSlots(1).taken(lambda: True) as taken:
        assert not taken
