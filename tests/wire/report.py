"""All wire faults, in waves, with healthy neighbours: what the benchmark prints and the long test asserts."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulator_process import SimulatorProcess
from wire import foreign, gstreamer, losses
from wire.cases import LEARN_S, Case, Neighbours, Result, run_wave
from wire.network import NetworkUnavailableError, require_network
from worker_process import Worker

NEIGHBOURS: Final = 31
#: Makes the cases of a wave; servers live as long as the stack.
Wave = Callable[[ExitStack, SimulatorProcess, Path], list[Case]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; seconds."""

    server: str
    codec: str
    transport: str
    fault: str
    expected: str
    got: str
    known: float | None
    known_limit: float
    working_again: float | None
    wrong: str


def _row(result: Result) -> Row:
    case = result.case
    known, again = (None if value is None else round(value, 1) for value in (result.known_s, result.working_again_s))
    expected = "none" if case.expected is None else case.expected.value
    return Row(
        *(case.server, case.codec, case.transport, case.fault, expected, result.got),
        *(known, case.known_within_s, None if case.lasts else again, result.wrong),
    )


def _gstreamer(stack: ExitStack, simulator: SimulatorProcess, folder: Path) -> list[Case]:
    del stack, folder
    speeches = [speech for speech in gstreamer.SPEECHES if speech.protocol == "rtsp"]
    return [case for speech in speeches for case in gstreamer.switched_cases(simulator, speech)]


def _others(stack: ExitStack, simulator: SimulatorProcess, folder: Path) -> list[Case]:
    del stack, folder
    cases = [
        case
        for speech in gstreamer.SPEECHES
        if speech.protocol != "rtsp"
        for case in gstreamer.switched_cases(simulator, speech)
    ]
    accounts = [speech for speech in gstreamer.SPEECHES if speech.codec == "h264" or speech.protocol == "http"]
    for auth in ("basic", "digest"):
        cases += [case for speech in accounts for case in gstreamer.account_cases(simulator, speech, auth)]
    return [
        *cases,
        *gstreamer.transport_cases(simulator),
        *gstreamer.address_cases(simulator),
        gstreamer.flapping_case(simulator),
    ]


def _networks(stack: ExitStack, simulator: SimulatorProcess, folder: Path) -> list[Case]:
    del simulator, folder
    require_network()
    cases = [case for per_mille in losses.LOSSES for case in losses.loss_cases(stack, per_mille)]
    return [*cases, *losses.outage_cases(stack)]


def _foreign(stack: ExitStack, simulator: SimulatorProcess, folder: Path) -> list[Case]:
    del simulator
    clip = foreign.clip_file(folder)
    cases = []
    for kind in foreign.KINDS:
        missing = kind.missing()
        if missing:
            _say(f"left out: {kind.name}, which is not installed: {missing}")
            continue
        cases += foreign.foreign_cases(stack, kind, folder, clip)
    return cases


WAVES: Final[dict[str, tuple[Wave, float]]] = {
    "gstreamer": (_gstreamer, LEARN_S),
    "others": (_others, LEARN_S),
    "networks": (_networks, LEARN_S),
    "foreign": (_foreign, 5.0),
}


def run(wanted: list[str]) -> tuple[list[Row], dict[str, int]]:
    """Runs waves one after another.

    Returns:
        The table, and the frames that neighbours miss.
    """
    names = tuple(f"healthy-{number:02}" for number in range(1, NEIGHBOURS + 1))
    rows: list[Row] = []
    disturbed: dict[str, int] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wire-faults-")))
        # VLC plays as somebody else.
        folder.chmod(0o755)
        simulator = stack.enter_context(SimulatorProcess([gstreamer.declared(name=name) for name in names]))
        worker = stack.enter_context(Worker(folder))
        worker.assign(*(gstreamer.watched(simulator, name) for name in names))
        neighbours = Neighbours(worker, simulator, names)
        neighbours.wait(30.0)
        for wave in wanted:
            rows += _run_wave(wave, worker, simulator, folder)
            disturbed |= neighbours.disturbed()
            _say(f"{wave}: neighbours that miss frames: {disturbed or 'none'}")
    return rows, disturbed


def _run_wave(name: str, worker: Worker, simulator: SimulatorProcess, folder: Path) -> Iterator[Row]:
    make, learn_s = WAVES[name]
    _say(f"{name}: starting")
    with ExitStack() as servers:
        try:
            cases = make(servers, simulator, folder)
        except NetworkUnavailableError as error:
            _say(f"left out: {name}: {error}")
            return
        results = run_wave(worker, cases, learn_s=learn_s, say=lambda text: _say(f"{name}: {text}"))
    yield from map(_row, results)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def summary(rows: list[Row], disturbed: dict[str, int]) -> dict[str, object]:
    """What counts of a report."""
    named = [row for row in rows if row.known is not None and row.expected != "none"]
    in_time = [row for row in named if row.known is not None and row.known_limit <= 6]
    stalls = [row.known or 0.0 for row in named if row.expected == "Stalled"]
    return {
        "cases": len(rows),
        "right": sum(not row.wrong for row in rows),
        "known_longest": max((row.known or 0.0 for row in in_time), default=None),
        "stall_known_longest": max(stalls, default=None),
        "neighbours": NEIGHBOURS,
        "neighbours_missing_frames": disturbed,
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }
