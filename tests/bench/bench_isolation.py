"""What cameras that hang or come and go cost the others of their worker: the time between two packets.

A worker watches 32 cameras of 1080p, 25 frames and 4 Mbit/s, every key frame decoded: 16 stay healthy, 8 vanish behind
a black hole, 8 are dropped by their server every second. The gaps between packets of the healthy ones are taken by
readers of the worker's relay, first while all 32 work and then with the trouble. That no frame is lost is shown by
``tests/media/test_isolation.py``.

The yardstick, in the same run and at the same time: readers in another process that pull the same healthy cameras
without a worker in between. What delays those is the simulator or the machine. Needs root, for the black hole.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / folder) for folder in ("tests", "crds", "workers")]

import av  # noqa: E402 - found by the line above

from camera_api.health import Verdict  # noqa: E402
from camera_worker.relay.framing import FrameParser, Packet  # noqa: E402
from simulator_process import SimulatorProcess  # noqa: E402
from wire.gstreamer import declared, watched  # noqa: E402
from wire.losses import LossyCameras  # noqa: E402
from wire.network import NetworkUnavailableError, require_network  # noqa: E402
from worker_process import TOKEN, Worker, eventually  # noqa: E402

CLIP: Final = "h264-1080p"
HEALTHY, FLAPPING, HIDDEN = 16, 8, 8
GOAL_P99_MS: Final = 100.0
KICK_EVERY_S: Final = 1.0
#: Seconds before counting: readers have what lay ready for them, and neighbours are in trouble.
SETTLE_S: Final = 6.0
#: What one reader does: reads the camera behind a URL, and calls for each packet.
Read = Callable[[str, Callable[[], bool]], None]


@dataclass(frozen=True, slots=True)
class Gaps:
    """Milliseconds between two packets of a camera, of all cameras together."""

    packets: int
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Gaps:
        """Summary of what was measured."""
        ordered = sorted(milliseconds)

        def quantile(part: float) -> float:
            return ordered[round(part * (len(ordered) - 1))]

        return cls(len(ordered), quantile(0.5), quantile(0.99), ordered[-1])


@dataclass(frozen=True, slots=True)
class Phase:
    """One half of the run."""

    neighbours: str
    relayed: Gaps  #: seen by readers of the worker's relay
    direct: Gaps  #: by the yardstick
    reconnects: float  #: of the healthy cameras
    load: float


def read_relayed(url: str, took: Callable[[], bool]) -> None:
    """Reads a camera's packets from a worker."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host)
    connection.request("GET", f"/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    parser = FrameParser()
    with contextlib.closing(connection):
        while data := response.read1(1 << 18):
            packets = [frame for frame in parser.feed(data) if isinstance(frame, Packet)]
            if any(took() for _ in packets):
                return


def read_direct(url: str, took: Callable[[], bool]) -> None:
    """Reads a camera's packets from the camera."""
    options = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "200000", "allowed_media_types": "video"}
    with av.open(url, options=options, timeout=(10.0, None)) as container:
        for _ in container.demux(container.streams.video[0]):
            if took():
                return


def _read_all(read: Read, urls: list[str], settle_s: float, seconds: float, results: Any) -> None:
    """Runs in a process of its own: gaps between the packets of all URLs, in milliseconds, into the queue."""
    begins = time.monotonic() + settle_s
    ends = begins + seconds
    gaps: list[list[float]] = [[] for _ in urls]

    def read_one(url: str, own: list[float]) -> None:
        last: float | None = None

        def took() -> bool:
            nonlocal last
            now = time.monotonic()
            if last is not None and now >= begins:
                own.append(1000 * (now - last))
            last = now
            return now >= ends

        read(url, took)

    threads = [threading.Thread(target=read_one, args=pair) for pair in zip(urls, gaps, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put([gap for own in gaps for gap in own])


@dataclass(frozen=True, slots=True)
class Scene:
    """A worker and its cameras."""

    worker: Worker
    simulator: SimulatorProcess
    healthy: tuple[str, ...]

    def phase(self, neighbours: str, seconds: float) -> Phase:
        """Measures for a while.

        Args:
            neighbours: what they do meanwhile, for the report.
            seconds: without those that readers need to settle.
        """
        relay = [f"{self.worker.url}/v1/cameras/city/{name}/packets" for name in self.healthy]
        cameras = [self.simulator.url(name) for name in self.healthy]
        with _reading(read_relayed, relay, seconds) as relayed, _reading(read_direct, cameras, seconds) as direct:
            gaps = (Gaps.of(relayed.get()), Gaps.of(direct.get()))
        counted = self.worker.counters("camera_reconnects_total")
        reconnects = sum(counted.get(name, 0.0) for name in self.healthy)
        return Phase(neighbours, *gaps, reconnects, os.getloadavg()[0])


@contextlib.contextmanager
def _reading(read: Read, urls: list[str], seconds: float) -> Iterator[Any]:
    """Readers in a process of their own; gives the queue of their result."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_read_all, args=(read, urls, SETTLE_S, seconds, results), daemon=True)
    process.start()
    try:
        yield results
    finally:
        process.join(SETTLE_S)
        if process.is_alive():
            process.kill()


def run(seconds: float) -> list[Phase]:
    """Both phases.

    Raises:
        NetworkUnavailableError: there can be no black hole here.
    """
    require_network()
    healthy, flapping, hidden = (
        tuple(f"{kind}-{number:02}" for number in range(count))
        for kind, count in (("healthy", HEALTHY), ("flapping", FLAPPING), ("hidden", HIDDEN))
    )
    with contextlib.ExitStack() as stack:
        sources = [declared(name=name, clip=CLIP) for name in (*healthy, *flapping)]
        simulator = stack.enter_context(SimulatorProcess(sources))
        behind = LossyCameras.start(stack, [declared(name=name, clip=CLIP) for name in hidden])
        worker = stack.enter_context(Worker(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        worker.assign(
            *(watched(simulator, name) for name in (*healthy, *flapping)),
            *(watched(behind.simulator, name) for name in hidden),
        )
        eventually(
            lambda: {health.verdict for health in worker.report().cameras} == {Verdict.WORKING}, 30, "all cameras work"
        )
        scene = Scene(worker, simulator, healthy)
        phases = [scene.phase("all work", seconds)]
        _progress("all 32 work: measured")
        behind.network.black_hole()
        for name in flapping:
            simulator.set_fault(name, "kick", everySeconds=KICK_EVERY_S)
        phases.append(scene.phase("8 black-holed, 8 flapping", seconds))
        _progress("8 black-holed, 8 flapping: measured")
        verdicts = [worker.health(name).verdict for name in (*hidden, *flapping)]
        if Verdict.WORKING in verdicts:
            raise RuntimeError("the neighbours were in no trouble: nothing is shown")
    return phases


def table(phases: Sequence[Phase]) -> str:
    """The result for people."""
    figures = ("packets", "gap ms p50", "p99", "max")
    head = ("reconnects", "load", *figures, *(f"direct {figure}" for figure in figures))
    lines = [f"{'neighbours':<26}" + "".join(f"{text:>18}" for text in head)]
    for phase in phases:
        cells = (
            *(f"{phase.reconnects:g}", f"{phase.load:.1f}"),
            *(_cell(value) for gaps in (phase.relayed, phase.direct) for value in astuple(gaps)),
        )
        lines.append(f"{phase.neighbours:<26}" + "".join(f"{cell:>18}" for cell in cells))
    trouble = phases[-1]
    ratio = trouble.relayed.p99 / trouble.direct.p99
    lines.append(f"goal: p99 below {GOAL_P99_MS:g} ms; with trouble it is {ratio:.2f} of what direct readers see")
    return "\n".join(lines) + "\n"


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def _progress(text: str) -> None:
    sys.stderr.write(f"  {text}\n")


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each half (default 60)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form of the result")
    options = parser.parse_args()
    try:
        phases = run(options.seconds)
    except NetworkUnavailableError as error:
        sys.stderr.write(f"bench_isolation: {error}\n")
        return 1
    shown = json.dumps([asdict(phase) for phase in phases], indent=2) + "\n"
    sys.stdout.write(shown if options.output == "json" else table(phases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
