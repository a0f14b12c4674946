"""Covered: most of the usual view is gone, and it is nowhere else."""

import numpy as np

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.layout import MIN_BOLD_LOST, Layout, demanded

#: What covers a lens without hiding all of the view, as drops or a web do, leaves nothing sharp and little of the
#: coarse outlines, and then less of the view need be gone. An infra-red lamp changes the outlines, but not all detail.
_COARSE_SHARE, _LOST_IF_BLURRED, _BLURRED = 0.4, 0.4, 0.7
#: In a view that is mostly bare, what covers half of it may hide but a third of what has texture. It takes sharp detail
#: away and brings none, while a lorry that hides as much has edges of its own: tape over a white wall leaves 0.42-0.48
#: of the sharp detail, a bus in front of a third of the view at least 0.63.
_MIN_RICHNESS = 0.55


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
    if evidence.is_borrowed:
        return None
    return _blurred(evidence, layout) or _poor(evidence, layout)


def _blurred(evidence: Evidence, layout: Layout) -> Suspicion | None:
    blurred, _ = evidence.blurred
    if evidence.lost_share < _LOST_IF_BLURRED or blurred < _BLURRED or evidence.coarse_share >= _COARSE_SHARE:
        return None
    return Suspicion(
        Fault.COVERED,
        f"{evidence.lost_share:.0%} of the usual view is gone, {blurred:.0%} of it has lost its sharpness, and only"
        f" {evidence.coarse_share:.0%} of its outlines is left; at least {_COARSE_SHARE:.0%} is expected",
        layout,
    )


def _poor(evidence: Evidence, layout: Layout) -> Suspicion | None:
    share = layout.bold_lost_share
    allowed = demanded(MIN_BOLD_LOST, int(np.count_nonzero(layout.bold)))
    if share < allowed or evidence.richness >= _MIN_RICHNESS:
        return None
    return Suspicion(
        Fault.COVERED,
        f"{share:.0%} of the clearest part of the usual view is gone, at most {allowed:.0%} may be, and only"
        f" {evidence.richness:.0%} of its sharp detail is left; at least {_MIN_RICHNESS:.0%} is expected",
        layout,
    )
