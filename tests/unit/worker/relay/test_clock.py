"""Time lines of well-known cameras; property/worker/test_relay_clock.py tries the others."""

import pytest

from camera_worker.relay.clock import StreamClock
from camera_worker.relay.framing import TICKS_PER_S

BEGAN = 5000.0
FRAME_S = 0.04


class TimeLine:
    """What a camera's stamps become."""

    def __init__(self) -> None:
        self.clock = StreamClock(BEGAN)
        self.epoch = self.clock.epoch_s(0.0, BEGAN)  #: the wall shows 0 at the beginning

    def at(self, now: float, pts: float | None, dts: float | None = None, *, is_key: bool = False) -> float:
        """Seconds on the wall of a packet that comes so long after the beginning."""
        ticks, _ = self.clock.map(pts, pts if dts is None else dts, BEGAN + now, is_key=is_key)
        return ticks / TICKS_PER_S + self.epoch

    def play(self, began: float, stamp: float, seconds: float, rate: float = 1.0) -> list[float]:
        """Lateness of each packet on the time line, for a camera whose clock runs at a rate."""
        numbers = range(round(seconds / FRAME_S))
        return [
            self.at(began + number * FRAME_S, stamp + number * FRAME_S * rate, is_key=number % 50 == 0)
            - (began + number * FRAME_S)
            for number in numbers
        ]


def test_a_key_frame_is_where_the_wall_says() -> None:
    line = TimeLine()

    assert line.at(0.3, 7000.0, is_key=True) == pytest.approx(0.3, abs=1e-4)
    assert line.at(0.9, 7000.04) == pytest.approx(0.34, abs=1e-4), "late is not wrong"


def test_pts_is_held_against_the_wall_and_not_dts() -> None:
    line = TimeLine()

    assert line.at(1.0, 10.08, 10.0, is_key=True) == pytest.approx(1.0, abs=1e-4)
    pts, dts = line.clock.map(10.24, 10.04, BEGAN + 1.04, is_key=False)
    assert pts - dts == 0.2 * TICKS_PER_S


def test_a_reconnect_does_not_turn_the_time_back() -> None:
    line = TimeLine()
    line.play(0.0, 90_000.0, 10.0)

    line.clock.restart()

    assert line.at(13.0, 0.0, is_key=True) == pytest.approx(13.0, abs=1e-4)
    assert line.at(13.04, 0.04) == pytest.approx(13.04, abs=1e-4)


@pytest.mark.parametrize("jump", [-3600.0, -2.5, 2.5, 3600.0])
def test_a_clock_that_is_set_does_not_move_the_time_line(jump: float) -> None:
    line = TimeLine()
    line.play(0.0, 100.0, 10.0)

    late = line.play(10.0, 110.0 + jump, 10.0)

    assert max(abs(seconds) for seconds in late) < 0.01


def test_a_burst_after_a_hold_up_keeps_its_times() -> None:
    line = TimeLine()
    line.play(0.0, 100.0, 10.0)

    burst = [line.at(15.0 + number / 1000, 110.0 + number * FRAME_S) for number in range(100)]

    assert burst == pytest.approx([10.0 + number * FRAME_S for number in range(100)], abs=1e-3)


@pytest.mark.parametrize("rate", [0.9999, 1.0001])
def test_a_clock_that_runs_fast_or_slow_stays_with_the_wall(rate: float) -> None:
    late = TimeLine().play(0.0, 100.0, 3600.0, rate)

    assert max(abs(seconds) for seconds in late) < 0.01


def test_packets_without_stamps_are_where_the_wall_says() -> None:
    line = TimeLine()

    assert line.at(1.0, None, is_key=True) == pytest.approx(1.0, abs=1e-4)
    assert line.at(1.04, None) == pytest.approx(1.04, abs=1e-4)


def test_stamps_that_stand_still_rise_all_the_same() -> None:
    line = TimeLine()

    ticks = [line.clock.map(0.0, 0.0, BEGAN + number * FRAME_S, is_key=number == 0) for number in range(5)]

    assert [dts - ticks[0][1] for _, dts in ticks] == [0, 1, 2, 3, 4]


def test_a_dts_that_means_nothing_is_not_believed() -> None:
    line = TimeLine()
    line.play(0.0, 100.0, 4.0)

    for number in range(100):
        now = 4.0 + number * FRAME_S
        assert line.at(now, 104.0 + number * FRAME_S, 0.0) == pytest.approx(now, abs=0.01)
