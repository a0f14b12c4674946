"""Defocused: the usual view without its fine detail."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion

#: Part of the much reduced picture that must still be the usual one: beside something that covers the lens the rest is.
_COARSE_SHARE = 0.5


def defocused(evidence: Evidence) -> Suspicion | None:
    """Whether the picture has lost its sharpness."""
    if evidence.view is None or evidence.is_borrowed:
        # A lens focused by day may be a little off in infra-red for good.
        return None
    share, allowed = evidence.blurred
    if share < allowed:
        return None
    if evidence.coarse_share < _COARSE_SHARE:
        return None
    return Suspicion(Fault.DEFOCUSED, f"{share:.0%} of the view has lost its sharpness; at most {allowed:.0%} may")
