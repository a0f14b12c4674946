"""``camera-operator``: the command line, and the process with its signals, endpoints and tasks."""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable, Collection, Coroutine
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import prometheus_client

from camera_operator import logs, report
from camera_operator import settings as settings_module
from camera_operator.assembly import Assembly
from camera_operator.cache import Cache
from camera_operator.cluster_api import KubernetesApi, load_configuration
from camera_operator.decide.settings import PlanSettings
from camera_operator.endpoints import Endpoints
from camera_operator.errors import OperatorError, SettingsError, TaskDiedError
from camera_operator.metrics import Metrics
from camera_operator.settings import Settings
from camera_operator.watch import wait_for_kinds

logger = logging.getLogger("camera_operator")

#: Objects more than before until the garbage collector looks at the youngest ones; Python's 700 are for small programs.
#: Nearly everything here is freed without it, and to look at a large fleet's objects again and again took a third of
#: the processor time of a start.
_GARBAGE_THRESHOLD = 10_000
#: Seconds for passes and writes that are under way when the process is asked to stop; a write takes 5 s at most.
_STOP_GRACE = 10.0


def release() -> str:
    """Version of the installed distribution."""
    try:
        return version("camera-operator")
    except PackageNotFoundError:
        return "unknown"


class Operator:
    """The process: starts the parts, watches over them, stops them in order.

    Args:
        settings: what it was started with.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics()
        self.cache = Cache(settings.watch_namespaces)
        self._stop = asyncio.Event()
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self.endpoints = Endpoints(self.metrics.registry, unhealthy=self._unhealthy, unready=self._unready)

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT.

        Raises:
            OperatorError: something that must not end has ended, or there is no cluster.
        """
        self._handle_signals()
        await self.endpoints.start(self._settings.http_port)
        logger.info("/metrics, /healthz and /readyz are on port %d", self.endpoints.port)
        configuration = await load_configuration(self._settings.kubeconfig, self._settings.context)
        api = KubernetesApi(
            configuration, count_write=self.metrics.count_write, user_agent=f"camera-operator/{release()}"
        )
        try:
            if await self._unless_stopped(wait_for_kinds(api)):
                await self._serve(api, configuration)
        finally:
            await api.close()
            await self.endpoints.stop()

    def stop(self) -> None:
        """Asks for a graceful stop."""
        self._stop.set()

    async def _serve(self, api: KubernetesApi, configuration: Any) -> None:
        parts = Assembly(
            api,
            configuration,
            cache=self.cache,
            settings=self._settings,
            plan_settings=plan_settings(self._settings, resizes_pods=await api.can_resize_pods()),
            metrics=self.metrics,
        )
        for task in await parts.watcher.start():
            self._tasks[task] = f"kopf: {task.get_name()}"
        # kopf takes the signals for itself when it starts.
        self._handle_signals()
        for name, run in parts.listening.items():
            self._start(name, run())
        writing = [self._start(name, run()) for name, run in parts.writing.items()]
        try:
            await self._supervise()
        finally:
            parts.close()
            await asyncio.wait(writing, timeout=_STOP_GRACE)
            await parts.leader.release()
            await self._cancel_all()
            await parts.watcher.stop()

    def _start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks[task] = name
        return task

    async def _supervise(self) -> None:
        """Waits for the request to stop.

        Raises:
            TaskDiedError: a part has ended first.
        """
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait({stop, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        if stop in done:
            logger.info("stopping: writes that are under way are finished, the Lease is given up")
            return
        stop.cancel()
        task = done.pop()
        error = None if task.cancelled() else task.exception()
        why = f"{type(error).__name__}: {error}" if isinstance(error, OperatorError) else type(error).__name__
        raise TaskDiedError(f"{self._tasks[task]} has ended ({why}); the process stops") from error

    async def _cancel_all(self) -> None:
        own = [task for task, name in self._tasks.items() if not name.startswith("kopf: ")]
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, None]) -> bool:
        """Whether the coroutine has ended before the request to stop came; it is cancelled then."""
        work, stop = asyncio.create_task(waiting), asyncio.create_task(self._stop.wait())
        tasks: Collection[asyncio.Task[Any]] = (work, stop)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finished = work.done()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return finished

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _unhealthy(self) -> str:
        dead = sorted(name for task, name in self._tasks.items() if task.done())
        return f"{', '.join(dead)} ended" if dead and not self._stop.is_set() else ""

    def _unready(self) -> str:
        if self.cache.is_synced:
            return ""
        waiting = sorted({scope.resource.plural for scope in self.cache.unswept})
        return f"the cache is not complete yet: {', '.join(waiting)}"


def plan_settings(settings: Settings, *, resizes_pods: bool) -> PlanSettings:
    """What of the settings and of the API server's abilities decisions need."""
    return PlanSettings(
        worker_image=settings.worker_image,
        image_pull_policy=settings.worker_image_pull_policy,
        image_pull_secrets=settings.worker_image_pull_secrets,
        worker_service_account=settings.worker_service_account,
        worker_log_level=settings.worker_log_level,
        operator_version=release(),
        runbook=settings.runbook,
        failover_after=float(settings.failover_after_seconds),
        resizes_pods=resizes_pods,
    )


def _spare_garbage_collector() -> None:
    """Lets the garbage collector look seldom, and never at what the imports have made."""
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


def _run(options: argparse.Namespace) -> int:
    try:
        settings = settings_module.load_settings(options)
    except SettingsError as error:
        sys.stderr.write(f"camera-operator run: {error}\n")
        return 2
    logs.configure(settings.log_level, settings.log_format)
    # Twice the series for a time that nobody asks for.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    logger.info(
        "camera-operator %s serves %s, Lease %s/%s as %s",
        release(),
        f"namespaces {', '.join(settings.watch_namespaces)}" if settings.watch_namespaces else "all namespaces",
        settings.namespace,
        settings.lease_name,
        settings.pod_name,
    )
    _spare_garbage_collector()
    try:
        asyncio.run(_operate(settings))
    except OperatorError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message says it all
        return 1
    logger.info("stopped")
    return 0


async def _operate(settings: Settings) -> None:
    await Operator(settings).run()


def _report(options: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(report.run(options))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="camera-operator", description="Which cameras work, which are faulty, since when and why."
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {release()}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator. Every flag can be set by the environment variable in brackets; the flag wins.",
        formatter_class=argparse.HelpFormatter,
    )
    settings_module.add_flags(run)
    run.set_defaults(call=_run)
    show = commands.add_parser(
        "report",
        help="show how many cameras work and which are faulty",
        description="Show how many cameras work by category, and the faulty ones with reason and since-time.",
    )
    report.add_flags(show)
    show.set_defaults(call=_report)
    return root


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = options.call
    return call(options)


if __name__ == "__main__":
    sys.exit(main())
