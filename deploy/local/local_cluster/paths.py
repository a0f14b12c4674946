"""Where the local cluster keeps its files: a cache that survives it, and the state of each instance that does not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from local_cluster.errors import ClusterError

LOCAL_ROOT = Path(__file__).resolve().parent.parent
KUBEBOX_SOURCE = LOCAL_ROOT / "kubebox"
KWOK_SOURCE = LOCAL_ROOT / "kwok"

# The name becomes a folder, part of a socket path (limited to 107 bytes) and a node name.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def cache_root() -> Path:
    """The folder of built binaries, base images and image layers: ``$XDG_CACHE_HOME/camera-operator``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "camera-operator"


def state_root() -> Path:
    """The folder of all instances: ``$CAMERA_OPERATOR_STATE``, by default ``/var/lib/camera-operator``."""
    return Path(os.environ.get("CAMERA_OPERATOR_STATE") or "/var/lib/camera-operator").absolute()


def disk_bytes(folder: Path) -> int:
    """Space that a folder takes on its own file system: mounts below it (volumes, merged layers) do not count."""
    device = folder.stat().st_dev
    total = 0
    pending = [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if info.st_dev != device:
                        continue
                    total += info.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            # Files come and go while the cluster runs.
            continue
    return total


@dataclass(frozen=True)
class InstancePaths:
    """The files of one instance, all under ``root``; ``down`` removes the whole folder."""

    root: Path

    @classmethod
    def of(cls, name: str) -> InstancePaths:
        """The paths of the instance ``name``.

        Raises:
            ClusterError: the name is not a lower-case DNS label of at most 40 characters.
        """
        if not _NAME.fullmatch(name):
            raise ClusterError(
                f"{name!r} is no name for a cluster",
                "use at most 40 lower-case letters, digits and dashes, starting and ending with a letter or digit",
            )
        return cls(state_root() / name)

    @property
    def state_file(self) -> Path:
        """What was decided when the instance was created: profile, ports, networks."""
        return self.root / "instance.json"

    @property
    def kubeconfig(self) -> Path:
        """Access as cluster-admin; readable by its owner only."""
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files of the components."""
        return self.root / "config"

    @property
    def processes(self) -> Path:
        """One record per running component."""
        return self.root / "processes"

    @property
    def logs(self) -> Path:
        """One file per component."""
        return self.root / "logs"

    @property
    def etcd(self) -> Path:
        """The database."""
        return self.root / "etcd"

    @property
    def kubelet(self) -> Path:
        """Volumes and checkpoints of pods."""
        return self.root / "kubelet"

    @property
    def volume_plugins(self) -> Path:
        """FlexVolume drivers: none, but kubelet and kube-controller-manager want the folder."""
        return self.root / "volume-plugins"

    @property
    def pod_logs(self) -> Path:
        """Standard output of the containers, a folder per pod."""
        return self.root / "pod-logs"

    @property
    def containerd(self) -> Path:
        """Images, snapshots and containers."""
        return self.root / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """The container runtime's API."""
        return self.root / "containerd.sock"

    @property
    def cni(self) -> Path:
        """Configuration and address leases of the pod network."""
        return self.root / "cni"

    @property
    def tool_homes(self) -> Path:
        """Caches and plugin folders of kubectl and helm, kept apart from the user's own."""
        return self.root / "tools"

    def log(self, component: str) -> Path:
        """The log file of one component."""
        return self.logs / f"{component}.log"
