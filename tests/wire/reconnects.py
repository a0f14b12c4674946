"""Clients that come back to an RTSP server again and again, and what their process holds meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Self

from camera_api.assignment import AssignedSource, SourceKind
from camera_worker import allocator
from camera_worker.ingest.ffmpeg_log import quieten_ffmpeg
from camera_worker.ingest.source import StreamOpener, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Use:
    """What a process holds."""

    at: float
    memory_mib: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int | str) -> Self:
        """Looks at it."""
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(
            time.monotonic(),
            int(status["VmRSS"].split()[0]) / 1024,
            int(status["Threads"]),
            len(list(Path(f"/proc/{pid}/fd").iterdir())),
        )


def visit(opener: StreamOpener, port: int, *, packets: int = 2) -> None:
    """Opens a stream of this machine, decodes its key frames for so many packets, and closes it."""
    source = AssignedSource(kind=SourceKind.RTSP, main_url=f"rtsp://127.0.0.1:{port}/camera-0/main")
    stream = opener.open(source, None, transport="TCP", timeouts=Timeouts.for_camera(10.0))
    try:
        for number, packet in enumerate(stream.packets(), 1):
            if packet.is_key:
                packet.decode()
            if number >= packets:
                return
    finally:
        stream.close()


def reconnect(
    make_opener: Callable[[], StreamOpener], port: int, visits: int, *, clients: int, rounds: int
) -> list[Use]:
    """Visits a server from several threads.

    In a process of its own: the heaps hold nothing that others have left there.

    Args:
        make_opener: makes the way to cameras, in that process.
        port: where it listens on this machine.
        visits: by all clients together.
        clients: threads, the same throughout, as a worker's.
        rounds: how many visits are between two looks.

    Returns:
        What the process held after each round.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_reconnect, make_opener, port, visits, clients, rounds).result()


def _reconnect(make_opener: Callable[[], StreamOpener], port: int, visits: int, clients: int, rounds: int) -> list[Use]:
    quieten_ffmpeg()
    # Settings of a worker that decodes.
    if not (allocator.tune() and allocator.tune_for_pictures()):
        raise RuntimeError("the C library's allocator does not take the worker's settings")
    opener = make_opener()
    uses = []
    with ThreadPoolExecutor(clients) as threads:
        for _ in range(rounds):
            for visited in [threads.submit(visit, opener, port) for _ in range(visits // rounds)]:
                visited.result()
            # As the worker does every minute.
            allocator.trim()
            uses.append(Use.of("self"))
    return uses
