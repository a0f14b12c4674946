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
#: And below this part of the least that the camera has shown, and, where the picture has visible noise, of what that
#: noise alone must change.
_OF_USUAL, _OF_NOISE = 0.25, 0.4
_VISIBLE_NOISE = 0.5
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
#: With this change of the median level, in grey levels, the light is another one: a shop is calmer with its lamps off.
#: For some key frames the new calm is learned faster, and only pictures that are more alike than any noise count.
_OTHER_LIGHT = 15.0
_SETTLING, _FALL_WHILE_SETTLING = 12, 0.3
#: The same holds when key frames come at less than this part of the shortest time that was usual: clouds that pass in
#: 10 s between two key frames are calm in 2 s.
_OTHER_PACE = 0.6
_LEVEL_SHARE = 1 / 8


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
    level: float | None = None  #: median grey level lately
    pace: float | None = None  #: shortest time from one key frame to the next lately, seconds; None: not known
    settling: int = 0  #: key frames until the calm of another light, or of another pace, is known

    def see(self, level: float, seconds: float | None) -> None:
        """Takes a picture, alive or not: one that stands has the level, and comes at the pace, that it had before.

        Args:
            level: its median, grey levels.
            seconds: since the picture before; None: there was none, or a gap.
        """
        if seconds is not None:
            is_unknown = self.pace is None and self.difference is not None
            if is_unknown or (self.pace is not None and seconds < _OTHER_PACE * self.pace):
                self.settling = _SETTLING
            self.pace = _least(self.pace, seconds, seconds, 1.0)
        if self.level is None or abs(level - self.level) > _OTHER_LIGHT:
            self.settling = _SETTLING if self.level is not None else 0
            self.level = level
        self.level += _LEVEL_SHARE * (level - self.level)

    def learn(self, measured: float, inter_bytes: float | None, seconds: float) -> None:
        """Takes what a living picture showed.

        Args:
            measured: difference to the key frame before, grey levels.
            inter_bytes: median size of the frames between the two; None: there are none.
            seconds: time between the two.
        """
        fall = _FALL_WHILE_SETTLING if self.settling else _FALL
        self.settling = max(0, self.settling - 1)
        self.difference = _least(self.difference, measured, seconds, fall)
        if inter_bytes is not None:
            self.inter_bytes = _least(self.inter_bytes, inter_bytes, seconds, fall)


def _least(least: float | None, value: float, seconds: float, fall: float) -> float:
    if least is None:
        return value
    share = fall if value < least else 1 - math.exp(-seconds / _FORGET_S)
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
    addition = ""
    of_usual, of_noise, equal = _OF_USUAL, _OF_NOISE, _EQUAL
    if is_variable_rate and inter_bytes is not None and usual.inter_bytes is not None:
        least_bytes = _OF_USUAL_BYTES * usual.inter_bytes
        if inter_bytes >= least_bytes:
            return None
        of_usual, of_noise, equal = _OF_USUAL_WITH_BYTES, _OF_NOISE_WITH_BYTES, _EQUAL_WITH_BYTES
        addition = f", and the frames between have {inter_bytes:.0f} bytes; at least {least_bytes:.0f} is expected"
    limit = min(MAX_DIFFERENCE, of_usual * (usual.difference or 0.0))
    if noise >= _VISIBLE_NOISE or usual.settling:
        limit = min(limit, of_noise * _LIFE_OF_NOISE * math.sqrt(noise))
    limit = max(limit, equal)
    if measured > limit:
        return None
    return Suspicion(
        Fault.FROZEN,
        f"the grey levels of two key frames differ by {measured:.3f}; at least {limit:.3f} is expected{addition}",
    )
