"""A relay without cameras, threads and sockets: what a test says comes from a camera, on a clock that the test moves.

Real: feed, streams, hub, queues, framing. Not real: FFmpeg's muxer, the transport of a connection, time.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from camera_worker.relay.feed import Feed
from camera_worker.relay.framing import Frame, FrameParser, Parameters
from camera_worker.relay.hub import BEAT_S, Relay
from camera_worker.relay.reader import Reader

PARAMETERS = Parameters("h264", b"", 1920, 1080)
WALL = 1_896_091_200.0


@dataclass
class FakePacket:
    seconds: float | None
    is_key: bool = False
    content: bytes = b"content"

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def decode_seconds(self) -> float | None:
        return self.seconds

    def data(self) -> bytes:
        return self.content


@dataclass
class FakeTransport:
    """A connection that takes some bytes a beat; None: all."""

    takes: int | None = None
    received: bytes = b""
    waiting: bytes = b""
    closed: bool = False
    writes: list[int] = field(default_factory=list)

    def get_extra_info(self, name: str) -> None:
        assert name == "socket"

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def write(self, data: bytes) -> None:
        assert not self.waiting, "what is left of the last batch comes first"
        self.writes.append(len(data))
        self.waiting = data
        if self.takes is None:
            self.drain()

    def drain(self) -> None:
        number = len(self.waiting) if self.takes is None else self.takes
        self.received += self.waiting[:number]
        self.waiting = self.waiting[number:]

    def chunks(self) -> list[bytes]:
        """Whole chunks of the HTTP body so far."""
        body, chunks = self.received, []
        while body:
            length, _, rest = body.partition(b"\r\n")
            size = int(length, 16)
            if len(rest) < size + 2:
                break
            assert rest[size : size + 2] == b"\r\n"
            chunks.append(rest[:size])
            body = rest[size + 2 :]
        return chunks

    def frames(self) -> list[Frame]:
        parser = FrameParser()
        return [frame for chunk in self.chunks() for frame in parser.feed(chunk)]


class FakeMuxer:
    """Puts a table in front of key frames, and nothing else around packets."""

    made: list["FakeMuxer"]

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.closed = False
        self.number = 0
        self.made.append(self)

    def mux(self, data: bytes, pts: int, dts: int, *, is_key: bool) -> bytes:
        del pts, dts
        video = (b"\x47\x01\x00\x10" + data).ljust(188, b"\xff")
        if not is_key:
            return video
        self.number += 1
        return bytes([0x47, 0x40, 0x00, 0x10 | self.number]).ljust(188, b"\xff") + video

    def close(self) -> None:
        self.closed = True


class Bench:
    """One camera's feed, and readers of it."""

    def __init__(self) -> None:
        self.now = 100.0
        FakeMuxer.made = []
        self.relay = Relay(lambda: self.now, FakeMuxer, max_readers=3)
        self.feed = Feed(lambda: self.now, lambda: WALL + self.now - 100.0)
        self.transports: list[FakeTransport] = []

    def open(self, parameters: Parameters = PARAMETERS) -> None:
        self.feed.opened(parameters)

    def join(self, transport: FakeTransport | None = None, *, as_ts: bool = False) -> tuple[Reader, FakeTransport]:
        transport = transport or FakeTransport()
        self.transports.append(transport)
        where: Any = transport
        parameters = self.feed.parameters
        assert parameters is not None
        return self.relay.join(self.feed, parameters, where, as_ts=as_ts), transport

    def send(self, *packets: FakePacket) -> None:
        """What the camera's thread does."""
        for packet in packets:
            if self.feed.wanted:
                self.feed.take(packet, self.now)

    async def beat(self, seconds: float = BEAT_S) -> None:
        """Lets time pass and the relay look."""
        self.now += seconds
        for transport in self.transports:
            transport.drain()
        if self.relay._beat is not None:
            self.relay._beat.cancel()
            self.relay._on_beat()
        await asyncio.sleep(0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def packet() -> type[FakePacket]:
    return FakePacket


@pytest.fixture
def transport() -> type[FakeTransport]:
    return FakeTransport


@pytest.fixture
def muxers() -> type[FakeMuxer]:
    return FakeMuxer
