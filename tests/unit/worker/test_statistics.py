"""Faults that are measured on packets."""

from camera_api.faults import Fault
from camera_worker.ingest.statistics import (
    CORRUPT_CLEAR_AFTER,
    CORRUPT_RAISE_AFTER,
    MAX_KEY_FRAME_GAP_S,
    WINDOW_S,
    StreamStatistics,
)

RATE = 20.0


class Feed:
    """Packets at a rate, on a clock of its own."""

    def __init__(self, min_rate_ratio: float = 0.5) -> None:
        self.statistics = StreamStatistics(min_rate_ratio)
        self.now = 0.0
        self.statistics.restart(0.0)

    def run(self, seconds: float, rate: float = RATE, *, lost_per_second: int = 0, key_frames: bool = True) -> None:
        for _ in range(round(seconds * rate)):
            self.now += 1 / rate
            if self.statistics.packet(1000, self.now, self.now):
                self.statistics.look(lost_per_second, self.now)
            if key_frames:
                self.statistics.key_frame(self.now)

    @property
    def faults(self) -> list[Fault]:
        return [trouble.fault for trouble in self.statistics.troubles(self.now)]


def test_rates_are_those_of_the_packets() -> None:
    feed = Feed()
    feed.run(2 * WINDOW_S)

    assert round(feed.statistics.frames_per_second, 1) == RATE
    assert round(feed.statistics.bits_per_second) == 8 * 1000 * RATE


def test_a_rate_far_below_the_usual_one_is_a_fault_until_it_is_back() -> None:
    feed = Feed()
    feed.run(60)
    feed.run(6, rate=RATE * 0.4)
    assert feed.faults == [Fault.LOW_FRAME_RATE]

    feed.run(8)
    assert feed.faults == []


def test_key_frames_that_lack_packets_are_for_the_loss_to_tell() -> None:
    feed = Feed()
    feed.run(10)
    for _ in range(CORRUPT_RAISE_AFTER):
        feed.statistics.lost(1)
        feed.statistics.picture(corrupt=True, now=feed.now)
    assert feed.faults == []

    # What was lost long before a key frame does not excuse it.
    for _ in range(CORRUPT_RAISE_AFTER):
        feed.run(2, lost_per_second=1)
        feed.statistics.picture(corrupt=True, now=feed.now)
    assert Fault.CORRUPT_FRAMES in feed.faults


def test_what_was_lost_before_a_key_frame_counts_as_lost() -> None:
    feed = Feed()
    feed.run(10)
    for _ in range(7):
        feed.statistics.lost(2)
        feed.run(1)

    assert feed.faults == [Fault.PACKET_LOSS]


def test_packets_that_get_lost_are_a_fault_until_none_is_for_a_while() -> None:
    feed = Feed()
    feed.run(30, lost_per_second=0)
    assert feed.faults == []

    feed.run(7, lost_per_second=2)
    assert feed.faults == [Fault.PACKET_LOSS]

    feed.run(120)
    assert feed.faults == []


def test_frames_that_are_missing_because_packets_are_lost_are_no_fault_of_their_own() -> None:
    feed = Feed()
    feed.run(60)
    feed.run(8, rate=RATE * 0.4, lost_per_second=10)

    assert feed.faults == [Fault.PACKET_LOSS]


def test_damaged_key_frames_in_a_row_are_a_fault_until_many_are_whole() -> None:
    feed = Feed()
    for _ in range(CORRUPT_RAISE_AFTER - 1):
        feed.statistics.picture(corrupt=True, now=1.0)
    assert feed.faults == []

    feed.statistics.picture(corrupt=True, now=2.0)
    assert feed.faults == [Fault.CORRUPT_FRAMES]

    for _ in range(CORRUPT_CLEAR_AFTER):
        assert feed.faults == [Fault.CORRUPT_FRAMES]
        feed.statistics.picture(corrupt=False, now=3.0)
    assert feed.faults == []


def test_a_stream_without_key_frames_cannot_be_decoded() -> None:
    feed = Feed()
    feed.run(MAX_KEY_FRAME_GAP_S - 2 * WINDOW_S, key_frames=False)
    assert feed.faults == []

    feed.run(3 * WINDOW_S, key_frames=False)
    assert feed.faults == [Fault.CORRUPT_FRAMES]

    feed.run(1)
    assert feed.faults == []
