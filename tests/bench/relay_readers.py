"""Readers of the relay, as a process of their own: ``bench_relay.py`` starts it.

Reads a JSON object from standard input: ``url`` of the worker, ``token``, ``cameras`` (names), ``readers`` of each
camera, ``viewers`` of each (of MPEG-TS, whose bytes are only counted), ``slow``: bytes per second of one more reader of
the first camera, or 0, ``seconds`` to count and ``settle``: seconds to wait before. Writes a JSON object with what the
readers saw, the slow one apart.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / folder) for folder in ("crds", "workers")]

import aiohttp  # noqa: E402 - found by the line above

from camera_worker.relay.framing import TICKS_PER_S, FrameParser, Header, Packet  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Awaitable

#: Bytes that the slow reader takes at a time: a few packets of the network.
_SIP_BYTES = 4096


@dataclass
class Seen:
    """What readers saw since counting began."""

    packets: int = 0
    gaps: int = 0
    bytes: int = 0
    lags: list[float] = field(default_factory=list)  #: seconds from the picture to its arrival

    def summary(self) -> dict[str, Any]:
        """For the report; lags in ms."""
        counted = {"packets": self.packets, "gaps": self.gaps, "megabytes": self.bytes / 1e6}
        lags = sorted(1000 * lag for lag in self.lags)
        if not lags:
            return counted
        return {
            **counted,
            "lag_ms_p50": statistics.median(lags),
            "lag_ms_p99": lags[int(0.99 * (len(lags) - 1))],
            "lag_ms_max": lags[-1],
        }


class Run:
    """All readers of one run.

    Args:
        task: what standard input holds.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._count_from = time.monotonic() + task["settle"]
        self._until = self._count_from + task["seconds"]

    async def run(self) -> dict[str, Any]:
        """Reads for the time that is asked for."""
        task = self._task
        seen, slow = Seen(), Seen()
        headers = {"Authorization": f"Bearer {task['token']}"}
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
            readers: list[Awaitable[None]] = [
                self._read(session, name, seen) for name in task["cameras"] for _ in range(task["readers"])
            ]
            readers += [self._view(session, name, seen) for name in task["cameras"] for _ in range(task["viewers"])]
            if task["slow"]:
                readers.append(asyncio.to_thread(self._read_slowly, task["cameras"][0], slow))
            await asyncio.gather(*readers)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "readers": seen.summary(),
            "slow": slow.summary(),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "memory_megabytes": usage.ru_maxrss / 1000,
        }

    async def _read(self, session: aiohttp.ClientSession, name: str, seen: Seen) -> None:
        parser, epoch = FrameParser(), 0.0
        async with session.get(f"{self._task['url']}/v1/cameras/city/{name}/packets") as response:
            response.raise_for_status()
            async for data in response.content.iter_any():
                epoch = self._take(parser, data, epoch, seen)
                if time.monotonic() >= self._until:
                    return

    async def _view(self, session: aiohttp.ClientSession, name: str, seen: Seen) -> None:
        async with session.get(f"{self._task['url']}/v1/cameras/city/{name}/stream.ts") as response:
            response.raise_for_status()
            async for data in response.content.iter_any():
                now = time.monotonic()
                if now >= self._count_from:
                    seen.bytes += len(data)
                if now >= self._until:
                    return

    def _read_slowly(self, name: str, seen: Seen) -> None:
        """A socket that is emptied at a steady rate; what lies in the kernel's buffers is late, too."""
        connection = http.client.HTTPConnection(self._task["url"].removeprefix("http://"))
        headers = {"Authorization": f"Bearer {self._task['token']}"}
        connection.request("GET", f"/v1/cameras/city/{name}/packets", headers=headers)
        response = connection.getresponse()
        parser, epoch = FrameParser(), 0.0
        due = time.monotonic()
        while time.monotonic() < self._until:
            data = response.read1(_SIP_BYTES)
            epoch = self._take(parser, data, epoch, seen)
            # What was missed while nothing came is not made up for.
            due = max(due, time.monotonic() - 0.1) + len(data) / self._task["slow"]
            time.sleep(max(0.0, due - time.monotonic()))
        response.close()
        connection.close()

    def _take(self, parser: FrameParser, data: bytes, epoch: float, seen: Seen) -> float:
        now, wall = time.monotonic(), time.time()
        for frame in parser.feed(data):
            if isinstance(frame, Header):
                epoch = frame.epoch_s
            elif isinstance(frame, Packet) and now >= self._count_from:
                seen.packets += 1
                seen.gaps += frame.after_gap
                seen.bytes += len(frame.data)
                seen.lags.append(wall - epoch - frame.pts / TICKS_PER_S)
        return epoch


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(Run(json.load(sys.stdin)).run())))
