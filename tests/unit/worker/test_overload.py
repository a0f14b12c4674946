"""A worker that is short of CPU: what the kernel says of it, and what it does then."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from bench.picture import effects
from camera_api.category import DecodePolicy
from camera_api.faults import Fault
from camera_api.health import Verdict
from camera_worker.decoding import STEP_BACK_AFTER, STEP_DOWN_AFTER, DecodeLadder
from camera_worker.health import HealthStore
from camera_worker.overload import CpuProbe, Overload
from camera_worker.supervisor import Supervisor

EVERY, SOME, NONE = DecodePolicy.EVERY_KEY_FRAME, DecodePolicy.KEY_FRAME_EVERY_10S, DecodePolicy.NONE


class Machine:
    """What a kernel would say, in files."""

    def __init__(self, folder: Path, *, cgroup: str, cpu_stat: str) -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        self.cpu_stat = self.cgroups / cpu_stat
        self.cpu_stat.parent.mkdir(parents=True)
        (self.proc / "task").mkdir(parents=True)
        (self.proc / "cgroup").write_text(cgroup)

    def thread(self, number: int, delay_ns: int, slices: int) -> None:
        path = self.proc / "task" / str(number) / "schedstat"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"123456 {delay_ns} {slices}\n")

    def periods(self, number: int, throttled: int) -> None:
        self.cpu_stat.write_text(f"usage_usec 5\nnr_periods {number}\nnr_throttled {throttled}\nthrottled_usec 9\n")

    @property
    def probe(self) -> CpuProbe:
        return CpuProbe(self.proc, self.cgroups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, cgroup="0::/\n", cpu_stat="cpu.stat")


@pytest.mark.parametrize(
    ("cgroup", "cpu_stat"),
    [
        ("0::/\n", "cpu.stat"),
        ("0::/kubepods/pod1/2\n", "kubepods/pod1/2/cpu.stat"),
        ("0::/kubepods/pod1/2\n", "cpu.stat"),
        ("5:cpuset:/\n4:cpu,cpuacct:/kubepods/3\n0::/elsewhere\n", "cpu,cpuacct/kubepods/3/cpu.stat"),
        ("4:cpu,cpuacct:/kubepods/3\n", "cpu/cpu.stat"),
    ],
)
def test_the_quota_is_found_in_either_version_of_control_groups(tmp_path: Path, cgroup: str, cpu_stat: str) -> None:
    machine = Machine(tmp_path, cgroup=cgroup, cpu_stat=cpu_stat)
    probe = machine.probe
    machine.periods(1000, 10)
    assert probe.throttled_share() is None, "nothing to compare with yet"

    machine.periods(1050, 40)
    assert probe.throttled_share() == pytest.approx(0.6)
    assert probe.throttled_share() is None, "no period has passed"


@pytest.mark.parametrize("text", ["usage_usec 5\n", "", "nr_periods many\nnr_throttled 0\n", "\0\n"])
def test_without_a_quota_there_is_no_throttling(machine: Machine, text: str) -> None:
    machine.cpu_stat.write_text(text)
    probe = machine.probe

    assert [probe.throttled_share() for _ in range(3)] == [None] * 3


def test_the_wait_for_a_cpu_is_that_of_all_threads_since_the_last_look(machine: Machine) -> None:
    probe = machine.probe
    machine.thread(1, delay_ns=5_000_000_000, slices=10)
    machine.thread(2, delay_ns=0, slices=0)
    probe.queueing_s()

    machine.thread(1, delay_ns=5_200_000_000, slices=14)
    machine.thread(2, delay_ns=100_000_000, slices=5)
    machine.thread(3, delay_ns=60_000_000, slices=3)
    assert probe.queueing_s() == pytest.approx(0.03)
    assert probe.queueing_s() == 0.0, "no thread wanted a CPU"


def test_a_kernel_that_does_not_say_is_not_believed_calm_or_short(tmp_path: Path) -> None:
    probe = CpuProbe(tmp_path / "proc", tmp_path / "cgroup")

    assert probe.queueing_s() is None
    assert probe.throttled_share() is None


def test_this_machine_tells_how_long_threads_wait() -> None:
    waits = CpuProbe().queueing_s()

    assert waits is None or 0.0 <= waits < 60.0


class Scene:
    """A worker whose threads wait for a CPU as long as a test says."""

    def __init__(self, machine: Machine) -> None:
        self.ladder = DecodeLadder()
        self.steps: list[DecodePolicy] = []
        self.overload = Overload(self.ladder, machine.probe, lambda: EVERY, self._stepped)
        self._machine = machine
        self._delay_ns = self._slices = 0
        self.now = 0.0
        self.windows(1, wait_s=0.0)

    def _stepped(self) -> None:
        self.steps.append(self.ladder.limit)

    def windows(self, number: int, *, wait_s: float, late_s: float = 0.001) -> None:
        for _ in range(number):
            self._slices += 100
            self._delay_ns += round(100 * wait_s * 1e9)
            self._machine.thread(1, self._delay_ns, self._slices)
            self.now += 5.0
            self.overload.window(late_s, self.now)


def test_each_step_is_taken_once_and_said_once(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(machine)
    with caplog.at_level(logging.INFO):
        scene.windows(10 * STEP_DOWN_AFTER, wait_s=0.08)
        scene.windows(3 * STEP_BACK_AFTER, wait_s=0.001)

    assert scene.steps == [SOME, NONE, SOME, EVERY]
    reason = "threads wait 0.080 s for a CPU each time they want one, at most 0.050 s may be"
    assert [record.getMessage() for record in caplog.records] == [
        f"the CPU does not suffice: of every camera at most KeyFrameEvery10s is decoded: {reason}",
        f"the CPU does not suffice: of every camera at most None is decoded: {reason}",
        "the CPU suffices again: of every camera KeyFrameEvery10s is decoded",
        "the CPU suffices again: decoding is as assigned",
    ]


def test_late_timers_are_enough_where_the_kernel_says_nothing(tmp_path: Path) -> None:
    ladder = DecodeLadder()
    overload = Overload(ladder, CpuProbe(tmp_path, tmp_path), lambda: EVERY, lambda: None)
    for window in range(STEP_DOWN_AFTER):
        overload.window(0.5, 5.0 * window)

    assert ladder.reduced_to is SOME


async def test_a_worker_with_enough_cpu_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("camera_worker.overload.WINDOW_S", 0.2)
    windows: list[float] = []
    overload = Overload(DecodeLadder(), CpuProbe(tmp_path, tmp_path), lambda: EVERY, lambda: None)
    monkeypatch.setattr(overload, "window", lambda late_s, _: windows.append(late_s))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await overload.run()

    assert len(windows) >= 3
    assert windows[0] == 0.0
    assert all(late_s < 0.8 for late_s in windows)


async def test_the_health_poll_wakes_and_tells_what_is_decoded() -> None:
    supervisor: Any = Supervisor(lambda _: None, HealthStore("this-process"))
    cursor = supervisor.store.cursor

    supervisor.reduce_decoding(SOME)

    assert supervisor.news.is_set()
    assert supervisor.store.has_news("this-process", cursor)
    report = supervisor.store.report("worker", "this-process", cursor)
    assert (report.decode_reduced_to, report.full, report.cameras) == (SOME, False, ())
    supervisor.news.clear()
    supervisor.reduce_decoding(SOME)
    assert not supervisor.news.is_set()
    supervisor.reduce_decoding(None)
    assert supervisor.store.report("worker", "this-process", report.cursor).decode_reduced_to is None


def test_the_camera_that_is_to_be_decoded_most_counts() -> None:
    supervisor: Any = Supervisor(lambda _: None, HealthStore("this-process"))
    assert supervisor.asked_decode is NONE

    for number, policy in enumerate((NONE, SOME)):
        supervisor.cameras[str(number)] = _assigned(policy)
    assert supervisor.asked_decode is SOME


def _assigned(policy: DecodePolicy) -> Any:
    class Camera:
        class assigned:  # noqa: N801 - an attribute of the camera
            decode = policy

    return Camera()


@pytest.mark.parametrize(("limit", "decoded"), [(EVERY, 30), (SOME, 6), (NONE, 0)])
def test_the_limit_holds_for_every_camera(bench: Any, video: Any, limit: DecodePolicy, decoded: int) -> None:
    object.__setattr__(bench.surroundings, "decode_limit", lambda: limit)
    stream = video(60.0)
    bench.run(bench.camera(), stream)

    assert len(stream.decoded) == decoded


def test_picture_faults_are_found_more_slowly_on_the_first_step(bench: Any, video: Any) -> None:
    object.__setattr__(bench.surroundings, "decode_limit", lambda: SOME)
    camera = bench.camera()
    bench.run(camera, video(60.0, effect=lambda moment: effects.black if moment >= 20 else None))

    assert [active.fault for active in camera.health().faults] == [Fault.BLACK]


def test_what_cannot_be_judged_any_more_is_not_claimed_and_comes_back_since_when_it_was(bench: Any, video: Any) -> None:
    limits = {0.0: EVERY, 40.0: NONE, 60.0: EVERY}
    now = {"limit": EVERY}
    object.__setattr__(bench.surroundings, "decode_limit", lambda: now["limit"])
    camera = bench.camera()
    reports: dict[float, Any] = {}
    stream = video(70.0, lambda: reports.update({70.0: camera.health()}))
    stream.effect = lambda moment: effects.black if moment >= 20 else None

    def step(moment: float) -> bool:
        """Asked once for each packet."""
        if moment in limits:
            reports[moment] = camera.health()
            now["limit"] = limits[moment]
            if moment == 40.0:
                reports[40.04] = camera.health()
        return False

    stream.corrupt = step
    bench.run(camera, stream)

    assert [active.fault for active in reports[40.0].faults] == [Fault.BLACK]
    for moment in (40.04, 60.0):
        assert (reports[moment].verdict, reports[moment].faults) == (Verdict.WORKING, ())
    assert [active.fault for active in reports[70.0].faults] == [Fault.BLACK]
    assert reports[70.0].since == reports[40.0].since
