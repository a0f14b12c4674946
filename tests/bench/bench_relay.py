"""What the relay costs, and what a slow reader does to itself and to the others.

Cameras of 1080p, 25 frames and 4 Mbit/s come from the simulator over RTSP; one ingest worker pulls them without
decoding; readers of its ``packets`` route run in a process of their own. For no reader and for some of each camera:
CPU of the worker's whole process as a share of one core, and its memory. Then the same with viewers of ``stream.ts``.
At last one more reader takes a quarter of its camera's bandwidth.

The yardstick is ``ffmpeg -threads 1 -i X -f null -`` on what the first camera sent, in the same run: shares of a core
are also given for a machine on which it takes 3.33 ms a frame.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / folder) for folder in ("tests", "crds", "workers")]

from camera_api.category import DecodePolicy  # noqa: E402 - found by the line above
from camera_api.health import Verdict  # noqa: E402
from camera_worker.relay.framing import FrameParser, Header, Packet  # noqa: E402
from simulator_process import SimulatorProcess  # noqa: E402
from worker_process import TOKEN, Worker, camera  # noqa: E402

CLIP: Final = "h264-1080p"
#: Milliseconds a frame of the yardstick on the machine that the goals are meant for.
YARDSTICK_MS: Final = 3.33
GOAL_SHARE, GOAL_MEGABYTES, GOAL_LAG_P50_S, GOAL_LAG_MAX_S = 28.0, 130.0, 3.0, 5.0
#: Bytes per second of the slow reader: a quarter of 4 Mbit/s.
SLOW_RATE: Final = 125_000
#: Seconds before counting begins: every camera has sent a key frame.
SETTLE_S: Final = 5.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One setting."""

    readers_per_camera: int  #: of packets
    viewers_per_camera: int  #: of MPEG-TS
    slow_reader: bool
    core_percent: float  #: of one core, by the worker's process
    megabytes: float  #: resident
    seen: dict[str, Any]  #: by the readers
    slow: dict[str, Any]  #: by the slow reader


@dataclass(frozen=True, slots=True)
class Process:
    """CPU and memory of a process, by the kernel."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def megabytes(self) -> float:
        """Resident memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def url(worker: Worker) -> str:
    """Where the worker's API is."""
    return f"http://127.0.0.1:{worker._port}"


def measure(
    worker: Worker, names: list[str], seconds: float, *, readers: int = 0, viewers: int = 0, slow: bool = False
) -> Row:
    """Runs readers for a while and looks at the worker meanwhile."""
    assert worker.process is not None
    process = Process(worker.process.pid)
    task = {
        "url": url(worker),
        "token": TOKEN,
        "cameras": names,
        "readers": readers,
        "viewers": viewers,
        "slow": SLOW_RATE if slow else 0,
        "settle": SETTLE_S,
        "seconds": seconds,
    }
    command = [sys.executable, str(Path(__file__).with_name("relay_readers.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(task).encode())
        child.stdin.close()
        time.sleep(SETTLE_S + 1)
        began, cpu = time.monotonic(), process.cpu_seconds()
        time.sleep(max(1.0, seconds - 2))
        share = 100 * (process.cpu_seconds() - cpu) / (time.monotonic() - began)
        megabytes = process.megabytes()
        seen = json.loads(child.stdout.read())
    return Row(readers, viewers, slow, share, megabytes, seen["readers"], seen["slow"])


def yardstick(worker: Worker, name: str, seconds: float) -> float:
    """Milliseconds a frame that ffmpeg takes to decode what a camera sends."""
    parser = FrameParser()
    video = bytearray()
    frames = 0
    request = urllib.request.Request(
        f"{url(worker)}/v1/cameras/city/{name}/packets", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with (
        tempfile.NamedTemporaryFile(suffix=".h264") as file,
        urllib.request.urlopen(request, timeout=10) as body,
    ):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for frame in parser.feed(body.read1(65_536)):
                if isinstance(frame, Header):
                    video += frame.parameters.extradata
                elif isinstance(frame, Packet):
                    video += frame.data
                    frames += 1
        file.write(video)
        file.flush()
        command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", file.name, "-f", "null", "-"]
        before = os.times()
        subprocess.run(command, check=True)
        after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return 1000 * cpu / frames


def run(cameras: int, seconds: float, readers: list[int]) -> dict[str, Any]:
    """All settings, and the yardstick between them."""
    names = [f"camera-{number:02}" for number in range(cameras)]
    with (
        SimulatorProcess([{"name": name, "clip": CLIP} for name in names]) as simulator,
        tempfile.TemporaryDirectory() as folder,
        Worker(Path(folder)) as worker,
    ):
        worker.assign(*(camera(name, simulator.url(name), decode=DecodePolicy.NONE) for name in names))
        for name in names:
            worker.wait_for(name, Verdict.WORKING, within_s=20)
        _progress(f"{cameras} cameras are pulled")
        time.sleep(SETTLE_S)
        rows = []
        for number in readers:
            rows.append(measure(worker, names, seconds, readers=number))
            _progress(f"{number} readers of each")
        rows.append(measure(worker, names, seconds, viewers=readers[-1]))
        _progress(f"{readers[-1]} viewers of each")
        rows.append(measure(worker, names, 2 * seconds, readers=readers[-1], slow=True))
        _progress("a slow reader besides")
        milliseconds = yardstick(worker, names[0], 8.0)
    return {
        "cameras": cameras,
        "yardstick_ms_per_frame": milliseconds,
        "load": os.getloadavg()[0],
        "rows": [asdict(row) for row in rows],
    }


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    stick = result["yardstick_ms_per_frame"]
    head = ("readers of each", "core %", "by yardstick", "MB", "packets", "gaps", "lag ms p50", "p99", "max")
    lines = [
        f"{result['cameras']} cameras of 1080p25 4 Mbit/s; yardstick {stick:.2f} ms a frame, load {result['load']:.1f}",
        "".join(f"{text:>{16 if number == 0 else 13}}" for number, text in enumerate(head)),
    ]
    for row in result["rows"]:
        seen = row["seen"]
        percent = row["core_percent"]
        cells = (
            *(f"{percent:.1f}", f"{percent * YARDSTICK_MS / stick:.1f}", f"{row['megabytes']:.0f}"),
            *(str(seen[key]) for key in ("packets", "gaps")),
            *(f"{seen.get(key, 0):.1f}" for key in ("lag_ms_p50", "lag_ms_p99", "lag_ms_max")),
        )
        name = f"{row['readers_per_camera']}{' and one slow' if row['slow_reader'] else ''}"
        if row["viewers_per_camera"]:
            name = f"{row['viewers_per_camera']} of MPEG-TS"
        lines.append(f"{name:>16}" + "".join(f"{cell:>13}" for cell in cells))
    slow = result["rows"][-1]["slow"]
    p50, longest = slow["lag_ms_p50"] / 1000, slow["lag_ms_max"] / 1000
    lines += [
        f"the slow reader: lag p50 {p50:.1f} s, max {longest:.1f} s; {slow['packets']} packets, {slow['gaps']} gaps",
        f"goals for it: lag p50 {GOAL_LAG_P50_S:g} s, max {GOAL_LAG_MAX_S:g} s, and the others unaffected",
        f"goals with 2 readers of each: {GOAL_SHARE:g} % by yardstick, {GOAL_MEGABYTES:g} MB",
    ]
    return "\n".join(lines) + "\n"


def _progress(text: str) -> None:
    sys.stderr.write(f"  {text}\n")


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=32, help="cameras (default 32)")
    parser.add_argument("--readers", type=int, nargs="+", default=[0, 1, 2], help="of each camera (default 0 1 2)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each setting (default 20)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form of the result")
    options = parser.parse_args()
    result = run(options.cameras, options.seconds, options.readers)
    sys.stdout.write(json.dumps(result, indent=2) + "\n" if options.output == "json" else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
