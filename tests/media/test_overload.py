"""A worker that the kernel gives too little CPU: it decodes less step by step, says so, and comes back by itself."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from camera_api.category import DecodePolicy
from camera_api.health import Verdict
from camera_worker.decoding import STEP_BACK_AFTER, STEP_DOWN_AFTER
from camera_worker.overload import WINDOW_S
from simulator_process import SimulatorProcess
from wire.gstreamer import declared, watched
from worker_process import Worker, eventually

pytestmark = pytest.mark.media

NAMES = tuple(f"camera-{number}" for number in range(6))
#: Share of one CPU: less than receiving the cameras takes, so that no step is enough.
QUOTA = 0.02
#: By level of the ladder.
REPORTED = (None, DecodePolicy.KEY_FRAME_EVERY_10S, DecodePolicy.NONE)
#: In the log, by step.
SAID = (
    "at most KeyFrameEvery10s is decoded",
    "at most None is decoded",
    "every camera KeyFrameEvery10s is decoded",
    "decoding is as assigned",
)
_PERIOD_US = 100_000


class CgroupUnavailableError(RuntimeError):
    """The CPU of a process cannot be limited here; the text says what is missing."""


@dataclass(slots=True)
class CpuLimit:
    """A control group with a CPU quota, of version 1 or 2, for the time of a `with` block.

    Outside of its quota its processes come before others: what else runs on the machine is no part of the test.

    Raises:
        CgroupUnavailableError: it cannot be made here.
    """

    mount: Path = Path("/sys/fs/cgroup")
    _path: Path = field(default_factory=Path)
    _version: int = 0

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise CgroupUnavailableError("a control group with a CPU quota needs root")
        name = f"camera-worker-test-{os.getpid()}"
        try:
            if (self.mount / "cgroup.controllers").exists():
                self._version, self._path = 2, self.mount / name
                # Refused within most containers: there the group at the mount has processes of its own.
                (self.mount / "cgroup.subtree_control").write_text("+cpu")
                self._path.mkdir()
                (self._path / "cpu.weight").write_text("10000")
            else:
                self._version, self._path = 1, self.mount / "cpu" / name
                self._path.mkdir()
                (self._path / "cpu.shares").write_text("262144")
        except OSError as error:
            with contextlib.suppress(OSError):
                self._path.rmdir()
            where = f"{self.mount}, version {self._version}"
            raise CgroupUnavailableError(f"no control group with a CPU quota can be made in {where}: {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        # A process that has just ended still counts until the kernel is done with it.
        eventually(self._is_removed, 5, "the end of the control group")

    def take(self, pid: int) -> None:
        """Moves a process with all of its threads into the group."""
        (self._path / "cgroup.procs").write_text(str(pid))

    def limit(self, share: float) -> None:
        """Lets the group have this share of one CPU."""
        quota_us = round(share * _PERIOD_US)
        if self._version == 1:
            (self._path / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (self._path / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (self._path / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")

    def lift(self) -> None:
        """Lets the group have all that there is."""
        name, unlimited = ("cpu.cfs_quota_us", "-1") if self._version == 1 else ("cpu.max", "max")
        (self._path / name).write_text(unlimited)

    def _is_removed(self) -> bool:
        with contextlib.suppress(OSError):
            self._path.rmdir()
        return not self._path.exists()


@pytest.fixture
def cpu() -> Iterator[CpuLimit]:
    try:
        with CpuLimit() as cpu:
            yield cpu
    except CgroupUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess([declared(name=name) for name in NAMES]) as simulator:
        yield simulator


@pytest.mark.parametrize("window_s", [0.75, pytest.param(WINDOW_S, marks=pytest.mark.long)])
def test_a_worker_short_of_cpu_decodes_less_step_by_step_and_comes_back(
    cpu: CpuLimit, simulator: SimulatorProcess, tmp_path: Path, window_s: float
) -> None:
    program = (
        "import sys; from camera_worker import __main__, overload; "
        f"overload.WINDOW_S = {window_s}; sys.exit(__main__.main())"
    )
    with Worker(tmp_path, program=("-c", program)) as worker:
        assert worker.process is not None
        cpu.take(worker.process.pid)
        worker.assign(*(watched(simulator, name) for name in NAMES))
        for name in NAMES:
            worker.wait_for(name, Verdict.WORKING, within_s=20)
        assert level(worker) == (None, 0)

        cpu.limit(QUOTA)
        for number in (1, 2):
            wait_for(worker, number, 3 * STEP_DOWN_AFTER * window_s + 10)
        # Packets go on, however slowly.
        decoded, received = decode_seconds(worker), worker.counters("camera_frames_total")
        eventually(
            lambda: all(now > received[name] for name, now in worker.counters("camera_frames_total").items()),
            20,
            "packets of every camera",
        )
        assert decode_seconds(worker) == decoded

        cpu.lift()
        for number in (1, 0):
            wait_for(worker, number, 2 * STEP_BACK_AFTER * window_s + 10)
        eventually(lambda: decode_seconds(worker) > decoded, 5, "pictures are looked at")
        for name in NAMES:
            worker.wait_for(name, Verdict.WORKING, within_s=10)

    said = [line for line in worker.log.read_text().splitlines() if "the CPU" in line]
    assert [limit in line for limit, line in zip(SAID, said, strict=True)] == [True] * len(SAID), said
    assert all("the container's CPU quota is used up in" in line for line in said[:2]), said


def level(worker: Worker) -> tuple[DecodePolicy | None, int]:
    """What the worker decodes at most, by its health report, and how many steps down that is, by its metric."""
    reported = worker.report().decode_reduced_to
    families = text_string_to_metric_families(worker.get("/metrics").decode())
    samples = [sample for family in families for sample in family.samples]
    return reported, next(round(sample.value) for sample in samples if sample.name == "camera_worker_decode_level")


def decode_seconds(worker: Worker) -> float:
    return sum(worker.counters("camera_decode_seconds_total").values())


def wait_for(worker: Worker, number: int, within_s: float) -> None:
    """Waits until both tell of this level."""
    eventually(
        lambda: level(worker) == (REPORTED[number], number), within_s, f"level {number}", lambda: f"{level(worker)}"
    )
