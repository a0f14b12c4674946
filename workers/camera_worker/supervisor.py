"""Keeps the cameras of the assignment watched: starts, changes and releases them, and collects their health.

For the event loop only, and it never waits: a camera that is slow to let go holds up nothing but the acknowledgement.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from camera_api.assignment import AssignedCamera, Assignment
from camera_api.category import DecodePolicy
from camera_api.health import CameraHealth
from camera_worker.decoding import LADDER
from camera_worker.health import HealthStore

logger = logging.getLogger(__name__)

#: Seconds between two looks at the time: how late an overdue camera is noticed.
TICK_S = 0.25
#: Seconds between two looks while cameras are being released.
RELEASE_TICK_S = 0.02


class Watched(Protocol):
    """What the supervisor needs of a camera; see ``ingest.camera.Camera``."""

    @property
    def assigned(self) -> AssignedCamera: ...  # noqa: D102
    @property
    def is_alive(self) -> bool: ...  # noqa: D102
    def start(self) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102
    def update(self, assigned: AssignedCamera, /) -> None: ...  # noqa: D102
    def tick(self) -> None: ...  # noqa: D102
    def health(self) -> CameraHealth: ...  # noqa: D102


C = TypeVar("C", bound=Watched)


@dataclass(frozen=True, slots=True)
class Changes:
    """What another assignment means for the cameras that are watched. Cameras in none of the lists go on untouched."""

    removed: tuple[str, ...] = ()  #: UIDs
    updated: tuple[AssignedCamera, ...] = ()
    added: tuple[AssignedCamera, ...] = ()


def changes(current: Mapping[str, AssignedCamera], wanted: Iterable[AssignedCamera]) -> Changes:
    """Compares what is watched, by UID, with what is to be watched."""
    wanted = tuple(wanted)
    staying = {camera.uid for camera in wanted}
    return Changes(
        removed=tuple(uid for uid in current if uid not in staying),
        updated=tuple(camera for camera in wanted if camera.uid in current and current[camera.uid] != camera),
        added=tuple(camera for camera in wanted if camera.uid not in current),
    )


@dataclass(slots=True)
class Supervisor(Generic[C]):
    """All cameras of the worker.

    Args:
        make_camera: makes a camera that is not started yet.
        store: where their health goes.
    """

    make_camera: Callable[[AssignedCamera], C]
    store: HealthStore
    assignment: Assignment | None = None
    cameras: dict[str, C] = field(default_factory=dict)  #: by UID
    #: Set when the store holds something new.
    news: asyncio.Event = field(default_factory=asyncio.Event)
    #: Cameras that are asked to let go, by UID.
    _leaving: dict[str, C] = field(default_factory=dict)
    #: Cameras that came back before they had let go.
    _returning: dict[str, AssignedCamera] = field(default_factory=dict)

    def take_over(self, assignment: Assignment) -> None:
        """Puts an assignment in force. It is acknowledged when all cameras that are not in it are released."""
        current = {uid: camera.assigned for uid, camera in self.cameras.items()} | self._returning
        change = changes(current, assignment.cameras)
        before, self.assignment = self.assignment, assignment
        for uid in change.removed:
            self._returning.pop(uid, None)
            if uid in self.cameras:
                self._leaving[uid] = camera = self.cameras.pop(uid)
                camera.stop()
        for assigned in change.updated:
            if assigned.uid in self._returning:
                self._returning[assigned.uid] = assigned
            else:
                self.cameras[assigned.uid].update(assigned)
        for assigned in change.added:
            if assigned.uid in self._leaving:
                self._returning[assigned.uid] = assigned
            else:
                self._start(assigned)
        logger.info(
            "assignment %d (before: %s): %d cameras, %d added, %d removed, %d changed",
            assignment.revision,
            before.revision if before is not None else "none",
            len(assignment.cameras),
            len(change.added),
            len(change.removed),
            len(change.updated),
        )
        self.release()
        self.collect()

    def release(self) -> None:
        """Finishes the release of cameras whose threads have ended, and acknowledges when none is left."""
        for uid in [uid for uid, camera in self._leaving.items() if not camera.is_alive]:
            del self._leaving[uid]
            if self.store.remove(uid):
                self.news.set()
            returning = self._returning.pop(uid, None)
            if returning is not None:
                self._start(returning)
        if self.assignment is not None and not self._leaving and self.store.acknowledge(self.assignment.revision):
            self.news.set()

    def collect(self) -> None:
        """Takes over what cameras say of themselves."""
        changed = [self.store.put(camera.health()) for camera in self.cameras.values()]
        if any(changed):
            self.news.set()

    def tick(self) -> None:
        """Lets time pass for all cameras."""
        for camera in self.cameras.values():
            camera.tick()
        self.release()
        self.collect()

    @property
    def asked_decode(self) -> DecodePolicy:
        """What the assignment wants decoded of the camera that it wants most of."""
        wanted = {camera.assigned.decode for camera in self.cameras.values()}
        return next((policy for policy in LADDER if policy in wanted), DecodePolicy.NONE)

    def reduce_decoding(self, to: DecodePolicy | None) -> None:
        """Reports what is decoded at most, None for what is asked for, and what is known of the cameras then."""
        if self.store.reduce_decoding(to):
            self.news.set()
        self.collect()

    async def run(self) -> None:
        """Lets time pass, for ever."""
        while True:
            await asyncio.sleep(RELEASE_TICK_S if self._leaving else TICK_S)
            self.tick()

    async def stop(self, timeout_s: float) -> int:
        """Releases all cameras at the same time.

        Returns:
            How many have not let go within the time: their threads end with the process.
        """
        leaving = [*self.cameras.values(), *self._leaving.values()]
        for camera in leaving:
            camera.stop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while any(camera.is_alive for camera in leaving) and loop.time() < deadline:  # noqa: ASYNC110 - threads set no event of the loop
            await asyncio.sleep(RELEASE_TICK_S)
        return sum(camera.is_alive for camera in leaving)

    def _start(self, assigned: AssignedCamera) -> None:
        camera = self.make_camera(assigned)
        self.cameras[assigned.uid] = camera
        camera.start()
