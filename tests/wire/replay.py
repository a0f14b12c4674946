"""An RTSP server that answers every client with a recorded session, fast enough for thousands of sessions a minute."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Final, Self

from wire.corruption import Part, split

_CHUNK: Final = 65_536
_END_OF_HEAD: Final = b"\r\n\r\n"
#: Packets that are recorded after PLAY.
_PACKETS: Final = 120


@dataclass(slots=True)
class Recording:
    """What a server said in a session: a reply to each request, then packets."""

    replies: list[bytes] = field(default_factory=list)
    media: bytes = b""


class RecordingProxy:
    """Passes one session on and records it, for the time of a `with` block.

    Args:
        server: host and port of the RTSP server.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.recording = Recording()
        #: Set when enough is recorded.
        self.complete = threading.Event()
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="recorder", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            threading.Thread(target=_copy, args=(client, server), name="recorder", daemon=True).start()
            rest, packets = b"", 0
            while received := server.recv(_CHUNK):
                client.sendall(received)
                pieces, rest = split(rest + received)
                for part, piece in pieces:
                    if part is Part.REPLY:
                        self.recording.replies.append(piece)
                    elif part is Part.SDP:
                        self.recording.replies[-1] += piece
                    elif not self.complete.is_set():
                        self.recording.media += piece
                        packets += part is Part.FRAMING
                if packets >= _PACKETS:
                    self.complete.set()


class ReplayServer:
    """Answers requests in the order of a recording, whoever asks, for the time of a `with` block.

    In a process of its own: what it takes is not to be counted where its clients are.

    Args:
        recording: of a client that asks the same.
    """

    def __init__(self, recording: Recording) -> None:
        context = multiprocessing.get_context("spawn")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._sessions = context.Value("i", 0)
        self._process = context.Process(
            target=_serve_all, args=(self._listener, recording, self._sessions), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        self._listener.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    @property
    def sessions(self) -> int:
        """Sessions that were asked to play."""
        return int(self._sessions.value)


def _serve_all(listener: socket.socket, recording: Recording, sessions: Any) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, recording, sessions), daemon=True).start()


def _serve(client: socket.socket, recording: Recording, sessions: Any) -> None:
    with contextlib.suppress(OSError), client:
        for reply in itertools.chain(recording.replies, itertools.repeat(b"")):
            request = b""
            while _END_OF_HEAD not in request:
                received = client.recv(_CHUNK)
                if not received:
                    return
                request += received
            client.sendall(reply)
            if request.startswith(b"PLAY "):
                with sessions.get_lock():
                    sessions.value += 1
                client.sendall(recording.media)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(_CHUNK):
            sink.sendall(received)
