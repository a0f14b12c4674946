"""The transport stream, read back by FFmpeg."""

import io
import itertools
from typing import Any

import av
import pytest

from camera_simulator.bitstream import AccessUnit, Codec, split_access_units
from camera_simulator.mpegts import PACKET_BYTES, TransportStream

RATE = 10


@pytest.fixture(scope="module", params=["h264", "hevc"])
def stream(request: pytest.FixtureRequest) -> tuple[Codec, list[AccessUnit]]:
    """Two groups of pictures, encoded as the clips are."""
    buffer = io.BytesIO()
    encoder, private = ("libx264", "aud=1:scenecut=0") if request.param == "h264" else ("libx265", "aud=1:log-level=0")
    with av.open(buffer, "w", format=request.param) as output:
        options = {"preset": "ultrafast", "x264-params": private, "x265-params": f"{private}:repeat-headers=1"}
        video: Any = output.add_stream(encoder, rate=RATE, options=options)
        video.width, video.height, video.pix_fmt, video.gop_size, video.max_b_frames = 160, 96, "yuv420p", 5, 0
        for number in range(10):
            frame = av.VideoFrame(160, 96, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([20 * number] * plane.buffer_size))
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    codec = Codec.H264 if request.param == "h264" else Codec.H265
    return codec, split_access_units(codec, buffer.getvalue())


def test_ffmpeg_reads_every_picture_at_its_time(stream: tuple[Codec, list[AccessUnit]]) -> None:
    codec, units = stream
    writer = TransportStream(codec)
    data = b"".join(writer.picture(unit, 3600 + number / RATE) for number, unit in enumerate(units))

    assert len(data) % PACKET_BYTES == 0
    assert set(data[::PACKET_BYTES]) == {0x47}
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        assert packets[0].time_base is not None
        seconds = [float((packet.pts or 0) * packet.time_base) for packet in packets if packet.time_base]
    assert seconds == pytest.approx([3600.1 + number / RATE for number in range(len(units))], abs=0.001)
    assert [packet.is_keyframe for packet in packets] == [unit.is_key for unit in units]
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        frames = list(container.decode(video=0))
    assert len(frames) == len(units)
    assert not any(frame.is_corrupt for frame in frames)


def test_time_stamps_go_round_after_33_bits(stream: tuple[Codec, list[AccessUnit]]) -> None:
    codec, units = stream
    # 26.5 hours at 90 kHz, less half of the pictures.
    start = (1 << 33) / 90_000 - 0.5
    writer = TransportStream(codec)
    data = b"".join(writer.picture(unit, start + number / RATE) for number, unit in enumerate(units))

    with av.open(io.BytesIO(data), "r", format="mpegts", options={"correct_ts_overflow": "1"}) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.size]

    assert all(isinstance(stamp, int) for stamp in stamps)
    steps = [after - before for before, after in itertools.pairwise(stamps) if after and before]
    assert set(steps) == {90_000 // RATE}


@pytest.mark.parametrize("size", range(1, 600))
def test_pictures_of_every_size_fill_whole_packets(size: int) -> None:
    data = TransportStream(Codec.H264).picture(AccessUnit(bytes(size), is_key=False), 1.0)

    assert len(data) % PACKET_BYTES == 0
    assert set(data[::PACKET_BYTES]) == {0x47}
