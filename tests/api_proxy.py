"""A proxy before a real API server, for one operator: every write passes it, and each can end otherwise.

The operator reaches it by plain HTTP and needs no credentials; the proxy uses the cluster's own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

_NOT_FORWARDED = frozenset({"host", "connection", "transfer-encoding", "content-length", "content-encoding"})


@dataclass(frozen=True, slots=True)
class SentWrite:
    """A write of the operator; Leases are no matter of cameras and are not among them."""

    method: str
    path: str


class Fault(Enum):
    """How a write can end."""

    NONE = auto()
    KILLS_BEFORE = auto()  #: the process is killed, and the request never reaches the API server
    KILLS_AFTER = auto()  #: the API server has done it, then the process is killed
    ANSWER_LOST = auto()  #: the API server has done it, then the connection breaks
    TOO_MANY_REQUESTS = auto()
    SERVER_ERROR = auto()
    CONFLICT = auto()


_STATUSES = {Fault.TOO_MANY_REQUESTS: 429, Fault.SERVER_ERROR: 500, Fault.CONFLICT: 409}


class ApiProxy:
    """See the module. To be made by ``api_proxy``.

    Attributes:
        judge: decides how a write ends.
        kill: kills the operator.
        writes: that the operator has sent, in order.
        watch_delay: seconds by which every part of a watch comes late.
    """

    def __init__(self, upstream: aiohttp.ClientSession, host: str) -> None:
        self.judge: Callable[[SentWrite], Fault] = lambda _write: Fault.NONE
        self.kill: Callable[[], None] = lambda: None
        self.writes: list[SentWrite] = []
        self.watch_delay = 0.0
        self.port = 0
        self._upstream = upstream
        self._host = host

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads to the proxy."""
        path = folder / "proxied-kubeconfig"
        cluster = {"name": "proxied", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxied", "context": {"cluster": "proxied", "user": "nobody"}}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxied",
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "nobody", "user": {}}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forwards a request, or does to it what the judge says."""
        if request.method == "GET" or "/leases" in request.path:
            return await self._forward(request)
        write = SentWrite(request.method, request.path)
        self.writes.append(write)
        fault = self.judge(write)
        if fault in _STATUSES:
            return _refusal(_STATUSES[fault])
        if fault is Fault.KILLS_BEFORE:
            self.kill()
            raise web.HTTPServiceUnavailable
        answer = await self._forward(request)
        if fault is Fault.KILLS_AFTER:
            self.kill()
        if fault is Fault.ANSWER_LOST and request.transport is not None:
            request.transport.abort()
        return answer

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _NOT_FORWARDED}
        body = await request.read()
        async with self._upstream.request(
            request.method, self._host + request.raw_path, headers=headers, data=body or None
        ) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _NOT_FORWARDED}
            if "watch" not in request.query:
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await asyncio.sleep(self.watch_delay)
                await response.write(part)
            return response


def _refusal(status: int) -> web.Response:
    reason = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}[status]
    content: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}
    headers = {"Retry-After": "1"} if status == web.HTTPTooManyRequests.status_code else {}
    return web.Response(status=status, text=json.dumps(content), content_type="application/json", headers=headers)


@asynccontextmanager
async def api_proxy(configuration: Configuration) -> AsyncIterator[ApiProxy]:
    """A proxy before the API server that a client would reach by this configuration."""
    client = ApiClient(configuration)
    connector = aiohttp.TCPConnector(limit=0, ssl=client.rest_client.ssl_context)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=True) as upstream:
        proxy = ApiProxy(upstream, configuration.host)
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.port = runner.addresses[0][1]
        try:
            yield proxy
        finally:
            await runner.cleanup()
            await client.close()  # type: ignore[no-untyped-call]
