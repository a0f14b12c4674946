"""A reader's queue on a clock that the test moves: 25 packets a second, a key frame every 2 s."""

from dataclasses import dataclass

from camera_worker.relay.queue import ReaderQueue


@dataclass(frozen=True)
class Sized:
    at: float
    size: int = 20_000

    @property
    def is_key(self) -> bool:
        return round(self.at * 25) % 50 == 0


def make(max_bytes: int = 10**9) -> ReaderQueue[Sized]:
    return ReaderQueue[Sized](max_age_s=2.0, skip_age_s=1.0, max_bytes=max_bytes)


def fill(queue: ReaderQueue[Sized], from_s: float, to_s: float) -> None:
    for number in range(round(from_s * 25), round(to_s * 25)):
        queue.put(Sized(number / 25), number / 25)


def test_a_reader_begins_with_a_key_frame() -> None:
    queue = make()

    fill(queue, 1.0, 2.2)

    assert [packet.at for packet in queue.take(10**9, 2.2)] == [2.0, 2.04, 2.08, 2.12, 2.16]
    assert (len(queue), queue.size, queue.drops) == (0, 0, 0)


def test_packets_are_taken_in_order_and_by_size() -> None:
    queue = make()
    fill(queue, 0.0, 0.4)

    assert [packet.at for packet in queue.take(60_000, 0.4)] == [0.0, 0.04, 0.08]
    assert [packet.at for packet in queue.take(1, 0.4)] == [0.12], "one at least"
    assert queue.size == 6 * 20_000


def test_a_reader_that_is_late_goes_on_at_the_next_key_frame() -> None:
    queue = make()
    fill(queue, 1.0, 3.0)
    # The key frame at 2 s is young enough to go on with.
    fill(queue, 3.0, 4.3)

    taken = [packet.at for packet in queue.take(10**9, 4.3)]

    assert queue.drops == 1
    assert queue.has_gap
    assert taken[0] == 4.0
    assert taken == [round(4.0 + number / 25, 2) for number in range(len(taken))]


def test_a_young_key_frame_that_waits_already_is_where_a_late_reader_goes_on() -> None:
    queue = make()
    fill(queue, 0.0, 2.0)
    queue.take(30 * 20_000, 2.0)
    fill(queue, 2.0, 3.3)

    # Packets of 1.2 s wait in front.
    taken = queue.take(10**9, 3.3)

    assert taken[0].at == 2.0
    assert (queue.drops, queue.has_gap) == (1, True)


def test_without_a_young_key_frame_nothing_is_sent_until_the_next_one() -> None:
    queue = make()
    fill(queue, 0.0, 1.8)

    assert queue.take(10**9, 2.0 + 0.01) == []
    queue.put(Sized(1.96), 2.02)
    assert len(queue) == 0
    queue.put(Sized(2.0), 2.06)
    assert len(queue) == 1
    assert queue.drops == 1


def test_a_queue_that_grows_too_large_is_dropped_too() -> None:
    queue = make(max_bytes=200_000)

    fill(queue, 0.0, 0.48)

    assert (queue.drops, queue.size) == (1, 0)
    fill(queue, 0.48, 2.12)
    assert [packet.at for packet in queue.take(10**9, 2.1)] == [2.0, 2.04, 2.08]


def test_a_packet_larger_than_the_queue_is_skipped() -> None:
    queue = make(max_bytes=1000)

    queue.put(Sized(0.0, size=1001), 0.0)

    assert (len(queue), queue.size, queue.drops) == (0, 0, 1)


def test_packets_of_a_group_that_began_before_the_reader_are_as_old_as_the_reader() -> None:
    queue = make()
    group = [Sized(number / 25) for number in range(50)]

    queue.start(group, 30.0)

    assert len(queue.take(10**9, 31.9)) == 50
    assert queue.drops == 0
