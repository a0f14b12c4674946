"""What the picture detectors find, what they call it and what they cry wolf at.

Faults and nuisances (``effects``) are painted onto the frames of real clips, encoded by x264 at variable and at
constant bit rate, decoded key frame by key frame as the worker does, and given to a monitor that has seen the clip in
good order before. Then days of 24 hours, a key frame every 10 s, made of decoded key frames: sun, dusk, infra-red,
headlights, insects, rain, clouds, wind.

The thresholds were tuned on Debian's ``vtest.avi`` (package opencv-doc); further clips are given by ``--clips``. Those
of ``RESULTS.md`` were looked at while the detectors were made: only a scene of your own is an unseen one.

    tests/bench/picture/report.py [--clips FILE_OR_FOLDER]... [--days N] [--output json]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from bench.picture.cost import Cost, measure_cost  # noqa: E402 - found by the line above
from bench.picture.day import CAMERA_HOURS, alarms_of_a_day  # noqa: E402
from bench.picture.effects import FAULT_KINDS, NUISANCES, Effect, Frame, Moment  # noqa: E402
from bench.picture.video import GROUP, KEY_FRAME_S, TUNED_ON, Clip, Encoding, Key, decode, encode  # noqa: E402
from camera_worker.picture.monitor import KeyFrameFacts, PictureFinding, PictureMonitor  # noqa: E402

#: Key frames in good order before an effect; nine are learned from.
LEAD = 16
#: Of these, as many are encoded again right before an effect: what the encoder remembers of a living picture.
_WARM = 2
FAULT_KEYS, NUISANCE_KEYS = 8, 12
#: A fault is cleared after six good key frames.
RECOVERY_KEYS = 8
VIDEO_SUFFIXES = {".avi", ".mp4", ".mkv", ".mov", ".ts"}
SEVERITIES = 3
#: Key frames within which a fault shall be known.
MAX_LATENCY = 3


@dataclass(slots=True)
class Trial:
    """One effect on one clip at one encoding."""

    kind: str
    severity: int
    is_variable_rate: bool
    raised_after: int | None = None  #: key frames; None: never
    named: str = ""
    message: str = ""
    is_right: bool = False
    is_cleared: bool = True
    early: bool = False  #: alarm before the effect began


@dataclass(slots=True)
class ClipReport:
    """All trials of one clip."""

    clip: str
    tuned_on: bool
    faults: list[Trial] = field(default_factory=list)
    nuisances: list[Trial] = field(default_factory=list)
    camera_hours: float = 0.0
    false_alarms: list[str] = field(default_factory=list)  #: in the days

    @property
    def figures(self) -> dict[str, float]:
        """The row of the table."""
        found = [trial for trial in self.faults if trial.raised_after is not None]
        latencies = sorted(trial.raised_after or 0 for trial in found)
        return {
            "faults": len(self.faults),
            "recall %": 100 * len(found) / max(len(self.faults), 1),
            "right name %": 100 * sum(trial.is_right for trial in found) / max(len(found), 1),
            "latency p50": latencies[len(latencies) // 2] if latencies else 0,
            "latency max": latencies[-1] if latencies else 0,
            f"within {MAX_LATENCY} key frames %": 100
            * sum(latency <= MAX_LATENCY for latency in latencies)
            / max(len(latencies), 1),
            "not cleared": sum(not trial.is_cleared for trial in self.faults),
            "nuisances": len(self.nuisances),
            "nuisance alarms": sum(trial.raised_after is not None for trial in self.nuisances),
            "alarms before": sum(trial.early for trial in (*self.faults, *self.nuisances)),
            "camera-hours": self.camera_hours,
            "false alarms per camera-hour": len(self.false_alarms) / max(self.camera_hours, 1e-9),
        }


class Replay:
    """Key frames into a fresh monitor, by a clock of its own."""

    def __init__(self, *, is_variable_rate: bool) -> None:
        self._monitor = PictureMonitor()
        self._is_variable_rate = is_variable_rate
        self._at = 0.0

    def feed(self, keys: Sequence[Key]) -> Iterator[tuple[PictureFinding, ...]]:
        """Findings after each key frame."""
        for key in keys:
            self._at += KEY_FRAME_S
            yield self._monitor.observe(
                key.luma, KeyFrameFacts(self._at, key.inter_bytes, is_variable_rate=self._is_variable_rate)
            )


def _painted(clip: Clip, effect: Effect, *, seed: int, severity: int, keys: int) -> Iterator[Frame]:
    last = clip.frame(LEAD * GROUP - 1)
    for number in range(keys * GROUP):
        moment = Moment(frame=number, key=number // GROUP, seed=seed, severity=severity, frozen=last)
        yield effect(clip.frame(LEAD * GROUP + number), moment)


def _trials(clip: Clip, kinds: dict[str, Effect], keys: int, say: Callable[[str], None]) -> Iterator[Trial]:
    """Runs every kind at every severity and encoding."""
    good = [clip.frame(number) for number in range((LEAD + keys + RECOVERY_KEYS) * GROUP)]
    encodings = [Encoding(is_variable_rate=True), Encoding(is_variable_rate=False)]
    healthy = {encoding: decode(encode(good, encoding)) for encoding in encodings}
    warm = good[(LEAD - _WARM) * GROUP : LEAD * GROUP]
    for number, (kind, effect) in enumerate(kinds.items()):
        say(f"{clip.name}: {kind} ({number + 1} of {len(kinds)})")
        for severity in range(SEVERITIES):
            frames = list(_painted(clip, effect, seed=number * SEVERITIES + severity, severity=severity, keys=keys))
            for usual in encodings:
                encoding = Encoding(usual.is_variable_rate, severity + 1) if kind == "compression" else usual
                affected = decode(encode([*warm, *frames], encoding))[_WARM:]
                yield _trial(kind, severity, usual, healthy[usual], affected)


def _trial(kind: str, severity: int, encoding: Encoding, healthy: Sequence[Key], affected: Sequence[Key]) -> Trial:
    trial = Trial(kind, severity, encoding.is_variable_rate)
    replay = Replay(is_variable_rate=encoding.is_variable_rate)
    trial.early = any(findings for findings in replay.feed(healthy[:LEAD]))
    for number, findings in enumerate(replay.feed(affected), start=1):
        if findings and trial.raised_after is None:
            trial.raised_after, trial.named, trial.message = number, findings[0].fault.value, findings[0].message
    *_, after = replay.feed(healthy[LEAD + len(affected) :])
    trial.is_cleared = not after
    return trial


def examine(path: Path, days: int, say: Callable[[str], None]) -> ClipReport:
    """All trials and the days of one clip."""
    clip = Clip(path)
    report = ClipReport(clip.name, tuned_on=path == TUNED_ON)
    for trial in _trials(clip, {name: kind.effect for name, kind in FAULT_KINDS.items()}, FAULT_KEYS, say):
        kind = FAULT_KINDS[trial.kind]
        trial.is_right = trial.named in {kind.name.value, *(name.value for name in kind.also)}
        report.faults.append(trial)
    report.nuisances = list(_trials(clip, NUISANCES, NUISANCE_KEYS, say))
    keys = decode(encode([clip.frame(number) for number in range(60 * GROUP)], Encoding(is_variable_rate=True)))
    for day in range(days):
        say(f"{clip.name}: day {day + 1} of {days}")
        report.false_alarms += alarms_of_a_day(keys, seed=day, knows_light=day % 2 == 1)
        report.camera_hours += CAMERA_HOURS
    return report


def _clips(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Clips to use, and what was asked for and is not there."""
    found, missing = ([TUNED_ON], []) if TUNED_ON.exists() else ([], [f"{TUNED_ON} (apt install opencv-doc)"])
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found += sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            missing.append(argument)
    return found, missing


def _lines(reports: Sequence[ClipReport], cost: Cost | None, missing: Sequence[str]) -> Iterator[str]:
    """The report as text."""
    for report in reports:
        yield f"{report.clip}{' (tuned on)' if report.tuned_on else ''}"
        yield from (f"  {name:30s}{value:10.4g}" for name, value in report.figures.items())
        for trial in report.faults:
            if not trial.is_right or (trial.raised_after or 0) > MAX_LATENCY or not trial.is_cleared:
                yield f"  fault {_line(trial)}"
        yield from (f"  nuisance {_line(trial)}" for trial in report.nuisances if trial.raised_after is not None)
        yield from (f"  in a day: {alarm}" for alarm in report.false_alarms)
    if cost is not None:
        yield "1080p, on one core"
        yield from (f"  {name.replace('_', ' '):30s}{value:10.4g}" for name, value in asdict(cost).items())
    yield from (f"not there, so not in the report: {clip}" for clip in missing)


def _line(trial: Trial) -> str:
    rate = "variable" if trial.is_variable_rate else "constant"
    cleared = "" if trial.is_cleared else ", not cleared"
    named = f"{trial.named} after {trial.raised_after} key frames: {trial.message}" if trial.named else "not found"
    return f"{trial.kind}, severity {trial.severity}, {rate} rate: {named}{cleared}"


def main() -> int:
    """Entry point; 1 if no clip is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", action="append", default=[], help="further clips: a video file or a folder of them")
    parser.add_argument("--days", type=int, default=2, help="synthetic days per clip (default: 2)")
    parser.add_argument("--no-cost", action="store_true", help="leave the measurement of CPU time out")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:5.0f} s  {line}\n")

    clips, missing = _clips(arguments.clips)
    reports = [examine(path, arguments.days, say) for path in clips]
    cost = measure_cost(clips[0]) if clips and not arguments.no_cost else None
    if arguments.output == "json":
        whole = {"clips": [asdict(report) | {"figures": report.figures} for report in reports], "missing": missing}
        json.dump(whole | {"cost": asdict(cost) if cost is not None else None}, sys.stdout, indent=2)
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(reports, cost, missing))
    return 0 if reports else 1


if __name__ == "__main__":
    sys.exit(main())
