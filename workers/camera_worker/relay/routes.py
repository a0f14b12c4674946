"""The routes ``packets`` and ``stream.ts`` of the worker's API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import HttpVersion11, web

from camera_worker.errors import MuxError
from camera_worker.relay.feed import Feed, Kind
from camera_worker.relay.framing import CONTENT_TYPE
from camera_worker.relay.hub import Relay, TooManyReadersError
from camera_worker.relay.transport_stream import CODECS as TS_CODECS

TS_CONTENT_TYPE = "video/mp2t"
#: Seconds for a sub stream to begin, at most: its time-outs of connection and session, and a little for its turn.
START_S = 10.0
#: Seconds between two looks whether it has begun.
_LOOK_EVERY_S = 0.05


class SubStream(Protocol):
    """A stream that is pulled only while it is held; see ``ingest.sub_stream.SubStream``."""

    feed: Feed

    def hold(self) -> None:
        """A reader needs it."""

    def release(self) -> None:
        """A reader needs it no more."""

    @property
    def trouble(self) -> str:
        """Why it does not come; empty: nothing is known against it."""


class RelayedCamera(Protocol):
    """What the routes need of a camera; see ``ingest.camera.Camera``."""

    @property
    def feed(self) -> Feed:
        """Of the main stream."""

    @property
    def sub_stream(self) -> SubStream | None:
        """None: the camera declares none."""


class RefusalError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class RelayRoutes:
    """Handlers.

    Args:
        relay: the worker's.
        find: a camera by namespace and name; None: it is not this worker's.
    """

    def __init__(self, relay: Relay, find: Callable[[tuple[str, str]], RelayedCamera | None]) -> None:
        self._relay = relay
        self._find = find

    def routes(self) -> list[web.RouteDef]:
        """For the application."""
        return [
            # A HEAD would start a pull and a muxer for nothing.
            web.get("/v1/cameras/{namespace}/{name}/packets", self._packets, allow_head=False),
            web.get("/v1/cameras/{namespace}/{name}/stream.ts", self._ts, allow_head=False),
        ]

    async def on_shutdown(self, _: web.Application) -> None:
        """Ends all readers."""
        self._relay.close()

    async def _packets(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, CONTENT_TYPE, as_ts=False)

    async def _ts(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, TS_CONTENT_TYPE, as_ts=True)

    async def _serve(self, request: web.Request, content_type: str, *, as_ts: bool) -> web.StreamResponse:
        try:
            kind, camera = self._asked(request)
            with self._relay.place():
                async with _feed(camera, kind) as feed:
                    return await self._send(request, feed, content_type, as_ts=as_ts)
        except RefusalError as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status, headers=refusal.headers)
        except TooManyReadersError as error:
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "5"})

    def _asked(self, request: web.Request) -> tuple[Kind, RelayedCamera]:
        text = request.query.get("stream", Kind.MAIN.value)
        if text not in {kind.value for kind in Kind}:
            raise RefusalError(400, "stream must be main or sub")
        key = (request.match_info["namespace"], request.match_info["name"])
        camera = self._find(key)
        if camera is None:
            raise RefusalError(404, f"camera {'/'.join(key)} is not assigned to this worker")
        return Kind(text), camera

    async def _send(self, request: web.Request, feed: Feed, content_type: str, *, as_ts: bool) -> web.StreamResponse:
        parameters = feed.parameters
        if parameters is None:
            raise RefusalError(503, "the camera does not stream at present", {"Retry-After": "2"})
        if as_ts and parameters.codec not in TS_CODECS:
            message = f"the camera sends {parameters.codec}, which has no place in MPEG-TS; its packets can be read"
            raise RefusalError(406, message)
        if request.version < HttpVersion11:
            raise RefusalError(505, "a stream without an end needs HTTP/1.1")
        response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-store"})
        # Readers write the chunks themselves, see relay.reader; aiohttp writes what comes before and after them.
        response.enable_chunked_encoding()
        response.force_close()
        await response.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            # Gone meanwhile.
            return response
        try:
            # The camera may have come back with other parameters meanwhile.
            reader = self._relay.join(feed, feed.parameters or parameters, transport, as_ts=as_ts)
        except MuxError:
            return response
        await reader.finished
        return response


@asynccontextmanager
async def _feed(camera: RelayedCamera, kind: Kind) -> AsyncIterator[Feed]:
    """The stream that is asked for, held as long as the reader is there.

    Raises:
        RefusalError: there is no such stream, or it does not begin.
    """
    if kind is Kind.MAIN:
        yield camera.feed
        return
    stream = camera.sub_stream
    if stream is None:
        raise RefusalError(404, "the camera declares no sub stream (source.rtsp.subStreamUrl)")
    stream.hold()
    try:
        await _begin(stream)
        yield stream.feed
    finally:
        stream.release()


async def _begin(stream: SubStream) -> None:
    deadline = asyncio.get_running_loop().time() + START_S
    while stream.feed.parameters is None:
        if stream.trouble:
            raise RefusalError(503, f"the sub stream does not come: {stream.trouble}", {"Retry-After": "2"})
        if asyncio.get_running_loop().time() >= deadline:
            raise RefusalError(503, f"the sub stream has not begun within {START_S:g} s", {"Retry-After": "2"})
        await asyncio.sleep(_LOOK_EVERY_S)
