"""Starting, watching and stopping the components of one instance."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from local_cluster import processes
from local_cluster.components import base_environment
from local_cluster.errors import ClusterError, ComponentError
from local_cluster.processes import COMPONENT_MARK, INSTANCE_MARK, Process, ProcessRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from local_cluster.components import Component
    from local_cluster.paths import InstancePaths
    from local_cluster.progress import Reporter

# On two busy cores a component takes seconds; a minute means that it will not come.
START_TIMEOUT = 90.0
_POLL_INTERVAL = 0.05
_STOP_GRACE = 5.0
_LOG_TAIL = 15


class Supervisor:
    """The processes of an instance.

    Args:
        paths: files of the instance.
    """

    def __init__(self, paths: InstancePaths) -> None:
        self._paths = paths

    def record(self, name: str) -> ProcessRecord | None:
        """What is remembered of a component, whether or not it still runs."""
        return ProcessRecord.load(self._record_path(name))

    def running(self, name: str) -> ProcessRecord | None:
        """The record of a component that runs; None when it does not."""
        record = self.record(name)
        return record if record is not None and record.process.is_alive() else None

    def ensure(self, group: Sequence[Component], reporter: Reporter) -> list[str]:
        """Start the components of a group that do not run as described, and wait until all are healthy.

        Returns:
            Names of the components that were started.

        Raises:
            ComponentError: one of them died or did not become healthy in time.
        """
        started = [component.name for component in group if self._ensure_started(component)]
        names = ", ".join(component.name for component in group)
        with reporter.step(f"{names} {'started' if started else 'running'}"), ThreadPoolExecutor(len(group)) as pool:
            for _ in pool.map(self._wait_until_healthy, group):
                pass
        return started

    def start(self, component: Component) -> None:
        """Start a component and wait until it is healthy.

        Raises:
            ComponentError: it died or did not become healthy in time.
        """
        self._start(component)
        self._wait_until_healthy(component)

    def stop(self, name: str, *, grace: float = _STOP_GRACE) -> None:
        """Stop a component; none is no error."""
        record = self.running(name)
        if record is not None:
            processes.stop([record.process], grace=grace)
        self._record_path(name).unlink(missing_ok=True)

    def send(self, name: str, signal_number: int) -> None:
        """Send a signal to a component; after SIGKILL, wait until the process is gone and its ports are free.

        Raises:
            ClusterError: it does not run.
        """
        record = self.running(name)
        if record is None or not record.process.send(signal_number):
            raise ClusterError(f"{name} does not run", "`up` starts it")
        if signal_number == signal.SIGKILL:
            processes.stop([record.process], grace=0)

    def remove_strays(self, expected: Sequence[Component]) -> None:
        """Stop components whose start was cut short before it was recorded, and those no longer described.

        Containers' shims carry the same mark but live on across restarts of containerd, as they should.
        """
        names = {component.name for component in expected}
        recorded = {record.process for name in names if (record := self.running(name))}
        strays = [
            process
            for process, component in processes.marked(self._paths.root)
            if process not in recorded and processes.command_name(process) == component
        ]
        processes.stop(strays, grace=_STOP_GRACE)

    def all_processes(self) -> list[Process]:
        """Every process of the instance: components, their helpers and the shims of containers."""
        return [process for process, _ in processes.marked(self._paths.root)]

    def _record_path(self, name: str) -> Path:
        return self._paths.processes / f"{name}.json"

    def _ensure_started(self, component: Component) -> bool:
        record = self.running(component.name)
        if record is not None:
            if record.fingerprint == component.fingerprint():
                # A component that somebody paused is healed like one that died.
                record.process.send(signal.SIGCONT)
                return False
            self.stop(component.name)
        self._start(component)
        return True

    def _start(self, component: Component) -> None:
        environment = {
            **base_environment(),
            **component.environment,
            INSTANCE_MARK: str(self._paths.root),
            COMPONENT_MARK: component.name,
        }
        process = processes.spawn(component.argv, log=self._paths.log(component.name), environment=environment)
        record = ProcessRecord(process, component.fingerprint(), time.time())
        self._paths.processes.mkdir(parents=True, exist_ok=True)
        record.save(self._record_path(component.name))

    def _wait_until_healthy(self, component: Component) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not component.is_healthy():
            if self.running(component.name) is None:
                raise ComponentError(f"{component.name} died while it started", self._log_hint(component.name))
            if time.monotonic() > deadline:
                raise ComponentError(
                    f"{component.name} runs but did not become healthy within {START_TIMEOUT:.0f} s",
                    self._log_hint(component.name),
                )
            time.sleep(_POLL_INTERVAL)

    def _log_hint(self, name: str) -> str:
        log = self._paths.log(name)
        lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL:] if log.exists() else []
        return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines)])
