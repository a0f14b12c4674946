"""What is measured on every key frame before it is compared with anything. Pure; 320x180 grey in, some 0.1 ms."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from camera_worker.picture.thumbnail import Gray

Plane = npt.NDArray[np.float32]
Blocks = npt.NDArray[np.float32]  #: 9x16, one number per block

#: The picture is judged in 16x9 blocks of 20x20 px: a person 20 m away fills one or two.
COLUMNS, ROWS = 16, 9
BLOCKS = COLUMNS * ROWS
#: Length of a gradient, in grey levels over two pixels of the half-size picture, at which it counts half. Noise and
#: compression leave 1-2 there after the reduction, an object's edge has 10-100.
KNEE = 4.0
#: A grey level between black and white; squares about it lose less to rounding.
MIDDLE_GREY = 128.0
#: Detail of one pixel against detail of two in a picture with no detail finer than that: the variance inside a square
#: on a slope goes with the square of its side. In a sharp picture it is 0.35-0.8, in white noise 4.
SMOOTH = 0.25
#: What counts as dark and as light. Limited-range video has 16 for black and 235 for white; night and gain leave more
#: than a tenth of a picture above 32, and a control of the exposure keeps all but a few highlights below 215.
DARK, LIGHT = 32, 215


@dataclass(frozen=True, slots=True)
class Tones:
    """Grey levels of the half-size picture: means of 12x12 px of 1080p, in which noise hardly counts."""

    low: int  #: 1st percentile
    high: int  #: 99th percentile
    median: int
    mean: float
    dark_share: float  #: part of the picture below ``DARK``, 0..1
    light_share: float  #: part of the picture from ``LIGHT`` on, 0..1


@dataclass(frozen=True, slots=True)
class Features:
    """Measurements of one picture."""

    luma: Gray  #: 180x320, the picture itself
    tones: Tones
    means: Blocks  #: grey level of each block, less 128
    edge_x: Plane  #: 90x160, horizontal gradient of the half-size picture, its length compressed to 0..1
    edge_y: Plane  #: 90x160, the vertical one
    edge_energy: Blocks  #: mean square of both
    fine: Blocks  #: variance inside 2x2 px, that is detail of one pixel, free of noise
    middle: Blocks  #: variance among 2x2 neighbours of the half-size picture, detail of two pixels, free of noise
    noise: float  #: variance of the noise in ``fine`` that was taken out; a quarter of it was in ``middle``

    @property
    def sharpness(self) -> Blocks:
        """``fine`` against ``middle``, less what a smooth picture has: 0 blurred, 0.1-0.5 sharp."""
        return np.asarray(self.fine / np.maximum(self.middle, 1e-3) - SMOOTH, np.float32)


def measure(luma: Gray) -> Features:
    """All features of one picture.

    Args:
        luma: 180x320 uint8; kept, so it must not change.
    """
    full: Plane = luma.astype(np.float32)
    full -= MIDDLE_GREY
    half = half_size(full)
    edge_x, edge_y, edge_energy = edges(half)
    # Squares are averaged in two steps, since a fourfold mean is five times as fast as one of four hundred.
    squares = [block_means(half_size(plane * plane)) for plane in (full, half)]
    quarter = half_size(half)
    squares.append(block_means(quarter * quarter))
    fine, middle = squares[0] - squares[1], squares[1] - squares[2]
    noise = _noise(fine, middle)
    return Features(
        luma=luma,
        tones=_tones(luma),
        means=block_means(quarter),
        edge_x=edge_x,
        edge_y=edge_y,
        edge_energy=edge_energy,
        fine=np.maximum(fine - noise, 0),
        middle=np.maximum(middle - noise / 4, 0),
        noise=noise,
    )


def block_means(plane: Plane) -> Blocks:
    """Means of the 9x16 blocks of a plane of any size."""
    return np.asarray(cv2.resize(plane, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float32)


def half_size(plane: Plane) -> Plane:
    """Means of 2x2 px."""
    height, width = plane.shape
    return np.asarray(cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def edges(half: Plane) -> tuple[Plane, Plane, Blocks]:
    """Gradients of a half-size picture and their energy.

    Their direction is kept and their length compressed, so that the exposure hardly matters.
    """
    x: Plane = np.asarray(cv2.Sobel(half, cv2.CV_32F, 1, 0, ksize=1), np.float32)
    y: Plane = np.asarray(cv2.Sobel(half, cv2.CV_32F, 0, 1, ksize=1), np.float32)
    length: Plane = np.asarray(cv2.magnitude(x, y), np.float32)
    scale: Plane = np.reciprocal(length + np.float32(KNEE))
    length *= scale
    return x * scale, y * scale, block_means(length * length)


def _noise(fine: Blocks, middle: Blocks) -> float:
    """Variance of white noise in ``fine``, from the calmest tenth of the blocks.

    A smooth slope has a quarter of ``middle`` in ``fine``, noise a quarter of ``fine`` in ``middle``: two equations.
    """
    calm = fine.size // 10
    lowest = [float(np.partition(blocks.ravel(), calm)[calm]) for blocks in (fine, middle)]
    return max(0.0, (lowest[0] - SMOOTH * lowest[1]) / (1 - SMOOTH / 4))


def _tones(luma: Gray) -> Tones:
    height, width = luma.shape
    half = cv2.resize(luma, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    below = np.cumsum(cv2.calcHist([half], [0], None, [256], [0, 256]).ravel()) / half.size
    return Tones(
        low=int(below.searchsorted(0.01)),
        high=int(below.searchsorted(0.99)),
        median=int(below.searchsorted(0.5)),
        mean=float(cv2.mean(half)[0]),
        dark_share=float(below[DARK - 1]),
        light_share=float(1 - below[LIGHT - 1]),
    )
