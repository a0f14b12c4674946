import numpy as np
import pytest

from camera_api.faults import Fault
from camera_worker.picture.features import Blocks
from camera_worker.picture.frozen import UsualMotion, difference, frozen

MEANS: Blocks = np.random.default_rng(0).normal(0, 40, (9, 16)).astype(np.float32)


def usual(measured: float = 0.5, inter_bytes: float | None = None) -> UsualMotion:
    motion = UsualMotion()
    motion.learn(measured, inter_bytes, 2.0)
    return motion


def test_a_clock_in_a_tenth_of_the_blocks_does_not_hide_a_standing_picture() -> None:
    ticked = MEANS.copy()
    ticked[0, :14] += 30
    assert difference(ticked, MEANS) == 0
    ticked[1, :4] += 30
    assert difference(ticked, MEANS) > 0.5


def test_only_equal_pictures_count_before_the_camera_is_known() -> None:
    assert frozen(0.0, UsualMotion(), noise=9.0, inter_bytes=None, is_variable_rate=None) is not None
    assert frozen(0.01, UsualMotion(), noise=9.0, inter_bytes=None, is_variable_rate=None) is None


@pytest.mark.parametrize(("measured", "is_frozen"), [(0.1, True), (0.15, False)])
def test_a_quarter_of_the_least_usual_difference_is_the_limit(measured: float, *, is_frozen: bool) -> None:
    suspicion = frozen(measured, usual(0.5), noise=100.0, inter_bytes=None, is_variable_rate=None)
    assert (suspicion is not None) is is_frozen


def test_a_shop_after_closing_time_is_as_calm_as_its_sensor_and_not_frozen() -> None:
    lit = usual(2.0)
    noise = 2.0
    rng = np.random.default_rng(0)
    pixels = rng.normal(0, np.sqrt(noise / 0.75), (2, 9, 20, 16, 20)).mean(axis=(2, 4))
    calm = difference(pixels[0].astype(np.float32), pixels[1].astype(np.float32))
    assert calm < 0.25 * 0.5
    assert frozen(calm, lit, noise=noise, inter_bytes=None, is_variable_rate=None) is None
    assert frozen(calm, usual(2.0, 8000), noise=noise, inter_bytes=500, is_variable_rate=True) is None
    assert frozen(0.01, lit, noise=noise, inter_bytes=None, is_variable_rate=None) is not None


def test_a_calm_camera_is_not_frozen_by_an_absolute_limit() -> None:
    calm = usual(0.04)
    assert frozen(0.03, calm, noise=9.0, inter_bytes=None, is_variable_rate=None) is None
    assert frozen(0.005, calm, noise=9.0, inter_bytes=None, is_variable_rate=None) is not None


def test_on_variable_rate_large_frames_are_a_living_picture() -> None:
    motion = usual(0.5, inter_bytes=8000)
    assert frozen(0.0, motion, noise=9.0, inter_bytes=6000, is_variable_rate=True) is None
    suspicion = frozen(0.1, motion, noise=9.0, inter_bytes=150, is_variable_rate=True)
    assert suspicion is not None
    assert suspicion.fault is Fault.FROZEN
    assert "differ by 0.100; at least 0.117 is expected" in suspicion.message
    assert "150 bytes; at least 2000 is expected" in suspicion.message


@pytest.mark.parametrize("is_variable_rate", [False, None])
def test_on_constant_rate_sizes_prove_nothing(is_variable_rate: bool | None) -> None:
    motion = usual(0.5, inter_bytes=8000)
    assert frozen(0.05, motion, noise=9.0, inter_bytes=8000, is_variable_rate=is_variable_rate) is not None
    assert frozen(0.1, motion, noise=9.0, inter_bytes=150, is_variable_rate=is_variable_rate) is None


def test_one_repeated_picture_hardly_lowers_the_limit_and_a_noisy_night_hardly_raises_it() -> None:
    motion = usual(0.5)
    motion.learn(0.0, None, 2.0)
    assert motion.difference == pytest.approx(0.45)
    for _ in range(3600):
        motion.learn(5.0, None, 10.0)
    assert motion.difference is not None
    assert 1.0 < motion.difference < 3.0


def test_a_clean_picture_that_is_much_calmer_after_the_lamps_went_off_is_not_frozen() -> None:
    motion = usual(1.0)
    for _ in range(20):
        motion.see(120.0, 2.0)
    calm = 0.03
    for _ in range(20):
        motion.see(40.0, 2.0)
        assert frozen(calm, motion, noise=0.1, inter_bytes=None, is_variable_rate=None) is None
        motion.learn(calm, None, 2.0)
    assert frozen(0.2 * calm, motion, noise=0.1, inter_bytes=None, is_variable_rate=None) is not None


def test_slow_dusk_is_the_same_light() -> None:
    motion = UsualMotion()
    for step in range(300):
        motion.see(120.0 - step / 4, 2.0)
    assert motion.settling == 0
