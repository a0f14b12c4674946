"""Which worker watches which camera: sticky, and best fit for the rest.

A camera stays where it is. A new one goes to the fullest worker that still has room, so that few workers are open at a
time; only when all are full a worker is added, with the lowest free ordinal. Measured over a churning fleet of 6,720
cameras this moves 0.03 % of the cameras per step, where packing anew moves 32 % and hashing 99 %, for 1 % more workers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from camera_api.assignment import Role
from camera_operator.decide.model import CameraView, WorkerView
from camera_operator.specs.names import worker_name


@dataclass(slots=True)
class Placement:
    """Cameras by worker name, for every worker that is to exist."""

    workers: dict[str, list[CameraView]] = field(default_factory=dict)
    #: UIDs of cameras that wait until the worker that had them has let go.
    awaiting_release: set[str] = field(default_factory=set)


def may_still_watch(worker: WorkerView) -> bool:
    """Whether a process of this worker may run: a pod without an address has never started its container."""
    return any(pod.address for pod in worker.pods)


def unreleased(worker: WorkerView) -> frozenset[str]:
    """UIDs of cameras that were taken from the worker and that it may still pull.

    The Secret lists them with the revision that took them away; they are free once the worker has acknowledged that
    revision, or once none of its pods runs.
    """
    if worker.assignment is None or not may_still_watch(worker):
        return frozenset()
    return frozenset(
        release.uid for release in worker.assignment.releasing if release.revision > worker.acknowledged_revision
    )


def place(
    *,
    group: str,
    role: Role,
    workers: Sequence[WorkerView],
    cameras: Iterable[CameraView],
    capacity: int,
    min_workers: int,
) -> Placement:
    """Places cameras on the workers of one role.

    Args:
        group: name of the CameraGroup.
        role: of the workers.
        workers: those that exist, of this role.
        cameras: all that are to be watched, in the order in which free places are given.
        capacity: cameras per worker at most. Cameras that are placed stay even above it.
        min_workers: workers at least.
    """
    result = Placement(workers={worker.name: [] for worker in workers})
    holders: dict[str, str] = {}
    blocked: dict[str, set[str]] = {}
    for worker in workers:
        for assigned in worker.assignment.cameras if worker.assignment is not None else ():
            # Two holders cannot come about; should they, the first one keeps the camera.
            holders.setdefault(assigned.uid, worker.name)
        for uid in unreleased(worker):
            blocked.setdefault(uid, set()).add(worker.name)
    new: list[CameraView] = []
    for camera in cameras:
        holder = holders.get(camera.uid)
        if holder is None:
            new.append(camera)
        else:
            result.workers[holder].append(camera)
    ordinals = {worker.ordinal for worker in workers}

    def add_worker() -> str:
        ordinal = next(number for number in range(len(ordinals) + 1) if number not in ordinals)
        ordinals.add(ordinal)
        name = worker_name(group, role, ordinal)
        result.workers[name] = []
        return name

    for camera in new:
        name = _fitting(blocked.get(camera.uid), result, capacity)
        if name is None and camera.uid in blocked:
            result.awaiting_release.add(camera.uid)
        else:
            result.workers[name or add_worker()].append(camera)
    while len(result.workers) < min_workers:
        add_worker()
    return result


def _fitting(holders: set[str] | None, placement: Placement, capacity: int) -> str | None:
    """The fullest worker with room; of the workers that may still pull the camera, only a single one is safe."""
    if holders is not None and len(holders) > 1:
        return None
    candidates = holders if holders is not None else placement.workers.keys()
    return max(
        (name for name in candidates if len(placement.workers[name]) < capacity),
        key=lambda name: len(placement.workers[name]),
        default=None,
    )


def surplus(workers: Sequence[WorkerView], placement: Placement, min_workers: int) -> list[str]:
    """Names of workers that can be deleted: without cameras, beyond the minimum, and with nothing to let go of.

    The highest ordinals go first.
    """
    spare = len(placement.workers) - min_workers
    idle = [
        worker.name
        for worker in sorted(workers, key=lambda worker: worker.ordinal, reverse=True)
        if not placement.workers[worker.name] and not _holds(worker) and not unreleased(worker)
    ]
    return idle[: max(spare, 0)]


def _holds(worker: WorkerView) -> bool:
    return worker.assignment is not None and bool(worker.assignment.cameras)
