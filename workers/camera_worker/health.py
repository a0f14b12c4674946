"""What is to be reported, with cursors: a reader that follows them sees every camera's latest health. Pure."""

from collections import OrderedDict

from camera_api.category import DecodePolicy
from camera_api.health import CameraHealth, HealthReport

#: Removed cameras that are remembered for readers who are behind; an older reader gets a full report.
_TOMBSTONES = 1024


class HealthStore:
    """Latest health by camera, in the order of change. Not safe across threads: for the event loop only.

    Args:
        instance: random name of this process.
    """

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.cursor = 0
        self.acknowledged_revision = 0
        self.decode_reduced_to: DecodePolicy | None = None
        self._cameras: OrderedDict[str, tuple[int, CameraHealth]] = OrderedDict()
        self._removed: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0

    def put(self, health: CameraHealth) -> bool:
        """Takes a camera's health over; returns whether it differs."""
        known = self._cameras.get(health.uid)
        if known is not None and known[1] == health:
            return False
        self.cursor += 1
        self._cameras[health.uid] = (self.cursor, health)
        self._cameras.move_to_end(health.uid)
        self._removed.pop(health.uid, None)
        return True

    def remove(self, uid: str) -> bool:
        """Forgets a camera; returns whether it was known."""
        if self._cameras.pop(uid, None) is None:
            return False
        self.cursor += 1
        self._removed[uid] = self.cursor
        while len(self._removed) > _TOMBSTONES:
            _, self._forgotten = self._removed.popitem(last=False)
        return True

    def acknowledge(self, revision: int) -> bool:
        """Says that a revision of the assignment is in force; returns whether that is new."""
        if revision == self.acknowledged_revision:
            return False
        self.acknowledged_revision = revision
        self.cursor += 1
        return True

    def reduce_decoding(self, to: DecodePolicy | None) -> bool:
        """Says what an overloaded worker decodes at most, None for what is asked for; returns whether that is new."""
        if to is self.decode_reduced_to:
            return False
        self.decode_reduced_to = to
        self.cursor += 1
        return True

    def has_news(self, instance: str | None, after: int | None) -> bool:
        """Whether a reader with this cursor would learn anything."""
        return instance != self.instance or after is None or after > self.cursor or after < self.cursor

    def report(self, worker: str, instance: str | None, after: int | None) -> HealthReport:
        """What a reader with this cursor does not know yet; everything, where the cursor cannot be relied on."""
        full = instance != self.instance or after is None or after > self.cursor or after < self._forgotten
        since = 0 if full or after is None else after
        cameras = []
        # Latest changes are at the end: a reader who is up to date costs nothing.
        for number, health in reversed(self._cameras.values()):
            if number <= since:
                break
            cameras.append(health)
        removed = [] if full else [uid for uid, number in self._removed.items() if number > since]
        return HealthReport(
            worker=worker,
            instance=self.instance,
            acknowledged_revision=self.acknowledged_revision,
            cursor=self.cursor,
            decode_reduced_to=self.decode_reduced_to,
            full=full,
            cameras=tuple(reversed(cameras)),
            removed=tuple(removed),
        )
