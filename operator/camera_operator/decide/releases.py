"""Which cameras a worker may still watch although they were taken from it.

A move is three steps: release, acknowledge, assign. The record of the first one stands in the same Secret as the
assignment and is written with it, so it survives every crash: camera name and the revision that took the camera away.
A release is in force until the worker has acknowledged that revision or has no pod left; entries that are no longer in
force are dropped when the Secret is written next.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from camera_operator.decide.model import WorkerView

#: Stands for every camera: the record of what a worker watches is lost while its pods run. No camera has this name.
ANY_CAMERA = "*"


def has_acknowledged(worker: WorkerView, revision: int) -> bool:
    """Whether everything that runs of the worker has taken over the revision or a later one.

    A terminating pod may run on for a while, on a node that is cut off even for hours, and reports no more.
    """
    if any(pod.terminating for pod in worker.pods):
        return False
    acknowledged = worker.acknowledged_revision
    if worker.assignment is not None and acknowledged > worker.assignment.revision:
        # Of an assignment that is no more: says nothing about this one.
        return False
    return acknowledged >= revision


def is_unscheduled(worker: WorkerView) -> bool:
    """Whether nothing of the worker runs anywhere: it has no pod, or no node has taken it.

    A pod that is taken by a node later mounts the Secret as it is then.
    """
    return all(not pod.node for pod in worker.pods)


def in_force(worker: WorkerView) -> frozenset[str]:
    """Names of cameras that were taken from the worker and that it may still watch."""
    if is_unscheduled(worker):
        return frozenset()
    if worker.assignment is None:
        return frozenset({ANY_CAMERA})
    return frozenset(name for name, revision in worker.released.items() if not has_acknowledged(worker, revision))


def vacated_by(worker: WorkerView) -> frozenset[str]:
    """Names of cameras that were taken from the worker and that it watches only if it runs unseen.

    That it has no pod on a node is what the watch has told so far. Before another worker gets one of them, the API
    server is asked: a watch can be late.
    """
    if not is_unscheduled(worker):
        return frozenset()
    if worker.assignment is None:
        return frozenset({ANY_CAMERA})
    return frozenset(name for name, revision in worker.released.items() if not has_acknowledged(worker, revision))


def may_have_had(worker: WorkerView, names: AbstractSet[str]) -> AbstractSet[str]:
    """Those of some cameras that the worker watches only if it runs unseen."""
    vacated = vacated_by(worker)
    return names if ANY_CAMERA in vacated else names & vacated


def may_hold(worker: WorkerView, names: AbstractSet[str]) -> AbstractSet[str]:
    """Those of some cameras that the worker may be watching at the moment."""
    released = in_force(worker)
    if ANY_CAMERA in released:
        return names
    assigned = worker.assignment.cameras if worker.assignment is not None else ()
    return names & released | {camera.name for camera in assigned if camera.name in names}


def may_hold_any(worker: WorkerView) -> bool:
    """Whether the worker may be watching a camera at the moment."""
    return bool(in_force(worker)) or (worker.assignment is not None and bool(worker.assignment.cameras))


def next_record(
    worker: WorkerView, *, released: Iterable[str], staying: Iterable[str], revision: int
) -> Mapping[str, int]:
    """The record that goes with the next revision of an assignment.

    Args:
        worker: as it is.
        released: cameras that this revision takes away.
        staying: cameras that the worker has from this revision on.
        revision: the next one.
    """
    # Also of a worker that seems to have no pod: whoever gets the camera has to ask whether that is so.
    record = {name: worker.released.get(name, revision) for name in in_force(worker) | vacated_by(worker)}
    record.update(dict.fromkeys(released, revision))
    for name in staying:
        record.pop(name, None)
    return record
