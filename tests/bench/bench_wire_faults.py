"""Every wire fault on real servers: what the worker calls it, how soon, and what it costs the camera's neighbours.

Breaks cameras of GStreamer's RTSP server (H.264, H.265, Motion JPEG; TCP, UDP, TLS; Basic, Digest), of the simulator's
HTTP server, on a lossy network of their own, and of VLC, rtsp-server-perl, motion and go2rtc, while 31 healthy cameras
are watched by the same worker, and prints a table. What is missing on this machine is named, with how to install it.
Exit code 1: a fault was not named right and in time, or a neighbour lost a frame.

The networks need root. Takes about four minutes.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / folder) for folder in ("tests", "crds", "workers")]

from wire.report import WAVES, Row, run, summary  # noqa: E402 - found by the line above


def _table(rows: list[Row]) -> str:
    heads = ("server", "codec", "over", "fault", "expected", "got", "known", "working again", "")
    lines = [
        (
            *(row.server, row.codec, row.transport, row.fault, row.expected, row.got),
            "" if row.known is None else f"{row.known:.1f} s",
            "" if row.working_again is None else f"{row.working_again:.1f} s",
            row.wrong,
        )
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ("---",) * len(heads), *lines))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("waves", nargs="*", help=f"which of {', '.join(WAVES)} (default: all)")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    unknown = sorted(set(options.waves) - set(WAVES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(WAVES)}")
    rows, disturbed = run(options.waves or list(WAVES))
    counts = summary(rows, disturbed)
    if options.output == "json":
        sys.stdout.write(json.dumps({"summary": counts, "cases": [asdict(row) for row in rows]}, indent=2) + "\n")
    else:
        lines = [_table(rows), "", *(f"{key}: {value}" for key, value in counts.items())]
        sys.stdout.write("\n".join(lines) + "\n")
    return 1 if disturbed or any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
