import asyncio

import pytest

from camera_operator.work_queue import (
    BACKOFF_AT_MOST,
    BACKOFF_BASE,
    LINGER_ALONE,
    QueueClosedError,
    Schedule,
    WorkQueue,
)

LINGER, AT_MOST = 0.1, 0.5


@pytest.fixture
def schedule() -> Schedule[str]:
    return Schedule(linger=LINGER, linger_at_most=AT_MOST)


def test_a_lone_event_hardly_waits(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    assert schedule.pop(LINGER_ALONE - 0.001) is None
    assert schedule.next_due() == pytest.approx(LINGER_ALONE)
    assert schedule.pop(LINGER_ALONE) == ("a", 0.0)


def test_an_event_soon_after_a_pass_waits_for_others(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    assert schedule.pop(LINGER_ALONE) is not None
    schedule.done("a", 0.1)
    schedule.add("a", 0.2)
    assert schedule.pop(0.29) is None
    assert schedule.pop(0.31) == ("a", 0.2)
    schedule.done("a", 0.3)
    schedule.add("a", 1.0)
    assert schedule.pop(1.0 + LINGER_ALONE) == ("a", 1.0)


def test_300_events_in_a_second_are_a_handful_of_passes(schedule: Schedule[str]) -> None:
    passes = 0
    for millisecond in range(3000):
        now = millisecond / 1000
        if millisecond < 1000 and millisecond % 10 < 3:
            schedule.add("a", now)
        if schedule.pop(now) is not None:
            passes += 1
            schedule.done("a", now)
    assert passes <= 3


def test_a_burst_of_events_is_one_pass(schedule: Schedule[str]) -> None:
    for event in range(5):
        schedule.add("a", event * 0.015)
        assert schedule.pop(event * 0.015) is None
    assert schedule.pop(0.15) is None
    assert schedule.pop(0.17) == ("a", 0.0)
    schedule.done("a", 0.32)
    assert schedule.pop(100.0) is None


def test_a_stream_of_events_does_not_postpone_the_pass_for_ever(schedule: Schedule[str]) -> None:
    for event in range(50):
        schedule.add("a", event * 0.05)
        if (popped := schedule.pop(event * 0.05)) is not None:
            assert event * 0.05 == pytest.approx(AT_MOST)
            assert popped == ("a", 0.0)
            return
    pytest.fail("never due")


def test_a_key_is_never_in_two_passes_at_once(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    assert schedule.pop(1.0) is not None
    schedule.add("a", 1.1)
    assert schedule.pop(5.0) is None
    schedule.done("a", 5.0)
    assert schedule.pop(5.0) is None
    assert schedule.pop(5.1) == ("a", 1.1)


def test_other_keys_go_on_while_one_is_in_its_pass(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    schedule.add("b", 0.0)
    assert schedule.pop(1.0) is not None
    assert schedule.pop(1.0) is not None
    assert len(schedule) == 2


def test_failures_are_repeated_with_growing_pauses_until_success(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    now, delays = 1.0, []
    for _ in range(10):
        assert schedule.pop(now) is not None
        delay = schedule.failed("a", now)
        delays.append(delay)
        # An event during the back-off does not shorten it.
        schedule.add("a", now)
        assert schedule.pop(now + delay - 0.01) is None
        now += delay + LINGER
    assert delays[:3] == [BACKOFF_BASE, 2 * BACKOFF_BASE, 4 * BACKOFF_BASE]
    assert delays[-1] == BACKOFF_AT_MOST
    assert schedule.pop(now) is not None
    schedule.done("a", now)
    schedule.add("a", now)
    assert schedule.pop(now + LINGER) is not None
    assert schedule.failed("a", now) == BACKOFF_BASE


def test_the_server_may_say_how_long_to_wait(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    assert schedule.pop(1.0) is not None
    assert schedule.failed("a", 1.0, retry_after=7.0) == 7.0
    assert schedule.pop(7.9) is None
    assert schedule.pop(8.2) is not None


def test_a_timer_makes_a_key_due_without_an_event(schedule: Schedule[str]) -> None:
    schedule.add_later("a", 10.0)
    assert schedule.pop(9.9) is None
    assert schedule.pop(10.0) == ("a", 10.0)


def test_a_timer_replaces_the_last_one(schedule: Schedule[str]) -> None:
    schedule.add_later("a", 10.0)
    schedule.add_later("a", 20.0)
    assert schedule.pop(15.0) is None
    assert schedule.pop(20.0) == ("a", 20.0)
    schedule.done("a", 20.0)
    assert schedule.pop(30.0) is None


def test_a_timer_that_was_dropped_does_nothing(schedule: Schedule[str]) -> None:
    schedule.add_later("a", 10.0)
    schedule.forget("a")
    assert schedule.pop(20.0) is None


def test_an_event_does_not_wait_for_the_timer_and_the_timer_goes_on(schedule: Schedule[str]) -> None:
    schedule.add_later("a", 10.0)
    schedule.add("a", 1.0)
    assert schedule.pop(1.1) == ("a", 1.0)
    schedule.done("a", 1.2)
    assert schedule.pop(9.9) is None
    assert schedule.pop(10.0) == ("a", 10.0)


def test_a_timer_during_a_pass_asks_for_another_one(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    assert schedule.pop(0.1) is not None
    schedule.add_later("a", 1.0)
    assert schedule.pop(2.0) is None
    schedule.done("a", 3.0)
    assert schedule.pop(3.1) is not None


def test_a_timer_does_not_shorten_a_back_off(schedule: Schedule[str]) -> None:
    schedule.add("a", 0.0)
    assert schedule.pop(1.0) is not None
    schedule.add_later("a", 2.0)
    schedule.failed("a", 1.0, retry_after=60.0)
    assert schedule.pop(30.0) is None
    assert schedule.pop(61.2) is not None


async def test_all_waiting_workers_get_their_keys() -> None:
    queue: WorkQueue[int] = WorkQueue(linger=0.0, linger_at_most=0.0)
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in range(3):
        queue.add(key)
    async with asyncio.timeout(5):
        assert sorted(key for key, _ in await asyncio.gather(*waiting)) == [0, 1, 2]


async def test_a_closed_queue_lets_its_workers_go() -> None:
    queue: WorkQueue[int] = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.close()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [QueueClosedError, QueueClosedError]
