"""What the sizes of packets tell about an encoder."""

import random
from collections.abc import Callable

import pytest

from camera_worker.ingest.packet_sizes import RATE_KNOWN_AFTER, VARIABLE_FOR_S, PacketSizes

GROUP, FRAME_S = 20, 0.1


class Encoder:
    """Groups of a key frame and 19 others, at 10 frames per second."""

    def __init__(self) -> None:
        self.sizes = PacketSizes()
        self.now = 0.0
        self.stamp: float | None = 0.0

    def groups(self, number: int, scale: Callable[[int], float], *, has_stamps: bool = True) -> None:
        for group in range(number):
            self.sizes.end_interval()
            for frame in range(GROUP):
                size = round((20_000 if frame == 0 else 1000 + frame) * scale(group))
                if frame == 0:
                    self.sizes.key_frame(size, self.now if has_stamps else None, self.now)
                else:
                    self.sizes.inter_frame(size)
                self.now += FRAME_S
        self.sizes.end_interval()


def constant(seed: int) -> Callable[[int], float]:
    rng = random.Random(seed)
    return lambda _: rng.gauss(1.0, 0.08)


def variable(seed: int) -> Callable[[int], float]:
    rng = random.Random(seed)
    return lambda group: rng.gauss(1.0, 0.05) * (1.0 if group % 3 else 2.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_rate_mode_is_told_once_it_is_known(seed: int) -> None:
    encoder = Encoder()
    encoder.groups(RATE_KNOWN_AFTER, constant(seed))
    assert encoder.sizes.is_variable_rate(encoder.now) is None

    encoder.groups(20, constant(seed))
    assert encoder.sizes.is_variable_rate(encoder.now) is False

    encoder.groups(40, variable(seed))
    assert encoder.sizes.is_variable_rate(encoder.now) is True


def test_a_quiet_night_does_not_make_a_variable_rate_constant_but_days_do() -> None:
    encoder = Encoder()
    encoder.groups(40, variable(1))
    encoder.groups(100, constant(1))

    assert encoder.sizes.is_variable_rate(encoder.now) is True
    assert encoder.sizes.is_variable_rate(encoder.now + VARIABLE_FOR_S + 1) is False


def test_one_outlier_in_twenty_is_no_variable_rate() -> None:
    encoder = Encoder()
    encoder.groups(100, lambda group: 3.0 if group % 20 == 0 else 1.0)

    assert encoder.sizes.is_variable_rate(encoder.now) is False


def test_the_frames_between_are_told_by_their_median() -> None:
    encoder = Encoder()
    medians = [encoder.sizes.inter_bytes]
    for scale in (1.0, 0.1):
        encoder.groups(1, lambda _, scale=scale: scale)  # type: ignore[misc]
        medians.append(encoder.sizes.inter_bytes)

    assert medians == [None, 1010, 101]


def test_key_frames_alone_have_nothing_between() -> None:
    sizes = PacketSizes()
    for number in range(50):
        sizes.end_interval()
        sizes.key_frame(20_000, number / 10, number / 10)

    assert sizes.inter_bytes is None
    assert sizes.is_variable_rate(5.0) is False


def test_without_time_stamps_the_rate_mode_is_not_known() -> None:
    encoder = Encoder()
    encoder.groups(60, variable(1), has_stamps=False)

    assert encoder.sizes.is_variable_rate(encoder.now) is None


def test_a_group_that_was_cut_by_a_reconnect_is_left_out() -> None:
    encoder = Encoder()
    for _ in range(20):
        encoder.groups(2, constant(1))
        encoder.now += 30.0
        encoder.sizes.restart()
        assert encoder.sizes.inter_bytes is None

    assert encoder.sizes.is_variable_rate(encoder.now) is None
    encoder.groups(20, constant(1))
    assert encoder.sizes.is_variable_rate(encoder.now) is False


def test_lost_packets_are_no_variable_rate() -> None:
    encoder = Encoder()
    for _ in range(10):
        encoder.groups(3, constant(1))
        encoder.sizes.inter_frame(60_000)
        encoder.sizes.lost()

    assert encoder.sizes.is_variable_rate(encoder.now) is None
