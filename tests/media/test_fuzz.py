"""Cameras that talk nonsense: no camera's bytes end the worker, disturb a neighbour, or leave the camera unnamed."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_api.health import CameraHealth, Verdict
from simulator_process import SimulatorProcess
from wire.cases import Neighbours
from wire.corruption import CorruptingProxy, Damage, Part
from wire.gstreamer import declared, watched
from worker_process import Worker, eventually

pytestmark = pytest.mark.media

HEALTHY = ("healthy-1", "healthy-2")
CODECS = ("h264", "h265", "mjpeg")
#: Packets that are damaged, of all.
SHARES = {Part.REPLY: 1.0, Part.SDP: 1.0, Part.FRAMING: 0.02, Part.BITSTREAM: 0.5}
SETTLED_WITHIN_S = 20.0
WORKS_WITHIN_S = 45.0
#: Damaged key frames are a fault after three of them.
WATCHED_S = 9.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    sources = [declared(name=codec, codec=codec) for codec in CODECS]
    with SimulatorProcess([*sources, *(declared(name=name) for name in HEALTHY)]) as simulator:
        yield simulator


@pytest.fixture
def worker(simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Worker(tmp_path_factory.mktemp("worker")) as worker:
        worker.assign(*(watched(simulator, name) for name in HEALTHY))
        yield worker


def run(worker: Worker, simulator: SimulatorProcess, damages: list[Damage]) -> dict[str, CameraHealth]:
    """Lets the worker watch a camera for each damage, then mends them all.

    Returns:
        What it had said of each by then.
    """
    neighbours = Neighbours(worker, simulator, HEALTHY)
    neighbours.wait(15.0)
    with ExitStack() as stack:
        cameras = {}
        for damage, codec in zip(damages, itertools.cycle(CODECS), strict=False):
            proxy = stack.enter_context(CorruptingProxy((simulator.bind, simulator.port(codec)), damage))
            name = f"{damage.part.value}-{damage.seed}-{codec}"
            camera = watched(simulator, codec, Transport.TCP)
            url = camera.source.main_url.replace(f":{simulator.port(codec)}/", f":{proxy.port}/")
            source = camera.source.model_copy(update={"main_url": url})
            cameras[name] = (
                proxy,
                camera.model_copy(update={"name": name, "uid": f"uid-{name}", "source": source}),
            )
        worker.assign(*(camera for _, camera in cameras.values()))
        eventually(lambda: _all(worker, _is_decided), SETTLED_WITHIN_S, "verdicts", lambda: _state(worker))
        time.sleep(WATCHED_S)
        told = {name: worker.health(name) for name in cameras}
        for proxy, _ in cameras.values():
            proxy.damage = None
            proxy.disconnect()
        eventually(lambda: _all(worker, _is_well), WORKS_WITHIN_S, "all work", lambda: _state(worker))
        worker.assign(removed=tuple(cameras))
    assert neighbours.disturbed() == {}
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert "the worker failed on the stream" not in log
    return told


def _all(worker: Worker, condition: Callable[[CameraHealth], bool]) -> bool:
    return all(condition(health) for health in worker.report().cameras)


def _is_decided(health: CameraHealth) -> bool:
    return health.verdict is not Verdict.CONNECTING


def _is_well(health: CameraHealth) -> bool:
    # These stand for minutes after their end, by their nature.
    lasting = {Fault.FLAPPING, Fault.CLOCK_JUMP, Fault.CORRUPT_FRAMES}
    return health.verdict is Verdict.WORKING or {active.fault for active in health.faults} <= lasting


def _state(worker: Worker) -> str:
    return "; ".join(
        f"{health.name} {health.verdict.value} {[active.message for active in health.faults]}"
        for health in worker.report().cameras
    )


def test_nonsense_is_survived_and_named(worker: Worker, simulator: SimulatorProcess) -> None:
    damages = [Damage(part, seed, SHARES[part]) for part in Part for seed in range(6)]

    told = run(worker, simulator, damages)

    shown = {
        name: f"{health.verdict.value} {[str(active) for active in health.faults]}" for name, health in told.items()
    }
    named = {part: [told[name] for name in told if name.startswith(part.value)] for part in Part}
    # Some headers, and some lines of a description, may say what they like.
    for part, least in ((Part.REPLY, 3), (Part.SDP, 2), (Part.FRAMING, 3)):
        assert sum(health.verdict is Verdict.FAULTY for health in named[part]) >= least, shown
    for name, health in told.items():
        if name.startswith(Part.BITSTREAM.value) and name.endswith(("h264", "mjpeg")):
            assert {active.fault for active in health.faults} == {Fault.CORRUPT_FRAMES}, shown


@pytest.mark.long
@pytest.mark.parametrize("part", Part)
def test_much_nonsense_is_survived(worker: Worker, simulator: SimulatorProcess, part: Part) -> None:
    for first in range(1000, 1150, 30):
        run(worker, simulator, [Damage(part, seed, SHARES[part]) for seed in range(first, first + 30)])
