"""What lasts: nothing grows in a worker whose cameras break in every way, or come back ten thousand times.

``CAMERA_SOAK_SECONDS`` (300) says how long cameras break at random; 1200 is the figure of a release.
"""

import gc
import os
import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from camera_api.assignment import AssignedSource, SourceKind
from camera_api.category import DecodePolicy
from camera_api.health import Verdict
from camera_worker import allocator
from camera_worker.ingest.pyav_source import PyAvOpener, quieten_libraries
from camera_worker.ingest.source import Timeouts
from simulator_process import SimulatorProcess
from wire.gstreamer import declared, watched
from wire.replay import RecordingProxy, ReplayServer
from worker_process import Worker, eventually

pytestmark = [pytest.mark.media, pytest.mark.long]

SOAK_S = float(os.environ.get("CAMERA_SOAK_SECONDS", "300"))
CAMERAS = 32
SEED = 1
#: Faults of the wire and of the picture, and how long one lasts at most.
WIRE_FAULTS = (
    *("refused", "unknownpath", "unavailable", "silent", "stall", "kick", "restart", "clockjump", "slow", "udponly"),
)
PICTURE_FAULTS = ("freeze", "black", "covered", "defocused")
LONGEST_FAULT_S = 15.0
#: Mebibytes by which the heaps of Python and FFmpeg breathe. A leak of 1 KiB a reconnect would be 5 from the second
#: to the last quarter of 10,000.
MAX_GROWTH_MIB = 4.0
RECONNECTS = int(os.environ.get("CAMERA_SOAK_RECONNECTS", "10000"))
#: Threads that reconnect. With several, the heap also grows by how the C library spreads their buffers over its arenas.
CLIENTS = 1


@dataclass(frozen=True, slots=True)
class Use:
    """What a process holds."""

    at: float
    memory_mib: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int | str) -> "Use":
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(
            time.monotonic(),
            int(status["VmRSS"].split()[0]) / 1024,
            int(status["Threads"]),
            len(list(Path(f"/proc/{pid}/fd").iterdir())),
        )


def growth_mib(uses: list[Use]) -> float:
    """How much memory has grown from the second to the last quarter of the time, by their medians."""
    quarter = len(uses) // 4
    early, late = uses[quarter : 2 * quarter], uses[3 * quarter :]
    return statistics.median(use.memory_mib for use in late) - statistics.median(use.memory_mib for use in early)


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess([declared(name=f"camera-{number}") for number in range(CAMERAS)]) as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("decode", "faults", "growth_allowed_mib"),
    [
        (DecodePolicy.NONE, WIRE_FAULTS, MAX_GROWTH_MIB),
        # Evidence of each fault and references for day and night come in as the cameras show them, up to their bounds.
        (DecodePolicy.EVERY_KEY_FRAME, (*WIRE_FAULTS, *PICTURE_FAULTS), 4 * MAX_GROWTH_MIB),
    ],
)
def test_nothing_grows_while_cameras_break_at_random(
    simulator: SimulatorProcess, tmp_path: Path, decode: DecodePolicy, faults: Sequence[str], growth_allowed_mib: float
) -> None:
    rng = random.Random(SEED)
    names = [f"camera-{number}" for number in range(CAMERAS)]
    with Worker(tmp_path) as worker:
        assert worker.process is not None
        pid = worker.process.pid
        worker.assign(*(watched(simulator, name).model_copy(update={"decode": decode}) for name in names))

        def all_work() -> bool:
            return {health.verdict for health in worker.report().cameras} == {Verdict.WORKING}

        eventually(all_work, 30, "all work")
        # Each fault once, so that what is allocated once is there.
        for name, fault in zip(names, faults, strict=False):
            simulator.set_fault(name, fault)
        time.sleep(LONGEST_FAULT_S)
        uses = [Use.of(pid)]
        ends_at = time.monotonic() + SOAK_S
        while time.monotonic() < ends_at:
            name = rng.choice(names)
            if rng.random() < 0.5:
                simulator.set_fault(name, rng.choice(faults))
            else:
                simulator.clear_fault(name)
            time.sleep(rng.uniform(0, LONGEST_FAULT_S / CAMERAS * 2))
            if time.monotonic() - uses[-1].at >= SOAK_S / 100:
                uses.append(Use.of(pid))
        for name in names:
            simulator.clear_fault(name)
        assert worker.process.poll() is None
        time.sleep(60)
        quiet = Use.of(pid)
        shown = f"grown by {growth_mib(uses):.1f} MiB; {uses[0]} ... {uses[-1]}; at rest {quiet}"
        assert growth_mib(uses) <= growth_allowed_mib, shown
        # A thread and a connection for each camera, and what the worker itself has.
        assert max(use.threads for use in uses) - min(use.threads for use in uses) <= 2, shown
        assert quiet.threads <= CAMERAS + 16, shown
        assert quiet.descriptors <= CAMERAS + 32, shown
        assert "Traceback" not in worker.log.read_text()


def test_ten_thousand_reconnects_leak_nothing(simulator: SimulatorProcess) -> None:
    quieten_libraries()
    assert allocator.tune()
    opener, timeouts = PyAvOpener(), Timeouts.for_camera(10.0)
    with RecordingProxy((simulator.bind, simulator.port("camera-0"))) as proxy:
        _visit(opener, proxy.port, timeouts, packets=30)
        assert proxy.complete.wait(5)
    failures: list[BaseException] = []
    uses: list[Use] = []

    def reconnect() -> None:
        try:
            for number in range(RECONNECTS // CLIENTS):
                _visit(opener, server.port, timeouts)
                if number % max(1, RECONNECTS // CLIENTS // 40) == 0:
                    # PyAV's containers and streams hold each other: only the collector frees them, at its leisure.
                    gc.collect()
                    uses.append(Use.of("self"))
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            failures.append(error)

    with ReplayServer(proxy.recording) as server:
        # The same threads throughout, as a worker's: each new one may bring a part of the heap of its own.
        threads = [threading.Thread(target=reconnect) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert server.sessions >= RECONNECTS

    last = Use.of("self")
    shown = f"grown by {growth_mib(uses):.2f} MiB; {uses[0]} ... {last}"
    assert growth_mib(uses) <= MAX_GROWTH_MIB, shown
    assert last.threads <= uses[0].threads, shown
    assert last.descriptors <= uses[0].descriptors, shown


def _visit(opener: PyAvOpener, port: int, timeouts: Timeouts, *, packets: int = 2) -> None:
    source = AssignedSource(kind=SourceKind.RTSP, main_url=f"rtsp://127.0.0.1:{port}/camera-0/main")
    stream = opener.open(source, None, transport="TCP", timeouts=timeouts)
    try:
        for number, packet in enumerate(stream.packets(), 1):
            if packet.is_key:
                packet.decode()
            if number >= packets:
                return
    finally:
        stream.close()
