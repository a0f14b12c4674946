"""Moves end: whatever cameras cost, a group comes to rest, and better than it was."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from camera_api.assignment import Role
from camera_operator.decide.moves import departures
from camera_operator.decide.placement import Bin, Newcomer, place
from camera_operator.decide.sizing import Load, total

CAPACITY = 10
LOADS = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 4.0]).map(lambda size: Load(1, size, size))
WORKERS = st.lists(st.lists(LOADS, max_size=10), min_size=1, max_size=5)


def bins_of(held: Mapping[str, Mapping[str, Load]]) -> list[Bin]:
    return [
        Bin(name, int(name.rpartition("-")[2]), total(loads.values()), capacity=CAPACITY)
        for name, loads in held.items()
    ]


def settle(held: dict[str, dict[str, Load]], min_workers: int) -> int:
    """Moves until nothing is to move any more; returns the number of cameras that were moved."""
    moved = 0
    for _ in range(200):
        bins = bins_of(held)
        found = departures(bins, held, [], min_workers=min_workers, allowed=3)
        if not found.wanted:
            return moved
        moved += found.count
        leaving = []
        for worker, names in found.leaving.items():
            leaving += [Newcomer(name, worker, frozenset(), held[worker].pop(name)) for name in names]
        bins = bins_of(held)
        for each in bins:
            each.closed = each.name == found.closed
        loads = {newcomer.name: newcomer.load for newcomer in leaving}
        placement = place(
            bins,
            leaving,
            group="lobby",
            role=Role.INGEST,
            capacity=CAPACITY,
            min_workers=min_workers,
            taken_ordinals={each.ordinal for each in bins},
        )
        assert not placement.waiting
        for each in placement.bins:
            held.setdefault(each.name, {}).update({name: loads[name] for name in each.newcomers})
        if not min_workers:
            held = {name: cameras for name, cameras in held.items() if cameras}
    raise AssertionError(f"still moving: {held}")


def workers(loads: list[list[Load]]) -> dict[str, dict[str, Load]]:
    return {
        f"lobby-ingest-{ordinal}": {f"camera-{ordinal}-{number}": load for number, load in enumerate(cameras)}
        for ordinal, cameras in enumerate(loads)
    }


@settings(max_examples=300, deadline=None)
@given(WORKERS)
def test_consolidation_ends_and_moves_no_camera_twice(loads: list[list[Load]]) -> None:
    held = {name: cameras for name, cameras in workers(loads).items() if total(cameras.values()).fits(CAPACITY)}
    count = sum(map(len, held.values()))

    assert settle(held, 0) <= count


@settings(max_examples=300, deadline=None)
@given(WORKERS, st.integers(min_value=1, max_value=4))
def test_sharing_the_load_ends(loads: list[list[Load]], min_workers: int) -> None:
    held = {name: cameras for name, cameras in workers(loads).items() if total(cameras.values()).fits(CAPACITY)}

    settle(held, min_workers)
