"""Where the reference's view has gone when the camera was turned about its axis or zoomed. Pure; some 2 ms.

The amplitudes of a spectrum know nothing of places, only how large things are and how they are turned; in log-polar
coordinates both are displacements (Reddy and Chatterji, "An FFT-based technique for translation, rotation, and
scale-invariant image registration", 1996). What is proposed by this is believed when the reference, turned and
magnified so, is found in the picture.
"""

import cmath
import math
from dataclasses import dataclass

import cv2
import numpy as np

from camera_worker.picture.features import Features, Plane, edges, half_size
from camera_worker.picture.shift import Shift, coincidence, peak, spectrum

#: Side of the square spectrum, px: the half-size picture with room around it, and a size that transforms fast.
_SIDE = 180
#: Log-polar samples: one for each degree of half a turn, since the other half is the same, and of 3 % of size.
_TURNS, _SIZES = 180, 128
_LEAST_RADIUS = 2.0
_SIZE_STEP = math.log(_SIDE / 2 / _LEAST_RADIUS) / _SIZES
#: Peaks of the comparison that are tried, and the square round each that belongs to it, half its side.
_TRIED, _PEAK = 3, 5
#: Of a view at twice the size a quarter is left.
_MAX_ZOOM = 2.1
#: From the centre of a 16:9 picture to its corner, in parts of the width.
_TO_CORNER = math.hypot(0.5, 0.5 * 9 / 16)


@dataclass(frozen=True, slots=True)
class Similarity:
    """How a view lies in a picture."""

    zoom: float  #: size in the picture; 1: as it was
    degrees: float  #: anticlockwise, -180..180
    shift: Shift  #: of its middle

    @property
    def length(self) -> float:
        """How far the corners are from where they were, but for the shift, in parts of the picture's width."""
        return _TO_CORNER * abs(cmath.rect(self.zoom, math.radians(self.degrees)) - 1)

    @property
    def words(self) -> str:
        """For the message."""
        return f"turned by {abs(self.degrees):.0f}° and {self.zoom:.2f} times as large"


def find_similarity(features: Features, reference: Features) -> Similarity | None:
    """How the reference's view lies in a picture; None: it is not found.

    Args:
        features: of the picture.
        reference: of the usual picture.
    """
    usual: Plane = half_size(reference.luma.astype(np.float32))
    sought_in = spectrum(features)
    for zoom, degrees in _proposals(_log_polar(features), _log_polar(reference)):
        shift = peak(coincidence(sought_in, *_seen_so(usual, zoom, degrees)))
        if shift is not None:
            return Similarity(zoom, degrees, shift)
    return None


def _window(side: int) -> Plane:
    return np.hanning(side).astype(np.float32)


def _high_pass() -> Plane:
    """Coarse structure is the border of the window, not of the scene (from the paper)."""
    cosine = np.cos(np.pi * np.linspace(-0.5, 0.5, _SIDE))
    low = np.outer(cosine, cosine)
    return np.asarray((1 - low) * (2 - low), np.float32)


def _log_polar_grid() -> tuple[Plane, Plane]:
    angles = np.pi / _TURNS * np.arange(_TURNS)
    radii = _LEAST_RADIUS * np.exp(_SIZE_STEP * np.arange(_SIZES))
    x, y = (_SIDE / 2 + np.outer(axis(angles), radii) for axis in (np.cos, np.sin))
    return x.astype(np.float32), y.astype(np.float32)


_HIGH_PASS = _high_pass()
_GRID = _log_polar_grid()
_SIZE_WINDOW = _window(_SIZES)


def _log_polar(features: Features) -> Plane:
    """The spectrum of where a picture has edges, for a comparison: turns x sizes, complex."""
    strength: Plane = np.asarray(cv2.magnitude(features.edge_x, features.edge_y), np.float32)
    height, width = strength.shape
    square = np.zeros((_SIDE, _SIDE), np.float32)
    square[:height, :width] = (strength - strength.mean()) * np.outer(_window(height), _window(width))
    real, imaginary = cv2.split(cv2.dft(square, flags=cv2.DFT_COMPLEX_OUTPUT))
    amplitude = np.roll(np.log1p(cv2.magnitude(real, imaginary)), (_SIDE // 2, _SIDE // 2), axis=(0, 1))
    polar = cv2.remap(amplitude * _HIGH_PASS, *_GRID, cv2.INTER_LINEAR)
    return np.asarray(cv2.dft((polar - polar.mean()) * _SIZE_WINDOW, flags=cv2.DFT_COMPLEX_OUTPUT), np.float32)


def _proposals(picture: Plane, usual: Plane) -> list[tuple[float, float]]:
    """Zooms and degrees, the likeliest first: the highest peaks of the phase correlation."""
    product = cv2.mulSpectrums(picture, usual, 0, conjB=True)
    real, imaginary = cv2.split(product)
    phase = product / (cv2.magnitude(real, imaginary) + 1e-3)[:, :, None]
    found = cv2.GaussianBlur(cv2.dft(phase, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[:, :, 0], (0, 0), 1)
    proposals = []
    for _ in range(_TRIED):
        _, _, _, (x, y) = cv2.minMaxLoc(found)
        around = np.arange(-_PEAK, _PEAK + 1)
        found[np.ix_((y + around) % _TURNS, (x + around) % _SIZES)] = -1
        turn, size = (y + _TURNS // 2) % _TURNS - _TURNS // 2, (x + _SIZES // 2) % _SIZES - _SIZES // 2
        # What is larger has a narrower spectrum. A turn and its half-turn have the same one.
        zoom, degrees = math.exp(-_SIZE_STEP * size), -turn * 180 / _TURNS
        if 1 / _MAX_ZOOM <= zoom <= _MAX_ZOOM:
            proposals += [(zoom, degrees), (zoom, degrees + math.copysign(180, -degrees))]
    return proposals


def _seen_so(usual: Plane, zoom: float, degrees: float) -> tuple[Plane, Plane]:
    """The edges of the usual half-size picture, turned and magnified about its middle."""
    height, width = usual.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
    turned = cv2.warpAffine(usual, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    there = cv2.warpAffine(np.ones_like(usual), matrix, (width, height), flags=cv2.INTER_NEAREST)
    edge_x, edge_y, _ = edges(np.asarray(turned, np.float32))
    return edge_x * there, edge_y * there
