from collections.abc import Callable

import numpy as np

from camera_worker.picture.features import measure
from camera_worker.picture.reference import FirstView, Remedian, median_of_three
from camera_worker.picture.thumbnail import Gray

Thumb = Callable[..., Gray]


def _flat(level: int) -> Gray:
    return np.full((180, 320), level, np.uint8)


def test_the_median_of_three_is_exact() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (180, 320)).astype(np.uint8) for _ in range(3)]
    assert (median_of_three(*pictures) == np.median(pictures, axis=0)).all()


def test_every_ninth_picture_gives_a_result() -> None:
    remedian = Remedian()
    results = [remedian.add(_flat(level)) for level in range(18)]
    assert [number for number, result in enumerate(results) if result is not None] == [8, 17]
    assert results[8] is not None
    assert int(results[8][0, 0]) == 4


def test_what_is_there_in_three_of_nine_pictures_in_a_row_leaves_no_trace() -> None:
    remedian = Remedian()
    results = [remedian.add(_flat(255 if number in {4, 5, 6} else 90)) for number in range(9)]
    assert results[-1] is not None
    assert int(results[-1].max()) == 90


def test_a_view_is_learned_from_nine_pictures_with_its_reliability(thumb: Thumb) -> None:
    first = FirstView()
    views = [first.add(measure(thumb(number))) for number in range(9)]
    assert views[:8] == [None] * 8
    view = views[8]
    assert view is not None
    assert float(np.quantile(view.reliability, 0.6)) > 0.8
    # A wall between two windows has nothing to be recognised by.
    assert float(view.reliability.min()) < 0.3


def test_learning_starts_again_when_the_camera_is_turned_meanwhile(thumb: Thumb) -> None:
    first = FirstView()
    for number in range(6):
        assert first.add(measure(thumb(number, seed=1))) is None
    learned = [first.add(measure(thumb(number, seed=2))) for number in range(12)]
    views = [view for view in learned if view is not None]
    assert len(views) == 1
    assert float(np.abs(views[0].reference.luma.astype(int) - thumb(0, seed=2)).mean()) < 4
