"""What a watched camera costs: CPU and memory of the ingest worker, and how soon its cameras are watched.

Starts a worker for each decode policy with real cameras (1080p, 25 frames per second, H.264 of 4 Mbit/s over RTSP and
TCP, by the simulator, which is not counted) and prints CPU and memory per camera. The yardstick is what this machine
needs to decode a frame of the same clip (`ffmpeg -threads 1 -i CLIP -f null -`) in the same run: on the reference
machine 3.33 ms. Figures "at the reference" are scaled by it.

Takes about four minutes.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / folder) for folder in ("tests", "crds", "workers")]

from camera_api.camera import Transport  # noqa: E402 - found by the line above
from camera_api.category import DecodePolicy  # noqa: E402
from camera_api.health import Verdict  # noqa: E402
from simulator_process import SimulatorProcess  # noqa: E402
from worker_process import Worker, camera  # noqa: E402

CLIP = "h264-1080p"
REFERENCE_MS = 3.33
#: Cameras per core, at the reference.
GOALS = {DecodePolicy.NONE: None, DecodePolicy.KEY_FRAME_EVERY_10S: 250, DecodePolicy.EVERY_KEY_FRAME: 90}
MAX_MIB_PER_CAMERA = 12.0
MAX_OPEN_S = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")
#: Seconds after which what is allocated once is allocated, and references are learned.
_SETTLE_S = 25.0
#: Parts of a measurement. Cameras that are opened together are decoded together, every 10 s: each part must be as long,
#: or the better ones are those without a picture.
_PARTS, _PART_S = 4, 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """One policy."""

    decode: str
    cameras: int
    opened_s: float  #: from the assignment until all of them work
    cpu_percent: float  #: of a core, per camera
    cameras_per_core: int
    cameras_per_core_at_reference: int
    goal: int | None
    mib_per_camera: float
    frames_per_second: float  #: that the worker received, per camera


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a run."""

    yardstick_ms: float
    rows: tuple[Row, ...]
    load_average: tuple[float, float, float]


def yardstick_ms(clip: Path) -> float:
    """CPU milliseconds that decoding one frame of a clip takes, in one thread; the best of three."""
    taken = []
    for _ in range(3):
        command = [
            "ffmpeg",
            "-hide_banner",
            "-benchmark",
            "-threads",
            "1",
            "-t",
            "8",
            "-i",
            str(clip),
            "-f",
            "null",
            "-",
        ]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        frames = int(re.findall(r"frame=\s*(\d+)", text)[-1])
        user, system = re.findall(r"utime=([\d.]+)s stime=([\d.]+)s", text)[-1]
        taken.append(1000 * (float(user) + float(system)) / frames)
    return min(taken)


def measure(
    simulator: SimulatorProcess, policy: DecodePolicy, names: Sequence[str], seconds: float, yard: float
) -> Row:
    """One worker, watching all cameras."""
    with tempfile.TemporaryDirectory() as folder, Worker(Path(folder)) as worker:
        assert worker.process is not None
        pid = worker.process.pid
        worker.assign()
        empty = _memory_mib(pid)
        began = time.monotonic()
        worker.assign(*(camera(name, simulator.url(name), transport=Transport.TCP, decode=policy) for name in names))
        while [health.verdict for health in worker.report().cameras].count(Verdict.WORKING) < len(names):
            if time.monotonic() - began > 30:
                raise SystemExit("the cameras do not work: " + worker.report().model_dump_json())
            time.sleep(0.02)
        opened = time.monotonic() - began
        time.sleep(_SETTLE_S)
        shares, frames = [], []
        # Others' work only adds: the better half of the time is nearer to what the worker needs.
        for _ in range(_PARTS):
            cpu, count, at = _cpu_s(pid), _frames(worker), time.monotonic()
            time.sleep(seconds / _PARTS)
            elapsed = time.monotonic() - at
            shares.append((_cpu_s(pid) - cpu) / elapsed / len(names))
            frames.append((_frames(worker) - count) / elapsed / len(names))
        share = statistics.mean(sorted(shares)[: _PARTS // 2])
        memory = (_memory_mib(pid) - empty) / len(names)
    return Row(
        decode=policy.value,
        cameras=len(names),
        opened_s=round(opened, 2),
        cpu_percent=round(100 * share, 3),
        cameras_per_core=round(1 / share),
        cameras_per_core_at_reference=round(yard / REFERENCE_MS / share),
        goal=GOALS[policy],
        mib_per_camera=round(memory, 1),
        frames_per_second=round(statistics.mean(frames), 1),
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mib(pid: int) -> float:
    resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert resident is not None
    return int(resident[1]) / 1024


def _frames(worker: Worker) -> float:
    return sum(worker.counters("camera_frames_total").values())


def run(cameras: int, seconds: float) -> Report:
    """All policies, one after another."""
    names = [f"camera-{number:03}" for number in range(cameras)]
    with SimulatorProcess([{"name": name, "clip": CLIP} for name in names]) as simulator:
        yard = yardstick_ms(next(simulator.footage.glob(f"{CLIP}-normal-*.h264")))
        sys.stderr.write(f"yardstick: {yard:.2f} ms a frame\n")
        rows = []
        for policy in GOALS:
            rows.append(measure(simulator, policy, names, seconds, yard))
            sys.stderr.write(f"{rows[-1]}\n")
    return Report(round(yard, 2), tuple(rows), os.getloadavg())


def _table(report: Report) -> str:
    heads = ("decode", "cameras", "CPU per camera", "per core", "at the reference", "goal", "MiB each", "opened in")
    lines = [
        (
            *(row.decode, str(row.cameras), f"{row.cpu_percent:.2f} %", str(row.cameras_per_core)),
            *(str(row.cameras_per_core_at_reference), f">= {row.goal}" if row.goal else ""),
            *(f"{row.mib_per_camera:.1f}", f"{row.opened_s:.2f} s"),
        )
        for row in report.rows
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (heads, ("---",) * len(heads), *lines))
    load = " ".join(f"{value:.1f}" for value in report.load_average)
    goals = f"Goals: at most {MAX_MIB_PER_CAMERA:g} MiB a camera, opened within {MAX_OPEN_S:g} s."
    return f"{table}\n\nYardstick: {report.yardstick_ms} ms a frame (reference {REFERENCE_MS}). {goals} Load: {load}."


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=32, help="cameras of each worker (default: 32)")
    parser.add_argument(
        "--seconds", type=float, default=_PARTS * _PART_S, help="length of each measurement (default: 40)"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    report = run(options.cameras, options.seconds)
    text = json.dumps(asdict(report), indent=2) if options.output == "json" else _table(report)
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
