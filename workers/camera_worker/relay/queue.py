"""What waits for one reader, and what it misses when it is slow. Pure, over the caller's clock.

A bound on bytes alone would let a reader of a slim stream fall behind for as long as it likes, one on age alone would
let a fat stream grow the worker; so there are both. Packets are shared by all readers: what waits costs a reference.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic

from camera_worker.relay.gop import P

#: Seconds that a packet may wait. With what its connection holds, a reader is more than 2 s behind then.
MAX_AGE_S = 1.5
#: Seconds after which a packet is passed over if a key frame waits behind it: what is shown is fresher by as much.
SKIP_AGE_S = 0.75
#: Bytes that may wait: 2 s of 16 Mbit/s.
MAX_QUEUED_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class ReaderQueue(Generic[P]):
    """Packets for one reader, oldest first.

    Args:
        max_age_s: a packet that has waited longer makes the reader miss all up to the next key frame.
        skip_age_s: likewise, if that key frame waits already.
        max_bytes: more makes it miss them as well.
    """

    max_age_s: float = MAX_AGE_S
    skip_age_s: float = SKIP_AGE_S
    max_bytes: int = MAX_QUEUED_BYTES
    drops: int = 0  #: times that the reader was dropped to a key frame; the owner may set it back
    size: int = 0  #: bytes that wait
    #: Whether the next packet that is taken follows on a drop.
    has_gap: bool = False
    _waiting: deque[tuple[P, float]] = field(default_factory=deque)
    #: Whether packets are missing before what comes next, which so has to be a key frame.
    _needs_key: bool = True

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self, packets: Iterable[P], now: float) -> None:
        """Begins with packets that came before the reader; they are as old as the reader."""
        for packet in packets:
            self.put(packet, now)

    def put(self, packet: P, now: float) -> None:
        """Takes the stream's next packet, unless it is of no use to this reader."""
        if self._needs_key:
            if not packet.is_key:
                return
            self._needs_key = False
        self._waiting.append((packet, now))
        self.size += packet.size
        if self.size > self.max_bytes or now - self._waiting[0][1] > self.max_age_s:
            self._drop(now)

    def take(self, max_bytes: int, now: float) -> list[P]:
        """Removes packets from the front: at least one if any waits, then as many as fit.

        Whoever takes packets clears ``has_gap``, once the reader is told.

        Args:
            max_bytes: of all that is returned, unless the first is larger.
            now: the caller's clock, in seconds.
        """
        waiting = self._waiting
        age = now - waiting[0][1] if waiting else 0.0
        if age > self.max_age_s or (age > self.skip_age_s and self._has_key_behind_front()):
            self._drop(now)
        taken: list[P] = []
        total = 0
        while waiting and (not taken or total + waiting[0][0].size <= max_bytes):
            packet = waiting.popleft()[0]
            taken.append(packet)
            total += packet.size
        self.size -= total
        return taken

    def _has_key_behind_front(self) -> bool:
        return any(packet.is_key for packet, _ in islice(self._waiting, 1, None))

    def _drop(self, now: float) -> None:
        """Forgets what waits in front of the latest key frame that is young enough, or all of it."""
        self.drops += 1
        self.has_gap = True
        waiting = self._waiting
        keep = 0
        kept_size = 0
        size = 0
        for number, (packet, queued_at) in enumerate(reversed(waiting), 1):
            size += packet.size
            if size > self.max_bytes or now - queued_at > self.max_age_s:
                break
            if packet.is_key:
                keep, kept_size = number, size
                break
        # A key frame in front is where the reader stands already: dropped to it, it would stand there again.
        if keep == len(waiting):
            keep = kept_size = 0
        while len(waiting) > keep:
            waiting.popleft()
        self.size = kept_size
        self._needs_key = not waiting
