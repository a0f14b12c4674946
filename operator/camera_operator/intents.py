"""Which cameras a worker is about to get by a write whose outcome is not known yet.

A write takes a while, and a camera may change its group meanwhile: without this, the other group's pass would see a
camera that nobody has, and give it to a second worker. A write that ended without an answer may even have been carried
out; what it was to give away counts as given until the object has been looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from camera_operator.decide.model import ObjectKey, WorkerWrite


@dataclass(slots=True)
class _Intent:
    cameras: frozenset[str]
    is_unanswered: bool = False


class Intents:
    """See the module. All of it is lost with the process; who leads next waits longer than any write takes."""

    def __init__(self) -> None:
        self._by_group: dict[ObjectKey, dict[str, _Intent]] = {}  # by worker

    def begin(self, group: ObjectKey, writes: Iterable[WorkerWrite]) -> None:
        """These writes are to be sent."""
        for write in writes:
            if write.assignment is not None:
                names = frozenset(camera.name for camera in write.assignment.cameras)
                self._by_group.setdefault(group, {})[write.worker] = _Intent(names)

    def answered(self, group: ObjectKey, worker: str) -> None:
        """The cache knows how the write has ended, or it was never sent."""
        intents = self._by_group.get(group, {})
        intents.pop(worker, None)
        if not intents:
            self._by_group.pop(group, None)

    def unanswered(self, group: ObjectKey, worker: str) -> None:
        """The write has ended without an answer: nobody knows whether it was carried out."""
        intent = self._by_group.get(group, {}).get(worker)
        if intent is not None:
            intent.is_unanswered = True

    def open_questions(self, group: ObjectKey) -> list[str]:
        """Workers whose Secret has to be looked at before the group is planned again."""
        return sorted(name for name, intent in self._by_group.get(group, {}).items() if intent.is_unanswered)

    def holders(self, names: Iterable[str], *, but: ObjectKey) -> dict[str, str]:
        """Worker by name of the cameras that a worker of another group is about to get.

        Args:
            names: of the cameras.
            but: the group that asks, in the cameras' namespace.
        """
        wanted = frozenset(names)
        return {
            name: worker
            for group, intents in self._by_group.items()
            if group[0] == but[0] and group != but
            for worker, intent in intents.items()
            for name in wanted & intent.cameras
        }
