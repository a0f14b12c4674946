"""A day of a camera in good order, a key frame every 10 s, made of a few decoded key frames."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from bench.picture.effects import BLACK, WHITE, Frame, Moment, headlights, infrared, insects, rain, shadow, shake
from bench.picture.video import Key
from camera_worker.picture.monitor import KeyFrameFacts, PictureMonitor
from camera_worker.picture.thumbnail import Gray

INTERVAL_S = 10.0
CAMERA_HOURS = 24.0
_KEYS = int(CAMERA_HOURS * 3600 / INTERVAL_S)
#: Sunrise and sunset begin, hours; each takes 40 minutes, and the infra-red lamp switches within.
_DAWN, _DUSK, _TWILIGHT_H = 6.0, 18.5, 2 / 3
_INFRARED_BELOW = 0.45
#: A camera on a mast shakes in the wind of the afternoon.
_WINDY = (14.0, 16.0)
_RAINY = ((3.0, 4.0), (15.0, 17.0), (19.5, 20.5))


def _daylight(hour: float) -> float:
    """0 at night, 1 by day."""
    rising, setting = (hour - _DAWN) / _TWILIGHT_H, (_DUSK + _TWILIGHT_H - hour) / _TWILIGHT_H
    return float(np.clip(min(rising, setting), 0, 1))


def pictures(keys: Sequence[Key], seed: int) -> Iterator[tuple[float, Gray, bool]]:
    """Time in seconds, picture, and whether the infra-red lamp is on."""
    rng = np.random.default_rng((seed, 24))
    clouds = 1.0
    for number in range(_KEYS):
        at = number * INTERVAL_S
        hour = at / 3600
        light = _daylight(hour)
        clouds += 0.05 * (0.9 - clouds) + 0.03 * float(rng.standard_normal())
        is_infrared = light < _INFRARED_BELOW
        source = keys[int(rng.integers(len(keys)))].luma
        yield at, _picture(source, rng, number=number, hour=hour, light=light, clouds=clouds), is_infrared


def _picture(source: Gray, rng: np.random.Generator, *, number: int, hour: float, light: float, clouds: float) -> Gray:
    moment = Moment(frame=number, key=number, seed=int(hour), severity=int(rng.integers(3)), frozen=source)
    picture: Frame = source
    if light < _INFRARED_BELOW:
        # The lamp does not change within a night.
        lit = Moment(frame=number, key=0, seed=0, severity=1, frozen=source)
        picture = infrared(picture, lit)
        if rng.random() < 0.05:
            picture = headlights(picture, moment)
        if rng.random() < 0.1:
            picture = insects(picture, moment)
    else:
        # The exposure follows the light; what it cannot make up for is gain and noise.
        level = (0.45 + 0.55 * light) * float(np.clip(clouds, 0.6, 1.15))
        picture = _exposed(picture, rng, level=level, noise=0.5 + 2.0 * (1 - light))
        picture = shadow(picture, Moment(frame=number, key=int(hour), seed=int(hour), severity=1, frozen=source))
    if any(begin <= hour < end for begin, end in _RAINY):
        picture = rain(picture, moment)
    if _WINDY[0] <= hour < _WINDY[1]:
        picture = shake(picture, moment)
    return picture


def _exposed(picture: Gray, rng: np.random.Generator, *, level: float, noise: float) -> Frame:
    plane = np.minimum(BLACK + (picture.astype(np.float32) - BLACK) * level, WHITE)
    plane += cv2.GaussianBlur(rng.standard_normal(picture.shape, np.float32), (0, 0), 0.5) * noise
    return np.asarray(np.clip(np.rint(plane), 0, 255), np.uint8)


def alarms_of_a_day(keys: Sequence[Key], *, seed: int, knows_light: bool) -> list[str]:
    """False alarms of one camera in one day, each as time, fault and message.

    Args:
        keys: decoded key frames of the scene.
        seed: of the weather.
        knows_light: whether the monitor is told when the picture has no colour.
    """
    monitor = PictureMonitor()
    alarms: list[str] = []
    standing: set[str] = set()
    for at, picture, is_infrared in pictures(keys, seed):
        facts = KeyFrameFacts(at, is_infrared=is_infrared if knows_light else None)
        findings = monitor.observe(picture, facts)
        now = {finding.fault.value for finding in findings}
        alarms += [
            f"{at / 3600:05.2f} h {finding.fault.value}: {finding.message}"
            for finding in findings
            if finding.fault.value not in standing
        ]
        standing = now
    return alarms
