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
#: Fainter blocks that usually look like themselves count as well, beside others of their kind that do so now: what
#: wipes out faint detail, as compression or haze does, spares none of it, and a cover hides one part of the view. Of
#: blocks that have nothing in common with the reference one in fifty passes for itself by chance.
_FAINT_KEPT_FROM, _MIN_FAINT_KEPT = 0.75, 0.15
#: What hides them is in one piece, while rain or an unsteady mast loses one here and one there: of neighbours more must
#: share their fate than by chance, by this part of what is possible.
_COHERENCE = 0.4
#: And this part of the bold blocks must be lost along with them, or it is the light that has faded there: glare takes
#: up to 0.13, dusk 0.06.
MIN_BOLD_LOST = 0.3
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
    bold: Mask  #: blocks whose loss would mean something, whatever becomes of the others
    counted: Mask  #: these, and the faint ones where they tell something
    lost: Mask  #: of the counted ones, those where the reference's edges are gone
    lost_share: float  #: part of the counted blocks that is lost, 0..1; 0 if nothing can be said
    max_lost: float  #: what that part may be
    bold_lost_share: float  #: part of the bold blocks that is lost, 0..1
    is_lost: bool  #: whether so much is gone that it is a fault

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
    reliable = reliability >= RELIABLE_FROM
    bold = reliable & (reference.middle >= _visible(features, reference))
    gone = (likeness < LOST_BELOW) & (strength < LOST_BELOW)
    number = int(np.count_nonzero(bold))
    if number < MIN_BLOCKS:
        return Layout(likeness, bold, bold, bold & gone, 0.0, 1.0, 0.0, is_lost=False)
    bold_share = float(np.count_nonzero(bold & gone)) / number
    faint = reliable & ~bold
    tells = _tells(faint, likeness, reliability) and _coherence(reliable, reliable & gone) >= _COHERENCE
    counted = reliable if tells else bold
    number = int(np.count_nonzero(counted))
    lost = counted & gone
    # A faint block is half a witness: where a shadow's edge is most of a bare road, they line it as the bold ones do.
    witnesses = (number + int(np.count_nonzero(bold))) // 2
    share, limit = float(np.count_nonzero(lost)) / number, demanded(MAX_LOST, witnesses)
    is_lost = share >= limit and bold_share >= MIN_BOLD_LOST
    return Layout(likeness, bold, counted, lost, share, limit, bold_share, is_lost=is_lost)


def _tells(faint: Mask, likeness: Blocks, reliability: Blocks) -> bool:
    """Whether enough of the faint blocks are there for the loss of the others to mean something."""
    number = int(np.count_nonzero(faint))
    kept = int(np.count_nonzero(faint & (likeness >= _FAINT_KEPT_FROM * reliability)))
    return number >= MIN_BLOCKS and kept >= _MIN_FAINT_KEPT * number


def _coherence(counted: Mask, lost: Mask) -> float:
    """How much more often than by chance two neighbours are both lost or both kept; 1: always."""
    pairs = same = 0
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = counted[first] & counted[second]
        pairs += int(np.count_nonzero(both))
        same += int(np.count_nonzero(both & (lost[first] == lost[second])))
    share = float(np.count_nonzero(lost)) / max(int(np.count_nonzero(counted)), 1)
    chance = share**2 + (1 - share) ** 2
    return (same / max(pairs, 1) - chance) / max(1 - chance, 1e-6)


def demanded(share: float, number: int, *, many: int = _MANY_BLOCKS, stricter_by: float = _STRICTER_BY) -> float:
    """The share of a number of blocks that must agree: more than ``share`` where they are not ``many``."""
    few = min(max((many - number) / (many - MIN_BLOCKS), 0.0), 1.0)
    return share + stricter_by * few * (1 - share)


def _visible(features: Features, reference: Features) -> float:
    """Least variance of a block's detail in the reference that should still be seen in the picture."""
    gain = min(max((features.tones.mean - 16) / max(reference.tones.mean - 16, 1.0), 0.3), 1.0)
    noise = features.noise / 4
    return max(MIN_TEXTURE**2, _OVER_NOISE**2 * noise / gain**2)
