"""Taking an instance down so that no process, mount, interface, rule, control group or file of it is left."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from local_cluster import cgroups, containerd, mounts, network, preflight, processes
from local_cluster.errors import ClusterError
from local_cluster.instance import Instance, existing_instances, lock_instance, remove_folder
from local_cluster.paths import InstancePaths
from local_cluster.supervisor import Supervisor

if TYPE_CHECKING:
    from local_cluster.progress import Reporter

_PATIENCE = 60.0


def take_down(name: str, reporter: Reporter) -> bool:
    """Stop everything of an instance and remove all traces, also of one whose creation was interrupted.

    Returns:
        Whether there was anything to take down.

    Raises:
        ClusterError: something could not be removed; calling again is safe.
    """
    paths = InstancePaths.of(name)
    if not paths.root.exists():
        return False
    with lock_instance(paths):
        instance = Instance.load_leniently(name)
        # Without its decisions (the start was cut short, or the file is damaged) it may have been the node.
        is_node = instance.is_node if instance else _may_have_been_the_node()
        if is_node:
            preflight.check_root("pods, networks and mounts need root")
        with reporter.step("Processes stopped"):
            _stop_processes(paths, is_node=is_node)
        if is_node:
            with reporter.step("Mounts, network and control groups removed"):
                mounts.unmount_below(paths.root)
                network.take_down()
                cgroups.remove()
                if instance and instance.boot_id == processes.boot_id():
                    network.write_sysctls(instance.sysctls)
                containerd.remove_traces(paths)
        with reporter.step("Files removed"):
            remove_folder(paths)
    return True


def _may_have_been_the_node() -> bool:
    return os.geteuid() == 0 and not any(other.is_node for other in existing_instances())


def _stop_processes(paths: InstancePaths, *, is_node: bool) -> None:
    """Kill at once: the data is about to be removed, so there is nothing to finish.

    Repeated, because kubelet and shims may have started another process while the first were being stopped.
    """
    supervisor = Supervisor(paths)
    deadline = time.monotonic() + _PATIENCE
    while remaining := [*supervisor.all_processes(), *(cgroups.processes() if is_node else [])]:
        stuck = processes.stop(remaining, grace=0)
        if stuck or time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in stuck or remaining)
            raise ClusterError(f"processes {pids} do not end", "they wait for the kernel; try again, or reboot")
