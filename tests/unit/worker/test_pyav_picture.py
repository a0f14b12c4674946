"""Decoded frames of every layout that cameras send, as the detectors see them."""

import av
import numpy as np
import pytest

from camera_worker.ingest.pyav_picture import PyAvPicture
from camera_worker.picture.thumbnail import thumbnail

#: Not a multiple of what decoders align rows to.
WIDTH, HEIGHT = 1000, 562


def frame(layout: str, luma: int, chroma: tuple[int, int] = (128, 128)) -> av.VideoFrame:
    """An even frame; values are of 8 bits."""
    made = av.VideoFrame(WIDTH, HEIGHT, layout)
    for plane, component, value in zip(made.planes, made.format.components, (luma, *chroma), strict=False):
        bits = component.bits
        kind = "<u2" if bits > 8 else "u1"
        plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value << (bits - 8), kind).tobytes())
    return made


@pytest.mark.parametrize("layout", ["yuv420p", "yuvj420p", "yuvj422p", "yuv444p", "gray", "yuv420p10le", "gray10le"])
def test_brightness_is_read_whatever_the_layout(layout: str) -> None:
    luma = PyAvPicture(frame(layout, 77)).luma()

    assert luma.shape == (HEIGHT, WIDTH)
    assert luma.dtype == np.uint8
    assert (luma == 77).all()
    assert (thumbnail(luma) == 77).all()


@pytest.mark.parametrize("layout", ["yuv420p", "yuvj422p", "yuv420p10le"])
def test_a_picture_without_colour_is_told_from_one_with(layout: str) -> None:
    assert PyAvPicture(frame(layout, 77)).is_grey() is True
    assert PyAvPicture(frame(layout, 77, (110, 150))).is_grey() is False


def test_a_picture_of_one_plane_has_no_colour() -> None:
    assert PyAvPicture(frame("gray", 77)).is_grey() is True


def test_of_layouts_that_no_camera_sends_nothing_is_claimed() -> None:
    assert PyAvPicture(av.VideoFrame(WIDTH, HEIGHT, "nv12")).is_grey() is None
