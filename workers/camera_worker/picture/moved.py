"""Moved: the camera looks somewhere else, or at another scale."""

import itertools

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.shift import MAX_SHIFT

#: Quarters of the view that must have gone somewhere for it to be turned about its axis or zoomed, and how far each,
#: and how far apart, in parts of the width.
_MOVED_PARTS = 3
_PART_SHIFT = 0.012
#: The view is another one altogether when hardly anything of the usual one is left, but the picture has enough of the
#: usual sharp detail; what covers a lens is too close to be in focus. The more is left, the more detail is demanded.
_LOST = 0.7
_KEPT, _HARDLY_KEPT = 0.15, 0.05
_RICHNESS, _RICHNESS_IF_HARDLY_KEPT = 0.65, 0.42


def moved(evidence: Evidence) -> Suspicion | None:
    """Whether the view is displaced, or replaced by another sharp one."""
    shift, layout = evidence.shift, evidence.layout
    if layout is None:
        return None
    if shift is not None and shift.length > MAX_SHIFT:
        return Suspicion(
            Fault.MOVED,
            f"the view is displaced by {shift.length:.1%} of its width; at most {MAX_SHIFT:.1%} may be",
            layout.lost,
            shift,
        )
    if not evidence.is_lost:
        return None
    parts = [part for part in evidence.parts if part is not None and part.length >= _PART_SHIFT]
    apart = max((one.distance(other) for one, other in itertools.combinations(parts, 2)), default=0.0)
    if len(parts) >= _MOVED_PARTS and apart >= _PART_SHIFT:
        return Suspicion(
            Fault.MOVED,
            f"parts of the view are displaced by up to {max(part.length for part in parts):.1%} of its width,"
            f" each another way: turned about its axis or zoomed; {evidence.lost_share:.0%} of the usual view is gone",
            layout.lost,
        )
    kept = layout.kept_share
    enough = _RICHNESS_IF_HARDLY_KEPT if kept < _HARDLY_KEPT else _RICHNESS
    if kept < _KEPT and evidence.lost_share >= _LOST and evidence.richness >= enough:
        return Suspicion(
            Fault.MOVED,
            f"only {kept:.0%} of the usual view is left, at least {_KEPT:.0%} is expected, and the picture is sharp",
            layout.lost,
        )
    return None
