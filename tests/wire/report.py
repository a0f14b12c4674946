"""All wire faults, in waves, with healthy neighbours: what the benchmark prints and the long test asserts."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from camera_api.faults import Fault
from simulator_process import SimulatorProcess
from wire import foreign, gstreamer, losses
from wire.cases import KNOWN_WITHIN_S, LEARN_S, Case, Neighbours, Result, run_wave
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
    known: float | None  #: until it had a right name
    known_limit: float
    named: float | None  #: until it had the expected one
    working_again: float | None
    wrong: str


def _row(result: Result) -> Row:
    case = result.case
    known, named, again = (
        None if value is None else round(value, 1) for value in (result.known_s, result.named_s, result.working_again_s)
    )
    names = " then ".join(fault.value for fault in (case.first, case.expected) if fault is not None)
    return Row(
        *(case.server, case.codec, case.transport, case.fault, names or "none", result.got),
        *(known, case.known_within_s, named, None if case.lasts else again, result.wrong),
    )


def _gstreamer(stack: ExitStack, simulator: SimulatorProcess, folder: Path) -> list[Case]:
    del stack, folder
    speeches = [speech for speech in gstreamer.SPEECHES if speech.protocol == "rtsp"]
    return [case for speech in speeches for case in gstreamer.switched_cases(simulator, speech)]


def _others(stack: ExitStack, simulator: SimulatorProcess, folder: Path) -> list[Case]:
    del folder
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
        *gstreamer.address_cases(stack, simulator),
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
        worker.assign(*(gstreamer.healthy(simulator, name) for name in names))
        neighbours = Neighbours(worker, simulator, names)
        neighbours.wait(30.0)
        for wave in wanted:
            rows += _run_wave(wave, worker, simulator, folder)
            missing = neighbours.disturbed()
            _say(f"{wave}: neighbours that miss frames: {missing or 'none'}")
            _explain(worker, missing.keys() - disturbed.keys())
            disturbed |= missing
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
    _explain(worker, {result.case.camera.name for result in results if result.wrong})
    yield from map(_row, results)


def _explain(worker: Worker, names: Collection[str]) -> None:
    """What the worker has logged of cameras that are not as they should be."""
    with worker.log.open(errors="replace") as lines:
        for line in lines if names else ():
            if any(f"/{name}: " in line for name in names):
                _say(f"worker: {line.rstrip()}")


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that differ in nothing but codec and transport; seconds."""

    server: str
    spoken: str  #: codecs and transports
    fault: str
    expected: str
    cases: int
    right: int
    known_median: float | None
    known_longest: float | None
    known_limit: float
    named_longest: float | None
    working_again_longest: float | None


def grouped(rows: list[Row]) -> list[Group]:
    """The report by server and fault; loss by stream, since the limit depends on it."""
    together: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        stream = row.codec if "Mbit/s" in row.codec else ""
        key = (row.server, row.fault, row.expected, f"{row.known_limit:g}", stream)
        together.setdefault(key, []).append(row)
    return [_group(members) for members in together.values()]


def _group(rows: list[Row]) -> Group:
    known, named, again = (
        [value for value in column if value is not None]
        for column in zip(*((row.known, row.named, row.working_again) for row in rows), strict=True)
    )
    codecs, transports = (
        list(dict.fromkeys(column)) for column in zip(*((r.codec, r.transport) for r in rows), strict=True)
    )
    return Group(
        server=rows[0].server,
        spoken=f"{', '.join(codecs)}; {', '.join(transports)}",
        fault=rows[0].fault,
        expected=rows[0].expected,
        cases=len(rows),
        right=sum(not row.wrong for row in rows),
        known_median=round(statistics.median(known), 1) if known else None,
        known_longest=max(known, default=None),
        known_limit=rows[0].known_limit,
        named_longest=max(named, default=None),
        working_again_longest=max(again, default=None),
    )


def summary(rows: list[Row], disturbed: dict[str, int]) -> dict[str, object]:
    """What counts of a report."""
    named = [(row, row.known) for row in rows if row.known is not None]
    within = [known for row, known in named if row.known_limit <= KNOWN_WITHIN_S]
    stalls = [known for row, known in named if row.expected.startswith(Fault.STALLED.value)]
    return {
        "cases": len(rows),
        "right": sum(not row.wrong for row in rows),
        f"known_within_{KNOWN_WITHIN_S:g}_s": f"{sum(known <= KNOWN_WITHIN_S for _, known in named)} of {len(named)}",
        f"known_longest_of_those_due_in_{KNOWN_WITHIN_S:g}_s": max(within, default=None),
        "stall_known_longest": max(stalls, default=None),
        "neighbours": NEIGHBOURS,
        "neighbours_missing_frames": disturbed,
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }
