"""Defocused: the usual view without its fine detail."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion

#: Where even coarser detail is gone, the much reduced picture must still be the usual one, and nearly nothing sharp:
#: beside something that covers the lens the rest of the view is.
_COARSE_LIKENESS = 0.5
_BLURRED_IF_LOST = 0.9


def defocused(evidence: Evidence) -> Suspicion | None:
    """Whether the picture has lost its sharpness."""
    if evidence.view is None or evidence.view.is_borrowed:
        # A lens focused by day may be a little off in infra-red for good.
        return None
    share, allowed = evidence.blurred
    if share < allowed:
        return None
    if evidence.is_lost and (share < _BLURRED_IF_LOST or evidence.coarse_likeness < _COARSE_LIKENESS):
        return None
    return Suspicion(Fault.DEFOCUSED, f"{share:.0%} of the view has lost its sharpness; at most {allowed:.0%} may")
