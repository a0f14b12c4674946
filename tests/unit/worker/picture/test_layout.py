from collections.abc import Callable

import cv2
import numpy as np
import pytest

from camera_worker.picture.features import Blocks, measure
from camera_worker.picture.layout import compare, demanded
from camera_worker.picture.thumbnail import Gray

Thumb = Callable[..., Gray]
RELIABLE: Blocks = np.ones((9, 16), np.float32)


def test_a_picture_is_like_itself(thumb: Thumb) -> None:
    features = measure(thumb())
    layout = compare(features, features, RELIABLE)
    assert layout.lost_share == 0
    assert layout.kept_share == 1
    assert float(layout.likeness[layout.counted].min()) == pytest.approx(1, abs=0.01)


def test_what_is_behind_a_board_is_lost_and_the_rest_kept(thumb: Thumb) -> None:
    covered = thumb(1).copy()
    covered[:, :192] = 60
    layout = compare(measure(covered), measure(thumb(0)), RELIABLE)
    assert layout.lost_share == pytest.approx(0.6, abs=0.1)
    assert layout.kept_share == pytest.approx(0.4, abs=0.15)
    assert layout.lost[:, :9].sum() > 0.9 * layout.counted[:, :9].sum()
    assert layout.lost[:, 11:].sum() < 0.1 * layout.counted[:, 11:].sum()


@pytest.mark.parametrize(("gain", "sigma"), [(0.5, 0.0), (0.4, 2.0), (1.0, 6.0)])
def test_nothing_is_lost_in_dim_light_and_noise(thumb: Thumb, gain: float, sigma: float) -> None:
    plane = 16 + (thumb(1) - 16.0) * gain + np.random.default_rng(0).normal(0, sigma, (180, 320))
    layout = compare(measure(np.asarray(np.clip(plane, 0, 255), np.uint8)), measure(thumb(0)), RELIABLE)
    assert layout.lost_share < 0.05


def test_nothing_is_said_about_a_wall() -> None:
    wall = np.full((180, 320), 150, np.uint8)
    cv2.line(wall, (50, 0), (50, 30), 60, 2)
    layout = compare(measure(np.full((180, 320), 90, np.uint8)), measure(wall), RELIABLE)
    assert 0 < int(layout.counted.sum()) < 5
    assert layout.lost_share == 0
    assert layout.kept_share == 1


def _gravel(seed: int = 5) -> Gray:
    """A road with five marks and a grain fainter than what counts on its own."""
    road = 110 + cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (180, 320)), (0, 0), 1.2) * 4
    for x, y in ((30, 30), (150, 50), (290, 30), (70, 150), (250, 150)):
        cv2.line(road, (x, y), (x + 18, y + 12), 220, 2)
    return np.asarray(np.rint(road), np.uint8)


def test_faint_blocks_count_beside_others_of_their_kind() -> None:
    road = measure(_gravel())
    covered = _gravel().copy()
    covered[:, 110:] = 90
    layout = compare(measure(covered), road, RELIABLE)
    assert int(layout.bold.sum()) < 20 < int(layout.counted.sum())
    assert layout.lost_share == pytest.approx(0.63, abs=0.08)
    assert layout.is_lost


def test_what_wipes_out_all_that_is_faint_is_no_cover() -> None:
    road = measure(_gravel())
    wiped = _gravel(seed=6)
    layout = compare(measure(wiped), road, RELIABLE)
    assert (layout.counted == layout.bold).all()
    assert not layout.is_lost


def test_a_cover_hides_bold_blocks_along_with_faint_ones() -> None:
    road, shaded = measure(_gravel()), _gravel(seed=6)
    shaded[:60] = _gravel()[:60]
    layout = compare(measure(shaded), road, RELIABLE)
    assert layout.lost_share > layout.max_lost
    assert not layout.is_lost


def test_faint_blocks_along_a_shadow_s_edge_are_no_evidence_of_their_own() -> None:
    """It passes through four columns in the middle, in two of them boldly, and jumps away; marks at the side stay."""
    grain = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, (180, 320)), (0, 0), 1.2) * 4
    road, jumped = np.asarray(np.rint(110 + grain), np.uint8), np.asarray(np.rint(110 + grain), np.uint8)
    reliability = np.zeros((9, 16), np.float32)
    for row in range(1, 6):
        reliability[row, 6:10] = 1
        jumped[20 * row : 20 * row + 20, 120:200] = 110
        cv2.line(road, (144, 20 * row + 3), (154, 20 * row + 15), 150, 2)
        cv2.line(road, (164, 20 * row + 3), (174, 20 * row + 15), 150, 2)
    for row in range(2, 6):
        reliability[row, 0:4] = 1
        for picture in (road, jumped):
            cv2.line(picture, (4, 20 * row + 3), (14, 20 * row + 15), 200, 2)
            cv2.line(picture, (24, 20 * row + 3), (34, 20 * row + 15), 200, 2)
    layout = compare(measure(jumped), measure(road), reliability)
    assert (int(layout.bold.sum()), int(layout.counted.sum())) == (18, 36)
    assert layout.lost_share > demanded(0.45, 36)
    assert not layout.is_lost


def test_blocks_that_never_look_alike_do_not_count(thumb: Thumb) -> None:
    reliability = RELIABLE.copy()
    reliability[:, :8] = 0.3
    layout = compare(measure(thumb(seed=2)), measure(thumb(seed=1)), reliability)
    assert not layout.counted[:, :8].any()
    assert layout.lost_share > 0.7


def test_overlaid_text_does_not_make_another_view_the_usual_one(thumb: Thumb) -> None:
    here, elsewhere = thumb(seed=1).copy(), thumb(seed=2).copy()
    for picture in (here, elsewhere):
        for row in (14, 176):
            cv2.putText(picture, "2026-03-01 12:00:00 CAMERA 0815 STREET", (2, row), cv2.FONT_HERSHEY_PLAIN, 1, 255, 2)
    layout = compare(measure(elsewhere), measure(here), RELIABLE)
    assert layout.likeness[0].mean() > 0.5
    assert layout.kept_share < 0.1


def test_the_fewer_blocks_count_the_more_must_agree() -> None:
    assert demanded(0.45, 144) == 0.45
    assert 0.45 < demanded(0.45, 20) < demanded(0.45, 10) < demanded(0.45, 5) < 0.8
