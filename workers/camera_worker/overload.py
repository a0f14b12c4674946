"""Measures whether the worker is short of CPU, and reduces what is decoded while it is."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from camera_api.category import DecodePolicy
from camera_worker.decoding import DecodeLadder, Strain

logger = logging.getLogger(__name__)

#: Seconds of a window: several key frames of each camera.
WINDOW_S = 5.0
#: Seconds between two timers whose lateness is taken.
_TIMER_S = 0.1
_NANO = 1e-9
#: Where the CPU controller of the process's own cgroup may be, of version 2 and of version 1. Within a container the
#: mount begins there, whatever path the kernel names.
_CPU_STAT = ("{path}/cpu.stat", "cpu.stat", "cpu{path}/cpu.stat", "cpu,cpuacct{path}/cpu.stat", "cpu/cpu.stat")


@dataclass(slots=True)
class CpuProbe:
    """Reads from the kernel how long threads waited for a CPU, and how often the quota was used up.

    Args:
        proc: of the process.
        cgroups: where control groups are mounted.
    """

    proc: Path = Path("/proc/self")
    cgroups: Path = Path("/sys/fs/cgroup")
    _threads: dict[str, tuple[int, int]] = field(default_factory=dict)
    _periods: tuple[int, int] | None = None

    def queueing_s(self) -> float | None:
        """Mean wait of a thread for a CPU since the last call, seconds; None: the kernel does not say."""
        before, self._threads = self._threads, self._read_threads()
        waited = turns = 0
        # A thread that has ended takes its figures with it; a new one had waited for nothing before.
        for thread, (delay, slices) in self._threads.items():
            delay_before, slices_before = before.get(thread, (0, 0))
            waited += max(0, delay - delay_before)
            turns += max(0, slices - slices_before)
        if not self._threads:
            return None
        return _NANO * waited / turns if turns else 0.0

    def throttled_share(self) -> float | None:
        """Share of the quota's periods since the last call in which it was used up; None: there is no quota."""
        before, self._periods = self._periods, self._read_periods()
        if before is None or self._periods is None:
            return None
        periods, throttled = (now - then for now, then in zip(self._periods, before, strict=True))
        return throttled / periods if periods > 0 else None

    def _read_threads(self) -> dict[str, tuple[int, int]]:
        threads = {}
        for path in (self.proc / "task").glob("*/schedstat"):
            # Threads end between the listing and the look.
            with contextlib.suppress(OSError, ValueError):
                _, delay, slices = path.read_text().split()
                threads[path.parent.name] = (int(delay), int(slices))
        return threads

    def _read_periods(self) -> tuple[int, int] | None:
        for path in self._cpu_stat():
            with contextlib.suppress(OSError, ValueError, KeyError):
                fields = dict(line.split() for line in path.read_text().splitlines())
                return int(fields["nr_periods"]), int(fields["nr_throttled"])
        return None

    def _cpu_stat(self) -> list[Path]:
        path = ""
        with contextlib.suppress(OSError):
            for line in (self.proc / "cgroup").read_text().splitlines():
                number, controllers, name = line.split(":", 2)
                if number == "0" or "cpu" in controllers.split(","):
                    path = name.strip("/")
                    if number != "0":
                        break
        return [self.cgroups / place.format(path=f"/{path}" if path else "").lstrip("/") for place in _CPU_STAT]


class Overload:
    """Follows the CPU that there is. For the event loop.

    Args:
        ladder: what is decoded at most; moved here.
        probe: of the process.
        asked: what the assignment wants decoded of the camera that it wants most of.
        stepped: called after each step.
    """

    def __init__(
        self, ladder: DecodeLadder, probe: CpuProbe, asked: Callable[[], DecodePolicy], stepped: Callable[[], None]
    ) -> None:
        self._ladder = ladder
        self._probe = probe
        self._asked = asked
        self._stepped = stepped

    async def run(self) -> None:
        """Follows it for ever."""
        loop = asyncio.get_running_loop()
        self.window(0.0, loop.time())
        lateness: list[float] = []
        began = loop.time()
        while True:
            due = loop.time() + _TIMER_S
            await asyncio.sleep(_TIMER_S)
            lateness.append(loop.time() - due)
            if loop.time() - began >= WINDOW_S:
                self.window(sorted(lateness)[-1 - len(lateness) // 10], loop.time())
                lateness.clear()
                began = loop.time()

    def window(self, late_s: float, now: float) -> None:
        """Ends a window.

        Args:
            late_s: by which timers were late in it.
            now: monotonic seconds.
        """
        strain = Strain(late_s, self._probe.queueing_s(), self._probe.throttled_share())
        before = self._ladder.level
        if not self._ladder.judge(strain, self._asked(), now):
            return
        limit = self._ladder.limit.value
        if self._ladder.level > before:
            logger.warning(
                "the CPU does not suffice: of every camera at most %s is decoded: %s", limit, strain.shortage
            )
        elif self._ladder.level:
            logger.info("the CPU suffices again: of every camera %s is decoded", limit)
        else:
            logger.info("the CPU suffices again: decoding is as assigned")
        self._stepped()
