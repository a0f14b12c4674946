"""The container runtime: its configuration for containerd 1.6 to 2.x, and the images in its store."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.errors import CommandError, PreflightError

if TYPE_CHECKING:
    from local_cluster.paths import InstancePaths

PAUSE_IMAGE = "localhost/pause:local"
_NAMESPACE = "k8s.io"
# Debian and Ubuntu; the place of the upstream archives.
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
_CNI_PLUGINS = ("bridge", "host-local", "loopback")
_CAP_SYS_RESOURCE = 24
_CONFIG_VERSION_3 = (2, 0)


def parse_version(text: str) -> tuple[int, int]:
    """Major and minor from the output of ``containerd --version``.

    >>> parse_version("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3")
    (1, 6)
    >>> parse_version("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b71")
    (2, 1)
    """
    found = re.search(r"\sv?(\d+)\.(\d+)\.", text)
    if not found:
        raise PreflightError(f"`containerd --version` answered {text.strip()!r}, which names no version")
    return int(found.group(1)), int(found.group(2))


def installed_version() -> tuple[int, int]:
    """Major and minor of this machine's containerd."""
    return parse_version(subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True).stdout)


def find_cni_plugins() -> Path:
    """The folder with the pod network's plugins.

    Raises:
        PreflightError: a plugin is missing.
    """
    for folder in _CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in _CNI_PLUGINS):
            return folder
    places = " or ".join(map(str, _CNI_FOLDERS))
    raise PreflightError(
        f"the network plugins {', '.join(_CNI_PLUGINS)} are not in {places}",
        "install them: apt-get install containernetworking-plugins",
    )


def render_config(paths: InstancePaths) -> str:
    """The configuration for this machine."""
    return config_text(
        paths,
        version=installed_version(),
        cni_plugins=find_cni_plugins(),
        overlay=overlay_works(paths.root),
        may_lower_oom_score=has_capability(_CAP_SYS_RESOURCE),
    )


def config_text(
    paths: InstancePaths, *, version: tuple[int, int], cni_plugins: Path, overlay: bool, may_lower_oom_score: bool
) -> str:
    """The configuration file.

    Args:
        paths: files of the instance.
        version: major and minor of containerd; 2.0 split the CRI settings over two plugins (format version 3).
        cni_plugins: folder of the network plugins.
        overlay: whether overlay mounts work; otherwise every snapshot is a full copy.
        may_lower_oom_score: without CAP_SYS_RESOURCE a process may not make itself less likely to be killed, and runc
            then dies ("can't get final child's PID from pipe: EOF") unless containerd keeps the scores in bounds.
    """
    snapshotter = "overlayfs" if overlay else "native"
    restrict = "false" if may_lower_oom_score else "true"
    cni = f'bin_dir = "{cni_plugins}"\n  conf_dir = "{paths.cni / "conf"}"'
    head = f"""\
version = {3 if version >= _CONFIG_VERSION_3 else 2}
root = "{paths.containerd / "root"}"
state = "{paths.containerd / "state"}"

[grpc]
  address = "{paths.containerd_socket}"

# Both would otherwise make folders and sockets outside of this instance.
[plugins."io.containerd.internal.v1.opt"]
  path = "{paths.containerd / "opt"}"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
"""
    if version >= _CONFIG_VERSION_3:
        images, runtime = "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"
        return f"""{head}
[plugins."{images}"]
  snapshotter = "{snapshotter}"
[plugins."{images}".pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins."{runtime}"]
  restrict_oom_score_adj = {restrict}
  netns_mounts_under_state_dir = true
[plugins."{runtime}".cni]
  {cni}
[plugins."{runtime}".containerd]
  default_runtime_name = "runc"
[plugins."{runtime}".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."{runtime}".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{paths.containerd / "runc"}"
"""
    cri = "io.containerd.grpc.v1.cri"
    return f"""{head}
[plugins."{cri}"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {restrict}
  # Not in /run/netns: the first `ip netns add` of anybody bind-mounts that folder over itself, and pods could not be
  # torn down any more.
  netns_mounts_under_state_dir = true
[plugins."{cri}".cni]
  {cni}
[plugins."{cri}".containerd]
  snapshotter = "{snapshotter}"
  default_runtime_name = "runc"
[plugins."{cri}".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."{cri}".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{paths.containerd / "runc"}"
"""


def overlay_works(folder: Path) -> bool:
    """Whether an overlay can be mounted on the file system of ``folder``: not on another overlay, as in a container."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".overlay-") as temporary:
        layers = {name: Path(temporary) / name for name in ("lower", "upper", "work", "merged")}
        for layer in layers.values():
            layer.mkdir()
        options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers["merged"])]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            return False
        subprocess.run(["umount", str(layers["merged"])], capture_output=True, check=True)
        return True


def has_capability(number: int) -> bool:
    """Whether this process has a capability, by its number in <linux/capability.h>."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> number & 1)
    return False


class ImageStore:
    """The images that pods of an instance can use.

    Args:
        paths: files of the instance; its containerd must run.
    """

    def __init__(self, paths: InstancePaths) -> None:
        self._paths = paths
        self._record = paths.containerd / "loaded-images.json"

    def loaded_id(self, image: str) -> str | None:
        """Identity under which the image was loaded; None when it is not (or no longer) there."""
        recorded: str | None = self._records().get(image)
        return recorded if recorded and image in self.names() else None

    def names(self) -> set[str]:
        """Names of all images."""
        return set(self._ctr("images", "list", "--quiet").split())

    def load(self, archive: Path, image: str | None = None, identity: str | None = None) -> None:
        """Load a docker or OCI archive, and remember the identity of the image in it."""
        # Snapshots are unpacked for the snapshotter that the CRI plugin uses, so that the first pod starts at once.
        config = (self._paths.config / "containerd.toml").read_text()
        snapshotter = "native" if 'snapshotter = "native"' in config else "overlayfs"
        self._ctr("images", "import", "--snapshotter", snapshotter, str(archive))
        if image and identity:
            temporary = self._record.with_suffix(".tmp")
            temporary.write_text(json.dumps({**self._records(), image: identity}, indent=2))
            temporary.replace(self._record)

    def _records(self) -> dict[str, str]:
        try:
            records: dict[str, str] = json.loads(self._record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return records

    def _ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self._paths.containerd_socket), "--namespace", _NAMESPACE, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise CommandError(
                f"`ctr {' '.join(arguments)}` failed: {result.stderr.strip()}",
                returncode=result.returncode,
                stderr=result.stderr,
            )
        return result.stdout


def write_network_config(paths: InstancePaths, *, bridge: str, pod_cidr: str, gateway: str) -> None:
    """Write the pod network: every pod gets an address of ``pod_cidr`` and a port of ``bridge``.

    No masquerading and no ``portmap`` plugin: both make iptables chains per pod, which stay when a pod is not torn
    down properly. The rules of :mod:`local_cluster.network` do the former; host ports are not supported.
    """
    folder = paths.cni / "conf"
    folder.mkdir(parents=True, exist_ok=True)
    plugin = {
        "type": "bridge",
        "bridge": bridge,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(paths.cni / "leases"),
            "ranges": [[{"subnet": pod_cidr, "gateway": gateway}]],
        },
    }
    content = {"cniVersion": "1.0.0", "name": network_name(paths), "plugins": [plugin]}
    (folder / "10-pods.conflist").write_text(json.dumps(content, indent=2) + "\n")


def network_name(paths: InstancePaths) -> str:
    """Name of the pod network; the cached results of its plugins are named after it."""
    return f"camera-operator-{paths.root.name}"


def remove_traces(paths: InstancePaths) -> None:
    """Remove what containerd, the network plugins and kubelet leave in folders that they share with others."""
    # A shim that was killed leaves its socket; its address stands beside the bundle of the container.
    for address in paths.containerd.glob("state/*/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    # Cached results are named NETWORK-CONTAINER-INTERFACE; those of the loopback network carry no name of ours.
    results = Path("/var/lib/cni/results")
    prefix = f"{network_name(paths)}-"
    for cached in results.glob(f"{prefix}*"):
        container = cached.name.removeprefix(prefix).rpartition("-")[0]
        for other in results.glob(f"*-{container}-*"):
            other.unlink(missing_ok=True)
    containers = Path("/var/log/containers")
    for link in containers.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(paths.pod_logs):
            link.unlink(missing_ok=True)
    # kubelet's socket for device plugins, whatever its root folder is.
    devices = Path("/var/lib/kubelet/device-plugins")
    for leftover in ("kubelet.sock", "kubelet_internal_checkpoint"):
        (devices / leftover).unlink(missing_ok=True)
    shims = Path("/run/containerd/s")
    for shared in (results, results.parent, containers, devices, devices.parent, shims, shims.parent):
        _remove_if_empty(shared)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # Missing, or others use it.
        return
