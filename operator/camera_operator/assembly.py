"""Wires the parts of the operator together, once for the process and for the tests that let it live in virtual time."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from camera_operator.apply import Applier
from camera_operator.cache import Cache
from camera_operator.cluster_api import ClusterApi
from camera_operator.decide.settings import PlanSettings
from camera_operator.events import EventRecorder
from camera_operator.health_poller import HealthPoller
from camera_operator.leader import Leader
from camera_operator.metrics import Metrics
from camera_operator.move_budget import MoveBudget
from camera_operator.observe import Observer
from camera_operator.reconcile import Reconciler
from camera_operator.settings import Settings
from camera_operator.status import StatusWriter
from camera_operator.watch import Watcher
from camera_operator.work_queue import WorkQueue

if TYPE_CHECKING:
    from camera_operator.decide.model import ObjectKey


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the parts tell time by."""

    monotonic: Callable[[], float] = time.monotonic  #: seconds, for ages and limits
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)  #: for moments that people see


class Assembly:
    """The parts of one process.

    Args:
        api: of the cluster.
        configuration: of the ``kubernetes`` package: how kopf reaches the same cluster.
        cache: to be filled.
        settings: that the process was started with.
        plan_settings: for decisions.
        metrics: told what happens.
        clocks: see there.
        leader: makes the candidate for the Lease.

    Attributes:
        watcher: kopf's watches have to be started and stopped apart from the rest.
        leader: to be released in the end.
    """

    def __init__(
        self,
        api: ClusterApi,
        configuration: Any,
        *,
        cache: Cache,
        settings: Settings,
        plan_settings: PlanSettings,
        metrics: Metrics,
        clocks: Clocks = Clocks(),
        leader: Callable[..., Leader] = Leader,
    ) -> None:
        clock = clocks.monotonic
        self._metrics = metrics
        self._synced = asyncio.Event()
        self._concurrency = settings.reconcile_concurrency
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock=clock)
        self.leader = leader(
            api,
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=settings.pod_name,
            on_change=self._leadership_changed,
            clock=clock,
            now=clocks.wall,
        )
        self._statuses = StatusWriter(
            api,
            cache,
            rate=settings.status_writes_per_second,
            burst=settings.status_write_burst,
            require_leading=self.leader.require,
            changed=self.queue.add,
            clock=clock,
        )
        self._health = HealthPoller(
            cache,
            changed=self.queue.add,
            count=lambda result: metrics.health_polls.labels(result).inc(),
            clock=clock,
        )
        self._events = EventRecorder(
            api, instance=settings.pod_name, require_leading=self.leader.require, clock=clock, now=clocks.wall
        )
        self._reconciler = self._make_reconciler(api, cache, plan_settings, clocks, MoveBudget(settings.moves_per_hour))
        self.watcher = Watcher(
            configuration,
            api,
            cache,
            changed=self.queue.add,
            synced=self._synced.set,
            namespaces=settings.watch_namespaces,
            resync=settings.resync_seconds,
        )
        metrics.watch_depth(lambda: len(self.queue), lambda: len(self._statuses))

    def _make_reconciler(
        self, api: ClusterApi, cache: Cache, plan_settings: PlanSettings, clocks: Clocks, moves: MoveBudget
    ) -> Reconciler:
        observer = Observer(
            cache,
            self._health,
            self._statuses,
            moves=moves,
            worker_image=plan_settings.worker_image,
            clock=clocks.monotonic,
            now=clocks.wall,
        )
        return Reconciler(
            cache=cache,
            queue=self.queue,
            observer=observer,
            applier=Applier(api, cache, require_leading=self.leader.require, found=self.queue.add),
            statuses=self._statuses,
            moves=moves,
            events=self._events,
            health=self._health,
            metrics=self._metrics,
            plan_settings=plan_settings,
            is_leading=lambda: self.leader.is_leading,
            clock=clocks.monotonic,
        )

    @property
    def listening(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """By name, what runs until it is cancelled."""
        return {
            "sweeps": self.watcher.sweep_for_ever,
            "health polls": self._health.run,
            "events": self._events.run,
            "election": self._elect,
        }

    @property
    def writing(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """By name, what ends by itself after ``close``, when the writes that are under way have ended."""
        return {
            "status writes": self._statuses.run,
            "reconciliation": lambda: self._reconciler.run(self._concurrency),
        }

    def close(self) -> None:
        """Begins no more passes and writes."""
        self.queue.close()
        self._statuses.close()

    async def _elect(self) -> None:
        # A process whose cache is not complete could only hold the Lease, not use it.
        await self._synced.wait()
        await self.leader.run()

    def _leadership_changed(self, leading: bool) -> None:
        self._metrics.leader.set(leading)
        if leading:
            self._reconciler.start_over()
            return
        self._statuses.drop_all()
        self._events.drop_all()
        self._health.pause()
        self._metrics.forget_groups()
