"""What holds for every sequence of packets."""

from hypothesis import given
from hypothesis import strategies as st

from camera_worker.ingest.packet_sizes import RATE_KNOWN_AFTER, PacketSizes

SIZES = st.integers(1, 10**7)
EVENTS = st.one_of(
    st.tuples(st.just("key"), SIZES, st.one_of(st.none(), st.floats(-100, 100))),
    st.tuples(st.just("inter"), SIZES, st.none()),
    st.tuples(st.sampled_from(["restart", "lost"]), st.none(), st.none()),
)


@given(st.lists(EVENTS, max_size=120))
def test_nothing_is_told_that_was_not_seen(events: list[tuple[str, int | None, float | None]]) -> None:
    sizes = PacketSizes()
    between: list[int] = []
    keys = 0
    for now, (kind, size, stamp) in enumerate(events):
        match kind, size:
            case "key", int(size):
                sizes.end_interval()
                if between:
                    assert sizes.inter_bytes in between
                else:
                    assert sizes.inter_bytes is None
                between.clear()
                sizes.key_frame(size, stamp, float(now))
                keys += 1
            case "inter", int(size):
                sizes.inter_frame(size)
                between.append(size)
            case "restart", _:
                sizes.restart()
                between.clear()
            case _:
                sizes.lost()
                between.clear()
        if keys <= RATE_KNOWN_AFTER:
            assert sizes.is_variable_rate(float(now)) is None


@given(st.lists(SIZES, min_size=RATE_KNOWN_AFTER + 1, max_size=80), st.floats(0.1, 60))
def test_the_same_bytes_at_any_pace_have_the_same_rate_mode(sizes: list[int], seconds: float) -> None:
    told = []
    for pace in (1.0, seconds):
        packets = PacketSizes()
        for number, size in enumerate(sizes):
            packets.end_interval()
            packets.key_frame(size, number * pace, 0.0)
        told.append(packets._spread())

    assert abs(told[0] - told[1]) <= 1e-6 * told[0]
