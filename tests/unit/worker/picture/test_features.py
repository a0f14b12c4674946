from collections.abc import Callable

import cv2
import numpy as np
import pytest

from camera_worker.picture.features import DARK, LIGHT, measure
from camera_worker.picture.thumbnail import Gray

Thumb = Callable[..., Gray]


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_noise_is_measured_and_taken_out_of_the_detail(sigma: float) -> None:
    noise = np.random.default_rng(0).normal(128, sigma, (180, 320))
    features = measure(np.asarray(np.clip(np.rint(noise), 0, 255), np.uint8))
    # Three quarters of white noise are inside 2x2 px; the calmest tenth of the blocks has a little less.
    assert features.noise == pytest.approx(0.75 * sigma**2, rel=0.2)
    assert float(np.median(features.fine)) < 0.25 * sigma**2


def test_detail_on_noise_is_still_seen(thumb: Thumb) -> None:
    picture = thumb()
    noisy = np.asarray(np.clip(picture + np.random.default_rng(0).normal(0, 3, picture.shape), 0, 255), np.uint8)
    clean, noised = measure(picture), measure(noisy)
    assert float(noised.middle.mean()) == pytest.approx(float(clean.middle.mean()), rel=0.1)


def test_blur_takes_the_sharpness_whatever_the_contrast(thumb: Thumb) -> None:
    picture = thumb()
    sharp = float(np.median(measure(picture).sharpness))
    dull = measure(np.asarray(60 + picture // 3, np.uint8))
    blurred = measure(np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8))
    assert float(np.median(dull.sharpness)) == pytest.approx(sharp, rel=0.35)
    assert float(np.median(blurred.sharpness)) < 0.25 * sharp


def test_edges_hardly_change_with_the_exposure(thumb: Thumb) -> None:
    picture = thumb()
    bright, dim = measure(picture), measure(np.asarray(16 + (picture - 16.0) * 0.5, np.uint8))
    common = (bright.edge_x * dim.edge_x + bright.edge_y * dim.edge_y).sum()
    assert common / np.sqrt(bright.edge_energy.sum() * dim.edge_energy.sum()) / 100 > 0.95


def test_edges_are_never_longer_than_one() -> None:
    checks = np.asarray(np.indices((180, 320)).sum(axis=0) // 2 % 2 * 255, np.uint8)
    features = measure(checks)
    assert float(np.hypot(features.edge_x, features.edge_y).max()) <= 1


def test_shares_count_what_is_below_and_above_the_limits() -> None:
    picture = np.full((180, 320), 128, np.uint8)
    picture[:, :80] = DARK - 1
    picture[:, -160:] = LIGHT
    tones = measure(picture).tones
    assert tones.dark_share == pytest.approx(0.25)
    assert tones.light_share == pytest.approx(0.5)
    assert (tones.low, tones.high) == (DARK - 1, LIGHT)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_tone_gives_finite_numbers(level: int) -> None:
    features = measure(np.full((180, 320), level, np.uint8))
    for blocks in (features.fine, features.middle, features.sharpness, features.edge_energy):
        assert np.isfinite(blocks).all()
    assert features.tones.mean == pytest.approx(level)
