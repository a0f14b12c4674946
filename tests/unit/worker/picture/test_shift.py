from collections.abc import Callable

import cv2
import numpy as np
import pytest

from camera_worker.picture.features import Features, measure
from camera_worker.picture.shift import displaced, find_shift
from camera_worker.picture.thumbnail import Gray

Thumb = Callable[..., Gray]
EVERYWHERE = np.ones((9, 16), np.bool_)


def _warped(picture: Gray, matrix: list[list[float]]) -> Features:
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, np.asarray(matrix, np.float32), size, borderMode=cv2.BORDER_REFLECT_101)
    return measure(np.asarray(moved, np.uint8))


@pytest.mark.parametrize(("right", "down"), [(16, 0), (-48, 0), (0, 20), (30, -24), (4, 2)])
def test_a_displacement_is_found_with_its_sign(thumb: Thumb, right: int, down: int) -> None:
    found = find_shift(_warped(thumb(1), [[1, 0, right], [0, 1, down]]), measure(thumb(0)), EVERYWHERE).clear
    assert found is not None
    assert found.right == pytest.approx(right / 320, abs=0.004)
    assert found.down == pytest.approx(down / 320, abs=0.004)


def test_another_scene_is_not_a_displacement(thumb: Thumb) -> None:
    assert find_shift(measure(thumb(seed=2)), measure(thumb(seed=1)), EVERYWHERE).clear is None


@pytest.mark.parametrize("level", [0, 200])
def test_nothing_is_found_in_nothing(thumb: Thumb, level: int) -> None:
    empty = measure(np.full((180, 320), level, np.uint8))
    assert find_shift(empty, measure(thumb()), EVERYWHERE).clear is None
    assert find_shift(measure(thumb()), empty, EVERYWHERE).clear is None


def test_a_displacement_can_be_undone(thumb: Thumb) -> None:
    reference = measure(thumb())
    picture = _warped(thumb(), [[1, 0, 6], [0, 1, 4]])
    back = displaced(picture, find_shift(picture, reference, EVERYWHERE).nearby)
    inner = np.s_[8:-8, 8:-8]
    assert float(np.abs(back.edge_x - reference.edge_x)[inner].mean()) < 0.05
