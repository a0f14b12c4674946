"""Frozen: the same picture again and again."""

import math
from dataclasses import dataclass

import numpy as np

from camera_api.faults import Fault
from camera_worker.picture.evidence import Suspicion
from camera_worker.picture.features import BLOCKS, Blocks

#: Blocks that may differ: a clock overlaid by the camera goes on while the picture stands.
_LEFT_OUT = BLOCKS // 10
#: Mean difference of two pictures' blocks, in grey levels, below which they may be the same. The mean of a block of
#: 120x120 px of 1080p is free of what an encoder at a constant bit rate makes of a standing picture, but not of the
#: life of the light, the scene and the sensor.
MAX_DIFFERENCE = 0.25
#: And below this part of the least that the camera has shown, and of what the noise in the picture must change: a shop
#: is calmer when the lamps are off and nobody is in it, but not calmer than its camera's sensor.
_OF_USUAL, _OF_NOISE = 0.25, 0.4
#: On variable bit rate the frames between two key frames must be smaller than this part of the least usual size, and
#: then the pictures need not be so alike.
_OF_USUAL_BYTES = 0.25
_OF_USUAL_WITH_BYTES, _OF_NOISE_WITH_BYTES = 0.5, 0.6
#: Pictures are equal up to this, whatever is known; and with small frames in between up to that.
_EQUAL, _EQUAL_WITH_BYTES = 0.002, 0.01
#: Mean absolute difference of two means of 20x20 px of independent noise, for a variance of 1 inside 2x2 px.
_LIFE_OF_NOISE = math.sqrt(2 / math.pi * 2 / 400 / 0.75)
#: The least usual value follows a smaller one by this part a key frame, so that one repeated picture does not blind the
#: detector, and forgets within a day: the noise of a night is not that of a noon.
_FALL = 0.1
_FORGET_S = 86_400.0


def difference(means: Blocks, earlier: Blocks) -> float:
    """Mean absolute difference of the calmest nine tenths of two pictures' blocks, in grey levels."""
    blocks = np.abs(means - earlier).ravel()
    blocks.partition(BLOCKS - _LEFT_OUT)
    return float(blocks[: BLOCKS - _LEFT_OUT].mean())


@dataclass(slots=True)
class UsualMotion:
    """The least that changes in a camera's picture while it is alive."""

    difference: float | None = None  #: of two key frames, grey levels
    inter_bytes: float | None = None  #: median size of the frames between them

    def learn(self, measured: float, inter_bytes: float | None, seconds: float) -> None:
        """Takes what a living picture showed.

        Args:
            measured: difference to the key frame before, grey levels.
            inter_bytes: median size of the frames between the two; None: there are none.
            seconds: time between the two.
        """
        self.difference = _least(self.difference, measured, seconds)
        if inter_bytes is not None:
            self.inter_bytes = _least(self.inter_bytes, inter_bytes, seconds)


def _least(least: float | None, value: float, seconds: float) -> float:
    if least is None:
        return value
    share = _FALL if value < least else 1 - math.exp(-seconds / _FORGET_S)
    return least + share * (value - least)


def frozen(
    measured: float, usual: UsualMotion, *, noise: float, inter_bytes: float | None, is_variable_rate: bool | None
) -> Suspicion | None:
    """Whether two key frames are the same picture.

    Args:
        measured: their difference, grey levels.
        usual: what the camera shows when it is alive.
        noise: variance of the noise in the picture, see ``Features``.
        inter_bytes: median size of the frames between them; None: there are none.
        is_variable_rate: whether the encoder spends fewer bytes on a calm picture; None: not known. At a constant rate
            it refines a standing picture or pads it, so that sizes prove nothing.
    """
    life = _LIFE_OF_NOISE * math.sqrt(noise)
    least = usual.difference if usual.difference is not None else 0.0
    limit = max(_EQUAL, min(MAX_DIFFERENCE, _OF_USUAL * least, _OF_NOISE * life))
    addition = ""
    if is_variable_rate and inter_bytes is not None and usual.inter_bytes is not None:
        least_bytes = _OF_USUAL_BYTES * usual.inter_bytes
        if inter_bytes >= least_bytes:
            return None
        limit = max(_EQUAL_WITH_BYTES, min(MAX_DIFFERENCE, _OF_USUAL_WITH_BYTES * least, _OF_NOISE_WITH_BYTES * life))
        addition = f", and the frames between have {inter_bytes:.0f} bytes; at least {least_bytes:.0f} is expected"
    if measured > limit:
        return None
    return Suspicion(
        Fault.FROZEN,
        f"the grey levels of two key frames differ by {measured:.3f}; at least {limit:.3f} is expected{addition}",
    )
