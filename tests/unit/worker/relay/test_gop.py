from dataclasses import dataclass

from camera_worker.relay.gop import GopKeeper


@dataclass(frozen=True)
class Sized:
    size: int
    is_key: bool = False


KEY, NEXT = Sized(100, is_key=True), Sized(10)


def keeper(*packets: Sized, max_bytes: int = 150) -> GopKeeper[Sized]:
    gop = GopKeeper[Sized](max_bytes)
    for packet in packets:
        gop.add(packet)
    return gop


def test_what_follows_the_last_key_frame_is_kept() -> None:
    assert keeper(NEXT, NEXT).packets == []
    assert keeper(NEXT, KEY, NEXT, NEXT).packets == [KEY, NEXT, NEXT]
    assert keeper(KEY, NEXT, NEXT, KEY, NEXT).packets == [KEY, NEXT]


def test_a_group_that_grows_too_large_is_dropped_until_the_next_key_frame() -> None:
    full = [KEY, *[NEXT] * 5]
    assert keeper(*full).packets == full
    assert keeper(*full).size == 150
    assert keeper(*full, NEXT).packets == []
    assert keeper(*full, NEXT).size == 0
    assert keeper(*full, NEXT, NEXT).packets == []
    assert keeper(*full, NEXT, KEY, NEXT).packets == [KEY, NEXT]


def test_a_key_frame_alone_may_be_too_large() -> None:
    assert keeper(KEY, Sized(151, is_key=True), NEXT).packets == []


def test_who_reads_a_group_is_not_disturbed_by_the_next_one() -> None:
    gop = keeper(KEY, NEXT)
    before = gop.packets

    gop.add(KEY)

    assert before == [KEY, NEXT]
