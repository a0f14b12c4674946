"""Cameras that hang or flap in half of a worker's threads cost the other half nothing: no frame, and no time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from camera_api.assignment import AssignedCamera, AssignedSource, Credentials
from camera_api.health import Verdict
from camera_worker.ingest.camera import Camera, Surroundings
from camera_worker.ingest.pyav_source import PyAvOpener, quieten_libraries
from camera_worker.ingest.slots import OpenSlots
from camera_worker.ingest.source import Packet, Stream, Timeouts
from simulator_process import SimulatorProcess
from wire.gstreamer import declared, watched
from wire.losses import LossyCameras
from wire.network import NetworkUnavailableError, require_network
from worker_process import eventually

pytestmark = [pytest.mark.media, pytest.mark.long]

HEALTHY, FLAPPING, BLACK_HOLED = 16, 8, 8
WATCHED_S = 60.0
MAX_GAP_S = 0.1
#: Frames that may be on their way at the moment of counting.
IN_FLIGHT = 5


@dataclass
class TimedStream:
    """A stream that notes the seconds between its packets."""

    inner: Stream
    gaps: list[float]
    info: object = field(init=False)

    def __post_init__(self) -> None:
        self.info = self.inner.info

    def packets(self) -> Iterator[Packet]:
        last = None
        for packet in self.inner.packets():
            now = time.monotonic()
            if last is not None:
                self.gaps.append(now - last)
            last = now
            yield packet

    def lost_packets(self) -> int:
        return self.inner.lost_packets()

    def close(self) -> None:
        self.inner.close()


@dataclass
class TimedOpener:
    """The real opener; notes gaps by URL."""

    inner: PyAvOpener = field(default_factory=PyAvOpener)
    gaps: dict[str, list[float]] = field(default_factory=dict)

    def connect(self, source: AssignedSource, timeouts: Timeouts) -> None:
        self.inner.connect(source, timeouts)

    def open(
        self, source: AssignedSource, credentials: Credentials | None, *, transport: str, timeouts: Timeouts
    ) -> TimedStream:
        stream = self.inner.open(source, credentials, transport=transport, timeouts=timeouts)
        return TimedStream(stream, self.gaps.setdefault(source.main_url, []))


def names(kind: str, number: int) -> list[str]:
    return [f"{kind}-{index}" for index in range(number)]


@pytest.fixture
def ticking() -> Iterator[Callable[[list[Camera]], None]]:
    """Lets time pass for cameras, as the worker's event loop does."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def start(cameras: list[Camera]) -> None:
        def tick() -> None:
            while not ended.wait(0.25):
                for camera in cameras:
                    camera.tick()
                    camera.health()

        threads.append(threading.Thread(target=tick))
        threads[-1].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def test_half_of_the_cameras_in_trouble_cost_the_others_nothing(
    ticking: Callable[[list[Camera]], None], record_property: Callable[[str, object], None]
) -> None:
    try:
        require_network()
    except NetworkUnavailableError as error:
        pytest.skip(f"a black hole is a network of its own: {error}")
    quieten_libraries()
    opener = TimedOpener()
    around = Surroundings(
        opener=opener,  # type: ignore[arg-type]
        clock=time.monotonic,
        wall_clock=time.time,
        slots=OpenSlots(16, per_site=8),
        changed=lambda: None,
    )
    with ExitStack() as stack:
        # 25 frames per second: a gap of 100 ms is one and a half frames.
        flapping, healthy = names("flapping", FLAPPING), names("healthy", HEALTHY)
        sources = [declared(name=name, clip="h264-1080p") for name in (*healthy, *flapping)]
        simulator = stack.enter_context(SimulatorProcess(sources))
        hidden = LossyCameras.start(stack, [declared(name=name) for name in names("hidden", BLACK_HOLED)])
        hidden.network.black_hole()
        assigned: list[AssignedCamera] = [watched(simulator, name) for name in (*healthy, *flapping)]
        assigned += [watched(hidden.simulator, name) for name in names("hidden", BLACK_HOLED)]
        cameras = {settings.name: Camera(settings, around) for settings in assigned}
        ticking(list(cameras.values()))
        for camera in cameras.values():
            camera.start()
            stack.callback(camera.stop)
        good = [cameras[name] for name in healthy]
        eventually(lambda: all(camera.health().verdict is Verdict.WORKING for camera in good), 20, "healthy cameras")
        usual = _p99(opener, simulator, healthy, WATCHED_S / 3)
        for name in flapping:
            simulator.set_fault(name, "kick", everySeconds=1)
        time.sleep(5)

        received, sent = _counts(cameras, simulator, healthy)
        p99 = _p99(opener, simulator, healthy, WATCHED_S)
        received_after, sent_after = _counts(cameras, simulator, healthy)
        record_property("packet_gap_p99_ms", [round(1000 * usual, 1), round(1000 * p99, 1)])

        missing = {
            name: missed
            for name in healthy
            if abs(missed := (sent_after[name] - sent[name]) - (received_after[name] - received[name])) > IN_FLIGHT
        }
        assert {cameras[name].health().verdict for name in names("hidden", BLACK_HOLED)} == {Verdict.FAULTY}
        assert all(sum(cameras[name].counters.reconnects.values()) > 3 for name in flapping)
        assert all(not cameras[name].counters.reconnects for name in healthy)
        assert missing == {}
        # On a machine that others keep busy, the simulator itself is late.
        assert p99 < max(MAX_GAP_S, 1.5 * usual), (p99, usual)


def _p99(opener: TimedOpener, simulator: SimulatorProcess, healthy: list[str], seconds: float) -> float:
    """99th percentile of the seconds between two packets of a healthy camera."""
    for gaps in opener.gaps.values():
        gaps.clear()
    time.sleep(seconds)
    ordered = sorted(gap for name in healthy for gap in opener.gaps[simulator.url(name)])
    return ordered[round(0.99 * (len(ordered) - 1))]


def _counts(
    cameras: dict[str, Camera], simulator: SimulatorProcess, healthy: list[str]
) -> tuple[dict[str, int], dict[str, int]]:
    states = simulator.cameras()
    sent = {name: int(states[name]["streams"]["main"]["framesSent"]) for name in healthy}
    return {name: cameras[name].counters.frames for name in healthy}, sent
