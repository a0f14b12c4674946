"""Sticky best fit: who goes where, who waits, and which workers are there."""

from collections.abc import Sequence

from camera_api.assignment import Role
from camera_operator.decide.placement import Bin, Newcomer, Placement, place, surplus
from camera_operator.decide.sizing import Load


def of(count: int) -> Load:
    return Load(count, float(count), float(count))


def bins(*loads: int, capacity: float = 50) -> list[Bin]:
    return [Bin(f"lobby-ingest-{ordinal}", ordinal, of(load), capacity=capacity) for ordinal, load in enumerate(loads)]


def newcomer(name: str, *, last: str = "", held_by: Sequence[str] = ()) -> Newcomer:
    return Newcomer(name, last, frozenset(held_by))


def newcomers(count: int) -> list[Newcomer]:
    return [newcomer(f"camera-{number:04}") for number in range(count)]


def placed(
    existing: Sequence[Bin], incoming: Sequence[Newcomer], *, capacity: int = 50, min_workers: int = 0
) -> Placement:
    return place(
        existing,
        incoming,
        group="lobby",
        role=Role.INGEST,
        capacity=capacity,
        min_workers=min_workers,
        taken_ordinals={each.ordinal for each in existing},
    )


def loads(placement: Placement) -> dict[str, int]:
    return {each.name: each.load.count for each in placement.bins}


def test_300_cameras_of_50_per_worker_make_6_full_workers() -> None:
    result = placed([], newcomers(300))

    assert loads(result) == {f"lobby-ingest-{ordinal}": 50 for ordinal in range(6)}


def test_a_new_camera_goes_to_the_fullest_worker_with_room() -> None:
    assert loads(placed(bins(50, 3, 48, 10), newcomers(1)))["lobby-ingest-2"] == 49


def test_of_two_equally_full_workers_the_lower_ordinal_is_chosen() -> None:
    assert loads(placed(bins(7, 7), newcomers(1))) == {"lobby-ingest-0": 8, "lobby-ingest-1": 7}


def test_one_camera_changes_one_worker() -> None:
    existing = bins(49, 20, 3)

    result = placed(existing, newcomers(1))

    assert [each.name for each in result.bins if each.newcomers] == ["lobby-ingest-0"]


def test_a_full_group_gets_the_lowest_free_ordinal() -> None:
    existing = [Bin(f"lobby-ingest-{ordinal}", ordinal, of(50), capacity=50) for ordinal in (0, 2)]

    assert loads(placed(existing, newcomers(1)))["lobby-ingest-1"] == 1


def test_the_ordinal_of_a_worker_that_is_ending_is_not_free() -> None:
    result = place(
        [],
        newcomers(1),
        group="lobby",
        role=Role.ANALYTICS,
        capacity=50,
        min_workers=0,
        taken_ordinals={0},
    )

    assert loads(result) == {"lobby-analytics-1": 1}


def test_an_overfull_worker_keeps_its_cameras_and_gets_no_more() -> None:
    result = placed(bins(60), newcomers(1))

    assert loads(result) == {"lobby-ingest-0": 60, "lobby-ingest-1": 1}


def test_a_camera_goes_back_to_the_worker_that_its_status_names() -> None:
    result = placed(bins(10, 2), [newcomer("door", last="lobby-ingest-1")])

    assert loads(result) == {"lobby-ingest-0": 10, "lobby-ingest-1": 3}


def test_a_full_or_missing_last_worker_does_not_hold_a_camera_up() -> None:
    result = placed(bins(50, 2), [newcomer("door", last="lobby-ingest-0"), newcomer("gate", last="lobby-ingest-9")])

    assert loads(result) == {"lobby-ingest-0": 50, "lobby-ingest-1": 4}
    assert not result.waiting


def test_a_camera_that_a_worker_may_still_watch_can_only_go_there() -> None:
    result = placed(bins(10, 2), [newcomer("door", held_by=["lobby-ingest-1"])])

    assert loads(result) == {"lobby-ingest-0": 10, "lobby-ingest-1": 3}


def test_a_camera_waits_if_the_worker_that_may_still_watch_it_is_full() -> None:
    result = placed(bins(10, 50), [newcomer("door", held_by=["lobby-ingest-1"])])

    assert loads(result) == {"lobby-ingest-0": 10, "lobby-ingest-1": 50}
    assert result.waiting == {"door": "lobby-ingest-1"}


def test_a_camera_waits_for_a_worker_of_another_group_and_for_several() -> None:
    result = placed(
        bins(10, 10),
        [
            newcomer("door", held_by=["hall-ingest-0"]),
            newcomer("gate", last="lobby-ingest-0", held_by=["lobby-ingest-0", "lobby-ingest-1"]),
        ],
    )

    assert loads(result) == {"lobby-ingest-0": 10, "lobby-ingest-1": 10}
    assert result.waiting == {"door": "hall-ingest-0", "gate": "lobby-ingest-0"}


def test_cameras_are_spread_over_the_workers_that_are_asked_for() -> None:
    assert loads(placed([], newcomers(7), min_workers=3)) == {
        "lobby-ingest-0": 3,
        "lobby-ingest-1": 3,
        "lobby-ingest-2": 1,
    }


def test_a_minimum_above_the_number_of_cameras_leaves_workers_idle() -> None:
    assert loads(placed([], newcomers(1), min_workers=2)) == {"lobby-ingest-0": 1, "lobby-ingest-1": 0}


def test_a_minimum_does_not_make_workers_beyond_what_is_needed() -> None:
    for count in range(0, 40, 3):
        for minimum in range(1, 6):
            result = placed([], newcomers(count), capacity=5, min_workers=minimum)
            assert len(result.bins) == max(minimum, -(-count // 5))


def test_the_highest_idle_workers_beyond_the_minimum_are_surplus() -> None:
    assert surplus(bins(0, 3, 0, 0), 2) == {"lobby-ingest-2", "lobby-ingest-3"}
    assert surplus(bins(0, 3), 2) == frozenset()
    assert surplus(bins(0), 0) == {"lobby-ingest-0"}
