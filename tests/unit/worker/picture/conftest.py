"""A camera in good order, and frames of a real clip where it is installed."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from camera_worker.picture.thumbnail import Gray, thumbnail
from unit.worker.picture.scenes import Camera, Scene, street

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@pytest.fixture
def camera() -> Camera:
    """A camera on the drawn street that has been in good order for a while."""
    new = Camera(street)
    assert not any(new.show(14))
    return new


@pytest.fixture(scope="session")
def vtest() -> Scene:
    """Every tenth frame of the real clip, for ever."""
    if not VTEST.exists():
        pytest.skip("needs the clip vtest.avi (Debian, Ubuntu: apt install opencv-doc)")
    with av.open(str(VTEST)) as container:
        frames = [
            np.asarray(frame.to_ndarray(format="gray"), np.uint8)
            for number, frame in zip(range(300), container.decode(video=0), strict=False)
            if number % 10 == 0
        ]
    return lambda number: frames[number % len(frames)]


@pytest.fixture
def thumb() -> Callable[..., Gray]:
    """The drawn street, reduced."""
    return lambda number=0, **options: thumbnail(street(number, **options))
