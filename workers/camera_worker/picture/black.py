"""Black: no picture, or hardly any light in it."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.features import DARK

#: Level below which 99 % of a black picture lie. Black is 16 in limited range; the noise of a high gain adds 10-20.
MAX_HIGH = 45
#: With this part of the picture below ``DARK`` and the usual view gone, what is left is a leak of light round a cap or
#: text overlaid by the camera.
MIN_DARK_SHARE = 0.85


def black(evidence: Evidence) -> Suspicion | None:
    """Whether the picture is black; needs no reference unless some light leaks in."""
    tones = evidence.features.tones
    if tones.high < MAX_HIGH:
        return Suspicion(
            Fault.BLACK, f"99 % of the picture is darker than {tones.high + 1} of 255; at least {MAX_HIGH} is expected"
        )
    if tones.dark_share >= MIN_DARK_SHARE and evidence.is_lost:
        return Suspicion(
            Fault.BLACK,
            f"{tones.dark_share:.0%} of the picture is darker than {DARK} of 255, at most {MIN_DARK_SHARE:.0%} may be,"
            f" and {evidence.lost_share:.0%} of the usual view is gone",
        )
    return None
