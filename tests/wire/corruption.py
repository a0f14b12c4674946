"""A TCP proxy before an RTSP server that damages what the server says, the same way for the same seed."""

from __future__ import annotations

import contextlib
import enum
import random
import re
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK: Final = 65_536
_LENGTH: Final = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_END_OF_HEAD: Final = b"\r\n\r\n"
#: Interleaved RTP (RFC 2326, 10.12): a dollar sign, the channel, two bytes of length; then RTP's own head.
_MAGIC, _FRAME_HEAD, _RTP_HEAD = 0x24, 4, 12


class Part(enum.Enum):
    """What of the server's bytes is damaged."""

    REPLY = "reply"  #: status and headers
    SDP = "sdp"  #: the description of the session
    FRAMING = "framing"  #: heads of interleaved packets and of RTP
    BITSTREAM = "bitstream"  #: video


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to a part: a few bytes of so many of the pieces that there are."""

    part: Part
    seed: int
    #: Of 1: how many pieces are damaged. Replies and descriptions are few, packets many.
    share: float = 1.0


def split(data: bytes) -> tuple[list[tuple[Part | None, bytes]], bytes]:
    """Cuts what an RTSP server has said so far.

    Returns:
        Whole pieces, each with what it is part of (None: RTCP), and the rest, which is not whole yet.
    """
    pieces: list[tuple[Part | None, bytes]] = []
    while len(data) >= _FRAME_HEAD:
        if data[0] == _MAGIC:
            end = _FRAME_HEAD + int.from_bytes(data[2:4], "big")
            if len(data) < end:
                break
            # Odd channels carry RTCP.
            head = min(end, _FRAME_HEAD + _RTP_HEAD)
            is_video = data[1] % 2 == 0
            pieces += [(Part.FRAMING, data[:head]), (Part.BITSTREAM if is_video else None, data[head:end])]
        else:
            head = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            if head < len(_END_OF_HEAD):
                break
            length = _LENGTH.search(data[:head])
            end = head + (int(length[1]) if length else 0)
            if len(data) < end:
                break
            pieces += [(Part.REPLY, data[:head]), (Part.SDP, data[head:end])]
        data = data[end:]
    return [(part, piece) for part, piece in pieces if piece], data


def damage(data: bytes, rng: random.Random, *, keep_length: bool) -> bytes:
    """Changes, drops or repeats a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(changed)) if changed else 0
        act = 0 if keep_length else rng.randrange(4)
        if act == 0 and changed:
            changed[place] ^= 1 << rng.randrange(8)
        elif act == 1:
            del changed[place : place + rng.randint(1, 16)]
        elif act == 2:
            changed[place:place] = changed[place : place + rng.randint(1, 64)] * rng.randint(1, 20)
        else:
            changed[place:place] = rng.randbytes(rng.randint(1, 16))
    return bytes(changed)


@dataclass(slots=True)
class CorruptingProxy:
    """Listens on a port of its own, for the time of a `with` block.

    Args:
        server: host and port of the RTSP server.
        damage: what is done to what it says; None: nothing. May be changed at any time.
    """

    server: tuple[str, int]
    damage: Damage | None = None
    port: int = 0
    connections: int = 0
    _listener: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener is not None:
            # A close alone does not wake who waits in accept.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.disconnect()

    def disconnect(self) -> None:
        """Ends all connections."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client, self.connections), name="proxy", daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self.server, 5.0) as server:
            server.settimeout(None)
            with self._remembered(client, server):
                asking = threading.Thread(target=_copy, args=(client, server), name="proxy", daemon=True)
                asking.start()
                self._answer(server, client, number)
                _end(client)
                asking.join()

    def _answer(self, server: socket.socket, client: socket.socket, number: int) -> None:
        rest = b""
        rng: random.Random | None = None
        while received := server.recv(_CHUNK):
            pieces, rest = split(rest + received)
            wanted = self.damage
            if wanted is not None and rng is None:
                rng = random.Random(f"{wanted.part} {wanted.seed} {number}")
            for part, piece in pieces:
                if wanted is not None and rng is not None and part is wanted.part and rng.random() < wanted.share:
                    client.sendall(damage(piece, rng, keep_length=part in {Part.FRAMING, Part.BITSTREAM}))
                else:
                    client.sendall(piece)

    @contextlib.contextmanager
    def _remembered(self, *connections: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.update(connections)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(connections)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(_CHUNK):
            sink.sendall(received)
    _end(sink)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
