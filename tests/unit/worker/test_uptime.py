"""Seconds of uptime and of faults."""

from camera_api.faults import Fault
from camera_worker.ingest.uptime import Uptime


def test_silence_counts_only_once_it_is_known_what_it_was() -> None:
    uptime = Uptime(0.0)
    uptime.is_up(10.0)
    uptime.is_up(10.0)

    assert (uptime.up, uptime.observed) == (10.0, 10.0)


def test_an_outage_counts_from_its_beginning() -> None:
    uptime = Uptime(0.0)
    uptime.is_up(10.0)

    uptime.has_faults([Fault.STALLED], 25.0)

    assert (uptime.up, uptime.observed, uptime.by_fault[Fault.STALLED]) == (10.0, 25.0, 15.0)


def test_a_gap_that_was_only_a_reconnect_is_uptime() -> None:
    uptime = Uptime(0.0)
    uptime.is_up(10.0)
    uptime.is_up(14.0)

    assert (uptime.up, uptime.observed) == (14.0, 14.0)


def test_maintenance_and_the_time_before_the_first_verdict_count_nowhere() -> None:
    uptime = Uptime(0.0)
    uptime.skip(5.0)
    uptime.is_up(4.0)
    uptime.is_up(6.0)

    assert (uptime.up, uptime.observed) == (1.0, 1.0)


def test_two_faults_at_once_share_the_observed_time() -> None:
    uptime = Uptime(0.0)
    uptime.has_faults([Fault.LOW_FRAME_RATE, Fault.CLOCK_JUMP], 7.0)

    assert uptime.observed == 7.0
    assert dict(uptime.by_fault) == {Fault.LOW_FRAME_RATE: 7.0, Fault.CLOCK_JUMP: 7.0}
