"""Jumps of a camera's clock, and what only looks like one."""

import pytest

from camera_worker.ingest.timestamps import SETTLE_S, WINDOW_S, ClockWatch

STEP = 0.04


class Feed:
    """Packets of a camera whose clock and whose network the test disturbs."""

    def __init__(self) -> None:
        self.watch = ClockWatch()
        self.now = 1000.0
        self.stamp = 5.0

    def run(self, seconds: float, *, pace: float = 1.0) -> None:
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.stamp += STEP * pace
            self.watch.packet(self.stamp, self.now)

    @property
    def jumps(self) -> bool:
        return self.watch.jumping_since(self.now) is not None


@pytest.fixture
def feed() -> Feed:
    feed = Feed()
    feed.run(SETTLE_S + 10)
    return feed


@pytest.mark.parametrize("offset", [3600.0, -3600.0, 3.0, -3.0])
def test_a_clock_that_jumps_twice_is_a_fault(feed: Feed, offset: float) -> None:
    for sign in (1, -1):
        assert not feed.jumps
        feed.stamp += sign * offset
        feed.run(5)

    assert feed.jumps


def test_a_clock_that_is_set_once_is_none(feed: Feed) -> None:
    feed.stamp += 3600
    feed.run(120)

    assert not feed.jumps


def test_the_fault_ends_when_the_clock_is_steady_again(feed: Feed) -> None:
    for offset in (10.0, -10.0):
        feed.stamp += offset
        feed.run(5)
    assert feed.jumps

    feed.run(WINDOW_S)
    assert not feed.jumps


def test_a_hold_up_and_the_burst_after_it_are_no_jump(feed: Feed) -> None:
    for _ in range(5):
        held_up = 8.0
        feed.now += held_up
        # The camera has dropped half of what it could not send; the rest comes at once.
        feed.stamp += held_up / 2
        for _ in range(round(held_up / 2 / STEP)):
            feed.stamp += STEP
            feed.watch.packet(feed.stamp, feed.now)
        feed.run(3)

    assert not feed.jumps


@pytest.mark.parametrize("drift", [1.0005, 0.9995])
def test_a_clock_that_is_a_little_fast_or_slow_is_no_jump(feed: Feed, drift: float) -> None:
    feed.run(2 * 3600, pace=drift)

    assert not feed.jumps


def test_a_new_session_starts_over(feed: Feed) -> None:
    for _ in range(5):
        feed.stamp = 0.0
        feed.watch.restart()
        feed.run(SETTLE_S + 2)

    assert not feed.jumps


def test_first_packets_may_share_one_stamp() -> None:
    feed = Feed()
    for _ in range(5):
        feed.watch.packet(0.0, feed.now)
        feed.now += STEP
    feed.stamp = 0.0
    feed.run(30)

    assert not feed.jumps
