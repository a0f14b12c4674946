"""The worker's HTTP API: health by long poll, snapshots, relay, metrics and probes.

Every /v1 route wants the bearer token, or the same as the password of HTTP's Basic scheme.
"""

import asyncio
import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from camera_worker.evidence_routes import EvidenceRoutes
from camera_worker.ingest.camera import Camera
from camera_worker.ingest.snapshot import Snapshots
from camera_worker.relay.hub import Relay
from camera_worker.relay.routes import RelayRoutes
from camera_worker.supervisor import Supervisor

#: Seconds that a health poll may wait, at most: below the idle time-outs of what may stand between.
MAX_WAIT_S = 30.0
#: Digits of a cursor, at most.
_MAX_DIGITS = 18

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Routes of the worker.

    Args:
        supervisor: the cameras.
        registry: for /metrics.
        unready: why the worker is not ready; empty: it is.
        trouble: why the latest assignment could not be taken over; empty: it was. The one in force is watched on.
        relay: from the cameras to their readers.
    """

    def __init__(
        self,
        supervisor: Supervisor[Camera],
        registry: CollectorRegistry,
        unready: Callable[[], str],
        trouble: Callable[[], str] = str,
        *,
        relay: Relay,
    ) -> None:
        self._supervisor = supervisor
        self._registry = registry
        self._unready = unready
        self._trouble = trouble
        self._snapshots = Snapshots()
        self._evidence = EvidenceRoutes(self._find)
        self._relay = RelayRoutes(relay, self._find)

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(middlewares=[self._authorize])
        application.add_routes(
            [
                web.get("/v1/health", self._health),
                web.get("/v1/cameras/{namespace}/{name}/snapshot.jpg", self._snapshot),
                *self._evidence.routes(),
                *self._relay.routes(),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        application.on_shutdown.append(self._relay.on_shutdown)
        return application

    def _find(self, key: tuple[str, str]) -> Camera | None:
        return next((camera for camera in self._supervisor.cameras.values() if camera.assigned.key == key), None)

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        assignment = self._supervisor.assignment
        if assignment is None:
            return _error(503, "the worker has no assignment yet")
        expected = assignment.bearer_token.get_secret_value()
        given = _token(request.headers.get("Authorization", ""))
        if not hmac.compare_digest(given.encode(), expected.encode()):
            schemes = CIMultiDict([("WWW-Authenticate", "Bearer"), ("WWW-Authenticate", 'Basic realm="camera-worker"')])
            return _error(401, "the bearer token of the worker's assignment is needed", schemes)
        return await handler(request)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        try:
            after = _after(request.query.get("after"))
            wait = _wait(request.query.get("wait", "0"))
        except ValueError as error:
            return _error(400, str(error))
        instance = request.query.get("instance")
        store, news = self._supervisor.store, self._supervisor.news
        deadline = asyncio.get_running_loop().time() + wait
        while not store.has_news(instance, after):
            # Cleared before the next look, so that no change falls between the two.
            news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                break
        assignment = self._supervisor.assignment
        worker = assignment.worker if assignment is not None else ""
        report = store.report(worker, instance, after)
        return web.Response(
            text=report.model_dump_json(by_alias=True, exclude_none=True), content_type="application/json"
        )

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        key = (request.match_info["namespace"], request.match_info["name"])
        camera = self._find(key)
        if camera is None:
            return _error(404, f"camera {'/'.join(key)} is not assigned to this worker")
        key_frame = camera.key_frame
        if key_frame is None:
            return _error(404, f"camera {'/'.join(key)} has not delivered a picture yet")
        picture = await asyncio.to_thread(self._snapshots.jpeg, camera.assigned.uid, key_frame)
        if picture is None:
            return _error(404, f"the latest picture of camera {'/'.join(key)} is damaged")
        return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _healthz(self, _: web.Request) -> web.StreamResponse:
        cameras = self._supervisor.cameras.values()
        bad = sorted(camera.assigned.name for camera in cameras if camera.is_stuck or not camera.is_alive)
        if bad:
            return _error(500, f"the threads of {len(bad)} cameras have ended or are stuck: {', '.join(bad[:5])}")
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.StreamResponse:
        unready = self._unready()
        if unready:
            return _error(503, unready)
        trouble = self._trouble()
        return web.json_response({"status": "ok", "warning": trouble} if trouble else {"status": "ok"})


def _after(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise ValueError("after must be a cursor of an earlier report: a whole number")
    return int(text)


def _wait(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    # Not a number compares false.
    if not wait >= 0:
        raise ValueError(f"wait must be a number of seconds from 0 to {MAX_WAIT_S:g}")
    return min(wait, MAX_WAIT_S)


def _token(header: str) -> str:
    """The token of a request. Players and browsers know no bearer tokens: they send it as a password (RFC 7617)."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic":
        return given if scheme.lower() == "bearer" else ""
    try:
        return b64decode(given, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=headers)
