"""The routes over a real socket, with a camera that does what the test says; media/test_relay.py has real cameras."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from camera_worker.relay.feed import Feed
from camera_worker.relay.framing import CONTENT_TYPE, End, EndReason, Frame, FrameParser, Header, Packet, Parameters
from camera_worker.relay.hub import Relay
from camera_worker.relay.routes import RelayRoutes

PARAMETERS = Parameters("h264", b"", 640, 360)


@dataclass
class FakeSubStream:
    feed: Feed
    holders: int = 0
    trouble: str = ""

    def hold(self) -> None:
        self.holders += 1

    def release(self) -> None:
        self.holders -= 1


@dataclass
class FakeCamera:
    feed: Feed = field(default_factory=lambda: Feed(time.monotonic, time.time))
    sub_stream: FakeSubStream | None = None


@dataclass
class Bench:
    camera: FakeCamera
    client: Any
    served: Any
    packet: Any

    async def get(self, path: str, **options: Any) -> ClientResponse:
        response: ClientResponse = await self.client.get(f"/v1/cameras/city/door/{path}", **options)
        return response

    async def refusal(self, path: str) -> tuple[int, str]:
        response = await self.get(path)
        return response.status, (await response.json())["error"]

    def send(self, feed: Feed, *, is_key: bool) -> None:
        feed.take(self.packet(time.monotonic(), is_key=is_key), time.monotonic())


async def frames_of(response: ClientResponse, number: int) -> list[Frame]:
    parser, frames = FrameParser(), list[Frame]()
    while len(frames) < number:
        frames += parser.feed(await response.content.readany())
    return frames


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - what a closed connection sets off tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def bench(packet: Any, muxers: Any) -> AsyncIterator[Bench]:
    muxers.made = []
    camera = FakeCamera()
    relay = Relay(time.monotonic, muxers, max_readers=2)
    routes = RelayRoutes(relay, lambda key: camera if key == ("city", "door") else None)
    application = web.Application()
    application.add_routes(routes.routes())
    application.on_shutdown.append(routes.on_shutdown)
    async with TestClient(TestServer(application)) as client:
        yield Bench(camera, client, client.server, packet)


async def test_packets_come_until_the_end_and_then_the_connection_is_closed(bench: Bench) -> None:
    feed = bench.camera.feed
    feed.opened(PARAMETERS)
    response = await bench.get("packets")
    bench.send(feed, is_key=True)
    feed.end(EndReason.RELEASED, "gone")

    frames = FrameParser().feed(await response.read())

    assert (response.status, response.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert [type(frame) for frame in frames] == [Header, End], "what waits is forgotten at the end"
    assert response.headers["Connection"] == "close"
    assert feed.readers == 0
    assert not feed.wanted


async def test_a_reader_that_leaves_is_noticed(bench: Bench) -> None:
    feed = bench.camera.feed
    feed.opened(PARAMETERS)
    response = await bench.get("packets")
    bench.send(feed, is_key=True)
    await frames_of(response, 2)
    assert feed.readers == 1

    response.close()

    await eventually(lambda: not feed.wanted)
    assert feed.readers == 0


async def test_there_are_places_for_so_many_and_no_more(bench: Bench) -> None:
    bench.camera.feed.opened(PARAMETERS)
    first, second = await bench.get("packets"), await bench.get("stream.ts")

    assert await bench.refusal("packets") == (503, "all 2 places for readers of this worker are taken")

    first.close()
    second.close()
    await eventually(lambda: bench.camera.feed.readers == 0)
    assert (await bench.get("packets")).status == 200


async def test_what_cannot_be_read_is_refused(bench: Bench) -> None:
    assert await bench.refusal("packets?stream=third") == (400, "stream must be main or sub")
    assert await bench.refusal("packets") == (503, "the camera does not stream at present")
    status, error = await bench.refusal("packets?stream=sub")
    assert (status, error) == (404, "the camera declares no sub stream (source.rtsp.subStreamUrl)")
    bench.camera.feed.opened(Parameters("mjpeg", b"", 640, 480))
    assert (await bench.refusal("stream.ts"))[0] == 406
    assert (await bench.client.get("/v1/cameras/city/gate/packets")).status == 404


async def test_the_old_protocol_is_refused(bench: Bench) -> None:
    bench.camera.feed.opened(PARAMETERS)
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.served.port)
    writer.write(b"GET /v1/cameras/city/door/packets HTTP/1.0\r\n\r\n")

    answer = await reader.read()

    writer.close()
    assert b" 505 " in answer.split(b"\r\n")[0]
    assert b"needs HTTP/1.1" in answer


async def test_a_sub_stream_is_held_while_it_is_read(bench: Bench) -> None:
    sub = bench.camera.sub_stream = FakeSubStream(Feed(time.monotonic, time.time))
    request = asyncio.create_task(bench.get("packets?stream=sub"))
    await eventually(lambda: sub.holders == 1)
    # It begins a little later.
    sub.feed.opened(PARAMETERS)
    response = await request
    bench.send(sub.feed, is_key=True)

    assert isinstance((await frames_of(response, 2))[1], Packet)
    assert (sub.holders, sub.feed.readers, bench.camera.feed.readers) == (1, 1, 0)

    response.close()
    await eventually(lambda: sub.holders == 0)


async def test_a_sub_stream_that_does_not_come_says_why_and_is_not_held(bench: Bench) -> None:
    trouble = "rtsp://192.0.2.7/sub answered DESCRIBE with 404"
    sub = bench.camera.sub_stream = FakeSubStream(Feed(time.monotonic, time.time), trouble=trouble)

    response = await bench.get("packets?stream=sub")

    assert response.status == 503
    assert response.headers["Retry-After"]
    assert (await response.json())["error"] == f"the sub stream does not come: {trouble}"
    assert sub.holders == 0
