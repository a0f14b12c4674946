"""Pictures for the detectors: a drawn street with a camera's noise, under a monitor.

The effects of the picture benchmark are painted onto it. Nothing is encoded here; ``tests/bench/picture`` does that.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from bench.picture.effects import Effect, Frame, Moment
from camera_worker.picture.monitor import KeyFrameFacts, PictureFinding, PictureMonitor
from camera_worker.picture.thumbnail import thumbnail

Scene = Callable[[int], Frame]


@lru_cache(maxsize=64)
def street(number: int, *, seed: int = 1) -> Frame:
    """A street of 640x360 with houses and windows; people and noise differ with the number. Not to be changed."""
    still, moving = np.random.default_rng(seed), np.random.default_rng((seed, number))
    picture = np.full((360, 640), 120, np.uint8)
    picture[200:] = 90
    for _ in range(90):
        x, y = int(still.integers(0, 620)), int(still.integers(0, 340))
        size = (int(still.integers(8, 60)), int(still.integers(8, 40)))
        cv2.rectangle(picture, (x, y), (x + size[0], y + size[1]), int(still.integers(30, 220)), -1)
    for _ in range(3):
        x, y = int(moving.integers(0, 640)), int(moving.integers(200, 340))
        cv2.ellipse(picture, (x, y), (8, 22), 0, 0, 360, 40, -1)
    light = float(moving.normal(0, 0.5))
    noise = moving.normal(light, 3, picture.shape)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


class Camera:
    """A camera under a monitor: shows frames of a scene, with an effect if there is one."""

    def __init__(self, scene: Scene, *, seconds: float = 2.0) -> None:
        self.monitor = PictureMonitor()
        self.now = 0.0
        self.number = 1
        self._scene = scene
        self._seconds = seconds

    def show(
        self,
        keys: int,
        effect: Effect | None = None,
        *,
        severity: int = 1,
        seed: int = 3,
        infrared: bool | None = None,
        inter_bytes: float | None = None,
        is_variable_rate: bool | None = None,
    ) -> list[tuple[PictureFinding, ...]]:
        """Findings after each of some key frames."""
        findings = []
        before = self._scene(self.number - 1)
        for key in range(keys):
            frame = self._scene(self.number)
            if effect is not None:
                frame = effect(frame, Moment(frame=4 * key, key=key, seed=seed, severity=severity, frozen=before))
            facts = KeyFrameFacts(self.now, inter_bytes, is_variable_rate=is_variable_rate, is_infrared=infrared)
            findings.append(self.monitor.observe(thumbnail(frame), facts))
            self.now += self._seconds
            self.number += 1
        return findings
