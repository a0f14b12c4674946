"""When a worker's pod has to be nudged, so that kubelet delivers a new Secret at once rather than after 85 s.

A change of an annotation makes kubelet look at a pod. It delivers what it knows of the Secret then: for some seconds
after an API server has come back, the old one, because its watch of the Secret stands again only later. So a pod that
goes on reporting an older revision is nudged a few times more, ever more rarely; after that kubelet looks by itself.
"""

from camera_operator.decide.model import PodView, WorkerView
from camera_operator.specs import names

#: Seconds for which a pod has not taken its assignment over, at which it is nudged again.
AGAIN_AFTER = (5.0, 15.0, 35.0)


def nudges(worker: WorkerView, revision: int, now: float, *, is_new: bool) -> dict[str, str]:
    """What is to be written on which pods; empty: nothing.

    A pod that has not reported yet was given the Secret as it was when it started.

    Args:
        worker: with its pods.
        revision: that they have to take over.
        now: monotonic seconds.
        is_new: whether the revision is written in this very pass.
    """
    if not is_new and not _is_behind(worker, revision):
        return {}
    behind_for = 0.0 if is_new or worker.behind_since is None else now - worker.behind_since
    wanted: dict[str, str] = {}
    for pod in worker.pods:
        if pod.terminating:
            continue
        attempt = _next_attempt(pod, revision)
        if attempt == 0 or (attempt <= len(AGAIN_AFTER) and behind_for >= AGAIN_AFTER[attempt - 1]):
            wanted[pod.name] = names.format_nudge(revision, attempt)
    return wanted


def look_again_after(worker: WorkerView, now: float) -> float | None:
    """Seconds until a pod of the worker may have to be nudged again; None: none will."""
    revision = worker.assignment.revision if worker.assignment is not None else 0
    if not _is_behind(worker, revision) or worker.behind_since is None:
        return None
    attempts = (_next_attempt(pod, revision) for pod in worker.pods if not pod.terminating)
    waits = [AGAIN_AFTER[attempt - 1] for attempt in attempts if 0 < attempt <= len(AGAIN_AFTER)]
    return min(waits) - (now - worker.behind_since) if waits else None


def _is_behind(worker: WorkerView, revision: int) -> bool:
    return 0 < worker.acknowledged_revision < revision


def _next_attempt(pod: PodView, revision: int) -> int:
    """0: the pod has not been nudged for the revision yet."""
    nudged = names.parse_nudge(pod.revision_annotation)
    return nudged[1] + 1 if nudged is not None and nudged[0] == revision else 0
