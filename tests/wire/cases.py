"""Wire faults as cases, and what runs them: break cameras that work, read what the worker calls it, mend them.

All cases of a wave are broken at the same moment, while healthy neighbours of the same worker go on: a camera's fault
must neither be hidden by another's nor cost a neighbour a frame.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from camera_api.health import CameraHealth, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from camera_api.assignment import AssignedCamera
    from camera_api.faults import Fault
    from simulator_process import SimulatorProcess
    from worker_process import Worker

    Step = Callable[[], AssignedCamera | None]

#: How long a camera may deliver nothing in these cases; a stall is to be known within a second more.
OFFLINE_AFTER_S: Final = 3.0
KNOWN_WITHIN_S: Final = 6.0
STALL_KNOWN_WITHIN_S: Final = 4.0
#: How long a name must stand before a camera is mended: a guess would have changed by then.
_SETTLE_S: Final = 2.0
#: How long a camera is watched that is to show no fault at all.
_QUIET_S: Final = 8.0
#: Seconds of good stream after which a camera's usual frame rate is known.
LEARN_S: Final = 25.0
_WORKS_WITHIN_S: Final = 20.0
#: Between two tries pass up to 39 s.
_MENDED_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way a camera breaks.

    A step does something to the camera or its way, and gives the settings that the worker is to watch it by from then
    on where they are others.
    """

    server: str
    codec: str
    transport: str
    fault: str  #: what is done, for people
    expected: Fault | None  #: None: the camera comes back before anyone needs to know
    camera: AssignedCamera
    break_: Step
    mend: Step
    known_within_s: float = KNOWN_WITHIN_S
    #: The transport over which the camera must be watched in the end; empty: does not matter.
    ends_over: str = ""
    #: It is a fault of minutes, and stands for minutes after its end: that is not waited for.
    lasts: bool = False
    #: A name that is right as well, until more is known.
    first: Fault | None = None
    #: Names that may be told besides, because they are true at that time or it is so bad, but do not count.
    besides: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case; seconds since it was broken, or mended."""

    case: Case
    got: str
    known_s: float | None  #: until it had a right name
    named_s: float | None  #: until it had the expected one
    working_again_s: float | None
    wrong: str  #: why it is no success; empty: it is one


@dataclass(slots=True)
class HealthLog:
    """Every change of every camera's health, as the operator would receive it."""

    worker: Worker
    seen: dict[str, list[tuple[float, CameraHealth]]] = field(default_factory=lambda: defaultdict(list))
    _thread: threading.Thread | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._follow, name="health log")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def now(self, name: str) -> CameraHealth | None:
        """The latest that is known of a camera."""
        return self.seen[name][-1][1] if self.seen[name] else None

    def first(self, name: str, after: float, condition: Callable[[CameraHealth], bool]) -> float | None:
        """When a camera's health first met a condition after a moment; that moment itself if it still did then."""
        state = None
        for at, health in list(self.seen[name]):
            if at <= after:
                state = health
            elif condition(health):
                return after if state is not None and condition(state) else at
        return after if state is not None and condition(state) else None

    def names(self, name: str, after: float) -> list[Fault]:
        """First-named faults of a camera after a moment, in order, without repetition."""
        found: list[Fault] = []
        for at, health in list(self.seen[name]):
            if at > after and health.faults and (not found or found[-1] is not health.faults[0].fault):
                found.append(health.faults[0].fault)
        return found

    def _follow(self) -> None:
        query = ""
        while not self._ended.is_set():
            report = self.worker.report(query)
            now = time.monotonic()
            for health in report.cameras:
                self.seen[health.name].append((now, health))
            query = f"?after={report.cursor}&instance={report.instance}&wait=1"


def _works(health: CameraHealth) -> bool:
    return health.verdict is Verdict.WORKING


def run_wave(
    worker: Worker, cases: Sequence[Case], *, learn_s: float = 0.0, say: Callable[[str], None]
) -> list[Result]:
    """Runs cases at the same time.

    Args:
        worker: its other cameras go on.
        cases: of different cameras.
        learn_s: seconds that the cameras are watched in good order before.
        say: told what happens.
    """
    with HealthLog(worker) as log:
        worker.assign(*(case.camera for case in cases))
        _wait(lambda: all(_is_working(log, case) for case in cases), _WORKS_WITHIN_S)
        dead = [case for case in cases if not _is_working(log, case)]
        alive = [case for case in cases if case not in dead]
        say(f"{len(alive)} of {len(cases)} cameras work")
        time.sleep(learn_s)
        broken = _step(worker, {case.camera.name: case.break_ for case in alive})
        longest = max((_patience(case) for case in alive), default=0.0)
        _wait(lambda: all(_is_settled(log, case, broken[case.camera.name]) for case in alive), longest)
        say(f"all named, or given up, within {time.monotonic() - min(broken.values()):.0f} s")
        transports = {case.camera.name: _transport(worker, case) for case in alive if case.ends_over}
        mended = _step(worker, {case.camera.name: case.mend for case in alive})
        _wait(lambda: all(_is_working(log, case) or case.lasts for case in alive), _MENDED_WITHIN_S)
        say(f"all mended, or given up, within {time.monotonic() - min(mended.values()):.0f} s")
        results = [
            _judge(log, case, broken[name], mended[name], transports.get(name, ""))
            for case in alive
            for name in (case.camera.name,)
        ]
        results += [
            Result(case, _describe(log.now(case.camera.name)), None, None, None, "never worked") for case in dead
        ]
        worker.assign(removed=tuple(case.camera.name for case in cases))
    return results


def _step(worker: Worker, steps: Mapping[str, Step]) -> dict[str, float]:
    """Takes a step with each camera, and assigns what has new settings; when each of them was taken."""
    taken, changed = {}, []
    for name, step in steps.items():
        taken[name] = time.monotonic()
        settings = step()
        if settings is not None:
            changed.append(settings)
    if changed:
        now = time.monotonic()
        taken |= dict.fromkeys((settings.name for settings in changed), now)
        worker.assign(*changed)
    return taken


def _patience(case: Case) -> float:
    return _QUIET_S if case.expected is None else case.known_within_s * 2 + _SETTLE_S


def _is_settled(log: HealthLog, case: Case, broken: float) -> bool:
    now = time.monotonic()
    if case.expected is None:
        return now - broken >= _QUIET_S
    known = log.first(case.camera.name, broken, lambda health: _named(health) is case.expected)
    return known is not None and now - known >= _SETTLE_S


def _named(health: CameraHealth) -> Fault | None:
    return health.faults[0].fault if health.faults else None


def _is_working(log: HealthLog, case: Case) -> bool:
    health = log.now(case.camera.name)
    return health is not None and _works(health)


def _transport(worker: Worker, case: Case) -> str:
    over = (case.ends_over, "TCP", "UDP", "HTTP")
    return next((name for name in over if worker.metric("camera_info", case.camera.name, transport=name) == 1), "none")


def _describe(health: CameraHealth | None) -> str:
    if health is None:
        return "no report"
    return f"{health.faults[0].fault.value}: {health.faults[0].message}" if health.faults else health.verdict.value


def _judge(log: HealthLog, case: Case, broken: float, mended: float, transport: str) -> Result:
    name = case.camera.name
    until_mended = [fault for fault in log.names(name, broken) if (log.first(name, broken, _has(fault)) or 0) < mended]
    got = " then ".join(fault.value for fault in until_mended) or "none"
    known_s, named_s = (
        min(
            (at - broken for fault in faults if (at := _called(log, name, broken, fault, mended)) is not None),
            default=None,
        )
        for faults in ((case.first, case.expected), (case.expected,))
    )
    working_at = log.first(name, mended, _works)
    again_s = None if working_at is None else working_at - mended
    wrong = ""
    allowed = {case.first, case.expected, *case.besides}
    if case.expected is None and until_mended:
        wrong = "a fault was named"
    elif case.expected is not None and (case.expected not in until_mended or set(until_mended) - allowed):
        wrong = "wrong name"
    elif known_s is not None and known_s > case.known_within_s:
        wrong = f"known later than {case.known_within_s:g} s"
    elif again_s is None and not case.lasts:
        wrong = f"still {_describe(log.now(name))}"
    elif case.ends_over and transport != case.ends_over:
        wrong = f"watched over {transport}"
    return Result(case, got, known_s, named_s, again_s, wrong)


def _called(log: HealthLog, name: str, broken: float, fault: Fault | None, mended: float) -> float | None:
    """When a camera had a name first, before it was mended."""
    at = None if fault is None else log.first(name, broken, _has(fault))
    return None if at is None or at > mended else at


def _has(fault: Fault) -> Callable[[CameraHealth], bool]:
    return lambda health: _named(health) is fault


def _wait(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


@dataclass(slots=True)
class Neighbours:
    """Healthy cameras, and whether they receive every frame that is sent to them over the connection they have."""

    worker: Worker
    simulator: SimulatorProcess
    names: tuple[str, ...]
    _behind: Mapping[str, int] = field(default_factory=dict)

    #: Frames that may be on their way at each of some looks: FFmpeg's parser holds one back, the next one comes between
    #: some of them.
    IN_FLIGHT: Final = 1
    _LOOKS: Final = 20
    _LOOK_EVERY_S: Final = 0.03

    def wait(self, limit_s: float) -> None:
        """Waits until all of them work, and counts from then on."""
        _wait(lambda: {health.verdict for health in self.worker.report().cameras} == {Verdict.WORKING}, limit_s)
        self._behind = self._look()

    def disturbed(self) -> dict[str, int]:
        """Frames that are missing since ``wait``, of cameras that miss any."""
        behind = self._look()
        missing = {name: behind[name] - self._behind[name] for name in self.names}
        return {name: frames for name, frames in missing.items() if abs(frames) > self.IN_FLIGHT}

    def _look(self) -> dict[str, int]:
        """Frames that were sent and have not come, the fewest of some looks."""
        least: dict[str, int] = {}
        for _ in range(self._LOOKS):
            received = self.worker.counters("camera_frames_total")
            cameras = self.simulator.cameras()
            for name in self.names:
                behind = int(cameras[name]["streams"]["main"]["framesSent"]) - round(received[name])
                least[name] = min(behind, least.get(name, behind))
            time.sleep(self._LOOK_EVERY_S)
        return least
