"""Packet loss: which rates are named, how soon, and which are not."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from camera_worker.ingest.loss import (
    END_THRESHOLD,
    FAULTY,
    LIMIT,
    RTP_PAYLOAD,
    THRESHOLD,
    TOLERATED,
    LossWatch,
    evidence,
)

#: Packets per second of 0.5, 1.5, 4 and 8 Mbit/s.
TINY, SMALL, LARGE, HUGE = 45, 134, 357, 714
DAY_S = 86_400


def until_named(packets: int, loss: float, limit_s: int, rng: random.Random) -> int | None:
    watch = LossWatch()
    for second in range(limit_s):
        lost = sum(rng.random() < loss for _ in range(packets))
        watch.second(lost, (packets - lost) * RTP_PAYLOAD, float(second))
        if watch.trouble is not None:
            return second + 1
    return None


def mean_seconds_between_alarms(packets: int, loss: float, bins: int = 240) -> float:
    """Exact but for the sum's rounding: the sum is a Markov chain, and an alarm is its absorption."""
    lost = np.arange(60)
    mean = packets * loss
    chance = np.exp(lost * math.log(mean) - mean - [math.lgamma(number + 1) for number in lost])
    steps = np.minimum([evidence(int(number), packets) for number in lost], THRESHOLD / 2)
    chain = np.zeros((bins, bins))
    for row in range(bins):
        after = np.maximum(0.0, (row + (row > 0) / 2) * THRESHOLD / bins + steps)
        goes_on = after <= THRESHOLD
        columns = np.minimum(after[goes_on] * bins / THRESHOLD, bins - 1).astype(int)
        np.add.at(chain[row], columns, chance[goes_on])
    return float(np.linalg.solve(np.eye(bins) - chain, np.ones(bins))[0])


@pytest.mark.parametrize(
    ("packets", "loss", "usually_within", "always_within"),
    [
        (LARGE, 0.05, 3, 3),
        (LARGE, 0.02, 3, 4),
        (LARGE, 0.01, 3, 6),
        (LARGE, 0.005, 5, 14),
        (SMALL, 0.02, 4, 8),
        (SMALL, 0.005, 10, 40),
        (TINY, 0.02, 7, 24),
    ],
)
def test_loss_is_named_as_soon_as_it_can_be_told_from_chance(
    packets: int, loss: float, usually_within: int, always_within: int
) -> None:
    rng = random.Random(1)
    seconds = sorted(until_named(packets, loss, always_within, rng) or 10**9 for _ in range(200))

    assert seconds[100] <= usually_within
    assert seconds[-1] <= always_within


@pytest.mark.parametrize("packets", [TINY, SMALL, LARGE, HUGE])
def test_a_good_line_is_named_by_chance_less_than_once_in_two_weeks(packets: int) -> None:
    seconds = mean_seconds_between_alarms(packets, TOLERATED)

    assert seconds > math.exp(THRESHOLD)
    assert seconds > 14 * DAY_S


def test_the_limit_is_where_the_evidence_turns() -> None:
    assert 0.001 < LIMIT < 0.002
    assert evidence(1, 1.01 / LIMIT) < 0 < evidence(1, 0.99 / LIMIT)


def test_a_packet_now_and_then_is_no_fault() -> None:
    rng = random.Random(1)
    watch = LossWatch()
    for second in range(DAY_S):
        watch.second(int(rng.random() < SMALL * TOLERATED), SMALL * RTP_PAYLOAD, float(second))
        assert watch.trouble is None


@pytest.mark.parametrize("pattern", [lambda second: 500 * (second == 3), lambda second: 100 * (second in {3, 4})])
@pytest.mark.parametrize("packets", [TINY, HUGE])
def test_a_gap_is_no_fault_however_long_it_is(pattern: Callable[[int], int], packets: int) -> None:
    watch = LossWatch()
    for second in range(60):
        watch.second(pattern(second), packets * RTP_PAYLOAD, float(second))
        assert watch.trouble is None


def test_gaps_far_apart_are_none_either() -> None:
    watch = LossWatch()
    for second in range(600):
        watch.second(20 * (second % 10 == 0), LARGE * RTP_PAYLOAD, float(second))
        assert watch.trouble is None


def test_it_tells_since_when_and_how_much() -> None:
    watch = LossWatch()
    for second in range(60):
        watch.second(0, SMALL * RTP_PAYLOAD, float(second))
    for second in range(60, 63):
        watch.second(5, SMALL * RTP_PAYLOAD, float(second))
    trouble = watch.trouble

    assert trouble is not None
    assert trouble.since == 60.0
    assert trouble.message == "3.60% of the packets are lost; more than 0.15% is a fault"


@pytest.mark.parametrize(("packets", "seconds"), [(TINY, 28), (SMALL, 10), (LARGE, 8), (10 * HUGE, 8)])
def test_it_ends_when_as_many_packets_have_come_as_a_bad_line_never_lets_through(packets: int, seconds: int) -> None:
    watch = LossWatch()
    for second in range(5):
        watch.second(packets // 10, packets * RTP_PAYLOAD, float(second))

    is_bad = []
    for second in range(seconds):
        is_bad.append(watch.trouble is not None)
        watch.second(0, packets * RTP_PAYLOAD, 5.0 + second)
    assert all(is_bad)
    assert watch.trouble is None
    watch.second(1, packets * RTP_PAYLOAD, 100.0)
    assert watch.trouble is None


def test_a_line_that_goes_on_losing_stays_at_fault() -> None:
    rng = random.Random(1)
    assert END_THRESHOLD < THRESHOLD
    watch = LossWatch()
    named = 0
    for second in range(7200):
        lost = sum(rng.random() < 2 * FAULTY for _ in range(TINY))
        watch.second(lost, (TINY - lost) * RTP_PAYLOAD, float(second))
        named += watch.trouble is not None

    assert named > 7100
