"""Where a picture still shows what the reference shows. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_worker.picture.features import Blocks, Features, block_means

#: Least rms detail of two pixels, in grey levels, for a block to count at all: compression and noise suppression wipe
#: out what is fainter whenever they like.
MIN_TEXTURE = 1.5
#: By how much a block's detail, dimmed as the whole picture is, must exceed the present noise to count.
_OVER_NOISE = 2.0
#: A block is lost when less than this of its edges is there, by direction as well as by strength. Two pictures that
#: have nothing in common reach 0.35 in one block of a hundred; noise spares the strength, haze the direction.
LOST_BELOW = 0.35
#: A block counts when it usually looks like itself: leaves, water and passers-by do not.
RELIABLE_FROM = 0.6
#: With fewer blocks than this nothing is said about the layout: the low-texture guard.
MIN_BLOCKS = 5
#: Likeness from which a block is beyond doubt as it was.
_KEPT_FROM = 0.6
#: Part of the blocks that count whose loss is a fault. A lorry in the middle of the view takes 0.3-0.4; a hand or a bag
#: over the lens leaves no more than a rim.
MAX_LOST = 0.45
#: With fewer blocks than this more of them must agree, up to this part of the rest with the fewest: of ten blocks four
#: or five go behind a parked car, of a hundred not.
_MANY_BLOCKS = 40
_STRICTER_BY = 0.6
_EPSILON = 1e-6

Mask = npt.NDArray[np.bool_]  #: 9x16


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture against a reference, block by block."""

    likeness: Blocks  #: correlation of the edges, -1..1
    counted: Mask  #: blocks whose loss would mean something
    lost: Mask  #: of these, the ones where the reference's edges are gone
    lost_share: float  #: part of the counted blocks that is lost, 0..1; 0 if nothing can be said
    max_lost: float  #: what that part may be

    @property
    def kept_share(self) -> float:
        """Part of the counted blocks that is beyond doubt as it was, 0..1; 1 if nothing can be said.

        The outermost rows are left out where the others suffice: text overlaid by the camera stays in every fault.
        """
        for rows in (slice(1, -1), slice(None)):
            counted = self.counted[rows]
            number = int(np.count_nonzero(counted))
            if number >= MIN_BLOCKS:
                return float(np.count_nonzero(counted & (self.likeness[rows] >= _KEPT_FROM))) / number
        return 1.0


def compare(features: Features, reference: Features, reliability: Blocks) -> Layout:
    """The layout of a picture against the reference's.

    Args:
        features: of the picture.
        reference: of the usual picture.
        reliability: usual likeness of each block, from pictures in good order.
    """
    common = block_means(features.edge_x * reference.edge_x + features.edge_y * reference.edge_y)
    likeness = common / np.sqrt(features.edge_energy * reference.edge_energy + _EPSILON)
    strength = common / (reference.edge_energy + _EPSILON)
    counted = (reliability >= RELIABLE_FROM) & (reference.middle >= _visible(features, reference))
    lost = counted & (likeness < LOST_BELOW) & (strength < LOST_BELOW)
    number = int(np.count_nonzero(counted))
    lost_share = float(np.count_nonzero(lost)) / number if number >= MIN_BLOCKS else 0.0
    return Layout(likeness, counted, lost, lost_share, demanded(MAX_LOST, number))


def demanded(share: float, number: int, *, stricter_by: float = _STRICTER_BY) -> float:
    """The share of a number of blocks that must agree: more than ``share`` where blocks are few."""
    few = min(max((_MANY_BLOCKS - number) / (_MANY_BLOCKS - MIN_BLOCKS), 0.0), 1.0)
    return share + stricter_by * few * (1 - share)


def _visible(features: Features, reference: Features) -> float:
    """Least variance of a block's detail in the reference that should still be seen in the picture."""
    gain = min(max((features.tones.mean - 16) / max(reference.tones.mean - 16, 1.0), 0.3), 1.0)
    noise = features.noise / 4
    return max(MIN_TEXTURE**2, _OVER_NOISE**2 * noise / gain**2)
