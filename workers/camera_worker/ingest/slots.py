"""How many sessions may be set up at the same time: dozens at once would time out behind one uplink."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two looks whether the place is still wanted.
_LOOK_EVERY_S = 0.2


class OpenSlots:
    """A number of places, shared by all camera threads.

    Args:
        limit: places.
    """

    def __init__(self, limit: int) -> None:
        self._places = threading.BoundedSemaphore(limit)

    @contextmanager
    def taken(self, unwanted: Callable[[], bool]) -> Iterator[bool]:
        """Holds a place; false: it was given up, because ``unwanted`` came to say so, and none is held."""
        while not self._places.acquire(timeout=_LOOK_EVERY_S):
            if unwanted():
                yield False
                return
        try:
            yield not unwanted()
        finally:
            self._places.release()
