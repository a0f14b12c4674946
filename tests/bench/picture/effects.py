"""Faults and nuisances painted onto real luma frames, before the encoder: what a lens, a mount or the weather does.

An effect is a function of a frame and a ``Moment``; it gives a new frame. Sizes are parts of the frame's width or
height, so that a clip's resolution does not matter. Three severities each, 0 the mildest that a person would call the
fault (or the mildest nuisance), 2 the strongest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from camera_api.faults import Fault

Frame = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

#: Luma of limited-range video: black and white.
BLACK, WHITE = 16.0, 235.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in its segment a frame stands."""

    frame: int  #: from the segment's start
    key: int  #: number of its group of pictures, from the segment's start
    seed: int
    severity: int
    frozen: Frame  #: the last frame before the segment

    def rng(self, *, static: bool = False) -> np.random.Generator:
        """Random numbers: other ones in every frame, or the same in the whole segment."""
        return np.random.default_rng((self.seed, 0 if static else self.frame + 1))

    def pick(self, mild: float, medium: float, strong: float) -> float:
        """The value for the severity."""
        return (mild, medium, strong)[self.severity]


Effect = Callable[[Frame, Moment], Frame]


def _clip(plane: npt.NDArray[np.floating]) -> Frame:
    return np.asarray(np.clip(np.rint(plane), 0, 255), np.uint8)


def _tone(frame: Frame, *, gain: float, lift: float = 0.0) -> Plane:
    """Exposure about the black level, clipped at white like a sensor."""
    return np.asarray(np.minimum(BLACK + (frame.astype(np.float32) - BLACK) * gain + lift, WHITE), np.float32)


def _noise(frame: Frame, moment: Moment, sigma: float) -> Plane:
    """Sensor noise; about 1.6 px wide, as after a camera's demosaicing."""
    fine = moment.rng().standard_normal(frame.shape, np.float32)
    soft = cv2.GaussianBlur(fine, (0, 0), 0.6)
    return np.asarray(soft * (sigma / float(soft.std())), np.float32)


def _blur(frame: Frame | Plane, part: float) -> Plane:
    """An out-of-focus lens: a disk, its standard deviation a part of the width."""
    radius = max(2.0 * part * frame.shape[1], 0.5)
    size = 2 * int(np.ceil(radius)) + 1
    axis = np.arange(size) - size // 2
    distance = np.hypot(axis[:, None], axis[None, :])
    kernel = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    plane = frame.astype(np.float32)
    return np.asarray(cv2.filter2D(plane, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _warp(frame: Frame, *, right: float = 0.0, down: float = 0.0, scale: float = 1.0, degrees: float = 0.0) -> Frame:
    """The view after the mount moved; beyond the old view's border lies its mirror image."""
    height, width = frame.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    matrix[:, 2] += (-right * width, -down * height)
    return np.asarray(
        cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )


@lru_cache(maxsize=64)
def _field(shape: tuple[int, int], seed: int, grain: float) -> Plane:
    """Smooth random field of mean 0 and deviation 1; ``grain`` is its detail's size as a part of the width."""
    height, width = shape
    cells = max(2, round(1 / grain))
    coarse = np.random.default_rng(seed).standard_normal((max(2, cells * height // width), cells)).astype(np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _mask(shape: tuple[int, int], seed: int, share: float, *, grain: float = 0.3, soft: float = 0.01) -> Plane:
    """A blob of random outline over a share of the picture, 0..1, its edge as soft as something close to the lens."""
    field = _field(shape, seed, grain)
    level = float(np.quantile(field, 1 - share)) if share < 1 else float(field.min()) - 1
    hard = (field > level).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), max(0.6, soft * shape[1])), np.float32)


def _lay(frame: Frame | Plane, over: Plane | float, mask: Plane) -> Plane:
    return np.asarray(frame * (1 - mask) + over * mask, np.float32)


# --- the picture's tone -----------------------------------------------------------------------------------------------


def black(frame: Frame, moment: Moment) -> Frame:
    """No signal from the sensor."""
    return _clip(BLACK + _noise(frame, moment, moment.pick(0.2, 1.0, 2.0)))


def dim(frame: Frame, moment: Moment) -> Frame:
    """A closed iris, or a night without a lamp: hardly anything, and noise."""
    return _clip(_tone(frame, gain=moment.pick(0.09, 0.06, 0.03)) + _noise(frame, moment, moment.pick(3, 5, 7)))


def lens_cap(frame: Frame, moment: Moment) -> Frame:
    """A cap with light leaking in at one side."""
    height, width = frame.shape
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :] + 0.2 * np.linspace(0, 1, height)[:, None]
    leak = moment.pick(120, 80, 40) * np.exp(-across / moment.pick(0.06, 0.05, 0.04))
    return _clip(BLACK + leak + _noise(frame, moment, 2.0))


def overexposed(frame: Frame, moment: Moment) -> Frame:
    """An iris stuck open: white, at most a trace of the scene."""
    plane = np.minimum(moment.pick(218, 226, 235) + (frame.astype(np.float32) - 16) * 0.08, WHITE)
    return _clip(plane + _noise(frame, moment, 1.0))


def washed_out(frame: Frame, moment: Moment) -> Frame:
    """Too long an exposure: most of the picture is clipped."""
    level = float(np.quantile(moment.frozen, 1 - moment.pick(0.75, 0.87, 0.96)))
    gain = (WHITE - BLACK) / max(level - BLACK, 4.0)
    return _clip(_tone(_clip(_blur(frame, 0.0008)), gain=gain) + _noise(frame, moment, 1.0))


# --- something on the lens --------------------------------------------------------------------------------------------


def cloth(frame: Frame, moment: Moment) -> Frame:
    """Cloth or a bag: folds out of focus, hardly any light through it."""
    folds = 70 + 22 * _field(frame.shape, moment.seed + 1, 0.12)
    covered = _lay(frame, folds, _mask(frame.shape, moment.seed, moment.pick(0.65, 0.85, 1.0), soft=0.02))
    return _clip(covered + _noise(frame, moment, 1.5))


def hand(frame: Frame, moment: Moment) -> Frame:
    """A hand that trembles in front of the lens."""
    skin = 110 + 16 * _field(frame.shape, moment.seed + 2, 0.25)
    mask = _mask(frame.shape, moment.seed, moment.pick(0.65, 0.8, 0.95), grain=0.5, soft=0.03)
    shake = moment.rng().normal(0, 0.006, 2)
    mask = np.asarray(_warp(_clip(255 * mask), right=shake[0], down=shake[1]) / 255, np.float32)
    return _clip(_lay(frame, skin, mask) + _noise(frame, moment, 1.0))


def leaf(frame: Frame, moment: Moment) -> Frame:
    """Leaves on the housing's window: dark, veined, soft edges."""
    veins = 60 + 10 * _field(frame.shape, moment.seed + 3, 0.04)
    leaves = _mask(frame.shape, moment.seed, moment.pick(0.62, 0.75, 0.88), grain=0.2, soft=0.008)
    return _clip(_lay(frame, np.asarray(cv2.GaussianBlur(veins, (0, 0), 0.008 * frame.shape[1]), np.float32), leaves))


def paint(frame: Frame, moment: Moment) -> Frame:
    """Spray paint: opaque in the middle, droplets at the edge."""
    field = _field(frame.shape, moment.seed, 0.4) + 0.35 * _field(frame.shape, moment.seed + 4, 0.02)
    level = float(np.quantile(field, 1 - moment.pick(0.65, 0.8, 0.95)))
    mask = cv2.GaussianBlur((field > level).astype(np.float32), (0, 0), 0.004 * frame.shape[1])
    return _clip(_lay(frame, moment.pick(180, 60, 40), np.asarray(mask, np.float32)))


def tape(frame: Frame, moment: Moment) -> Frame:
    """Translucent tape or a plastic bag: light comes through, the scene does not."""
    through = 0.5 * _blur(frame, 0.03) + 70 + 5 * _field(frame.shape, moment.seed, 0.06)
    return _clip(_lay(frame, through, _mask(frame.shape, moment.seed, moment.pick(0.7, 0.85, 1.0))))


def drops(frame: Frame, moment: Moment) -> Frame:
    """Water drops on the window: each a small, upside-down, blurred picture of its surroundings."""
    rng = moment.rng(static=True)
    height, width = frame.shape
    turned = _blur(frame[::-1, ::-1], 0.012)
    mask = np.zeros(frame.shape, np.float32)
    share = moment.pick(0.6, 0.75, 0.9)
    while mask.mean() < share:
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, centre, int(width * rng.uniform(0.02, 0.08)), 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.006 * width), np.float32)
    return _clip(_lay(_blur(frame, 0.002), 0.8 * turned + 30, soft))


def web(frame: Frame, moment: Moment) -> Frame:
    """A spider's web close to the lens, lit by the infra-red lamp: bright strands out of focus, and haze."""
    rng = moment.rng(static=True)
    height, width = frame.shape
    strands = np.zeros(frame.shape, np.float32)
    hub = np.array([rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height])
    for angle in np.linspace(0, 2 * np.pi, int(moment.pick(22, 30, 40)), endpoint=False):
        far = hub + 2 * width * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(strands, tuple(map(int, hub)), tuple(map(int, far)), 1.0, max(2, width // 110))
    for radius in np.arange(0.04, 0.9, moment.pick(0.06, 0.05, 0.04)):
        cv2.circle(strands, tuple(map(int, hub)), int(radius * width), 1.0, max(2, width // 110))
    glow = _blur(strands, 0.006)
    hazy = _blur(frame, moment.pick(0.004, 0.006, 0.008)) * moment.pick(0.5, 0.4, 0.3) + 60
    return _clip(hazy + moment.pick(90, 110, 130) * glow)


def fogged(frame: Frame, moment: Moment) -> Frame:
    """Condensation inside the housing: blur and haze."""
    soft = _blur(frame, moment.pick(0.006, 0.012, 0.025))
    return _clip(soft * moment.pick(0.6, 0.45, 0.3) + moment.pick(60, 80, 110))


def smear(frame: Frame, moment: Moment) -> Frame:
    """Grease wiped over the window: blur along one direction."""
    length = int(moment.pick(0.02, 0.04, 0.08) * frame.shape[1]) | 1
    turn = cv2.getRotationMatrix2D((length / 2, length / 2), float(moment.seed * 37 % 180), 1.0)
    row = np.zeros((length, length), np.float32)
    row[length // 2] = 1
    line = np.asarray(cv2.warpAffine(row, turn, (length, length)), np.float32)
    smeared = cv2.filter2D(np.asarray(_blur(frame, 0.0025)), -1, line / line.sum(), borderType=cv2.BORDER_REFLECT_101)
    return _clip(np.asarray(smeared, np.float32) * 0.85 + 20)


# --- the lens and the mount -------------------------------------------------------------------------------------------


def defocus_light(frame: Frame, moment: Moment) -> Frame:
    """A focus ring that has slipped a little: writing can no longer be read."""
    return _clip(_blur(frame, moment.pick(0.0035, 0.0045, 0.006)))


def defocus_strong(frame: Frame, moment: Moment) -> Frame:
    """Out of focus altogether."""
    return _clip(_blur(frame, moment.pick(0.009, 0.015, 0.03)))


def pan(frame: Frame, moment: Moment) -> Frame:
    """Turned sideways."""
    return _warp(frame, right=moment.pick(0.045, 0.2, 0.6) * (1 if moment.seed % 2 else -1))


def tilt(frame: Frame, moment: Moment) -> Frame:
    """Turned up or down."""
    return _warp(frame, down=moment.pick(0.08, 0.25, 0.6) * (1 if moment.seed % 2 else -1))


def zoom(frame: Frame, moment: Moment) -> Frame:
    """Another focal length."""
    return _warp(frame, scale=moment.pick(1.15, 1.4, 2.2) if moment.seed % 2 else 1 / moment.pick(1.15, 1.4, 1.9))


def rotate(frame: Frame, moment: Moment) -> Frame:
    """Turned about the optical axis."""
    return _warp(frame, degrees=moment.pick(5, 12, 35) * (1 if moment.seed % 2 else -1))


def knocked(frame: Frame, moment: Moment) -> Frame:
    """Hit by a ladder: everything at once."""
    return _warp(
        frame,
        right=moment.pick(0.1, 0.25, 0.45),
        down=moment.pick(-0.08, 0.2, 0.4),
        degrees=moment.pick(4, -10, 25),
        scale=moment.pick(1.0, 1.1, 1.2),
    )


def flipped(frame: Frame, moment: Moment) -> Frame:
    """The picture's orientation was changed in the camera's menu, or it hangs upside down."""
    return np.ascontiguousarray((frame[:, ::-1], frame[::-1], frame[::-1, ::-1])[moment.severity])


# --- the camera's computer --------------------------------------------------------------------------------------------


def frozen(frame: Frame, moment: Moment) -> Frame:  # noqa: ARG001 - the live frame is what a frozen camera hides
    """The sensor's last picture is encoded again and again."""
    return moment.frozen


def frozen_clock(frame: Frame, moment: Moment) -> Frame:  # noqa: ARG001 - as above
    """The same under an overlay whose clock goes on."""
    return clock(moment.frozen, moment)


# --- nuisances --------------------------------------------------------------------------------------------------------


def gain(frame: Frame, moment: Moment) -> Frame:
    """The automatic exposure steps."""
    return _clip(_tone(frame, gain=moment.pick(0.7, 1.35, 0.5)))


def hunting(frame: Frame, moment: Moment) -> Frame:
    """The automatic exposure cannot decide."""
    return _clip(_tone(frame, gain=1 + moment.pick(0.15, 0.25, 0.4) * float(np.sin(2.1 * moment.key))))


def dusk(frame: Frame, moment: Moment) -> Frame:
    """The light goes, the gain and the noise rise."""
    part = min(1.0, (moment.key + 1) / 10)
    level = 1 - part * (1 - moment.pick(0.6, 0.45, 0.35))
    return _clip(_tone(frame, gain=level) + _noise(frame, moment, part * moment.pick(3, 5, 7)))


def light(frame: Frame, moment: Moment) -> Frame:
    """The sun moves: slow change of the light from one side."""
    height, width = frame.shape
    side = np.linspace(0, 1, width, dtype=np.float32)[None, :] * np.ones((height, 1), np.float32)
    part = min(1.0, (moment.key + 1) / 12)
    return _clip(BLACK + (frame - BLACK) * (1 - part * moment.pick(0.3, 0.45, 0.6) * side))


def noise(frame: Frame, moment: Moment) -> Frame:
    """A high gain's noise."""
    return _clip(frame + _noise(frame, moment, moment.pick(6, 10, 15)))


def headlights(frame: Frame, moment: Moment) -> Frame:
    """Cars drive towards the camera at night: glare, and the exposure gives way."""
    height, width = frame.shape
    rng = np.random.default_rng((moment.seed, moment.key))
    night = _tone(frame, gain=0.45) + _noise(frame, moment, 4)
    if moment.key % 2:
        return _clip(night)
    glare = np.zeros(frame.shape, np.float32)
    for _ in range(2):
        cv2.circle(glare, (int(rng.uniform(0, width)), int(rng.uniform(0.3, 1) * height)), width // 60, 1.0, -1)
    spread = cv2.GaussianBlur(glare, (0, 0), 0.05 * width)
    halo = glare + moment.pick(0.5, 1.0, 1.6) * spread / max(float(spread.max()), 1e-6)
    return _clip(np.minimum(night * moment.pick(0.9, 0.8, 0.7) + 220 * halo, WHITE))


def rain(frame: Frame, moment: Moment) -> Frame:
    """Streaks and less contrast."""
    height, width = frame.shape
    rng = moment.rng()
    streaks = np.zeros(frame.shape, np.float32)
    for _ in range(int(moment.pick(150, 400, 900))):
        x, y, length = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.02, 0.06) * height
        cv2.line(streaks, (int(x), int(y)), (int(x + 0.15 * length), int(y + length)), float(rng.uniform(15, 45)), 1)
    contrast = moment.pick(0.9, 0.8, 0.7)
    return _clip(120 + (frame - 120.0) * contrast + cv2.GaussianBlur(streaks, (0, 0), 0.7))


def snow(frame: Frame, moment: Moment) -> Frame:
    """Flakes, the near ones out of focus."""
    height, width = frame.shape
    rng = moment.rng()
    flakes = np.zeros(frame.shape, np.float32)
    for _ in range(int(moment.pick(80, 200, 400))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(flakes, centre, max(1, int(width * rng.exponential(0.003))), float(rng.uniform(20, 90)), -1)
    return _clip(115 + (frame - 115.0) * 0.85 + cv2.GaussianBlur(flakes, (0, 0), 1.0))


def fog(frame: Frame, moment: Moment) -> Frame:
    """Mild fog: the far part of the picture (its top) loses most of its contrast."""
    far = np.linspace(1, 0.4, frame.shape[0], dtype=np.float32)[:, None]
    veil = moment.pick(0.35, 0.5, 0.6) * far
    return _clip(frame * (1 - veil) + 170 * veil)


def infrared(frame: Frame, moment: Moment) -> Frame:
    """The filter is out and the lamp on: other tones, a bright middle, dark corners, noise."""
    height, width = frame.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    lamp = 1.15 - moment.pick(0.35, 0.45, 0.55) * np.hypot(x, y)
    foliage = 1 + 0.25 * _field(frame.shape, 77, 0.15)
    level = moment.pick(0.8, 0.65, 0.55)
    lit = BLACK + (_blur(frame, 0.0012) - BLACK) * level * np.maximum(lamp, 0.2) * foliage
    return _clip(np.minimum(lit, WHITE) + _noise(frame, moment, moment.pick(3, 5, 7)))


def insects(frame: Frame, moment: Moment) -> Frame:
    """Moths in the infra-red lamp: large bright blurs, elsewhere in every frame."""
    height, width = frame.shape
    rng = moment.rng()
    blobs = np.zeros(frame.shape, np.float32)
    for _ in range(int(moment.pick(1, 3, 5))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(blobs, centre, int(width * rng.uniform(0.02, 0.07)), float(rng.uniform(80, 160)), -1)
    return _clip(np.minimum(frame + cv2.GaussianBlur(blobs, (0, 0), 0.01 * width), WHITE))


def vehicle(frame: Frame, moment: Moment) -> Frame:
    """A bus drives past close by: sharp, mostly flat sides, windows; it is in the picture for about four key frames."""
    height, width = frame.shape
    body = np.full(frame.shape, moment.pick(190, 60, 140), np.float32)
    length, top = moment.pick(0.45, 0.6, 0.75), moment.pick(0.35, 0.2, 0.1)
    left = -length + (moment.key % 8) * (1 + length) / 5 + (moment.frame % 5) * 0.01
    x0, x1, y0 = int(left * width), int((left + length) * width), int(top * height)
    for window in range(8):
        at = x0 + int((window + 0.2) * (x1 - x0) / 8)
        wide = int(0.6 * (x1 - x0) / 8)
        cv2.rectangle(body, (at, y0 + height // 12), (at + wide, y0 + height // 3), 35.0, -1)
    cv2.line(body, (x0, int(0.7 * height)), (x1, int(0.7 * height)), 230.0, max(2, height // 60))
    mask = np.zeros(frame.shape, np.float32)
    cv2.rectangle(mask, (x0, y0), (x1, int(0.93 * height)), 1.0, -1)
    return _clip(_lay(frame, body, mask) + _noise(frame, moment, 1.0))


def parked(frame: Frame, moment: Moment) -> Frame:
    """A van stops in the middle of the view and stays."""
    height, width = frame.shape
    size = moment.pick(0.2, 0.3, 0.4)
    x0, y0 = int((0.5 - size / 2) * width), int((0.55 - size / 2) * height)
    x1, y1 = int((0.5 + size / 2) * width), int((0.55 + size / 2) * height)
    out = frame.copy()
    cv2.rectangle(out, (x0, y0), (x1, y1), (200, 60, 120)[moment.severity], -1)
    cv2.rectangle(out, (x0 + width // 50, y0 + height // 40), (x1 - width // 50, y0 + (y1 - y0) // 3), 30, -1)
    return out


def crowd(frame: Frame, moment: Moment) -> Frame:
    """Many people, each elsewhere at the next key frame."""
    height, width = frame.shape
    rng = np.random.default_rng((moment.seed, moment.key))
    out = frame.copy()
    for _ in range(int(moment.pick(10, 18, 26))):
        x, y = int(rng.integers(width)), int(rng.uniform(0.2, 1) * height)
        body = (max(3, width // 50), max(6, height // 10))
        cv2.ellipse(out, (x, y), body, 0, 0, 360, int(rng.integers(20, 220)), -1)
        cv2.circle(out, (x, y - height // 9), max(2, width // 90), int(rng.integers(80, 200)), -1)
    return out


def shadow(frame: Frame, moment: Moment) -> Frame:
    """A cloud's edge or a building's shadow wanders through."""
    height, width = frame.shape
    edge = (moment.key % 12) / 12
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :] + 0.3 * np.linspace(0, 1, height)[:, None]
    shade = 1 - moment.pick(0.3, 0.45, 0.6) / (1 + np.exp((x - edge) * 80))
    return _clip(BLACK + (frame - BLACK) * shade)


def shake(frame: Frame, moment: Moment) -> Frame:
    """Wind at the mast."""
    right, down = moment.rng().uniform(-1, 1, 2) * moment.pick(0.004, 0.01, 0.018)
    return _warp(frame, right=float(right), down=float(down), degrees=float(moment.rng().normal(0, 0.15)))


def clock(frame: Frame, moment: Moment) -> Frame:
    """Date and time as an overlay."""
    out = frame.copy()
    size = moment.pick(0.0011, 0.0014, 0.0018) * frame.shape[1]
    text = f"2026-03-{1 + moment.severity:02d} 12:{moment.frame // 60 % 60:02d}:{moment.frame % 60:02d}"
    where = (int(0.02 * frame.shape[1]), int(0.08 * frame.shape[0]))
    cv2.putText(out, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, 16, 4)
    cv2.putText(out, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, 235, 1)
    return out


def glare(frame: Frame, moment: Moment) -> Frame:
    """The low sun: a bright veil around one corner."""
    height, width = frame.shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    veil = moment.pick(70, 120, 170) * np.exp(-((x - 0.9) ** 2 + (y - 0.1) ** 2) / 0.12)
    return _clip(np.minimum(frame + veil, WHITE))


def flicker(frame: Frame, moment: Moment) -> Frame:
    """Lamps at mains frequency and a fast shutter: dark bands that wander."""
    y = np.linspace(0, 1, frame.shape[0], dtype=np.float32)[:, None]
    bands = 1 - moment.pick(0.1, 0.2, 0.3) * (0.5 + 0.5 * np.sin(2 * np.pi * (2 * y + 0.37 * moment.frame)))
    return _clip(BLACK + (frame - BLACK) * bands)


def plain(frame: Frame, moment: Moment) -> Frame:  # noqa: ARG001 - an effect takes both
    """Nothing: what the encoder does to the picture is the nuisance."""
    return frame


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A way a picture goes wrong."""

    effect: Effect
    name: Fault
    also: tuple[Fault, ...] = ()  #: names that send the technician to the same spot


_OPTICS = (Fault.DEFOCUSED,)

FAULT_KINDS: dict[str, FaultKind] = {
    "black": FaultKind(black, Fault.BLACK),
    "dim": FaultKind(dim, Fault.BLACK),
    "lens cap": FaultKind(lens_cap, Fault.BLACK, (Fault.COVERED,)),
    "overexposed": FaultKind(overexposed, Fault.OVEREXPOSED),
    "washed out": FaultKind(washed_out, Fault.OVEREXPOSED),
    "cloth": FaultKind(cloth, Fault.COVERED),
    "hand": FaultKind(hand, Fault.COVERED),
    "leaf": FaultKind(leaf, Fault.COVERED),
    "paint": FaultKind(paint, Fault.COVERED),
    # Tape, drops, a web, grease and condensation blur and cover at once; the remedy, cleaning, stands with both names.
    "tape": FaultKind(tape, Fault.COVERED, _OPTICS),
    "drops": FaultKind(drops, Fault.COVERED, _OPTICS),
    "web": FaultKind(web, Fault.COVERED, _OPTICS),
    "fogged": FaultKind(fogged, Fault.DEFOCUSED, (Fault.COVERED,)),
    "smear": FaultKind(smear, Fault.DEFOCUSED, (Fault.COVERED,)),
    "defocus, light": FaultKind(defocus_light, Fault.DEFOCUSED),
    "defocus, strong": FaultKind(defocus_strong, Fault.DEFOCUSED),
    "pan": FaultKind(pan, Fault.MOVED),
    "tilt": FaultKind(tilt, Fault.MOVED),
    "zoom": FaultKind(zoom, Fault.MOVED),
    "rotate": FaultKind(rotate, Fault.MOVED),
    "knocked": FaultKind(knocked, Fault.MOVED),
    "flipped": FaultKind(flipped, Fault.MOVED),
    "frozen": FaultKind(frozen, Fault.FROZEN),
    "frozen, clock runs": FaultKind(frozen_clock, Fault.FROZEN),
}

NUISANCES: dict[str, Effect] = {
    "gain": gain,
    "hunting exposure": hunting,
    "dusk": dusk,
    "slow light": light,
    "shadow": shadow,
    "glare": glare,
    "headlights": headlights,
    "infra-red switch": infrared,
    "noise": noise,
    "rain": rain,
    "snow": snow,
    "mild fog": fog,
    "insects": insects,
    "vehicle": vehicle,
    "parked van": parked,
    "crowd": crowd,
    "shake": shake,
    "clock": clock,
    "flicker": flicker,
    "compression": plain,
}
