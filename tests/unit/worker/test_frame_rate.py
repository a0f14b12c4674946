"""A camera that becomes slow, and what only looks like it."""

from camera_api.faults import Fault
from camera_worker.ingest.frame_rate import CLEAR_AFTER, LEARNED_AFTER, RAISE_AFTER, FrameRateWatch

RATE = 20


class Seconds:
    """Seconds with so many frames, one after another."""

    def __init__(self) -> None:
        self.watch = FrameRateWatch(0.5)
        self.now = 0.0

    def run(self, number: int, frames: int = RATE, length_s: float = 1.0) -> None:
        for _ in range(number):
            self.watch.second(frames, self.now, self.now + length_s)
            self.now += length_s

    def is_slow(self) -> bool:
        return self.watch.trouble is not None


def test_a_rate_far_below_the_usual_one_is_a_fault_until_it_is_back() -> None:
    seconds = Seconds()
    seconds.run(60)
    seconds.run(RAISE_AFTER - 1, 8)
    assert not seconds.is_slow()

    seconds.run(1, 8)
    trouble = seconds.watch.trouble
    assert trouble is not None
    assert (trouble.fault, trouble.since) == (Fault.LOW_FRAME_RATE, 60.0)
    assert trouble.message == "8.0 frames per second, usually 20.0; at least 10.0 are due"

    seconds.run(CLEAR_AFTER - 1)
    assert seconds.is_slow()
    seconds.run(1)
    assert not seconds.is_slow()


def test_a_hold_up_of_the_network_is_one_slow_second() -> None:
    seconds = Seconds()
    seconds.run(60)
    for _ in range(5):
        seconds.run(1, 1, length_s=4.0)
        seconds.run(2, 4 * RATE)

    assert not seconds.is_slow()


def test_a_slow_camera_does_not_become_the_usual_one() -> None:
    seconds = Seconds()
    seconds.run(60)
    seconds.run(3600, 8)

    assert seconds.is_slow()
    assert seconds.watch.usual == RATE


def test_a_camera_that_was_always_slow_is_as_usual() -> None:
    seconds = Seconds()
    seconds.run(300, 1, length_s=5.0)

    assert not seconds.is_slow()
    assert seconds.watch.usual == 0.2


def test_nothing_is_said_before_the_usual_rate_is_known() -> None:
    seconds = Seconds()
    seconds.run(LEARNED_AFTER // 2)
    seconds.run(2 * LEARNED_AFTER, 8)

    assert not seconds.is_slow()
