"""One picture against the usual one: what the detectors decide on."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from camera_api.faults import Fault
from camera_worker.picture.features import SMOOTH, Features, Plane
from camera_worker.picture.layout import MAX_LOST, MIN_BLOCKS, Layout, compare, demanded
from camera_worker.picture.reference import View
from camera_worker.picture.shift import Search, Shift, displaced, find_shift
from camera_worker.picture.similarity import Similarity, find_similarity

#: Two pictures' lost blocks are the same thing in front of the lens when this part of their union is common. A bus that
#: drives through is elsewhere at the next key frame.
_SAME_PLACE = 0.6
#: A picture is in good order when this part of what counts is beyond doubt as it was. Most nuisances leave more of a
#: view with texture, a bus leaves 0.3; noise or two cars often leave less of a bare road.
_IN_ORDER_FROM = 0.5
#: Of a washed-out picture whose iris has closed a little this part is still clipped, by steps of the exposure 0.13.
_STILL_CLIPPED = 0.15
#: Two displacements are the same when they differ by less than this, in parts of the width, or by half of themselves.
#: A mast in the wind is elsewhere at every key frame.
_SAME_SHIFT = 0.01
#: With this part of the view lost it may be displaced by a pixel or two: a mast in the wind, or in the sun.
_SEARCH_FROM = 0.2
#: Size of the coarse picture, in which blur of up to a thirtieth of the width does not show.
_COARSE = (32, 18)
_COARSE_KNEE = 2.0
#: The cells that it is compared by, and the likeness from which one still shows the same.
_COARSE_CELLS = (8, 6)
_COARSE_KEPT_FROM = 0.5
#: Part of the usually sharp blocks that may lose their sharpness: text overlaid by the camera keeps its own.
MAX_BLURRED = 0.6
#: Where blocks are few, see ``demanded``: what hides some of them does not blur the others.
_MANY_BLOCKS, _STRICTER_BY = 25, 0.6
#: A block has lost its sharpness when less than this part of it is there: a lens half a pixel of the 320 out of focus.
#: Rain, noise, an infra-red lens's focus and a low bit rate leave 0.55 and more in most blocks.
_BLURRED_BELOW = 0.4
#: With less than this part of the usual variance there is no detail whose sharpness could be told; fog leaves a tenth.
_FLAT_BELOW = 0.03
#: Least sharpness of a block in the reference for it to have any to lose.
_SHARP_FROM = 0.06


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A fault that one picture shows. One alone means little: the monitor waits for more."""

    fault: Fault
    message: str  #: what was measured against what threshold
    layout: Layout | None = None  #: where the usual view is gone
    shift: Shift | None = None  #: by how much it is displaced
    is_certain: bool = False  #: something was found that only this fault explains, rather than missed

    def continues(self, earlier: "Suspicion") -> bool:
        """Whether this can be the earlier picture's trouble rather than something that moves through the view."""
        if self.shift is not None and earlier.shift is not None:
            return self.shift.distance(earlier.shift) <= max(_SAME_SHIFT, self.shift.length / 2)
        return self.layout is None or earlier.layout is None or _is_same_place(self.layout, earlier.layout)

    def is_left_open_by(self, later: "Evidence") -> bool:
        """Whether a later picture shows too little of this trouble to be suspected, but not the usual view either.

        White cars make a washed-out camera close its iris; a car in front of a hand changes what counts.
        """
        layout = later.layout
        if layout is None or layout.kept_share >= _IN_ORDER_FROM:
            return False
        if self.layout is not None:
            return _is_same_place(self.layout, layout)
        if self.fault is Fault.OVEREXPOSED:
            return later.clipped_share >= _STILL_CLIPPED
        return layout.lost_share >= MAX_LOST


def _is_same_place(first: Layout, second: Layout) -> bool:
    both = first.counted & second.counted
    mine, its = first.lost & both, second.lost & both
    return bool(np.count_nonzero(mine & its) >= _SAME_PLACE * np.count_nonzero(mine | its))


class Evidence:
    """A picture with what is known about it. What is rarely needed is measured when asked for.

    Args:
        features: of the picture.
        view: the usual one; None: not yet learned.
    """

    def __init__(self, features: Features, view: View | None) -> None:
        self.features = features
        self.view = view
        self.at_rest: Layout | None = None  #: as it is, without regard to a displacement
        if view is not None:
            self.at_rest = compare(features, view.reference, view.reliability)

    @property
    def is_borrowed(self) -> bool:
        """Whether the reference is another light's."""
        return self.view is not None and self.view.is_borrowed

    @cached_property
    def _search(self) -> Search | None:
        if self.view is None or self.at_rest is None or self.at_rest.lost_share < _SEARCH_FROM:
            return None
        return find_shift(self.features, self.view.reference, self.at_rest.counted)

    @property
    def shift(self) -> Shift | None:
        """By how much the whole view is displaced; None: it is not found, or not looked for."""
        return self._search.clear if self._search is not None else None

    @cached_property
    def layout(self) -> Layout | None:
        """The layout, the camera's shaking undone; None: no view is learned."""
        if self.view is None or self.at_rest is None or self._search is None or self._search.nearby.length == 0:
            return self.at_rest
        undone = compare(displaced(self.features, self._search.nearby), self.view.reference, self.view.reliability)
        return min(self.at_rest, undone, key=lambda layout: layout.lost_share)

    @property
    def lost_share(self) -> float:
        """Part of the blocks that count in which the usual view is gone, 0..1."""
        return self.layout.lost_share if self.layout is not None else 0.0

    @property
    def is_lost(self) -> bool:
        """Whether so much is gone that it is a fault."""
        return self.layout is not None and self.layout.is_lost

    @property
    def clipped_share(self) -> float:
        """Part of the picture that is light beyond what is usual, 0..1; 0: no view is learned."""
        if self.view is None:
            return 0.0
        return max(0.0, self.features.tones.light_share - self.view.reference.tones.light_share)

    @cached_property
    def blurred(self) -> tuple[float, float]:
        """Part of the usually sharp blocks that is not sharp any more, 0..1, and what it may be; 0 if too few are."""
        if self.view is None or self.at_rest is None:
            return 0.0, MAX_BLURRED
        usual = self.view.reference
        sharp = self.at_rest.bold & (usual.sharpness >= _SHARP_FROM)
        number = int(np.count_nonzero(sharp))
        if number < MIN_BLOCKS:
            return 0.0, MAX_BLURRED
        middle = self.features.middle
        blurred = self.features.fine < (SMOOTH + _BLURRED_BELOW * usual.sharpness) * middle
        blurred |= middle < _FLAT_BELOW * usual.middle
        return float(np.count_nonzero(blurred & sharp)) / number, demanded(
            MAX_BLURRED, number, many=_MANY_BLOCKS, stricter_by=_STRICTER_BY
        )

    @cached_property
    def similarity(self) -> Similarity | None:
        """How the view lies in the picture when it is neither in its place nor only displaced; None: not found.

        However few blocks count, since what is found again is beyond doubt.
        """
        if self.view is None or self.lost_share < MAX_LOST or self.shift is not None:
            return None
        return find_similarity(self.features, self.view.reference)

    @cached_property
    def richness(self) -> float:
        """How many blocks have sharp detail, as a part of the reference's; 1: as many."""
        if self.view is None:
            return 1.0
        usual = self.view.reference
        enough = float(np.median(usual.middle)) / 4
        mine, all_of_it = (
            int(np.count_nonzero((features.middle >= enough) & (features.sharpness >= _SHARP_FROM)))
            for features in (self.features, usual)
        )
        return mine / max(all_of_it, 1)

    @cached_property
    def coarse_share(self) -> float:
        """Part of a much reduced picture that still shows what the reference shows, 0..1, by the reference's edges.

        By cells, since a car that fills a third of the view has more edges than all of what is left of it.
        """
        if self.view is None:
            return 1.0
        mine, usual = (_coarse_edges(features) for features in (self.features, self.view.reference))
        common, energy, usual_energy = (
            cv2.resize(plane, _COARSE_CELLS, interpolation=cv2.INTER_AREA)
            for plane in ((mine * usual).sum(axis=0), (mine * mine).sum(axis=0), (usual * usual).sum(axis=0))
        )
        kept = common > _COARSE_KEPT_FROM * np.sqrt(energy * usual_energy)
        return float(usual_energy[kept].sum() / max(float(usual_energy.sum()), 1e-6))


def _coarse_edges(features: Features) -> Plane:
    coarse = cv2.resize(features.luma, _COARSE, interpolation=cv2.INTER_AREA).astype(np.float32)
    x = cv2.Sobel(coarse, cv2.CV_32F, 1, 0, ksize=1)
    y = cv2.Sobel(coarse, cv2.CV_32F, 0, 1, ksize=1)
    return np.asarray(np.stack([x, y]) / (cv2.magnitude(x, y) + np.float32(_COARSE_KNEE)), np.float32)
