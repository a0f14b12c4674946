"""Which cameras leave a worker that could go on watching them: the moves that nothing forces, and so are rationed.

Each interrupts a camera for a second or two. They are made for three ends, in this order: a node refused its worker
more CPU or memory; ``minWorkers`` was raised, and the new workers are to share the load; so few cameras are left that
one worker fewer carries them.

Nothing of it is remembered: while cameras leave a worker one after the other, each pass comes to the same conclusion,
because the sum of all loads, and which worker has the least, do not change by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from camera_operator.decide.placement import Bin, Newcomer, fair_share
from camera_operator.decide.sizing import Load, total

#: Workers are consolidated when more than this part of their capacity is free ...
MAX_SLACK = 0.15
#: ... and then this part of the capacity of those that stay must remain free: the next cameras are to find a place.
_KEPT_FREE = 0.05
#: Cameras that one pass takes from their workers at most.
MOVES_PER_PASS = 8


@dataclass(frozen=True, slots=True)
class Departures:
    """Cameras that are to leave their workers."""

    leaving: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: camera names by worker
    closed: str = ""  #: a worker that is being emptied and gets no camera; empty: none
    wanted: bool = False  #: whether cameras are to move, be it that they may not yet

    @property
    def count(self) -> int:
        """Cameras in all."""
        return sum(len(names) for names in self.leaving.values())


def departures(
    bins: Sequence[Bin],
    loads: Mapping[str, Mapping[str, Load]],
    newcomers: Sequence[Newcomer],
    *,
    min_workers: int,
    allowed: int,
) -> Departures:
    """Decides who leaves.

    Args:
        bins: the workers with what they keep, all of them in good order.
        loads: by worker and camera.
        newcomers: cameras without a worker: what they cost has to find a place as well.
        min_workers: workers at least.
        allowed: cameras that may be moved now.
    """
    allowed = min(allowed, MOVES_PER_PASS)
    over = {each.name: _excess(loads[each.name], each.limit) for each in bins if each.limit is not None}
    if any(over.values()):
        return Departures(_rationed(over, allowed), wanted=True)
    fill = fair_share(bins, newcomers, min_workers)
    if fill is not None and 0 < len(bins) <= min_workers:
        return _shared(bins, loads, fill, allowed)
    emptied = needless(bins, loads, newcomers, min_workers)
    if emptied is None:
        return Departures()
    leaving = _rationed({emptied.name: sorted(loads[emptied.name])}, allowed)
    return Departures(leaving, closed=emptied.name, wanted=bool(loads[emptied.name]))


def needless(
    bins: Sequence[Bin], loads: Mapping[str, Mapping[str, Load]], newcomers: Sequence[Newcomer], min_workers: int
) -> Bin | None:
    """The worker that the others can do without; None: there is none."""
    if len(bins) <= max(min_workers, 1) or any(each.limit is not None for each in bins):
        # Where nodes have refused a worker its size, fewer and larger workers find no room.
        return None
    load = total([*(each.load for each in bins), *(newcomer.load for newcomer in newcomers)])
    capacity = sum(each.capacity for each in bins)
    emptied = min(bins, key=lambda each: (each.load.size, -each.ordinal))
    rest = capacity - emptied.capacity
    if load.size >= (1 - MAX_SLACK) * capacity or load.size > (1 - _KEPT_FREE) * rest:
        return None
    leaving = [*loads[emptied.name].values(), *(newcomer.load for newcomer in newcomers)]
    return emptied if _fit(leaving, [each for each in bins if each is not emptied]) else None


def _fit(leaving: Sequence[Load], bins: Sequence[Bin]) -> bool:
    """Whether the loads find a place, the large ones first: a sum that fits may still be in pieces that do not."""
    taken = {each.name: each.load for each in bins}
    for load in sorted(leaving, key=lambda each: -each.size):
        place = next((each for each in bins if (taken[each.name] + load).fits(each.capacity)), None)
        if place is None:
            return False
        taken[place.name] += load
    return True


def _shared(bins: Sequence[Bin], loads: Mapping[str, Mapping[str, Load]], fill: int, allowed: int) -> Departures:
    """Takes cameras from workers above the fair share as long as one below it has a place for them."""
    taken = {each.name: each.load for each in bins}
    leaving: dict[str, list[str]] = {}
    for each in bins:
        for name in sorted(loads[each.name], reverse=True):
            load = loads[each.name][name]
            others = (other for other in bins if other is not each and taken[other.name].count < fill)
            place = next((other for other in others if (taken[other.name] + load).fits(other.capacity)), None)
            if taken[each.name].count <= fill or place is None:
                continue
            taken[each.name] -= load
            taken[place.name] += load
            leaving.setdefault(each.name, []).append(name)
    return Departures(_rationed(leaving, allowed), wanted=bool(leaving))


def _excess(loads: Mapping[str, Load], capacity: float) -> list[str]:
    """Cameras that have to go until the rest fits, the last names first."""
    load = total(loads.values())
    leaving: list[str] = []
    for name in sorted(loads, reverse=True):
        if load.fits(capacity) or len(leaving) >= MOVES_PER_PASS:
            break
        leaving.append(name)
        load -= loads[name]
    return leaving


def _rationed(over: Mapping[str, Sequence[str]], allowed: int) -> dict[str, Sequence[str]]:
    leaving: dict[str, Sequence[str]] = {}
    for worker, names in over.items():
        if names and allowed > 0:
            leaving[worker] = names[:allowed]
            allowed -= len(leaving[worker])
    return leaving
