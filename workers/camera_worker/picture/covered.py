"""Covered: most of the usual view is gone, and it is nowhere else."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion


def covered(evidence: Evidence) -> Suspicion | None:
    """Whether something hides the view; the last check, since other faults hide it as well."""
    if evidence.layout is None or not evidence.is_lost:
        return None
    return Suspicion(
        Fault.COVERED,
        f"{evidence.lost_share:.0%} of the usual view is gone; at most {evidence.layout.max_lost:.0%} may be",
        evidence.layout.lost,
    )
