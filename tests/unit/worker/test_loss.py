"""Packet loss: which rates are named, how soon, and which are not."""

import random
from collections.abc import Callable

import pytest

from camera_worker.ingest.loss import CLEAR_AFTER, MIN_SECONDS, RTP_PAYLOAD, LossWatch

#: Packets per second of 1.5 and 4 Mbit/s.
SMALL, LARGE = 134, 357


def until_named(packets: int, loss: float, limit_s: int, rng: random.Random) -> int | None:
    watch = LossWatch()
    for second in range(limit_s):
        lost = sum(rng.random() < loss for _ in range(packets))
        watch.second(lost, (packets - lost) * RTP_PAYLOAD, float(second))
        if watch.trouble is not None:
            return second + 1
    return None


@pytest.mark.parametrize(
    ("packets", "loss", "usually_within", "always_within"),
    [(LARGE, 0.05, 3, 3), (LARGE, 0.02, 3, 4), (LARGE, 0.005, 5, 30), (SMALL, 0.02, 4, 12), (SMALL, 0.005, 18, 120)],
)
def test_loss_is_named_in_time(packets: int, loss: float, usually_within: int, always_within: int) -> None:
    rng = random.Random(1)
    seconds = sorted(until_named(packets, loss, always_within, rng) or 10**9 for _ in range(100))

    assert seconds[50] <= usually_within
    assert seconds[-1] <= always_within


def test_a_packet_now_and_then_is_no_fault() -> None:
    day_s = 86_400
    rng = random.Random(1)
    # One in 2,000 packets: 0.067 a second, so the seconds with one are drawn and not the packets.
    watch = LossWatch()
    for second in range(day_s):
        lost = int(rng.random() < SMALL * 0.0005)
        watch.second(lost, SMALL * RTP_PAYLOAD, float(second))
        assert watch.trouble is None


@pytest.mark.parametrize("pattern", [lambda second: 500 * (second == 3), lambda second: 100 * (second in {3, 4})])
def test_a_single_gap_is_no_fault(pattern: Callable[[int], int]) -> None:
    assert MIN_SECONDS > 2
    watch = LossWatch()
    for second in range(60):
        watch.second(pattern(second), SMALL * RTP_PAYLOAD, float(second))
        assert watch.trouble is None


def test_it_ends_after_some_good_seconds_and_begins_anew() -> None:
    watch = LossWatch()
    for second in range(5):
        watch.second(5, SMALL * RTP_PAYLOAD, float(second))
    trouble = watch.trouble
    assert trouble is not None
    assert trouble.since == 0.0
    assert trouble.message == "3.6% of the packets are lost, at most 0.2% may be"

    for second in range(CLEAR_AFTER):
        assert watch.trouble is not None
        watch.second(0, SMALL * RTP_PAYLOAD, 5.0 + second)
    assert watch.trouble is None
    watch.second(1, SMALL * RTP_PAYLOAD, 20.0)
    assert watch.trouble is None
