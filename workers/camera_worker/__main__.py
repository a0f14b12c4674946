"""``camera-worker``: wires the parts together. Exit codes: 0 stopped as asked, 1 a part has died, 2 wrong usage."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable

import prometheus_client
from aiohttp import web

from camera_worker import allocator, logs
from camera_worker.assignment import AssignmentWatcher
from camera_worker.decoding import DecodeLadder
from camera_worker.errors import SettingsError
from camera_worker.health import HealthStore
from camera_worker.ingest.camera import Camera, Surroundings
from camera_worker.ingest.ffmpeg_log import quieten_ffmpeg
from camera_worker.ingest.picture_store import PictureStore
from camera_worker.ingest.rtsp_source import RtspOpener
from camera_worker.ingest.slots import OpenSlots
from camera_worker.ingest.ts_muxer import TsMuxer
from camera_worker.metrics import make_registry
from camera_worker.overload import CpuProbe, Overload
from camera_worker.relay.hub import Relay
from camera_worker.server import Api
from camera_worker.settings import Settings, load_settings
from camera_worker.supervisor import Supervisor

logger = logging.getLogger("camera_worker")

#: Seconds for cameras to let go when the worker stops. Those that hang on a silent camera end with the process.
_STOP_S = 3.0


async def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT.

    Returns:
        How many cameras have not let go in time.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def changed() -> None:
        # A camera's thread may outlive the loop by the time that its last read takes.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(supervisor.collect)

    ladder = DecodeLadder()
    surroundings = _surroundings(settings, ladder, changed)
    supervisor = Supervisor(lambda assigned: Camera(assigned, surroundings), HealthStore(secrets.token_hex(8)))
    overload = Overload(
        ladder,
        CpuProbe(),
        lambda: supervisor.asked_decode,
        lambda: supervisor.reduce_decoding(ladder.reduced_to),
    )
    watcher = AssignmentWatcher(settings.assignment, supervisor.take_over)

    def unready() -> str:
        return "" if supervisor.assignment is not None else watcher.trouble or "no assignment has been taken over yet"

    registry = make_registry(
        lambda: list(supervisor.cameras.values()), lambda: supervisor.assignment, lambda: ladder.level
    )
    prometheus_client.ProcessCollector(registry=registry)
    api = Api(supervisor, registry, unready, lambda: watcher.trouble, relay=Relay(time.monotonic, TsMuxer))
    runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, settings.bind, settings.port).start()
    logger.info("listening on %s port %d, assignment from %s", settings.bind, settings.port, settings.assignment)
    tasks = {
        asyncio.create_task(supervisor.run()),
        asyncio.create_task(watcher.run()),
        asyncio.create_task(overload.run()),
        asyncio.create_task(allocator.keep_trimmed()),
    }
    try:
        await _supervise(tasks, stop)
    finally:
        left = await supervisor.stop(_STOP_S)
        await runner.cleanup()
    logger.info("stopped")
    return left


def _surroundings(settings: Settings, ladder: DecodeLadder, changed: Callable[[], None]) -> Surroundings:
    return Surroundings(
        opener=RtspOpener(),
        clock=time.monotonic,
        wall_clock=time.time,
        slots=OpenSlots(2 * settings.simultaneous_opens, per_site=settings.simultaneous_opens),
        changed=changed,
        decode_limit=lambda: ladder.limit,
        store=PictureStore(settings.memory),
    )


async def _supervise(tasks: set[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """Waits for the request to stop, and ends the tasks. One that ends before has failed, and its error is raised."""
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    try:
        settings = load_settings(arguments)
    except SettingsError as error:
        sys.stderr.write(f"camera-worker: {error}\n")
        return 2
    logs.configure(settings.log_level, settings.log_format)
    allocator.tune()
    quieten_ffmpeg()
    # Twice the series for a time that nobody asks for.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        left = asyncio.run(run(settings))
    except OSError as error:
        logger.error("cannot listen on %s port %d: %s", settings.bind, settings.port, error.strerror)  # noqa: TRY400
        return 1
    if left:
        # Threads inside FFmpeg do not survive the interpreter's own end.
        logging.shutdown()
        sys.stderr.flush()
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
