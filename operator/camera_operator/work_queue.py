"""Keys that wait for work: each once, after a moment's linger, one at a time, with back-off after failures.

``Schedule`` decides and knows no clock; ``WorkQueue`` sleeps. The linger lets a burst of events (300 cameras applied
at once) end in one pass instead of one per camera, and the cap keeps a stream of events from postponing work for ever.
A lone event of a key that was left in peace before hardly waits: a burst shows by its second event.
"""

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")


class QueueClosedError(Exception):
    """The queue gives out no more keys."""


#: A pass starts this long after a lone event. ``kubectl apply`` of a file sends an object every few milliseconds.
LINGER_ALONE = 0.02
#: ... and this long after the last event of several, or soon after another pass.
LINGER = 0.1
#: ... but no later than this after the first.
LINGER_AT_MOST = 0.5
#: First wait after a failure; it doubles with each further one.
BACKOFF_BASE = 0.5
BACKOFF_AT_MOST = 60.0


@dataclass(slots=True)
class _Waiting:
    first: float  #: when the key was first asked for
    due: float


class Schedule(Generic[Key]):
    """When which key is due. Times are monotonic seconds that the caller passes in."""

    def __init__(self, *, linger: float = LINGER, linger_at_most: float = LINGER_AT_MOST) -> None:
        self._linger = linger
        self._linger_alone = min(linger, LINGER_ALONE)
        self._linger_at_most = linger_at_most
        self._waiting: dict[Key, _Waiting] = {}
        self._later: dict[Key, float] = {}
        self._running: dict[Key, float | None] = {}  # value: when it was asked for again while running
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._ended: dict[Key, float] = {}  # when the last pass ended
        # Entries are not removed when a key becomes due at another time; those that do not match are skipped.
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def add(self, key: Key, now: float) -> None:
        """Asks for a pass over the key soon."""
        if key in self._running:
            if self._running[key] is None:
                self._running[key] = now
            return
        entry = self._waiting.get(key)
        if entry is None:
            is_calm = now - self._ended.get(key, -math.inf) >= self._linger_at_most
            entry = self._waiting[key] = _Waiting(now, now + (self._linger_alone if is_calm else self._linger))
        else:
            entry.due = min(now + self._linger, entry.first + self._linger_at_most)
        entry.due = max(entry.due, self._not_before.get(key, entry.due))
        self._push(entry.due, key)

    def add_later(self, key: Key, due: float) -> None:
        """Asks for a pass at a time, in place of what was asked for by this function before."""
        self._later[key] = due
        self._push(due, key)

    def pop(self, now: float) -> tuple[Key, float] | None:
        """A key that is due and the time since when it waits; the key counts as running until ``done``."""
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._later.get(key) == due:
                del self._later[key]
                if key in self._running:
                    self.add(key, now)
                    continue
                self._waiting.setdefault(key, _Waiting(due, max(due, self._not_before.get(key, due))))
            entry = self._waiting.get(key)
            if entry is None or entry.due > due:
                continue
            del self._waiting[key]
            self._running[key] = None
            return key, entry.first
        return None

    def next_due(self) -> float | None:
        """When to call ``pop`` again; None: nothing waits."""
        return self._heap[0][0] if self._heap else None

    def done(self, key: Key, now: float) -> None:
        """The pass has succeeded; if the key was asked for meanwhile, it waits again."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._finish(key, now)

    def failed(self, key: Key, now: float, *, retry_after: float | None = None) -> float:
        """The pass has failed and is to be repeated; returns after how many seconds.

        Args:
            key: the key.
            now: monotonic seconds.
            retry_after: seconds; None: exponential back-off.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(BACKOFF_BASE * 2 ** (failures - 1), BACKOFF_AT_MOST) if retry_after is None else retry_after
        self._not_before[key] = now + delay
        self._running[key] = now
        self._finish(key, now)
        return delay

    def forget(self, key: Key) -> None:
        """Drops the timer of a key that exists no more."""
        self._later.pop(key, None)
        self._ended.pop(key, None)

    def _finish(self, key: Key, now: float) -> None:
        again = self._running.pop(key)
        self._ended[key] = now
        if again is not None:
            self.add(key, now)
            # The time since when it waits is that of the first event, not of the end of the pass.
            self._waiting[key].first = again

    def _push(self, due: float, key: Key) -> None:
        heapq.heappush(self._heap, (due, next(self._order), key))


class WorkQueue(Generic[Key]):
    """A ``Schedule`` that waits for the next due key.

    Args:
        clock: monotonic seconds.
        linger: seconds between the last event and the pass.
        linger_at_most: seconds between the first event and the pass.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        linger: float = LINGER,
        linger_at_most: float = LINGER_AT_MOST,
    ) -> None:
        self._clock = clock
        self._schedule: Schedule[Key] = Schedule(linger=linger, linger_at_most=linger_at_most)
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._schedule)

    def close(self) -> None:
        """Gives out no more keys."""
        self._closed = True
        self._changed.set()

    def add(self, key: Key) -> None:
        """Asks for a pass over the key soon."""
        self._schedule.add(key, self._clock())
        self._changed.set()

    def add_after(self, key: Key, delay: float) -> None:
        """Asks for a pass after some seconds, in place of the last such request for the key."""
        self._schedule.add_later(key, self._clock() + delay)
        self._changed.set()

    async def get(self) -> tuple[Key, float]:
        """The next due key and the monotonic time since when it waits.

        Raises:
            QueueClosedError: there will be none.
        """
        while True:
            if self._closed:
                raise QueueClosedError
            # Cleared before looking: an event that comes between looking and waiting must not be lost.
            self._changed.clear()
            due = self._schedule.pop(self._clock())
            if due is not None:
                # Other workers wait on the same event; the clear above may have eaten their wake-up.
                self._changed.set()
                return due
            next_due = self._schedule.next_due()
            timeout = None if next_due is None else max(next_due - self._clock(), 0.0)
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """The pass over the key has succeeded."""
        self._schedule.done(key, self._clock())
        self._changed.set()

    def failed(self, key: Key, *, retry_after: float | None = None) -> float:
        """The pass over the key has failed; returns the seconds until the next one."""
        delay = self._schedule.failed(key, self._clock(), retry_after=retry_after)
        self._changed.set()
        return delay

    def forget(self, key: Key) -> None:
        """Drops the timer of a key that exists no more."""
        self._schedule.forget(key)
