"""How fast the truth about a camera arrives, on the local node with everything real.

Measures, for one group of cameras on the simulator:

* from ``kubectl apply`` of a Camera to its first frame at the worker, and to ``status.state`` Working;
* from a fault switched on to its ``status.reason``, and from the fault switched off to Working again.

Prints a table; ``--output json`` the same as JSON. The node must be up (``make demo``).
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "deploy" / "demo")]

from city_demo.targets import LocalTarget  # noqa: E402 - found by the line above
from story import PASSWORD, City, Simulator, eventually  # noqa: E402

GROUP = "bench"
CATEGORY = "bench"
OFFLINE_AFTER_S = 5.0
LIMIT_S = 90.0
FAULTS = {
    "refused": "ConnectionRefused",
    "unknownpath": "StreamNotFound",
    "silent": "TimedOut",
    "stall": "Stalled",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure over its repetitions, in seconds."""

    what: str
    number: int
    p50: float
    p95: float
    longest: float


def _row(what: str, seconds: Sequence[float]) -> Row:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return Row(what, len(ordered), statistics.median(ordered), p95, ordered[-1])


def _seconds(probe: Callable[[], bool], began: float, what: str) -> float:
    eventually(probe, LIMIT_S, what)
    return time.monotonic() - began


def measure_additions(city: City, number: int) -> list[Row]:
    """Cameras added one at a time to a group whose worker runs already."""
    first_frame, working = [], []
    for index in range(number):
        name = f"added-{index}"
        began = time.monotonic()
        city.add_camera(name, GROUP)
        first_frame.append(_seconds(lambda: city.frames(GROUP).get(name, 0) > 0, began, name))  # noqa: B023
        working.append(_seconds(lambda: city.verdict(name)[0] == "Working", began, name))  # noqa: B023
        _progress(f"added {index + 1} of {number}")
    return [_row("apply to first frame", first_frame), _row("apply to state Working", working)]


def measure_faults(city: City, repetitions: int, cameras: int) -> list[Row]:
    """Each wire fault, switched on and off, every time of another camera: one that comes and goes is Flapping."""
    rows = []
    names = itertools.cycle(f"added-{index}" for index in range(cameras))
    for fault, reason in FAULTS.items():
        named, mended = [], []
        for repetition in range(repetitions):
            name = next(names)
            began = time.monotonic()
            city.simulator.set_fault(name, fault)
            named.append(_seconds(lambda: city.verdict(name)[1] == reason, began, reason))  # noqa: B023
            began = time.monotonic()
            city.simulator.clear_fault(name)
            mended.append(_seconds(lambda: city.verdict(name)[0] == "Working", began, name))  # noqa: B023
            _progress(f"{reason} {repetition + 1} of {repetitions}")
        rows += [_row(f"{fault} on to {reason}", named), _row(f"{fault} off to Working", mended)]
    return rows


def measure_credentials(city: City, repetitions: int) -> list[Row]:
    """A camera added with a wrong password, mended in its Secret."""
    named, mended = [], []
    for repetition in range(repetitions):
        name = f"locked-{repetition}"
        city.add_secret(name, "not-the-password")
        began = time.monotonic()
        city.add_camera(name, GROUP, secret=name)
        named.append(_seconds(lambda: city.verdict(name)[1] == "AuthFailed", began, name))  # noqa: B023
        began = time.monotonic()
        city.set_password(name, PASSWORD)
        mended.append(_seconds(lambda: city.verdict(name)[0] == "Working", began, name))  # noqa: B023
        _progress(f"credentials {repetition + 1} of {repetitions}")
    return [_row("wrong password: apply to AuthFailed", named), _row("Secret mended to Working", mended)]


def _progress(text: str) -> None:
    sys.stderr.write(f"  {text}\n")


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=20, help="cameras added (default 20)")
    parser.add_argument("--repetitions", type=int, default=5, help="times each fault is switched (default 5)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form of the result")
    options = parser.parse_args()
    target = LocalTarget()
    with Simulator(target) as simulator, City(target, simulator, "bench-latency") as city:
        city.add_category(CATEGORY, health={"offlineAfter": f"{OFFLINE_AFTER_S:.0f}s"})
        city.add_group(GROUP, CATEGORY)
        city.add_camera("first", GROUP)
        city.wait_for("first", "Working", within_s=60)
        rows = measure_additions(city, options.cameras)
        rows += measure_faults(city, options.repetitions, options.cameras)
        rows += measure_credentials(city, options.repetitions)
    target.kubectl("delete", "cameracategory", CATEGORY)
    if options.output == "json":
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        return 0
    sys.stdout.write(
        f"offlineAfter {OFFLINE_AFTER_S:.0f} s; seconds\n{'':40} {'n':>3} {'p50':>6} {'p95':>6} {'max':>6}\n"
    )
    for row in rows:
        sys.stdout.write(f"{row.what:40} {row.number:3} {row.p50:6.2f} {row.p95:6.2f} {row.longest:6.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
