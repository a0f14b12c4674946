"""The control groups of the pods, in version 1 (a hierarchy per controller) and version 2 (one for all)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.configs import CGROUP_ROOT
from local_cluster.errors import ClusterError, PreflightError
from local_cluster.processes import identify

if TYPE_CHECKING:
    from local_cluster.processes import Process

_ROOT = Path("/sys/fs/cgroup")
_NEEDED = frozenset({"cpu", "cpuset", "memory", "pids"})
# What kubelet uses of version 2, as far as the kernel has it.
_KUBELET = _NEEDED | {"hugetlb"}
_REMOVAL_PATIENCE = 5.0


def check(root: Path = _ROOT) -> None:
    """Refuse a machine on which kubelet could not limit its pods.

    Raises:
        PreflightError: names the missing controllers.
    """
    unified = root / "cgroup.controllers"
    if unified.exists():
        available = set(unified.read_text().split())
    else:
        available = {part for folder in root.iterdir() if folder.is_dir() for part in folder.name.split(",")}
    if missing := _NEEDED - available:
        raise PreflightError(
            f"{root} lacks the cgroup controllers {', '.join(sorted(missing))}",
            "inside a container, start it with --privileged and --cgroupns=host",
        )


def create(root: Path = _ROOT) -> None:
    """Create the group under which kubelet keeps all pods.

    Raises:
        ClusterError: version 2 refuses to hand controllers down.
    """
    for hierarchy in _hierarchies(root):
        (hierarchy / CGROUP_ROOT).mkdir(exist_ok=True)
    unified = root / "cgroup.controllers"
    if unified.exists():
        _hand_down(root, set(unified.read_text().split()) & _KUBELET)


def processes(root: Path = _ROOT) -> list[Process]:
    """Every process in a container of the cluster."""
    found: set[Process] = set()
    for hierarchy in _hierarchies(root):
        for path in (hierarchy / CGROUP_ROOT).rglob("cgroup.procs"):
            try:
                pids = path.read_text().split()
            except OSError:
                # The group went away, or (version 2) it is a threaded one, whose processes its parent shows.
                continue
            found.update(process for pid in pids if (process := identify(int(pid))) is not None)
    return list(found)


def remove(root: Path = _ROOT) -> None:
    """Remove the group and all below it; its processes must have been stopped."""
    deadline = time.monotonic() + _REMOVAL_PATIENCE
    for hierarchy in _hierarchies(root):
        top = hierarchy / CGROUP_ROOT
        while top.exists():
            try:
                for folder in sorted(filter(Path.is_dir, top.rglob("*")), key=_depth, reverse=True):
                    folder.rmdir()
                top.rmdir()
            except OSError:
                # A process that was killed a moment ago still counts until the kernel is done with it.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _hand_down(root: Path, controllers: set[str]) -> None:
    """Give the root's children the controllers that kubelet insists on in its own group (version 2 only)."""
    control = root / "cgroup.subtree_control"
    for controller in sorted(controllers - set(control.read_text().split())):
        try:
            control.write_text(f"+{controller}")
        except OSError as error:
            raise ClusterError(
                f"{control} does not take the controller {controller}: {error.strerror}",
                "inside a container, run an init system in it, or start it with --cgroupns=host",
            ) from error


def _hierarchies(root: Path) -> list[Path]:
    if (root / "cgroup.controllers").exists():
        return [root]
    # Several names may link to one hierarchy (cpu -> cpu,cpuacct).
    return [folder for folder in root.iterdir() if folder.is_dir() and not folder.is_symlink() and _is_cgroup(folder)]


def _is_cgroup(folder: Path) -> bool:
    return (folder / "cgroup.procs").exists()


def _depth(path: Path) -> int:
    return len(path.parts)
