"""Cameras that hang or flap in half of a worker's threads cost the other half no frame.

What they cost in time depends on the machine: ``tests/bench/bench_isolation.py`` measures it beside a yardstick.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from camera_api.faults import Fault
from camera_api.health import Verdict
from simulator_process import SimulatorProcess
from wire.gstreamer import declared, watched
from wire.losses import LossyCameras
from wire.network import NetworkUnavailableError, require_network
from worker_process import Worker, eventually

pytestmark = [pytest.mark.media, pytest.mark.long]

HEALTHY, FLAPPING, HIDDEN = (
    tuple(f"{kind}-{number}" for number in range(count))
    for kind, count in (("healthy", 16), ("flapping", 8), ("hidden", 8))
)
WATCHED_S = 60.0
#: Frames that may be on their way at the moment of counting.
IN_FLIGHT = 5


def test_half_of_the_cameras_in_trouble_cost_the_others_no_frame(tmp_path: Path) -> None:
    try:
        require_network()
    except NetworkUnavailableError as error:
        pytest.skip(f"a black hole is a network of its own: {error}")
    with ExitStack() as stack:
        sources = [declared(name=name, clip="h264-1080p") for name in (*HEALTHY, *FLAPPING)]
        simulator = stack.enter_context(SimulatorProcess(sources))
        behind = LossyCameras.start(stack, [declared(name=name) for name in HIDDEN])
        worker = stack.enter_context(Worker(tmp_path))
        worker.assign(*(watched(simulator, name) for name in (*HEALTHY, *FLAPPING)))
        # Some are lost while they are watched, some were never there.
        worker.assign(*(watched(behind.simulator, name) for name in HIDDEN[::2]))
        eventually(
            lambda: {health.verdict for health in worker.report().cameras} == {Verdict.WORKING}, 30, "all cameras work"
        )
        behind.network.black_hole()
        worker.assign(*(watched(behind.simulator, name) for name in HIDDEN[1::2]))
        for name in FLAPPING:
            simulator.set_fault(name, "kick", everySeconds=1)

        began = {name: worker.health(name).since for name in HEALTHY}
        received, sent = _counts(worker, simulator)
        time.sleep(WATCHED_S)
        received_after, sent_after = _counts(worker, simulator)

        missing = {
            name: missed
            for name in HEALTHY
            if abs(missed := (sent_after[name] - sent[name]) - (received_after[name] - received[name])) > IN_FLIGHT
        }
        assert missing == {}
        assert min(sent_after[name] - sent[name] for name in HEALTHY) > 20 * WATCHED_S
        health = {camera.name: camera for camera in worker.report().cameras}
        assert [(health[name].verdict, health[name].since) for name in HEALTHY] == [
            (Verdict.WORKING, began[name]) for name in HEALTHY
        ]
        assert {health[name].faults[0].fault for name in HIDDEN} == {Fault.TIMED_OUT}
        assert {health[name].faults[0].fault for name in FLAPPING} == {Fault.FLAPPING}
        reconnects = worker.counters("camera_reconnects_total")
        assert not [name for name in HEALTHY if reconnects.get(name)]


def _counts(worker: Worker, simulator: SimulatorProcess) -> tuple[dict[str, float], dict[str, int]]:
    states = simulator.cameras()
    sent = {name: int(states[name]["streams"]["main"]["framesSent"]) for name in HEALTHY}
    return worker.counters("camera_frames_total"), sent
