from fractions import Fraction
from typing import Any

import av
import pytest

from camera_worker.ingest.rtsp.decode_times import DecodeTimes


def times(presented: list[int], delay: int = 0) -> list[int | None]:
    decode_times = DecodeTimes(delay)
    return [decode_times.next(ticks) for ticks in presented]


def test_without_reordering_both_times_are_the_same() -> None:
    assert times([0, 3600, 7200]) == [0, 3600, 7200]


def test_known_reordering_makes_the_first_times_unknown() -> None:
    assert times([0, 3, 1, 2, 6, 4, 5], delay=1) == [None, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("order", [[0, 3, 1, 2], [0, 4, 2, 1, 3]])
def test_reordering_is_learned(order: list[int]) -> None:
    presented = [group * len(order) + ticks for group in range(5) for ticks in order]
    found = times(presented)

    later = found[len(order) * 2 :]
    assert None not in later
    assert later == sorted(set(later))  # type: ignore[type-var]
    assert all(dts is not None and dts <= pts for dts, pts in zip(found, presented, strict=True))


def test_a_clock_that_is_set_is_no_reordering() -> None:
    decode_times = DecodeTimes()

    assert [decode_times.next(ticks) for ticks in (900_000, 0, 3600, 1_800_000, 1_803_600)] == [
        *(900_000, 0, 3600, 1_800_000, 1_803_600)
    ]
    assert decode_times.delay == 0


@pytest.mark.parametrize("pyramid", ["none", "strict", "normal"])
def test_an_encoder_with_b_frames_is_followed(pyramid: str) -> None:
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 64, 64, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = {"bf": "3", "x264-params": f"b-pyramid={pyramid}:b-adapt=0:keyint=12:scenecut=0:open-gop=0"}
    packets = []
    for number in range(60):
        frame = av.VideoFrame(64, 64, "yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)

    decode_times = DecodeTimes(jump=50)
    pairs = [(decode_times.next(packet.pts), packet.pts) for packet in packets]

    # Learned within the first group of pictures.
    learned = pairs[12:]
    decoded = [dts for dts, _ in learned if dts is not None]
    assert len(decoded) == len(learned)
    assert decoded == sorted(set(decoded))
    assert all(dts <= pts for dts, (_, pts) in zip(decoded, learned, strict=True))
    assert decode_times.delay == (1 if pyramid == "none" else 2)
