"""When a camera works, when it is faulty, and for which reason."""

import pytest

from camera_api.faults import Fault
from camera_api.health import Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.connection import Phase
from camera_worker.ingest.judgement import UNANSWERED_AFTER_S, UNCONNECTED_AFTER_S, Judgement

OFFLINE_AFTER_S = 10.0
SOON = 1.0


def error(fault: Fault, message: str = "measured") -> StreamError:
    return StreamError(fault, message)


@pytest.fixture
def new() -> Judgement:
    return Judgement(OFFLINE_AFTER_S, began=0.0)


@pytest.fixture
def working() -> Judgement:
    judgement = Judgement(OFFLINE_AFTER_S, began=0.0)
    judgement.key_frame(100.0)
    return judgement


def fault_of(judgement: Judgement) -> tuple[Fault, float]:
    assert judgement.trouble is not None
    return judgement.trouble.fault, judgement.trouble.since


def test_packets_alone_do_not_make_a_camera_work(new: Judgement) -> None:
    new.packet(1.0)

    assert new.verdict is Verdict.CONNECTING


def test_the_first_key_frame_does(new: Judgement) -> None:
    new.key_frame(1.0)

    assert new.verdict is Verdict.WORKING


def test_a_first_try_that_fails_is_reported_at_once(new: Judgement) -> None:
    new.fail(error(Fault.STREAM_NOT_FOUND, "404"), 0.2, retry_at=1.0)

    assert new.verdict is Verdict.FAULTY
    assert fault_of(new) == (Fault.STREAM_NOT_FOUND, 0.0)
    assert new.trouble is not None
    assert new.trouble.message == "404"


def test_a_working_camera_that_is_back_in_time_has_only_reconnected(working: Judgement) -> None:
    working.fail(error(Fault.DISCONNECTED), 101.0, retry_at=101.0 + SOON)
    working.tick(Phase.BACKING_OFF, 101.0, 105.0)
    working.key_frame(106.0)
    working.tick(Phase.STREAMING, 106.0, 112.0)

    assert working.verdict is Verdict.WORKING


def test_a_working_camera_that_is_not_back_is_faulty_since_its_last_packet(working: Judgement) -> None:
    working.packet(101.0)
    working.fail(error(Fault.CONNECTION_REFUSED), 102.0, retry_at=103.0)

    working.tick(Phase.BACKING_OFF, 110.5, 110.9)
    assert working.verdict is Verdict.WORKING

    working.tick(Phase.BACKING_OFF, 110.5, 111.0)
    assert fault_of(working) == (Fault.CONNECTION_REFUSED, 101.0)


def test_nothing_is_waited_for_when_no_try_is_due_in_time(working: Judgement) -> None:
    working.fail(error(Fault.AUTH_FAILED), 101.0, retry_at=161.0)

    assert fault_of(working) == (Fault.AUTH_FAILED, 100.0)


def test_a_stream_that_stands_but_delivers_nothing_is_stalled(working: Judgement) -> None:
    working.tick(Phase.STREAMING, 100.0, 110.0)

    assert fault_of(working) == (Fault.STALLED, 100.0)


def test_a_stall_is_still_one_while_the_stream_is_opened_anew(working: Judgement) -> None:
    working.fail(error(Fault.STALLED), 105.0, retry_at=106.0)

    working.tick(Phase.OPENING, 106.0, 110.0)

    assert fault_of(working) == (Fault.STALLED, 100.0)
    assert working.trouble is not None
    assert working.trouble.message == "connected, but no video for 10 s"


def test_a_host_that_leaves_a_try_unanswered_when_time_is_up_has_timed_out(working: Judgement) -> None:
    working.fail(error(Fault.DISCONNECTED), 101.0, retry_at=102.0)

    working.tick(Phase.OPENING, 109.0, 110.0)
    assert working.verdict is Verdict.WORKING

    working.tick(Phase.OPENING, 109.0, 109.0 + UNANSWERED_AFTER_S)
    assert fault_of(working) == (Fault.TIMED_OUT, 100.0)


def test_a_camera_that_waits_for_its_place_has_no_fault(new: Judgement) -> None:
    new.tick(Phase.QUEUED, 0.0, 100.0)

    assert new.verdict is Verdict.CONNECTING


def test_a_faulty_camera_works_again_with_its_next_key_frame(new: Judgement) -> None:
    new.fail(error(Fault.TIMED_OUT), 5.0, retry_at=6.0)

    new.key_frame(60.0)

    assert (new.verdict, new.trouble) == (Verdict.WORKING, None)


def test_an_answer_replaces_the_reason_at_once(new: Judgement) -> None:
    new.fail(error(Fault.STALLED), 5.0, retry_at=6.0)

    new.fail(error(Fault.AUTH_FAILED), 8.0, retry_at=68.0)

    assert fault_of(new) == (Fault.AUTH_FAILED, 8.0)


def test_what_explains_more_replaces_the_reason_at_once(new: Judgement) -> None:
    new.fail(error(Fault.STALLED), 5.0, retry_at=6.0)

    new.fail(error(Fault.UNREACHABLE), 8.0, retry_at=9.0)

    assert fault_of(new) == (Fault.UNREACHABLE, 8.0)


def test_a_reason_that_explains_less_must_be_seen_twice_in_a_row(new: Judgement) -> None:
    new.fail(error(Fault.TIMED_OUT), 5.0, retry_at=6.0)

    for now, fault in ((10.0, Fault.DISCONNECTED), (15.0, Fault.TIMED_OUT), (20.0, Fault.DISCONNECTED)):
        new.fail(error(fault), now, retry_at=now + 1)
        assert fault_of(new) == (Fault.TIMED_OUT, 0.0)

    new.fail(error(Fault.DISCONNECTED), 25.0, retry_at=26.0)
    assert fault_of(new) == (Fault.DISCONNECTED, 25.0)


def test_the_same_reason_again_changes_nothing(new: Judgement) -> None:
    new.fail(error(Fault.TIMED_OUT, "5 s"), 5.0, retry_at=6.0)
    before = new.trouble

    new.fail(error(Fault.TIMED_OUT, "6 s"), 12.0, retry_at=14.0)

    assert new.trouble is before


def test_a_stall_whose_camera_cannot_be_connected_to_any_more_is_the_networks(working: Judgement) -> None:
    working.fail(error(Fault.STALLED), 105.0, retry_at=105.1)

    # Nothing is known yet: the connection has been asked for only just now.
    working.tick(Phase.CONNECTING, 109.5, 110.0)
    assert working.verdict is Verdict.WORKING

    working.tick(Phase.CONNECTING, 109.5, 109.5 + UNCONNECTED_AFTER_S)
    assert fault_of(working) == (Fault.TIMED_OUT, 100.0)


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.STREAMING])
def test_a_camera_that_waits_for_others_or_has_just_been_opened_is_given_as_long_as_one_that_is_asked(
    working: Judgement, phase: Phase
) -> None:
    working.fail(error(Fault.DISCONNECTED), 108.0, retry_at=109.0)

    working.tick(phase, 109.1, 109.1 + UNANSWERED_AFTER_S - 0.1)
    assert working.verdict is Verdict.WORKING

    working.tick(phase, 109.1, 109.1 + UNANSWERED_AFTER_S)
    assert fault_of(working) == (Fault.DISCONNECTED, 100.0)


def test_a_stall_is_one_whoever_is_asked_first(working: Judgement) -> None:
    working.fail(error(Fault.STALLED), 109.0, retry_at=109.1)
    working.tick(Phase.QUEUED, 109.2, 110.0)

    assert fault_of(working) == (Fault.STALLED, 100.0)


def test_a_failure_is_remembered_without_what_it_came_through(new: Judgement) -> None:
    def fail() -> None:
        try:
            int("rtsp://viewer:hunter2@192.0.2.7")
        except ValueError:
            raise StreamError(Fault.DISCONNECTED, "closed", connected=False) from None

    with pytest.raises(StreamError) as raised:
        fail()
    new.fail(raised.value, 0.2, retry_at=1.0)

    assert new.pending is not None
    assert (new.pending.fault, new.pending.message, new.pending.connected) == (Fault.DISCONNECTED, "closed", False)
    assert new.pending.__traceback__ is None
    assert new.pending.__context__ is None
