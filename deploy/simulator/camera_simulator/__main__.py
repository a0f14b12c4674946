"""Command line of the camera simulator."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from camera_simulator.api import ApiServer
from camera_simulator.config import CameraConfig, read_config
from camera_simulator.errors import SimulatorError
from camera_simulator.faults import FAULTS
from camera_simulator.footage import CLIPS, ClipLibrary, default_cache, prepare_all

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("camera_simulator")

_FOOTAGE_VARIABLE: Final = "CAMERA_SIMULATOR_FOOTAGE_DIR"
_MAX_COUNT: Final = 2000


def main() -> int:
    """Run the simulator; the exit code is 0, 2 for what the user can put right, or 130 if interrupted at the start."""
    arguments = _parser().parse_args()
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        if arguments.prepare_footage:
            prepare_all(arguments.footage_dir, arguments.footage)
        else:
            _serve(arguments)
    except SimulatorError as error:
        print(f"camera_simulator: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _serve(arguments: argparse.Namespace) -> None:
    cameras = _cameras(arguments)
    try:
        # Asked for here, where their absence can be explained.
        from camera_simulator.simulator import Simulator  # noqa: PLC0415
        from camera_simulator.stream import wrap_access_unit  # noqa: PLC0415
    except (ImportError, ValueError) as error:
        raise SimulatorError(
            f"GStreamer's Python bindings are missing ({error}). They come with the Debian and Ubuntu packages "
            "python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base and gstreamer1.0-plugins-good, "
            "and belong to the system's Python: run this by /usr/bin/python3"
        ) from None
    library = ClipLibrary(arguments.footage_dir, wrap_access_unit, arguments.footage)
    simulator = Simulator(library, arguments.bind, arguments.port, frozenset({arguments.api_port}))
    for camera in cameras:
        simulator.add(camera)
    try:
        api = ApiServer((arguments.bind, arguments.api_port), simulator)
    except OSError as error:
        raise SimulatorError(f"--api-port: {arguments.bind}:{arguments.api_port}: {error.strerror}") from None
    _stop_on_signals(simulator.stop)
    threading.Thread(target=api.serve_forever, name="api", daemon=True).start()
    log.info("%d cameras ready; API on http://%s:%d/cameras", len(cameras), arguments.bind, arguments.api_port)
    simulator.run()
    api.shutdown()
    api.server_close()
    log.info("stopped")


def _cameras(arguments: argparse.Namespace) -> list[CameraConfig]:
    if arguments.config is not None:
        return read_config(arguments.config)
    width = max(3, len(str(arguments.count)))
    clip = CLIPS[arguments.clip]
    return [CameraConfig(name=f"camera-{number:0{width}}", clip=clip) for number in range(1, arguments.count + 1)]


def _stop_on_signals(stop: Callable[[], None]) -> None:
    # Python's own handlers would wait for the main loop, which is in C, to come back.
    from camera_simulator.gst import GLib  # noqa: PLC0415

    def on_signal() -> bool:
        stop()
        return True

    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, on_signal)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m camera_simulator",
        description="RTSP cameras that play real footage and break on request. Every camera has its own TCP port: "
        "rtsp://HOST:PORT/NAME/main and rtsp://HOST:PORT/NAME/sub.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cameras = parser.add_mutually_exclusive_group(required=True)
    cameras.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON file with the list of cameras (fields: see README.md)"
    )
    cameras.add_argument(
        "--count",
        type=_integer(0, _MAX_COUNT),
        metavar="N",
        help="N cameras without authentication: camera-001, camera-002, ...",
    )
    cameras.add_argument(
        "--prepare-footage", action="store_true", help="encode every clip and variant that is missing, then exit"
    )
    parser.add_argument(
        "--clip", choices=CLIPS, default="h264-720p", metavar="CLIP", help="main stream of --count (default: h264-720p)"
    )
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="host address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port",
        type=_integer(1, 65_535),
        default=8554,
        metavar="PORT",
        help="TCP port of the first camera; each further one takes the next free one (default: 8554)",
    )
    parser.add_argument(
        "--api-port",
        type=_integer(1, 65_535),
        default=8553,
        metavar="PORT",
        help="port of the HTTP API (default: 8553)",
    )
    parser.add_argument(
        "--footage-dir",
        type=Path,
        default=Path(os.environ.get(_FOOTAGE_VARIABLE) or default_cache()),
        metavar="DIR",
        help=f"where encoded clips are kept (default: ${_FOOTAGE_VARIABLE} or {default_cache()})",
    )
    parser.add_argument(
        "--footage", type=Path, metavar="FILE", help="video to encode (default: vtest.avi of the package opencv-doc)"
    )
    parser.add_argument("--verbose", action="store_true", help="log every API request")
    return parser


def _epilog() -> str:
    width = max(map(len, FAULTS)) + 2
    return "\n".join(
        [
            "clips:",
            *(f"  {spec}" for spec in CLIPS.values()),
            "",
            "faults:",
            *(f"  {name:{width}}{behaviour.description}" for name, behaviour in FAULTS.items()),
            "",
            "switching one:",
            '  curl -X PUT -d \'{"fault": "stall", "forSeconds": 30}\' http://127.0.0.1:8553/cameras/camera-001/fault',
            "  curl -X DELETE http://127.0.0.1:8553/cameras/camera-001/fault",
        ]
    )


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return int(text)

    return parse


if __name__ == "__main__":
    sys.exit(main())
