"""Covered: most of the usual view is gone, and it is nowhere else."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion

#: What covers a lens without hiding all of the view, as drops or a web do, leaves nothing sharp and little of the
#: coarse outlines, and then less of the view need be gone. An infra-red lamp changes the outlines, but not all detail.
_COARSE_SHARE, _LOST_IF_BLURRED, _BLURRED = 0.4, 0.4, 0.7


def covered(evidence: Evidence) -> Suspicion | None:
    """Whether something hides the view; the last check, since other faults hide it as well."""
    layout = evidence.layout
    if layout is None:
        return None
    if evidence.is_lost:
        return Suspicion(
            Fault.COVERED,
            f"{evidence.lost_share:.0%} of the usual view is gone; at most {layout.max_lost:.0%} may be",
            layout,
        )
    blurred, _ = evidence.blurred
    if evidence.is_borrowed or evidence.lost_share < _LOST_IF_BLURRED or blurred < _BLURRED:
        return None
    if evidence.coarse_share >= _COARSE_SHARE:
        return None
    return Suspicion(
        Fault.COVERED,
        f"{evidence.lost_share:.0%} of the usual view is gone, {blurred:.0%} of it has lost its sharpness, and only"
        f" {evidence.coarse_share:.0%} of its outlines is left; at least {_COARSE_SHARE:.0%} is expected",
        layout,
    )
