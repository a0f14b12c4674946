"""How many sessions may be set up at the same time: dozens at once would time out behind one uplink.

Bounded for the worker, and for each site: cameras of a site whose uplink has come back must neither overrun it nor
keep those of other sites waiting. Within a site, who has asked first comes first: a camera that is back at once must
not wait for ever new ones that hang.
"""

import ipaddress
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

#: Seconds between two looks whether the place is still wanted.
_LOOK_EVERY_S = 0.2
#: Leading bits of an address, by its version, that cameras of one site share.
_SITE_BITS = {4: 24, 6: 64}


def site_of(url: str) -> str:
    """What stands for the site of a camera: the subnet of its address, or its host name."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, _SITE_BITS[address.version]), strict=False))


class OpenSlots:
    """A number of places, shared by all camera threads.

    Args:
        limit: places.
        per_site: places for cameras of one site.
    """

    def __init__(self, limit: int, per_site: int | None = None) -> None:
        self._limit = limit
        self._per_site = limit if per_site is None else per_site
        self._taken: Counter[str] = Counter()
        #: By site, those that wait, the first one first.
        self._waiting: dict[str, deque[object]] = {}
        self._freed = threading.Condition()

    @contextmanager
    def taken(self, unwanted: Callable[[], bool], site: str = "") -> Iterator[bool]:
        """Holds a place; false: it was given up, because ``unwanted`` came to say so, and none is held."""
        if not self._take(unwanted, site):
            yield False
            return
        try:
            yield not unwanted()
        finally:
            self._give_back(site)

    def _take(self, unwanted: Callable[[], bool], site: str) -> bool:
        ticket = object()
        with self._freed:
            queue = self._waiting.setdefault(site, deque())
            queue.append(ticket)
            try:
                while queue[0] is not ticket or self._is_full(site):
                    self._freed.wait(_LOOK_EVERY_S)
                    if unwanted():
                        return False
                self._taken[site] += 1
            finally:
                queue.remove(ticket)
                if not queue:
                    del self._waiting[site]
                # The next one of the site may find a place, too.
                self._freed.notify_all()
        return True

    def _is_full(self, site: str) -> bool:
        return self._taken.total() >= self._limit or self._taken[site] >= self._per_site

    def _give_back(self, site: str) -> None:
        with self._freed:
            self._taken[site] -= 1
            if not self._taken[site]:
                del self._taken[site]
            # All of them: who waits for another site's place would otherwise swallow the call.
            self._freed.notify_all()
