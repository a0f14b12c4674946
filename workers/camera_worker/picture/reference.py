"""The usual picture of a camera, learned from pictures in good order."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from camera_worker.picture.features import COLUMNS, ROWS, Blocks, Features, measure
from camera_worker.picture.layout import MAX_LOST, compare
from camera_worker.picture.thumbnail import Gray

#: Pictures that a reference is the median of, as a median of three medians of three.
LEARNED_FROM = 9
_THREE = 3
#: Share of a new picture in the usual likeness of a block: an hour of key frames every 2 s is forgotten in two minutes,
#: one of key frames every 10 s in ten.
_NEW_SHARE = 1 / 64
#: Pictures in a row that do not fit the ones before after which learning starts again: somebody was still working at
#: the camera.
_UNSTEADY_AFTER = 3


def median_of_three(first: Gray, second: Gray, third: Gray) -> Gray:
    """Pixel by pixel."""
    low, high = cv2.min(first, second), cv2.max(first, second)
    return np.asarray(cv2.max(low, cv2.min(high, third)), np.uint8)


@dataclass(slots=True)
class Remedian:
    """The median of nine pictures in the memory of four (Rousseeuw and Bassett, "The remedian", 1990).

    A thing must be at the same place in four of nine pictures to get into the result, and in five it always does.
    """

    _pictures: list[Gray] = field(default_factory=list)
    _medians: list[Gray] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Pictures taken since the last result."""
        return len(self._pictures) + _THREE * len(self._medians)

    @property
    def latest(self) -> Gray | None:
        """The median of three of the latest pictures, before there is a result."""
        return self._medians[-1] if self._medians else None

    def add(self, picture: Gray) -> Gray | None:
        """Takes a picture; every ninth time gives the median."""
        self._pictures.append(picture)
        if len(self._pictures) < _THREE:
            return None
        self._medians.append(median_of_three(*self._pictures))
        self._pictures.clear()
        if len(self._medians) < _THREE:
            return None
        result = median_of_three(*self._medians)
        self._medians.clear()
        return result


@dataclass(slots=True)
class View:
    """What a camera usually sees in one kind of light."""

    reference: Features
    reliability: Blocks  #: usual likeness of each block to the reference, -1..1
    is_borrowed: bool = False  #: the reference is another light's, until this one's is learned

    def renew(self, luma: Gray) -> None:
        """Takes a newer usual picture. What differs in it counts when it has proved to stay."""
        newer = measure(luma)
        likeness = compare(newer, self.reference, self.reliability).likeness
        self.reliability = np.minimum(self.reliability, likeness)
        self.reference = newer

    def learn(self, likeness: Blocks) -> None:
        """Takes a picture in good order into the usual likeness."""
        self.reliability += np.float32(_NEW_SHARE) * (likeness - self.reliability)


@dataclass(slots=True)
class FirstView:
    """Learns a view from nothing: nine pictures, of which six show how reliable each block is."""

    _remedian: Remedian = field(default_factory=Remedian)
    _provisional: Features | None = None
    _likenesses: list[Blocks] = field(default_factory=list)
    _unlike: int = 0

    def add(self, features: Features) -> View | None:
        """Takes a picture that is neither black nor white; the view, once it is learned."""
        if self._provisional is not None:
            everything = np.ones((ROWS, COLUMNS), np.float32)
            layout = compare(features, self._provisional, everything)
            self._likenesses.append(layout.likeness)
            self._unlike = self._unlike + 1 if layout.lost_share >= MAX_LOST else 0
            if self._unlike >= _UNSTEADY_AFTER:
                self._restart()
        median = self._remedian.add(features.luma)
        if median is not None:
            return View(measure(median), np.mean(self._likenesses, axis=0, dtype=np.float32))
        if self._provisional is None and self._remedian.latest is not None:
            self._provisional = measure(self._remedian.latest)
        return None

    def _restart(self) -> None:
        self._remedian = Remedian()
        self._provisional = None
        self._likenesses.clear()
        self._unlike = 0
