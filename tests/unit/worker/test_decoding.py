"""The ladder of decoding, on windows of five seconds."""

import pytest

from camera_api.category import DecodePolicy
from camera_worker.decoding import (
    LADDER,
    MAX_STEP_BACK_AFTER,
    RELAPSE_S,
    STEP_BACK_AFTER,
    STEP_DOWN_AFTER,
    DecodeLadder,
    Strain,
    stricter,
)

CALM = Strain(late_s=0.002, queueing_s=0.004, throttled_share=0.0)
BETWEEN = Strain(late_s=0.002, queueing_s=0.03)
SHORT = Strain(late_s=0.002, queueing_s=0.08)
EVERY, SOME, NONE = LADDER


class Worker:
    """A ladder and a clock."""

    def __init__(self, asked: DecodePolicy = EVERY) -> None:
        self.ladder = DecodeLadder()
        self.asked = asked
        self.now = 0.0

    def windows(self, number: int, strain: Strain) -> list[DecodePolicy]:
        """The limits after each step."""
        steps = []
        for _ in range(number):
            self.now += 5.0
            if self.ladder.judge(strain, self.asked, self.now):
                steps.append(self.ladder.limit)
        return steps


def test_the_ladder_is_gone_down_in_order_and_no_further() -> None:
    worker = Worker()

    assert worker.windows(10 * STEP_DOWN_AFTER, SHORT) == [SOME, NONE]
    assert worker.ladder.reduced_to is NONE


def test_one_bad_window_is_nothing() -> None:
    worker = Worker()
    for _ in range(20):
        assert worker.windows(STEP_DOWN_AFTER - 1, SHORT) == []
        assert worker.windows(1, CALM) == []

    assert worker.ladder.reduced_to is None


def test_it_is_gone_back_in_order_when_it_was_calm_for_long() -> None:
    worker = Worker()
    worker.windows(2 * STEP_DOWN_AFTER, SHORT)

    assert worker.windows(STEP_BACK_AFTER - 1, CALM) == []
    assert worker.windows(1, CALM) == [SOME]
    assert worker.windows(STEP_BACK_AFTER, CALM) == [EVERY]
    assert worker.ladder.reduced_to is None


def test_what_is_neither_bad_nor_calm_changes_nothing() -> None:
    worker = Worker()
    assert worker.windows(50, BETWEEN) == []
    worker.windows(STEP_DOWN_AFTER, SHORT)

    for _ in range(10):
        assert worker.windows(STEP_BACK_AFTER - 1, CALM) == []
        assert worker.windows(1, BETWEEN) == []


def test_a_worker_that_is_too_small_tries_ever_more_rarely() -> None:
    worker = Worker()
    waits = []
    worker.windows(STEP_DOWN_AFTER, SHORT)
    for _ in range(8):
        began = worker.now
        while not worker.windows(1, CALM):
            pass
        waits.append(round((worker.now - began) / 5.0))
        worker.windows(STEP_DOWN_AFTER, SHORT)

    assert waits[:4] == [STEP_BACK_AFTER * 2**number for number in range(4)]
    assert waits[-1] == MAX_STEP_BACK_AFTER


def test_a_shortage_that_comes_long_after_a_step_back_is_a_new_one() -> None:
    worker = Worker()
    worker.windows(STEP_DOWN_AFTER, SHORT)
    worker.windows(STEP_BACK_AFTER, CALM)
    worker.windows(STEP_DOWN_AFTER, SHORT)
    assert worker.windows(STEP_BACK_AFTER, CALM) == []
    assert worker.windows(STEP_BACK_AFTER, CALM) == [EVERY]
    worker.windows(int(RELAPSE_S / 5.0) + 1, CALM)

    worker.windows(STEP_DOWN_AFTER, SHORT)
    assert worker.windows(STEP_BACK_AFTER, CALM) == [EVERY]


def test_an_assignment_that_asks_for_less_has_fewer_steps() -> None:
    assert Worker(SOME).windows(10, SHORT) == [NONE]
    assert Worker(NONE).windows(10, SHORT) == []

    worker = Worker(SOME)
    worker.windows(STEP_DOWN_AFTER, SHORT)
    assert worker.windows(STEP_BACK_AFTER, CALM) == [EVERY], "which leaves what is asked for"
    assert worker.ladder.reduced_to is None


def test_what_is_no_reduction_any_more_is_not_reported_as_one() -> None:
    worker = Worker()
    worker.windows(STEP_DOWN_AFTER, SHORT)
    worker.asked = SOME

    worker.windows(1, BETWEEN)

    assert worker.ladder.reduced_to is None


@pytest.mark.parametrize(
    ("strain", "said"),
    [
        (Strain(late_s=0.3), "timers are 0.30 s late, at most 0.20 s may be"),
        (
            Strain(late_s=0.0, queueing_s=0.081),
            "threads wait 0.081 s for a CPU each time they want one, at most 0.050 s may be",
        ),
        (
            Strain(late_s=0.0, throttled_share=0.62),
            "the container's CPU quota is used up in 62% of the time, at most 50% may be",
        ),
        (CALM, ""),
        (BETWEEN, ""),
    ],
)
def test_a_shortage_is_said_with_figures(strain: Strain, said: str) -> None:
    assert strain.shortage == said
    assert not (said and strain.is_calm)


def test_the_stricter_policy_decodes_less() -> None:
    assert stricter(EVERY, SOME) is stricter(SOME, EVERY) is SOME
    assert stricter(NONE, EVERY) is NONE
    assert stricter(EVERY, EVERY) is EVERY
