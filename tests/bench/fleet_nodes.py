"""Plays the workers: the pods are KWOK's, and one server answers the health polls of all, told by bearer token."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from bench.fleet import Object
from bench.fleet_kwok import ADDRESS, Kwok
from bench.fleet_watch import FleetWatch
from camera_api.faults import Fault
from camera_api.health import ActiveFault, CameraHealth, HealthReport, StreamFacts, Verdict
from camera_operator.cluster_api import KubernetesApi
from camera_operator.decide.times import format_time
from camera_operator.specs.worker import HTTP_PORT

_STREAM = StreamFacts(
    codec="h264", width=1920, height=1080, frames_per_second=25.0, bits_per_second=2_000_000, transport="TCP"
)


@dataclass(slots=True)
class _Worker:
    assignment: Object
    health: dict[str, CameraHealth] = field(default_factory=dict)  # by name
    cursors: dict[str, int] = field(default_factory=dict)  # by name: of the last change
    cursor: int = 1
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, health: CameraHealth) -> None:
        self.cursor += 1
        self.health[health.name] = health
        self.cursors[health.name] = self.cursor
        self.changed.set()


class FleetNodes:
    """See the module.

    Args:
        kwok: starts the pods.
        watch: brings the assignments.
    """

    def __init__(self, kwok: Kwok, watch: FleetWatch) -> None:
        self._kwok = kwok
        self._watch = watch
        self._workers: dict[str, _Worker] = {}  # by name
        self._by_token: dict[str, _Worker] = {}
        self._instance = secrets.token_hex(4)
        self._runner: web.AppRunner | None = None
        self._faults: dict[str, Fault] = {}  # by camera

    async def start(self, api: KubernetesApi) -> None:
        """Listens, and makes the nodes. Pods do not start yet."""
        application = web.Application()
        application.router.add_get("/v1/health", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, ADDRESS, HTTP_PORT).start()
        await self._kwok.start_nodes(api)

    async def stop(self) -> None:
        """Answers no more, and ends KWOK."""
        self._kwok.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def start_pods(self, limit_s: float) -> float:
        """Lets the pods start; returns the seconds until every worker's is ready."""
        self.deliver_all()
        began = time.monotonic()
        self._kwok.start_pods()

        def are_ready() -> bool:
            self._kwok.check()
            return len(self._watch.ready) >= len(self._watch.assignments)

        return await self._watch.until(are_ready, "a ready pod for every worker", limit_s) - began

    def deliver(self, name: str) -> None:
        """What kubelet and the worker do when an assignment changes."""
        assignment = self._watch.assignments[name]
        worker = self._workers.setdefault(name, _Worker(assignment))
        worker.assignment = assignment
        self._by_token[assignment["bearerToken"]] = worker
        for camera in assignment.get("cameras", ()):
            known = worker.health.get(camera["name"])
            if known is None or known.uid != camera["uid"]:
                worker.tell(self._health(camera))
        gone = worker.health.keys() - {camera["name"] for camera in assignment.get("cameras", ())}
        for each in gone:
            del worker.health[each], worker.cursors[each]
        worker.cursor += 1
        worker.changed.set()

    def deliver_all(self) -> None:
        """Delivers what has changed since, and to workers that are new."""
        for name, assignment in self._watch.assignments.items():
            if name not in self._workers or self._workers[name].assignment is not assignment:
                self.deliver(name)

    def report(self, cameras: set[str], fault: Fault | None) -> None:
        """These cameras are faulty from now on, or work again."""
        for worker in self._workers.values():
            for camera in worker.assignment.get("cameras", ()):
                if camera["name"] not in cameras:
                    continue
                self._faults.pop(camera["name"], None)
                if fault is not None:
                    self._faults[camera["name"]] = fault
                worker.tell(self._health(camera))

    def _health(self, camera: Object) -> CameraHealth:
        fault, since = self._faults.get(camera["name"]), format_time(datetime.now(UTC))
        active = (ActiveFault(fault=fault, since=since, message="no answer within 5 s"),) if fault else ()
        return CameraHealth(
            namespace=camera["namespace"],
            name=camera["name"],
            uid=camera["uid"],
            verdict=Verdict.FAULTY if fault else Verdict.WORKING,
            since=since,
            faults=active,
            stream=_STREAM,
        )

    async def _answer(self, request: web.Request) -> web.Response:
        worker = self._by_token.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if worker is None:
            return web.Response(status=401)
        known = request.query.get("instance") == self._instance
        after = int(request.query.get("after", 0)) if known else 0
        if after == worker.cursor:
            worker.changed.clear()
            try:
                async with asyncio.timeout(float(request.query.get("wait", 0))):
                    await worker.changed.wait()
            except TimeoutError:
                pass
        changed = tuple(worker.health[name] for name, cursor in worker.cursors.items() if cursor > after)
        report = HealthReport(
            worker=worker.assignment["worker"],
            instance=self._instance,
            acknowledged_revision=worker.assignment["revision"],
            cursor=worker.cursor,
            # Cameras that are gone are told by a full report, which is simpler than it is short.
            full=not known,
            cameras=changed,
        )
        return web.Response(text=report.model_dump_json(by_alias=True), content_type="application/json")
