"""Sizes are held against what FFmpeg's encoders were told."""

from fractions import Fraction
from typing import Any

import av
import pytest

from camera_worker.ingest.rtsp.parameter_set import Geometry, geometry

ENCODERS = {"h264": "libx264", "hevc": "libx265"}


def extradata(codec: str, width: int, height: int, **options: str) -> bytes:
    """Parameter sets of an encoder."""
    context: Any = av.CodecContext.create(ENCODERS[codec], "w")
    context.width, context.height = width, height
    context.pix_fmt = options.pop("pix_fmt", "yuv420p")
    context.time_base = Fraction(1, 25)
    context.options = {"preset": "ultrafast", **options}
    frame = av.VideoFrame(width, height, context.pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360), (1280, 720), (354, 290)])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_sizes(codec: str, size: tuple[int, int]) -> None:
    assert geometry(codec, extradata(codec, *size)) == Geometry(*size)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p"])
def test_sizes_by_chroma_format(pix_fmt: str) -> None:
    assert geometry("h264", extradata("h264", 198, 102, pix_fmt=pix_fmt)) == Geometry(198, 102)


def test_interlaced_pictures_have_twice_the_rows_of_a_field() -> None:
    options = {"x264-params": "interlaced=1", "preset": "medium"}

    assert geometry("h264", extradata("h264", 1920, 1080, **options)) == Geometry(1920, 1080)


def test_scaling_matrices_are_passed_over() -> None:
    options = {"x264-params": "cqm=jvt", "preset": "medium"}

    assert geometry("h264", extradata("h264", 1280, 720, **options)) == Geometry(1280, 720)


@pytest.mark.parametrize("data", [b"", b"\0\0\1\x68\xee", b"\0\0\1\x67", b"\0\0\1\x67\x4d\x00\x29\x80"])
def test_without_a_set_that_can_be_read_nothing_is_known(data: bytes) -> None:
    assert geometry("h264", data) is None
