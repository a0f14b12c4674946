"""Processes that outlive the command which started them, found again without ever mistaking another process for ours.

A pid alone is not an identity: after a crash or a reboot the number may belong to anybody. A record therefore also
holds the start time of the process in clock ticks and the boot it belongs to. Every process further carries two
marks in its environment, so that those whose record was never written (the command was killed in between), and
children such as containerd's shims, are found too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

INSTANCE_MARK = "CAMERA_OPERATOR_INSTANCE"
COMPONENT_MARK = "CAMERA_OPERATOR_COMPONENT"
_PROC = Path("/proc")
_MAX_LOG_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True)
class Process:
    """One process of this machine, identified beyond its pid.

    Attributes:
        pid: process id.
        start_ticks: start time in clock ticks since boot, field 22 of proc(5) ``stat``.
        boot_id: the boot that ``pid`` and ``start_ticks`` belong to.
    """

    pid: int
    start_ticks: int
    boot_id: str

    def is_alive(self) -> bool:
        """Whether exactly this process still runs; a zombie does not."""
        return self.boot_id == boot_id() and _start_ticks(self.pid) == self.start_ticks

    def age(self) -> float:
        """Seconds since it started."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, uptime - self.start_ticks / os.sysconf("SC_CLK_TCK"))

    def send(self, signal_number: int) -> bool:
        """Send a signal; False when the process is gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, signal_number)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True)
class ProcessRecord:
    """What is remembered of a started component.

    Attributes:
        process: the process itself.
        fingerprint: hash of its command line and configuration; another one means that it must be restarted.
        started_at: wall-clock time (seconds since the epoch), for people.
    """

    process: Process
    fingerprint: str
    started_at: float

    def save(self, path: Path) -> None:
        """Write the record, at once or not at all."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> ProcessRecord | None:
        """Read a record; None when there is none or it was cut short by a crash."""
        try:
            data = json.loads(path.read_text())
            return cls(Process(**data["process"]), data["fingerprint"], data["started_at"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def boot_id() -> str:
    """Identity of the running boot of the kernel."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none."""
    ticks = _start_ticks(pid)
    return None if ticks is None else Process(pid, ticks, boot_id())


def spawn(argv: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Process:
    """Start a program in a session of its own, with its output appended to ``log``.

    ``posix_spawn`` rather than ``subprocess``: the program is meant to outlive this one, so nobody waits for it.
    It runs in ``/``, so that it keeps no folder of the caller busy.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o640),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawnp(
        "env",
        ["env", "--chdir=/", *argv],
        dict(environment),
        file_actions=actions,
        setsid=True,
        setsigmask=[],
        # Python ignores it, and children would inherit that.
        setsigdef=[signal.SIGPIPE],
    )
    # A child that already died is a zombie: it still has its start time.
    ticks = _start_ticks(pid, zombies=True)
    return Process(pid, ticks or 0, boot_id())


def marked(instance: Path) -> list[tuple[Process, str]]:
    """Every process that carries the mark of the instance, with the component that it belongs to."""
    wanted = f"{INSTANCE_MARK}={instance}".encode()
    prefix = f"{COMPONENT_MARK}=".encode()
    found: list[tuple[Process, str]] = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            # Gone in the meantime, a kernel thread, or another user's: none of ours.
            continue
        if wanted not in environment:
            continue
        process = identify(int(entry.name))
        if process is not None:
            component = next((item[len(prefix) :].decode() for item in environment if item.startswith(prefix)), "")
            found.append((process, component))
    return found


def command_name(process: Process) -> str:
    """File name of the program that the process runs; empty when it is gone."""
    try:
        first = (_PROC / str(process.pid) / "cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return ""
    return Path(first.decode(errors="replace")).name


def stop(
    processes: Iterable[Process],
    *,
    grace: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Process]:
    """Terminate processes together, and kill those that are still there after ``grace`` seconds (0: kill at once).

    Returns:
        The processes that even survived SIGKILL for 10 seconds (blocked in the kernel); normally none.
    """
    remaining = list(processes)
    for signal_number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if patience <= 0:
            continue
        for process in remaining:
            process.send(signal_number)
            # A paused process acts on SIGTERM only once it is continued.
            process.send(signal.SIGCONT)
        deadline = clock() + patience
        while remaining := [process for process in remaining if not _is_gone(process)]:
            if clock() >= deadline:
                break
            sleep(0.02)
    return remaining


def _is_gone(process: Process) -> bool:
    if process.is_alive():
        return False
    # Reap it when it is our own child (the tests' API); otherwise whoever adopted it does.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return True


def _start_ticks(pid: int, *, zombies: bool = False) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX" and not zombies and not _has_other_threads(pid):
        return None
    return int(fields[19])


def _has_other_threads(pid: int) -> bool:
    """Whether a zombie is only the first thread of a process whose others still end, and hold its ports."""
    try:
        return sum(1 for _ in (_PROC / str(pid) / "task").iterdir()) > 1
    except OSError:
        return False
