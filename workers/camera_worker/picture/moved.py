"""Moved: the camera looks somewhere else, or at another scale."""

from camera_api.faults import Fault
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.shift import MAX_SHIFT

#: A view that was turned or zoomed is as rich in sharp detail as ever; water drops show it upside down, and blurred.
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
            shift=shift,
            is_certain=True,
        )
    similarity = evidence.similarity
    if similarity is not None and similarity.length > MAX_SHIFT and evidence.richness >= _RICHNESS:
        return Suspicion(
            Fault.MOVED,
            f"the view is {similarity.words}, which displaces its corners by {similarity.length:.1%} of its width;"
            f" at most {MAX_SHIFT:.1%} may be",
            is_certain=True,
        )
    if not evidence.is_lost:
        return None
    # Without a layout: what fills the whole view cannot have moved on in it, and which few blocks it spares is chance.
    kept = layout.kept_share
    enough = _RICHNESS_IF_HARDLY_KEPT if kept < _HARDLY_KEPT else _RICHNESS
    if kept < _KEPT and evidence.lost_share >= _LOST and evidence.richness >= enough:
        return Suspicion(
            Fault.MOVED,
            f"only {kept:.0%} of the usual view is left, at least {_KEPT:.0%} is expected, and the picture is sharp",
        )
    return None
