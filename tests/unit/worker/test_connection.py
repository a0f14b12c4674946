"""The connection's transitions, waits and transports, on a clock that the test moves."""

import random

import pytest

from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_worker.errors import IllegalTransitionError, StreamError
from camera_worker.ingest.connection import (
    AUTH_BACKOFF,
    CONNECT_BACKOFF,
    FLAPPING_LOSSES,
    FLAPPING_WINDOW_S,
    GOOD_AFTER_S,
    NAME_BACKOFF,
    SESSION_BACKOFF,
    TRANSITIONS,
    Connection,
    Event,
    Phase,
    backoff_after,
)

REFUSED = StreamError(Fault.CONNECTION_REFUSED, "", connected=False)
CLOSED = StreamError(Fault.DISCONNECTED, "")
WRONG_TRANSPORT = StreamError(Fault.UNSUPPORTED_TRANSPORT, "")
LOCKED_OUT = StreamError(Fault.AUTH_FAILED, "")
STALLED = StreamError(Fault.STALLED, "")


def connection(wanted: Transport = Transport.AUTO) -> Connection:
    return Connection(wanted, 0.0, random.Random(1))


def open_at(subject: Connection, now: float) -> None:
    subject.connect(now)
    subject.queue(now)
    subject.open(now)


def stream_at(subject: Connection, now: float) -> None:
    open_at(subject, now)
    subject.opened(now)
    subject.key_frame(now)


def test_the_way_to_a_stream_leads_through_every_phase() -> None:
    subject = connection()
    phases = [subject.phase]
    for step in (subject.connect, subject.queue, subject.open, subject.opened):
        step(1.0)
        phases.append(subject.phase)

    assert phases == [Phase.IDLE, Phase.CONNECTING, Phase.QUEUED, Phase.OPENING, Phase.STREAMING]


def test_what_the_table_does_not_name_is_refused() -> None:
    subject = connection()

    with pytest.raises(IllegalTransitionError, match="opened while Idle"):
        subject.opened(0.0)


def test_a_stopped_connection_never_starts_again() -> None:
    assert {event for phase, event in TRANSITIONS if phase is Phase.STOPPED} == {Event.STOP}


@pytest.mark.parametrize(
    ("error", "backoff"),
    [
        (LOCKED_OUT, AUTH_BACKOFF),
        (StreamError(Fault.DNS_FAILED, "", connected=False), NAME_BACKOFF),
        (REFUSED, CONNECT_BACKOFF),
        (StreamError(Fault.TIMED_OUT, "", connected=False), CONNECT_BACKOFF),
        (StreamError(Fault.TIMED_OUT, ""), SESSION_BACKOFF),
        (CLOSED, SESSION_BACKOFF),
        (StreamError(Fault.STREAM_NOT_FOUND, ""), SESSION_BACKOFF),
    ],
)
def test_the_wait_depends_on_what_a_try_costs_the_camera(error: StreamError, backoff: object) -> None:
    assert backoff_after(error) is backoff


def test_waits_double_up_to_the_longest() -> None:
    class Middle(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return (a + b) / 2

    waits = [SESSION_BACKOFF.delay(failures, Middle()) for failures in range(8)]

    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


def test_the_first_retry_of_a_lost_stream_comes_within_about_a_second() -> None:
    subject = connection()
    stream_at(subject, 0.0)

    subject.fail(CLOSED, 100.0)

    assert 0.7 <= subject.wait_s(100.0) <= 1.3


def test_a_good_stream_that_stands_still_is_opened_anew_at_once_but_only_once() -> None:
    subject = connection()
    stream_at(subject, 0.0)
    subject.fail(STALLED, 100.0)
    assert subject.wait_s(100.0) <= 0.3

    stream_at(subject, 101.0)
    subject.fail(STALLED, 110.0)
    assert subject.wait_s(110.0) >= 0.7


def test_a_minute_of_good_stream_forgives_earlier_failures() -> None:
    subject = connection()
    for now in (0.0, 10.0, 20.0):
        open_at(subject, now)
        subject.fail(CLOSED, now)
    stream_at(subject, 30.0)

    subject.key_frame(30.0 + GOOD_AFTER_S)

    assert subject.failures == 0


def test_a_stream_that_breaks_sooner_does_not_forgive() -> None:
    subject = connection()
    for now in (0.0, 10.0, 20.0):
        stream_at(subject, now)
        subject.fail(CLOSED, now + 5.0)

    assert subject.failures == 3
    assert subject.wait_s(25.0) > 2.0


def test_a_refused_password_is_not_tried_again_for_a_minute() -> None:
    subject = connection()
    open_at(subject, 0.0)

    subject.fail(LOCKED_OUT, 0.0)

    assert subject.wait_s(0.0) >= 60.0


def test_other_credentials_are_tried_at_once() -> None:
    subject = connection()
    open_at(subject, 0.0)
    subject.fail(LOCKED_OUT, 0.0)

    subject.reset(1.0, Transport.AUTO)

    assert (subject.phase, subject.wait_s(1.0), subject.failures) == (Phase.IDLE, 0.0, 0)


def test_auto_falls_back_to_udp_at_once_and_remembers_it() -> None:
    subject = connection()
    open_at(subject, 0.0)

    assert not subject.fail(WRONG_TRANSPORT, 0.0)
    assert (subject.transport, subject.wait_s(0.0)) == (Transport.UDP, 0.0)

    stream_at(subject, 0.0)
    subject.fail(CLOSED, 50.0)
    assert subject.transport is Transport.UDP


def test_a_camera_that_refuses_both_transports_is_faulty_and_waited_for() -> None:
    subject = connection()
    open_at(subject, 0.0)
    subject.fail(WRONG_TRANSPORT, 0.0)
    open_at(subject, 0.0)

    assert subject.fail(WRONG_TRANSPORT, 0.0)
    assert subject.transport is Transport.TCP
    assert subject.wait_s(0.0) > 0


@pytest.mark.parametrize("wanted", [Transport.TCP, Transport.UDP])
def test_a_transport_that_was_asked_for_is_never_changed(wanted: Transport) -> None:
    subject = connection(wanted)
    open_at(subject, 0.0)

    assert subject.fail(WRONG_TRANSPORT, 0.0)
    assert subject.transport is wanted


def test_streams_that_are_lost_again_and_again_are_flapping_until_they_hold() -> None:
    subject = connection()
    for number in range(FLAPPING_LOSSES):
        assert subject.flapping_since(number * 20.0) is None
        stream_at(subject, number * 20.0)
        subject.fail(CLOSED, number * 20.0 + 10)
    last = (FLAPPING_LOSSES - 1) * 20.0 + 10

    assert subject.flapping_since(last) == 10.0
    assert subject.flapping_since(last + FLAPPING_WINDOW_S + 1) is None


def test_failed_tries_are_not_lost_streams() -> None:
    subject = connection()
    for number in range(3 * FLAPPING_LOSSES):
        subject.connect(number)
        subject.fail(REFUSED, number)

    assert subject.flapping_since(3.0 * FLAPPING_LOSSES) is None
