"""Overexposed: white, or washed out."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.features import LIGHT

#: Level above which 99 % of a white picture lie.
MIN_LOW = 215
#: With this part of the picture from ``LIGHT`` on, and by so much more than usual, and part of the usual view gone, the
#: picture is clipped rather than of something white. Snow comes slowly and keeps its edges; the low sun lights a third.
#: Nearly all of a picture is clipped whatever is left of the view.
MIN_LIGHT_SHARE, _NEARLY_ALL = 0.65, 0.9
_MORE_THAN_USUAL = 0.3
_LOST = 0.05


def overexposed(evidence: Evidence) -> Suspicion | None:
    """Whether the picture is white; needs no reference unless some of the scene is left."""
    tones = evidence.features.tones
    if tones.low > MIN_LOW:
        return Suspicion(
            Fault.OVEREXPOSED, f"99 % of the picture is lighter than {tones.low} of 255; at most {MIN_LOW} is expected"
        )
    if evidence.view is None or (evidence.lost_share < _LOST and tones.light_share < _NEARLY_ALL):
        return None
    usual = evidence.view.reference.tones.light_share
    if tones.light_share >= max(MIN_LIGHT_SHARE, usual + _MORE_THAN_USUAL):
        return Suspicion(
            Fault.OVEREXPOSED,
            f"{tones.light_share:.0%} of the picture is lighter than {LIGHT} of 255, usually {usual:.0%};"
            f" at most {MIN_LIGHT_SHARE:.0%} may be",
        )
    return None
