import cv2
import numpy as np
import pytest

from camera_worker.picture.thumbnail import is_grey, thumbnail


@pytest.mark.parametrize("shape", [(1080, 1920), (2160, 3840), (576, 768), (288, 352), (1920, 1080)])
def test_every_size_and_shape_becomes_320x180(shape: tuple[int, int]) -> None:
    reduced = thumbnail(np.full(shape, 77, np.uint8))
    assert reduced.shape == (180, 320)
    assert reduced.dtype == np.uint8
    assert (reduced == 77).all()


def test_a_decoder_s_padded_rows_are_read_in_place_and_left_alone() -> None:
    padded = np.random.default_rng(0).integers(0, 255, (1080, 1984)).astype(np.uint8)
    padded[:, 1920:] = 255
    before = padded.copy()
    view = padded[:, :1920]
    assert not view.flags.c_contiguous
    assert (thumbnail(view) == thumbnail(np.ascontiguousarray(view))).all()
    assert (padded == before).all()


@pytest.mark.parametrize("step", [1, 3, 5])
def test_where_whole_samples_are_taken_the_result_is_that_of_the_general_way(step: int) -> None:
    padded = np.random.default_rng(step).integers(0, 256, (360 * step, 640 * step + 32)).astype(np.uint8)
    picture = padded[:, : 640 * step]
    double = cv2.resize(picture, (640, 360), interpolation=cv2.INTER_LINEAR)
    assert (thumbnail(picture) == cv2.resize(double, (320, 180), interpolation=cv2.INTER_AREA)).all()


def test_the_result_is_no_view_of_a_picture_that_has_the_size_already() -> None:
    picture = np.zeros((180, 320), np.uint8)
    reduced = thumbnail(picture)
    picture[:] = 255
    assert reduced.max() == 0


def test_a_tone_keeps_its_level() -> None:
    picture = np.tile(np.linspace(16, 235, 1920).astype(np.uint8), (1080, 1))
    assert thumbnail(picture).mean() == pytest.approx(picture.mean(), abs=1)


def test_infrared_is_grey_and_a_coloured_corner_is_not() -> None:
    grey = np.full((540, 960), 128, np.uint8)
    rounded = grey.copy()
    rounded[::3] = 129
    coloured = grey.copy()
    coloured[:200, :300] = 150
    assert is_grey(grey, rounded)
    assert not is_grey(grey, coloured)
