from collections.abc import Callable

import cv2
import numpy as np
import pytest

from bench.picture import effects
from camera_worker.picture.features import Features, measure
from camera_worker.picture.similarity import find_similarity
from camera_worker.picture.thumbnail import Gray

Thumb = Callable[..., Gray]


def _seen(picture: Gray, *, degrees: float = 0.0, zoom: float = 1.0) -> Features:
    matrix = cv2.getRotationMatrix2D((160, 90), degrees, zoom)
    seen = cv2.warpAffine(picture, matrix, (320, 180), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
    return measure(np.asarray(seen, np.uint8))


@pytest.mark.parametrize(
    ("degrees", "zoom"), [(5, 1.0), (-12, 1.0), (35, 1.0), (180, 1.0), (0, 0.85), (0, 1.4), (-8, 1.15)]
)
def test_a_turned_or_zoomed_view_is_found_with_angle_and_size(thumb: Thumb, degrees: float, zoom: float) -> None:
    found = find_similarity(_seen(thumb(1), degrees=degrees, zoom=zoom), measure(thumb(0)))
    assert found is not None
    assert (found.degrees - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1.5)
    assert found.zoom == pytest.approx(zoom, rel=0.04)
    assert found.shift.length < 0.02


def test_the_length_is_that_of_a_corner(thumb: Thumb) -> None:
    still = find_similarity(measure(thumb(1)), measure(thumb(0)))
    turned = find_similarity(_seen(thumb(1), degrees=10), measure(thumb(0)))
    assert still is not None
    assert turned is not None
    assert still.length < 0.01
    # Half of the diagonal, by the chord of the angle.
    assert turned.length == pytest.approx(0.574 * 2 * np.sin(np.radians(5)), abs=0.02)
    assert turned.words == "turned by 10° and 1.00 times as large"


def test_another_scene_is_no_turn(thumb: Thumb) -> None:
    assert find_similarity(measure(thumb(seed=2)), measure(thumb(seed=1))) is None


@pytest.mark.parametrize("level", [0, 200])
def test_nothing_is_found_in_nothing(thumb: Thumb, level: int) -> None:
    empty = measure(np.full((180, 320), level, np.uint8))
    assert find_similarity(empty, measure(thumb())) is None
    assert find_similarity(measure(thumb()), empty) is None


@pytest.mark.parametrize("effect", [effects.cloth, effects.paint, effects.web])
def test_a_covered_view_is_not_turned(thumb: Thumb, effect: effects.Effect) -> None:
    covered = effect(thumb(1), effects.Moment(0, 0, 3, 2, thumb(0)))
    assert find_similarity(measure(covered), measure(thumb(0))) is None
