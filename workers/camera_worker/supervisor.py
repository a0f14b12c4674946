"""Keeps the cameras of the assignment watched: starts, changes and releases them, and collects their health."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

from camera_api.assignment import AssignedCamera, Assignment
from camera_worker.health import HealthStore
from camera_worker.ingest.camera import Camera, Surroundings

logger = logging.getLogger(__name__)

#: Seconds between two looks at the time: how late an overdue camera is noticed.
TICK_S = 0.25
#: Seconds between two looks whether a thread has ended.
_RELEASE_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Changes:
    """What another assignment means for the cameras that are watched. Cameras in none of the lists go on untouched."""

    removed: tuple[str, ...] = ()  #: UIDs
    reconnected: tuple[AssignedCamera, ...] = ()
    updated: tuple[AssignedCamera, ...] = ()
    added: tuple[AssignedCamera, ...] = ()


def changes(current: dict[str, AssignedCamera], wanted: tuple[AssignedCamera, ...]) -> Changes:
    """Compares what is watched, by UID, with what is to be watched."""
    staying = {camera.uid for camera in wanted}
    differing = [camera for camera in wanted if camera.uid in current and current[camera.uid] != camera]
    return Changes(
        removed=tuple(uid for uid in current if uid not in staying),
        reconnected=tuple(camera for camera in differing if Camera.needs_reconnect(current[camera.uid], camera)),
        updated=tuple(camera for camera in differing if not Camera.needs_reconnect(current[camera.uid], camera)),
        added=tuple(camera for camera in wanted if camera.uid not in current),
    )


@dataclass(slots=True)
class Supervisor:
    """All cameras of the worker. For the event loop only.

    Args:
        surroundings: what the cameras share.
        store: where their health goes.
    """

    surroundings: Surroundings
    store: HealthStore
    assignment: Assignment | None = None
    cameras: dict[str, Camera] = field(default_factory=dict)  #: by UID
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _next: Assignment | None = None
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, assignment: Assignment) -> None:
        """Asks for another assignment; of several that come quickly, only the last one counts."""
        self._next = assignment
        self._wanted.set()

    async def run(self) -> None:
        """Takes assignments over and collects health, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="assignments")
            tasks.create_task(self._tick_for_ever(), name="health")

    async def _follow(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._next is not None:
                await self.take_over(self._next)

    async def take_over(self, assignment: Assignment) -> None:
        """Puts an assignment in force. It is acknowledged when all cameras that are not in it are released."""
        change = changes({uid: camera.assigned for uid, camera in self.cameras.items()}, assignment.cameras)
        self.assignment = assignment
        for camera in change.updated:
            self.cameras[camera.uid].update(camera)
        releases = [self._release(uid) for uid in change.removed]
        reconnects = [self._reconnect(camera) for camera in change.reconnected]
        for camera in change.added:
            self._start(Camera(camera, self.surroundings))
        await asyncio.gather(*releases, *reconnects)
        if self.store.acknowledge(assignment.revision):
            logger.info(
                "assignment %d in force: %d cameras, %d added, %d removed, %d changed",
                assignment.revision,
                len(self.cameras),
                len(change.added),
                len(change.removed),
                len(change.reconnected) + len(change.updated),
            )
        self.collect()
        self.news.set()

    async def stop(self, timeout_s: float) -> None:
        """Releases all cameras; those that take longer than the time-out are left to the end of the process."""
        cameras = list(self.cameras.values())
        for camera in cameras:
            camera.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(_released(camera) for camera in cameras))

    def collect(self) -> None:
        """Takes over what cameras say of themselves."""
        changed = [self.store.put(camera.health()) for camera in self.cameras.values()]
        if any(changed):
            self.news.set()

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Lets time pass for all cameras."""
        for camera in self.cameras.values():
            camera.tick()
        self.collect()

    def _start(self, camera: Camera) -> None:
        self.cameras[camera.assigned.uid] = camera
        camera.start()

    async def _release(self, uid: str) -> None:
        camera = self.cameras[uid]
        camera.stop()
        await _released(camera)
        del self.cameras[uid]
        self.store.remove(uid)

    async def _reconnect(self, assigned: AssignedCamera) -> None:
        old = self.cameras[assigned.uid]
        old.stop()
        await _released(old)
        self._start(Camera(assigned, self.surroundings, old.counters))


async def _released(camera: Camera) -> None:
    """Waits for a camera's thread; without a thread of its own, since dozens may have to be waited for at once."""
    while camera.is_alive:  # noqa: ASYNC110 - a thread sets no event of the loop when it has ended
        await asyncio.sleep(_RELEASE_POLL_S)
