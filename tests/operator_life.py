"""One life of the operator's process within a test: everything but kopf, the signals and HTTP.

It is wired as ``camera_operator.__main__`` does it. Watch events come through ``take``, so that a test can delay, drop
or repeat them; sweeps, election, passes, status writes and health polls run as in the process, by the loop's clock.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kubernetes.aio.client import Configuration

from camera_operator.apply import Applier
from camera_operator.cache import Cache
from camera_operator.cluster_api import Resource
from camera_operator.decide.settings import PlanSettings
from camera_operator.errors import NotLeadingError
from camera_operator.events import EventRecorder
from camera_operator.health_poller import HealthPoller
from camera_operator.leader import Leader
from camera_operator.metrics import Metrics
from camera_operator.move_budget import MoveBudget
from camera_operator.observe import Observer
from camera_operator.reconcile import Reconciler
from camera_operator.status import StatusWriter
from camera_operator.watch import FIELD_SELECTORS, LABEL_SELECTORS, Watcher
from camera_operator.work_queue import WorkQueue
from fakes import matches
from gate import Gate

if TYPE_CHECKING:
    from camera_operator.decide.model import ObjectKey

Object = dict[str, Any]

PLAN_SETTINGS = PlanSettings(worker_image="registry.example/camera-worker:1", operator_version="1.2.3")
#: One a second, so that a city comes to rest soon.
MOVES_PER_HOUR = 3600
LEASE_NAMESPACE = "camera-operator"


class Life:
    """See the module.

    Args:
        gate: its way to the API server.
        identity: differs from that of every other life.
        now: wall clock.
        elects: whether it asks the Lease for permission to write; without, it believes to lead.
        resync: seconds between two regular sweeps of a kind.
        image: of the workers.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        identity: str,
        now: Callable[[], datetime],
        elects: bool = True,
        resync: float = 600.0,
        image: str = PLAN_SETTINGS.worker_image,
    ) -> None:
        clock = asyncio.get_running_loop().time
        api = gate.api
        self.gate = gate
        self.cache = Cache()
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock=clock)
        self._elects = elects
        self._leader = Leader(
            api,
            namespace=LEASE_NAMESPACE,
            name="camera-operator",
            identity=identity,
            on_change=self._leadership_changed,
            clock=clock,
            now=now,
        )
        self._statuses = StatusWriter(
            api,
            self.cache,
            rate=50.0,
            burst=100.0,
            require_leading=self._require_leading,
            changed=self.queue.add,
            clock=clock,
        )
        self._health = HealthPoller(self.cache, changed=self.queue.add, clock=clock)
        moves = MoveBudget(MOVES_PER_HOUR)
        self._reconciler = Reconciler(
            cache=self.cache,
            queue=self.queue,
            observer=Observer(
                self.cache,
                self._health,
                self._statuses,
                moves=moves,
                worker_image=image,
                clock=clock,
                now=now,
            ),
            applier=Applier(api, self.cache, require_leading=self._require_leading),
            statuses=self._statuses,
            moves=moves,
            events=EventRecorder(api, instance="test", require_leading=self._require_leading, clock=clock, now=now),
            health=self._health,
            metrics=Metrics(),
            plan_settings=replace(PLAN_SETTINGS, worker_image=image),
            is_leading=lambda: self.is_leading,
            clock=clock,
        )
        self._synced = asyncio.Event()
        self._watcher = Watcher(
            Configuration(), api, self.cache, changed=self.queue.add, synced=self._synced.set, resync=resync
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_leading(self) -> bool:
        """Whether it may write, or believes so."""
        return not self._elects or self._leader.is_leading

    def start(self) -> None:
        """Lists, and takes part in the election when its cache is complete."""
        for scope in self.cache.scopes:
            self._watcher.ask_for_sweep(scope)
        parts = (
            self._watcher.sweep_for_ever(),
            self._health.run(),
            self._elect(),
            self._statuses.run(),
            self._reconciler.run(4),
        )
        self._tasks = [asyncio.create_task(part) for part in parts]

    async def kill(self) -> None:
        """Ends it without any last word to the API server."""
        self.gate.died.set()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def take(self, resource: Resource, event_type: str, raw: Object) -> None:
        """What its watch brings; what its watch does not select is left out."""
        labels = raw["metadata"].get("labels") or {}
        selected = matches(labels, LABEL_SELECTORS.get(resource, "")) and matches(
            {"type": raw.get("type", "Opaque")}, FIELD_SELECTORS.get(resource, "")
        )
        if selected and not self.gate.died.is_set():
            self._watcher.take(resource, event_type, raw)

    def sweep(self) -> None:
        """Compares the cache with the API server soon."""
        for scope in self.cache.scopes:
            self._watcher.ask_for_sweep(scope)

    def _require_leading(self) -> None:
        if not self.is_leading:
            raise NotLeadingError("this process does not hold the Lease")

    async def _elect(self) -> None:
        await self._synced.wait()
        if self._elects:
            await self._leader.run()
        else:
            self._leadership_changed(True)

    def _leadership_changed(self, leading: bool) -> None:
        if leading:
            self._reconciler.start_over()
        else:
            self._statuses.drop_all()
            self._health.pause()
