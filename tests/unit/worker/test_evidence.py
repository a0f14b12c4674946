"""Small pictures of anything a camera may send."""

import cv2
import numpy as np
import pytest

from camera_worker.ingest.evidence import FIT, MAX_JPEG_BYTES, Still
from camera_worker.ingest.source import KeyFrame


def key_frame(picture: np.ndarray) -> KeyFrame:
    encoded, data = cv2.imencode(".jpg", picture, [int(cv2.IMWRITE_JPEG_QUALITY), 100])
    assert encoded
    return KeyFrame("mjpeg", b"", data.tobytes())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1080, 1920), (270, 480)),
        ((1920, 1080), (480, 270)),
        ((1440, 2560), (270, 480)),
        ((1000, 1000), (480, 480)),
        ((240, 320), (240, 320)),
        ((90, 1600), (28, 480)),
    ],
)
def test_the_longer_side_is_bounded_and_nothing_is_made_larger(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    # Noise takes the most bytes that a picture can.
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    jpeg = Still(1.0, key_frame(noise)).jpeg()

    assert jpeg is not None
    assert len(jpeg) <= MAX_JPEG_BYTES
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (*expected, 3)
    assert max(picture.shape) <= FIT


def test_the_most_that_a_picture_can_take_fits() -> None:
    noise = np.random.default_rng(1).integers(0, 2, (FIT, FIT, 3)).astype(np.uint8) * 255

    jpeg = Still(1.0, key_frame(noise)).jpeg()

    assert jpeg is not None
    assert len(jpeg) <= MAX_JPEG_BYTES


def test_a_small_picture_is_encoded_once() -> None:
    small = Still(7.0, key_frame(np.full((720, 1280, 3), 90, np.uint8))).small()

    assert small is not None
    assert small.at == 7.0
    assert small.jpeg() is small.content


def test_a_damaged_picture_is_none() -> None:
    assert Still(1.0, KeyFrame("h264", b"", b"\0\0\0\1garbage")).small() is None
