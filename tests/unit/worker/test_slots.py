"""Places for sessions that are set up at the same time."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from camera_worker.ingest.slots import OpenSlots, site_of


def never() -> bool:
    return False


def always() -> bool:
    return True


def test_a_place_is_given_back_also_after_an_error() -> None:
    slots = OpenSlots(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slots.taken(never) as taken:  # noqa: PT012 - what is raised within
            assert taken
            1 / 0  # noqa: B018


def test_who_does_not_want_a_place_any_more_stops_waiting_and_gives_none_back() -> None:
    slots = OpenSlots(1)
    with slots.taken(never):
        for _ in range(2):
            with slots.taken(always) as taken:
                assert not taken


def test_a_place_that_comes_too_late_is_not_used() -> None:
    with OpenSlots(1).taken(always) as taken:
        assert not taken


def test_a_site_cannot_take_the_places_of_others() -> None:
    slots = OpenSlots(4, per_site=2)
    with ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(slots.taken(never, "north"))
        with slots.taken(always, "north") as taken:
            assert not taken
        for _ in range(2):
            assert stack.enter_context(slots.taken(never, "south"))
        # Now the worker has no more.
        with slots.taken(always, "west") as taken:
            assert not taken

    with slots.taken(never, "north") as taken:
        assert taken


def test_who_has_asked_first_comes_first() -> None:
    slots = OpenSlots(2, per_site=1)
    order: list[int] = []
    waits = [threading.Event() for _ in range(6)]

    def ask(number: int) -> None:
        def unwanted() -> bool:
            waits[number].set()
            return False

        with slots.taken(unwanted, "north") as taken:
            assert taken
            order.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    with slots.taken(never, "north"):
        for thread, is_waiting in zip(threads, waits, strict=True):
            thread.start()
            # It is asked whether it still wants the place once it waits.
            assert is_waiting.wait(5)
        with slots.taken(never, "south") as taken:
            assert taken
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4, 5]


def test_who_gives_up_keeps_nobody_waiting() -> None:
    slots = OpenSlots(1)
    gone, taken = threading.Event(), threading.Event()

    def ask(unwanted: Callable[[], bool], note: threading.Event) -> None:
        with slots.taken(unwanted):
            note.set()

    with slots.taken(never):
        threads = [threading.Thread(target=ask, args=args) for args in ((always, gone), (never, taken))]
        for thread in threads:
            thread.start()
        assert gone.wait(5)
    assert taken.wait(5)
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("rtsp://10.20.30.40:554/main", "10.20.30.0/24"),
        ("http://10.20.31.40/video", "10.20.31.0/24"),
        ("rtsp://[2001:db8:0:7::9]/main", "2001:db8:0:7::/64"),
        ("rtsp://recorder.school-3.city/ch1", "recorder.school-3.city"),
    ],
)
def test_cameras_of_one_subnet_or_one_host_are_one_site(url: str, site: str) -> None:
    assert site_of(url) == site
