"""What lasts: nothing grows in a worker whose cameras break in every way, or come back ten thousand times.

``CAMERA_SOAK_SECONDS`` (300) says how long cameras break at random; 1200 is the figure of a release.
Figures are logged: ``pytest --log-cli-level=info``.
"""

import logging
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from camera_api.category import DecodePolicy
from camera_api.health import Verdict
from camera_worker.ingest.ffmpeg_log import quieten_ffmpeg
from camera_worker.ingest.pyav_source import PyAvOpener
from camera_worker.ingest.rtsp_source import RtspOpener
from camera_worker.ingest.source import StreamOpener
from simulator_process import SimulatorProcess
from wire.gstreamer import declared, watched
from wire.reconnects import Use, reconnect, visit
from wire.replay import RecordingProxy, ReplayServer
from worker_process import Worker, eventually

pytestmark = pytest.mark.media

logger = logging.getLogger(__name__)

SOAK_S = float(os.environ.get("CAMERA_SOAK_SECONDS", "300"))
CAMERAS = 32
SEED = 1
#: Faults of the wire and of the picture, and how long one lasts at most.
WIRE_FAULTS = (
    *("refused", "unknownpath", "unavailable", "silent", "stall", "kick", "restart", "clockjump", "slow", "udponly"),
)
PICTURE_FAULTS = ("freeze", "black", "covered", "defocused")
LONGEST_FAULT_S = 15.0
#: Mebibytes by which the heaps of Python and FFmpeg breathe.
MAX_GROWTH_MIB = 4.0
#: Threads that reconnect at the same time, and how often it is looked at what they hold.
CLIENTS, ROUNDS = 4, 20


def growth_mib(uses: list[Use]) -> float:
    """How much memory has grown from the second to the last quarter of the time, by their medians."""
    quarter = len(uses) // 4
    early, late = uses[quarter : 2 * quarter], uses[3 * quarter :]
    return statistics.median(use.memory_mib for use in late) - statistics.median(use.memory_mib for use in early)


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess([declared(name=f"camera-{number}") for number in range(CAMERAS)]) as simulator:
        yield simulator


@pytest.mark.long
@pytest.mark.parametrize(
    ("decode", "faults", "growth_allowed_mib"),
    [
        (DecodePolicy.NONE, WIRE_FAULTS, MAX_GROWTH_MIB),
        # Evidence of each fault and references for day and night come in as the cameras show them, up to their bounds.
        (DecodePolicy.EVERY_KEY_FRAME, (*WIRE_FAULTS, *PICTURE_FAULTS), 4 * MAX_GROWTH_MIB),
    ],
)
def test_nothing_grows_while_cameras_break_at_random(
    simulator: SimulatorProcess,
    tmp_path: Path,
    *,
    decode: DecodePolicy,
    faults: Sequence[str],
    growth_allowed_mib: float,
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
        logger.info(shown)
        assert growth_mib(uses) <= growth_allowed_mib, shown
        # A thread and a connection for each camera, and what the worker itself has.
        assert max(use.threads for use in uses) - min(use.threads for use in uses) <= 2, shown
        assert quiet.threads <= CAMERAS + 16, shown
        assert quiet.descriptors <= CAMERAS + 32, shown
        assert "Traceback" not in worker.log.read_text()


@pytest.mark.parametrize(
    ("make_opener", "reconnects", "growth_allowed_mib"),
    [
        pytest.param(RtspOpener, 1_000, 2.5, id="thousand"),
        # A leak of 1 KiB a time would be 5 MiB from the second to the last quarter.
        pytest.param(RtspOpener, 10_000, MAX_GROWTH_MIB, id="ten-thousand", marks=pytest.mark.long),
        pytest.param(PyAvOpener, 10_000, MAX_GROWTH_MIB, id="ten-thousand-pyav", marks=pytest.mark.long),
    ],
)
def test_reconnects_leak_nothing(
    make_opener: Callable[[], StreamOpener], reconnects: int, growth_allowed_mib: float
) -> None:
    quieten_ffmpeg()
    with (
        SimulatorProcess([declared(name="camera-0")]) as simulator,
        RecordingProxy((simulator.bind, simulator.port("camera-0"))) as proxy,
    ):
        visit(make_opener(), proxy.port, packets=30)
        assert proxy.complete.wait(5)
    with ReplayServer(proxy.recording) as server:
        uses = reconnect(make_opener, server.port, reconnects, clients=CLIENTS, rounds=ROUNDS)
        assert server.sessions >= reconnects

    shown = f"grown by {growth_mib(uses):.2f} MiB; {uses[0]} ... {uses[-1]}"
    logger.info(shown)
    assert growth_mib(uses) <= growth_allowed_mib, shown
    assert uses[-1].threads <= uses[0].threads, shown
    assert uses[-1].descriptors <= uses[0].descriptors, shown
