from collections.abc import Callable

import numpy as np
import pytest

from camera_api.faults import Fault
from camera_worker.picture.evidence import Suspicion
from camera_worker.picture.features import Blocks, measure
from camera_worker.picture.frozen import Change, UsualMotion, change, frozen
from camera_worker.picture.thumbnail import Gray

Thumb = Callable[..., Gray]
#: Of a picture that is as grainy as ever, and of one without any grain.
LIVELY, STILL = 2.0, 0.5


def usual(blocks: float = 0.5, inter_bytes: float | None = None) -> UsualMotion:
    motion = UsualMotion()
    motion.learn(Change(blocks, LIVELY), inter_bytes, 2.0)
    return motion


def level(grey: float) -> Blocks:
    return np.full((9, 16), grey - 128, np.float32)


def judged(
    blocks: float,
    motion: UsualMotion,
    *,
    grain: float = STILL,
    noise: float = 100.0,
    inter_bytes: float | None = None,
    is_variable_rate: bool | None = None,
) -> Suspicion | None:
    return frozen(
        Change(blocks, grain), motion, noise=noise, inter_bytes=inter_bytes, is_variable_rate=is_variable_rate
    )


def test_a_clock_in_a_tenth_of_the_blocks_does_not_hide_a_standing_picture(thumb: Thumb) -> None:
    picture = thumb()
    ticked = picture.copy()
    ticked[:20, :280] = 255 - ticked[:20, :280]
    assert change(measure(ticked), measure(picture)) == Change(0, 0)
    ticked[20:40, :80] = 255 - ticked[20:40, :80]
    assert change(measure(ticked), measure(picture)).blocks > 0.3


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_grain_is_the_noise_of_the_pixels_whatever_moves(thumb: Thumb, sigma: float) -> None:
    rng = np.random.default_rng(0)
    noisy = [thumb() // 2 + 64 + rng.normal(0, sigma, (180, 320)) for _ in range(2)]
    noisy[1][:, :120] += 30
    measured = change(*(measure(np.asarray(np.rint(picture), np.uint8)) for picture in noisy))
    # Mean absolute difference of two normal deviates.
    assert measured.grain == pytest.approx(2 / np.sqrt(np.pi) * sigma, rel=0.1)
    assert measured.blocks > 5


def test_only_equal_pictures_count_before_the_camera_is_known() -> None:
    assert judged(0.0, UsualMotion(), noise=9.0) is not None
    assert judged(0.01, UsualMotion(), noise=9.0) is None


@pytest.mark.parametrize(("measured", "is_frozen"), [(0.19, True), (0.21, False)])
def test_four_tenths_of_the_least_usual_difference_are_the_limit(measured: float, *, is_frozen: bool) -> None:
    assert (judged(measured, usual(0.5)) is not None) is is_frozen


def test_a_shop_that_all_have_left_is_calm_but_its_camera_s_noise_goes_on() -> None:
    assert judged(0.05, usual(1.0), grain=0.95 * LIVELY) is None
    assert judged(0.05, usual(1.0), grain=0.7 * LIVELY) is not None


@pytest.mark.parametrize(("is_variable_rate", "limit"), [(False, 0.75), (None, 0.75), (True, 0.55)])
def test_an_encoder_leaves_the_more_grain_in_a_standing_picture_the_more_bytes_it_has(
    limit: float, *, is_variable_rate: bool | None
) -> None:
    for part, is_frozen in ((limit - 0.02, True), (limit + 0.02, False)):
        suspicion = judged(
            0.05, usual(1.0, 9000), grain=part * LIVELY, inter_bytes=100, is_variable_rate=is_variable_rate
        )
        assert (suspicion is not None) is is_frozen


def test_a_shop_after_closing_time_is_as_calm_as_its_sensor_and_not_frozen() -> None:
    noise = 2.0
    rng = np.random.default_rng(0)
    pixels = rng.normal(0, np.sqrt(noise / 0.75), (2, 9, 20, 16, 20)).mean(axis=(2, 4))
    calm = float(np.abs(pixels[0] - pixels[1]).mean())
    assert calm < 0.4 * 0.5
    assert judged(calm, usual(2.0), noise=noise) is None
    assert judged(calm, usual(2.0, 8000), noise=noise, inter_bytes=500, is_variable_rate=True) is None
    assert judged(0.01, usual(2.0), noise=noise) is not None


def test_a_calm_camera_is_not_frozen_by_an_absolute_limit() -> None:
    calm = usual(0.04)
    assert judged(0.03, calm, noise=9.0) is None
    assert judged(0.005, calm, noise=9.0) is not None


def test_on_variable_rate_large_frames_are_a_living_picture() -> None:
    motion = usual(0.5, inter_bytes=8000)
    assert judged(0.0, motion, inter_bytes=6000, is_variable_rate=True) is None
    suspicion = judged(0.1, motion, noise=9.0, inter_bytes=150, is_variable_rate=True)
    assert suspicion is not None
    assert suspicion.fault is Fault.FROZEN
    assert "differ by 0.100; at least 0.117 is expected" in suspicion.message
    assert "150 bytes; at least 4000 is expected" in suspicion.message


@pytest.mark.parametrize("is_variable_rate", [False, None])
def test_on_constant_rate_sizes_prove_nothing(is_variable_rate: bool | None) -> None:
    motion = usual(0.5, inter_bytes=8000)
    assert judged(0.05, motion, inter_bytes=8000, is_variable_rate=is_variable_rate) is not None
    assert judged(0.25, motion, inter_bytes=150, is_variable_rate=is_variable_rate) is None


def test_one_repeated_picture_hardly_lowers_the_limit_and_a_noisy_night_hardly_raises_it() -> None:
    motion = usual(0.5)
    motion.learn(Change(0.0, 0.0), None, 2.0)
    assert motion.blocks == pytest.approx(0.45)
    assert motion.grain == pytest.approx(0.9 * LIVELY)
    for _ in range(3600):
        motion.learn(Change(5.0, 9.0), None, 10.0)
    assert motion.blocks is not None
    assert 1.0 < motion.blocks < 3.0


def test_a_clean_picture_that_is_much_calmer_after_the_lamps_went_off_is_not_frozen() -> None:
    motion = usual(1.0)
    for _ in range(20):
        motion.see(level(120.0), 2.0)
    calm = Change(0.03, 0.2)
    for _ in range(40):
        motion.see(level(40.0), 2.0)
        assert frozen(calm, motion, noise=0.1, inter_bytes=None, is_variable_rate=None) is None
        motion.learn(calm, None, 2.0)
    assert judged(0.2 * calm.blocks, motion, grain=0.5 * calm.grain, noise=0.1) is not None


def test_gravel_is_no_noise_that_could_vouch_for_an_unknown_light() -> None:
    motion = usual(1.0)
    motion.see(level(120.0), 2.0)
    motion.see(level(80.0), 2.0)
    assert not motion.is_known
    assert judged(0.2, motion, noise=50.0) is None
    assert judged(0.01, motion, noise=50.0) is not None


def test_a_white_car_that_the_exposure_gives_way_to_changes_nothing_that_is_known() -> None:
    motion = UsualMotion()
    for _ in range(20):
        motion.see(level(120.0), 2.0)
        motion.learn(Change(1.0, LIVELY), None, 2.0)
    for _ in range(6):
        motion.see(level(80.0), 2.0)
        assert not motion.is_known
        motion.learn(Change(0.02, 0.1), None, 2.0)
    motion.see(level(120.0), 2.0)
    assert motion.is_known
    assert (motion.blocks, motion.grain) == (1.0, LIVELY)


def test_slow_dusk_is_the_same_light() -> None:
    motion = UsualMotion()
    for step in range(300):
        motion.see(level(120.0 - step / 4), 2.0)
        assert motion.is_known


def test_two_hours_of_rain_do_not_change_what_is_usual_by_much() -> None:
    motion = usual(0.5)
    for _ in range(720):
        motion.learn(Change(5.0, 8 * LIVELY), None, 10.0)
    assert motion.grain is not None
    assert motion.blocks is not None
    assert motion.grain < 1.25 * LIVELY
    assert motion.blocks < 0.65


def test_what_was_once_equal_is_forgotten_as_well() -> None:
    motion = UsualMotion()
    motion.learn(Change(0.0, 0.0), None, 2.0)
    motion.learn(Change(1.0, 1.0), None, 86_400.0)
    assert motion.blocks is not None
    assert motion.blocks > 0.05
