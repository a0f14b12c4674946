"""Whose cameras may go to other workers although their own has not let go of them.

``Strict`` never risks that two workers pull a camera: it waits until the pod is surely gone. A StatefulSet makes a new
pod only then, so that there is nothing to move; except from a worker that no node has room for, to those with room.
``Fast`` takes the cameras of a lost worker away after a while, at the risk that it runs on behind a broken network.
"""

from collections.abc import Iterable, Mapping

from camera_api.faults import Fault
from camera_api.group import FailoverPolicy
from camera_operator.decide.model import GroupView, WorkerView
from camera_operator.decide.releases import is_unscheduled, may_hold_any
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.status import Watch


def may_fail_over(worker: WorkerView, group: GroupView | None) -> bool:
    """Whether time alone, while the worker is silent, takes its cameras to others."""
    if group is None or not worker.pods or not may_hold_any(worker):
        return False
    return is_unscheduled(worker) or group.spec.failover is FailoverPolicy.FAST


def abandoned(
    workers: Iterable[WorkerView], watches: Mapping[str, Watch], policy: FailoverPolicy, settings: PlanSettings
) -> frozenset[str]:
    """Names of workers whose cameras go elsewhere even if they may run on (``failover: Fast``).

    A worker whose pod is ready but silent is not lost: it is the operator that does not reach it. And when several
    workers are lost at once, all that the group has, it is more likely that the operator sees wrong than that all are
    gone, and a move would double the load on a network that is in trouble.
    """
    if policy is not FailoverPolicy.FAST:
        return frozenset()
    holding = [worker for worker in workers if may_hold_any(worker)]
    lost = {
        worker.name
        for worker in holding
        if watches[worker.name].lost is Fault.WORKER_LOST
        and not is_unscheduled(worker)
        and watches[worker.name].silent_for >= settings.failover_after
    }
    return frozenset() if len(lost) == len(holding) > 1 else frozenset(lost)


def unschedulable(
    workers: Iterable[WorkerView], watches: Mapping[str, Watch], settings: PlanSettings
) -> frozenset[str]:
    """Names of workers whose pod waits for a node for so long that their cameras had better go where there is room."""
    return frozenset(
        worker.name
        for worker in workers
        if worker.pods and is_unscheduled(worker) and watches[worker.name].silent_for >= settings.failover_after
    )
