"""Frozen: the same picture again and again."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from camera_api.faults import Fault
from camera_worker.picture.evidence import Suspicion
from camera_worker.picture.features import BLOCKS, MIDDLE_GREY, Blocks, Features, block_means

#: Blocks that may differ: a clock overlaid by the camera goes on while the picture stands.
_LEFT_OUT = BLOCKS // 10
#: Mean difference of two pictures' blocks, in grey levels, below which they may be the same. The mean of a block of
#: 120x120 px of 1080p is nearly free of what an encoder at a constant bit rate makes of a standing picture, but not of
#: the life of the light, the scene and the sensor.
MAX_DIFFERENCE = 0.25
#: And below this part of the least that the camera has shown. x264 at a constant rate leaves up to 0.38 of it, the most
#: where a clock that goes on disturbs its rate control.
_OF_USUAL = 0.4
#: The grain must have gone as well: a shop is calmer when all have left it, the noise of its camera is not. But it is
#: the encoder that leaves or makes it. At a constant rate standing pictures have up to 0.75 of the least usual grain,
#: pictures that live but are as calm as can be at least 0.76; at a variable rate it is 0.46 and 0.64.
_OF_USUAL_GRAIN, _OF_USUAL_GRAIN_IF_VARIABLE = 0.75, 0.55
#: Where the picture has visible noise, blocks must differ by less than this part of what that noise alone must change;
#: where what is usual is not known, by less still.
_OF_NOISE, _OF_NOISE_IF_UNKNOWN, _VISIBLE_NOISE = 0.6, 0.4, 0.5
#: On variable bit rate the frames between two key frames must be smaller than this part of the least usual size: a
#: picture that stands is only refined.
_OF_USUAL_BYTES = 0.5
#: Pictures are equal up to this, whatever is known; and with small frames in between up to that.
_EQUAL, _EQUAL_WITH_BYTES = 0.002, 0.01
#: Mean absolute difference of two means of 20x20 px of independent noise, for a variance of 1 inside 2x2 px.
_LIFE_OF_NOISE = math.sqrt(2 / math.pi * 2 / 400 / 0.75)
#: The same of two single pixels. What a picture seems to have of noise may be gravel or leaves; what changes is not.
_GRAIN_OF_NOISE = math.sqrt(2 / math.pi * 2 / 0.75)
#: The least usual value follows a smaller one by this part a key frame, so that one repeated picture does not blind the
#: detector, and forgets within a day: the noise of a night is not that of a noon.
_FALL = 0.1
_FORGET_S = 86_400.0
#: When the median block differs by this part of its level the light is another one: a shop is calmer with lamps off.
#: Then only pictures count that are more alike than any noise, and nothing is learned before it has stayed for a while:
#: the exposure gives way to every white car. What is calm in it is learned faster afterwards.
_OTHER_LIGHT = 0.1
_STAYS_AFTER, _SETTLING, _FALL_WHILE_SETTLING = 12, 12, 0.3
#: Calm is also learned anew when key frames come at less than this part of the shortest time that was usual: clouds
#: that pass in 10 s between two key frames are calm in 2 s.
_OTHER_PACE = 0.6
_LEVEL_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two key frames, in grey levels."""

    blocks: float  #: mean absolute difference of the calmest nine tenths of the blocks' means
    grain: float  #: mean absolute difference of single pixels in the median block: noise, and what is left of it


def change(features: Features, earlier: Features) -> Change:
    """What differs between two pictures."""
    blocks = np.abs(features.means - earlier.means).ravel()
    blocks.partition(BLOCKS - _LEFT_OUT)
    # Every second row: noise is as good a witness in half of the picture.
    pixels = cv2.absdiff(features.luma[::2], earlier.luma[::2]).astype(np.float32)
    return Change(float(blocks[: BLOCKS - _LEFT_OUT].mean()), _median(block_means(pixels)))


def _median(blocks: Blocks) -> float:
    return float(np.partition(blocks.ravel(), BLOCKS // 2)[BLOCKS // 2])


@dataclass(slots=True)
class UsualMotion:
    """The least that changes in a camera's picture while it is alive."""

    blocks: float | None = None  #: of two key frames, see ``Change``
    grain: float | None = None  #: of two key frames, see ``Change``
    inter_bytes: float | None = None  #: median size of the frames between them
    level: Blocks | None = None  #: means of the blocks in the light that this is known of
    pace: float | None = None  #: shortest time from one key frame to the next lately, seconds; None: not known
    settling: int = 0  #: key frames until the calm of another light, or of another pace, is known
    strange: int = 0  #: key frames in a row in another light

    @property
    def is_known(self) -> bool:
        """Whether this is what the camera shows in the present light, at the present pace."""
        return not self.strange and not self.settling

    def see(self, means: Blocks, seconds: float | None) -> None:
        """Takes a picture, alive or not: one that stands has the level, and comes at the pace, that it had before.

        Args:
            means: of its blocks, grey levels.
            seconds: since the picture before; None: there was none, or a gap.
        """
        if seconds is not None:
            is_unknown = self.pace is None and self.blocks is not None
            if is_unknown or (self.pace is not None and seconds < _OTHER_PACE * self.pace):
                self.settling = _SETTLING
            self.pace = _least(self.pace, seconds, seconds, 1.0)
        if self.level is None:
            self.level = means
        if abs(_median((means + MIDDLE_GREY) / np.maximum(self.level + MIDDLE_GREY, 1)) - 1) <= _OTHER_LIGHT:
            self.strange = 0
            self.level = self.level + np.float32(_LEVEL_SHARE) * (means - self.level)
            return
        self.strange += 1
        if self.strange > _STAYS_AFTER:
            self.strange, self.settling = 0, _SETTLING
            self.level = means

    def learn(self, measured: Change, inter_bytes: float | None, seconds: float) -> None:
        """Takes what a living picture showed.

        Args:
            measured: since the key frame before.
            inter_bytes: median size of the frames between the two; None: there are none.
            seconds: time between the two.
        """
        if self.strange:
            return
        fall = _FALL_WHILE_SETTLING if self.settling else _FALL
        self.settling = max(0, self.settling - 1)
        self.blocks = _least(self.blocks, measured.blocks, seconds, fall)
        self.grain = _least(self.grain, measured.grain, seconds, fall)
        if inter_bytes is not None:
            self.inter_bytes = _least(self.inter_bytes, inter_bytes, seconds, fall)


def _least(least: float | None, value: float, seconds: float, fall: float) -> float:
    if least is None:
        return value
    if value < least:
        return least + fall * (value - least)
    # By ratio: rain has ten times the usual grain, of which a tenth would already be too much when it ends.
    known = max(least, _EQUAL)
    return known * math.pow(value / known, 1 - math.exp(-seconds / _FORGET_S))


def frozen(
    measured: Change, usual: UsualMotion, *, noise: float, inter_bytes: float | None, is_variable_rate: bool | None
) -> Suspicion | None:
    """Whether two key frames are the same picture.

    Args:
        measured: what differs between them.
        usual: what the camera shows when it is alive.
        noise: variance of the noise in the picture, see ``Features``.
        inter_bytes: median size of the frames between them; None: there are none.
        is_variable_rate: whether the encoder spends fewer bytes on a calm picture; None: not known. At a constant rate
            it refines a standing picture or pads it, so that sizes prove nothing.
    """
    addition = ""
    equal, grain_share = _EQUAL, _OF_USUAL_GRAIN
    if is_variable_rate and inter_bytes is not None and usual.inter_bytes is not None:
        least_bytes = _OF_USUAL_BYTES * usual.inter_bytes
        if inter_bytes >= least_bytes:
            return None
        equal, grain_share = _EQUAL_WITH_BYTES, _OF_USUAL_GRAIN_IF_VARIABLE
        addition = f", and the frames between have {inter_bytes:.0f} bytes; at least {least_bytes:.0f} is expected"
    limit = min(MAX_DIFFERENCE, _OF_USUAL * (usual.blocks or 0.0))
    deviation = math.sqrt(noise)
    if not usual.is_known:
        temporal = min(deviation, (usual.grain or 0.0) / _GRAIN_OF_NOISE)
        limit = min(limit, _OF_NOISE_IF_UNKNOWN * _LIFE_OF_NOISE * temporal)
    elif noise >= _VISIBLE_NOISE:
        limit = min(limit, _OF_NOISE * _LIFE_OF_NOISE * deviation)
    if usual.grain is not None and measured.grain >= grain_share * usual.grain:
        limit = 0.0
    limit = max(limit, equal)
    if measured.blocks > limit:
        return None
    return Suspicion(
        Fault.FROZEN,
        f"the grey levels of two key frames differ by {measured.blocks:.3f}; at least {limit:.3f} is expected"
        + addition,
    )
