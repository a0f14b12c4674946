"""One life of the operator's process within a test: everything but kopf, the signals and HTTP.

It is wired as the process is. Watch events come through ``take``, so that a test can delay, drop
or repeat them; sweeps, election, passes, status writes and health polls run as in the process, by the loop's clock.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from kubernetes.aio.client import Configuration

from camera_operator.assembly import Assembly, Clocks
from camera_operator.cache import Cache
from camera_operator.cluster_api import Resource
from camera_operator.decide.settings import PlanSettings
from camera_operator.leader import Leader
from camera_operator.metrics import Metrics
from camera_operator.settings import Settings
from camera_operator.watch import FIELD_SELECTORS, LABEL_SELECTORS
from fakes import matches
from gate import Gate

Object = dict[str, Any]

PLAN_SETTINGS = PlanSettings(worker_image="registry.example/camera-worker:1", operator_version="1.2.3")
#: One a second, so that a city comes to rest soon.
MOVES_PER_HOUR = 3600
LEASE_NAMESPACE = "camera-operator"


class Usurper(Leader):
    """Believes to lead without looking at the Lease."""

    @property
    def is_leading(self) -> bool:
        return True

    async def run(self) -> None:
        self._on_change(True)


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
        self.gate = gate
        self.cache = Cache()
        settings = Settings(
            worker_image=image,
            namespace=LEASE_NAMESPACE,
            pod_name=identity,
            status_writes_per_second=50,
            status_write_burst=100,
            moves_per_hour=MOVES_PER_HOUR,
            resync_seconds=int(resync),
        )
        self._parts = Assembly(
            gate.api,
            Configuration(),
            cache=self.cache,
            settings=settings,
            plan_settings=replace(PLAN_SETTINGS, worker_image=image),
            metrics=Metrics(),
            clocks=Clocks(asyncio.get_running_loop().time, now),
            leader=Leader if elects else Usurper,
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_leading(self) -> bool:
        """Whether it may write, or believes so."""
        return self._parts.leader.is_leading

    def start(self) -> None:
        """Lists, and takes part in the election when its cache is complete."""
        self.sweep()
        parts = {**self._parts.listening, **self._parts.writing}
        # They come up to a minute late, and say what statuses say.
        del parts["events"]
        self._tasks = [asyncio.create_task(run(), name=name) for name, run in parts.items()]

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
            self._parts.watcher.take(resource, event_type, raw)

    def sweep(self) -> None:
        """Compares the cache with the API server soon."""
        for scope in self.cache.scopes:
            self._parts.watcher.ask_for_sweep(scope)
