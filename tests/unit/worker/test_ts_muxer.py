"""FFmpeg's muxer with what cameras send, B-frames and garbage included; media/test_relay.py opens it as viewers do."""

import io
from contextlib import closing, suppress
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_worker.errors import MuxError
from camera_worker.ingest.ts_muxer import TsMuxer
from camera_worker.relay.framing import TICKS_PER_S, Parameters
from camera_worker.relay.parameter_sets import with_parameter_sets
from camera_worker.relay.transport_stream import TableKeeper, leading_tables

SIZE = (96, 64)


def encode(frames: int, *, in_band: bool) -> tuple[Parameters, list[Any]]:
    """Packets as of a camera with B-frames and a key frame every ten frames."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt, encoder.time_base, encoder.gop_size = "yuv420p", Fraction(1, 25), 10
    encoder.options = {"bf": "2", "x264-params": f"scenecut=0:repeat-headers={int(in_band)}"}
    if not in_band:
        encoder.flags |= av.codec.context.Flags.global_header
    encoder.open()
    packets = []
    for number in range(frames):
        picture = np.full((SIZE[1], SIZE[0], 3), 8 * number % 256, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return Parameters("h264", b"" if in_band else encoder.extradata, *SIZE), packets


def mux(parameters: Parameters, packets: list[Any]) -> list[bytes]:
    muxer = TsMuxer(parameters)
    try:
        return [
            muxer.mux(
                with_parameter_sets(parameters, bytes(packet)) if packet.is_keyframe else bytes(packet),
                *((stamp + 25) * TICKS_PER_S // 25 for stamp in (packet.pts, packet.dts)),
                is_key=packet.is_keyframe,
            )
            for packet in packets
        ]
    finally:
        muxer.close()


@pytest.mark.parametrize("in_band", [True, False])
@pytest.mark.parametrize("skipped", [0, 10])
def test_a_stream_decodes_from_each_key_frame_on(in_band: bool, skipped: int) -> None:
    parameters, packets = encode(30, in_band=in_band)
    pieces = mux(parameters, packets)
    assert packets[skipped].is_keyframe
    keeper = TableKeeper()
    for piece in pieces[:skipped]:
        keeper.add(leading_tables(piece))

    body: Any = io.BytesIO(keeper.tables() + b"".join(pieces[skipped:]))
    with av.open(body, "r") as container:
        pictures: list[Any] = list(container.decode(video=0))

    assert len(pictures) == len(packets) - skipped
    assert not any(picture.is_corrupt for picture in pictures)
    stamps = sorted(packet.pts for packet in packets[skipped:])
    assert [round(picture.time * 25) - 25 for picture in pictures] == stamps


def test_each_packet_comes_out_at_once() -> None:
    assert all(mux(*encode(12, in_band=True)))


def test_motion_jpeg_has_no_place() -> None:
    with pytest.raises(MuxError, match="mjpeg has no place in MPEG-TS"):
        TsMuxer(Parameters("mjpeg", b"", *SIZE))


@given(st.lists(st.tuples(st.binary(max_size=400), st.booleans()), max_size=8), st.sampled_from(["h264", "hevc"]))
def test_garbage_ends_in_an_error_of_ours_or_in_transport_packets(
    packets: list[tuple[bytes, bool]], codec: str
) -> None:
    muxer = TsMuxer(Parameters(codec, b"", 0, 0))
    with closing(muxer), suppress(MuxError):
        for number, (data, is_key) in enumerate(packets):
            piece = muxer.mux(data, number, number, is_key=is_key)
            assert len(piece) % 188 == 0
