"""Mounts below a folder, from the kernel's own list."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from local_cluster.errors import ClusterError

_MOUNT_INFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def mount_points(mount_info: str) -> list[Path]:
    """Mount points in the text of ``/proc/self/mountinfo`` (proc(5): field 5, blanks as octal escapes)."""
    return [
        Path(_OCTAL.sub(lambda escape: chr(int(escape[1], 8)), line.split()[4])) for line in mount_info.splitlines()
    ]


def below(folder: Path) -> list[Path]:
    """Mount points below a folder, the latest first."""
    points = mount_points(_MOUNT_INFO.read_text())
    return [point for point in reversed(points) if point.is_relative_to(folder)]


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder.

    Raises:
        ClusterError: a mount is still in use.
    """
    # Several mounts may cover one another at the same point: one entry, and one umount, for each.
    for point in below(folder):
        if subprocess.run(["umount", str(point)], capture_output=True, check=False).returncode != 0:
            # Detached at once, released when its last user (a process that is just ending) is gone.
            subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)
    if remaining := below(folder):
        raise ClusterError(f"{remaining[0]} cannot be unmounted", "see what uses it with `fuser -vm` and try again")
