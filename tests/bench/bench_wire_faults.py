"""Every wire fault on real servers: what the worker calls it, how soon, and what it costs the camera's neighbours.

Breaks cameras of GStreamer's RTSP server (H.264, H.265, Motion JPEG; TCP, UDP, TLS; Basic, Digest), of the simulator's
HTTP server, on a lossy network of their own, and of VLC, rtsp-server-perl, motion and go2rtc, while 31 healthy cameras
are watched by the same worker, and prints a table by server and fault. What is missing on this machine is named, with
how to install it. Exit code 1: a fault was not named right and in time, or a neighbour lost a frame.

The networks need root. Takes about five minutes.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / folder) for folder in ("tests", "crds", "workers")]

from wire.report import WAVES, Group, Row, grouped, run, summary  # noqa: E402 - found by the line above

_GROUP_HEADS = (
    "server|codec; over|fault|to be named|right|known: p50 / max, s|limit, s|last name: max, s|works again: max, s"
)
_CASE_HEADS = "server|codec|over|fault|to be named|named|known, s|limit, s|last name, s|works again, s|"


def _groups(groups: Iterable[Group]) -> str:
    lines = (
        (
            *(group.server, group.spoken, group.fault, group.expected, f"{group.right} of {group.cases}"),
            "" if group.known_median is None else f"{group.known_median:.1f} / {_seconds(group.known_longest)}",
            "" if group.known_median is None else _seconds(group.known_limit),
            *map(_seconds, (group.named_longest, group.working_again_longest)),
        )
        for group in groups
    )
    return _table(_GROUP_HEADS, lines)


def _cases(rows: Iterable[Row]) -> str:
    lines = (
        (
            *(row.server, row.codec, row.transport, row.fault, row.expected, row.got),
            *map(_seconds, (row.known, row.known_limit, row.named, row.working_again)),
            row.wrong,
        )
        for row in rows
    )
    return _table(_CASE_HEADS, lines)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _table(heads: str, lines: Iterable[Sequence[str]]) -> str:
    head = heads.split("|")
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("waves", nargs="*", help=f"which of {', '.join(WAVES)} (default: all)")
    parser.add_argument("--output", choices=("table", "cases", "json"), default="table")
    options = parser.parse_args()
    unknown = sorted(set(options.waves) - set(WAVES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(WAVES)}")
    rows, disturbed = run(options.waves or list(WAVES))
    counts = summary(rows, disturbed)
    wrong = [row for row in rows if row.wrong]
    if options.output == "json":
        sys.stdout.write(json.dumps({"summary": counts, "cases": [asdict(row) for row in rows]}, indent=2) + "\n")
    else:
        table = _cases(rows) if options.output == "cases" else _groups(grouped(rows))
        parts = [
            table,
            *([_cases(wrong)] if wrong else []),
            "\n".join(f"{key}: {value}" for key, value in counts.items()),
        ]
        sys.stdout.write("\n\n".join(parts) + "\n")
    return 1 if disturbed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
