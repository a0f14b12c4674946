"""What a machine must have, checked before anything is started or changed."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import build, cgroups, containerd, network
from local_cluster.errors import PreflightError
from local_cluster.instance import DNS_PORT, KUBELET_PORT, is_port_free
from local_cluster.paths import state_root

if TYPE_CHECKING:
    from local_cluster.instance import Instance


@dataclass(frozen=True)
class Package:
    """A Debian package that is needed.

    Attributes:
        name: name of the package, the same in Debian and Ubuntu.
        provides: a program (looked up on PATH) or an absolute path that shows whether it is installed.
        purpose: what it is for.
    """

    name: str
    provides: str
    purpose: str

    def is_installed(self) -> bool:
        """Whether what it provides is there, from whatever source."""
        if self.provides.startswith("/"):
            return Path(self.provides).exists()
        return shutil.which(self.provides, path=_SEARCH_PATH) is not None


# The sbin folders too: they are missing in the PATH of ordinary users.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

NODE_PACKAGES = (
    Package("containerd", "containerd", "runs containers"),
    Package("runc", "runc", "runs containers"),
    Package("containernetworking-plugins", "/usr/lib/cni/bridge", "connects pods"),
    Package("nftables", "nft", "rules of Services"),
    Package("iproute2", "ip", "the bridge of the pods"),
    Package("mount", "mount", "volumes of pods"),
)
IMAGE_PACKAGES = (
    Package("buildah", "buildah", "builds images"),
    Package("mmdebstrap", "mmdebstrap", "makes the base image"),
    Package(
        "debian-archive-keyring",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "verifies the packages of the base image",
    ),
)

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_CHROOT": 18, "CAP_MKNOD": 27}
_STATE_BYTES = {"node": 3 * 1000**3, "control-plane": 500 * 1000**2, "workloads": 500 * 1000**2}
# The first kernel with everything that kube-proxy's nftables mode needs.
_MINIMUM_KERNEL = (5, 13)


def check(instance_profile: str) -> None:
    """Check what the profile needs of the machine.

    Raises:
        PreflightError: the first thing that is missing, with the command or option that helps.
    """
    if platform.system() != "Linux":
        raise PreflightError(
            f"the local cluster needs Linux, not {platform.system()}",
            "use an existing cluster: point KUBECONFIG at it",
        )
    if instance_profile == "node":
        check_root("pods, networks and mounts need root")
        check_packages(NODE_PACKAGES)
        _check_kernel()
        _check_capabilities()
        cgroups.check()
        containerd.find_cni_plugins()
        network.load_bridge_filter()
    _check_state_folder(instance_profile)
    if not build.is_built():
        build.check_build_space(build.find_go())


def check_root(reason: str) -> None:
    """Refuse to go on without root's rights.

    Raises:
        PreflightError: the user is not root.
    """
    if os.geteuid() != 0:
        raise PreflightError(f"root is needed: {reason}", "use sudo")


def check_packages(packages: tuple[Package, ...]) -> None:
    """Refuse to go on without Debian packages.

    Raises:
        PreflightError: names the packages that are missing, and the command that installs them.
    """
    missing = [package for package in packages if not package.is_installed()]
    if missing:
        details = ", ".join(f"{package.name} ({package.purpose})" for package in missing)
        names = " ".join(package.name for package in missing)
        raise PreflightError(
            f"packages are missing: {details}", f"install them: apt-get install --no-install-recommends {names}"
        )


def check_instance(instance: Instance, running: set[str]) -> None:
    """Check ports and networks of an instance.

    Args:
        instance: the instance that is about to start.
        running: names of its components that run already, and so hold their ports themselves.

    Raises:
        PreflightError: names the port and what uses it, or the network.
    """
    if instance.is_node:
        network.check_addresses(instance)
    for component, address, port, kind in _listeners(instance):
        if component in running or is_port_free(address, port, kind):
            continue
        protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
        fixed = instance.is_node and component in ("kubelet", "coredns")
        other = "" if fixed else ", or start the cluster with other ports: down, then up"
        if component == "kube-apiserver":
            other = ", or choose another port: down, then up --api-port PORT"
        raise PreflightError(
            f"{protocol} port {port} on {address}, which {component} needs, is taken by another program",
            f"find it with `ss -ltnup 'sport = :{port}'` and stop it{other}",
        )


def _listeners(instance: Instance) -> list[tuple[str, str, int, socket.SocketKind]]:
    tcp = socket.SOCK_STREAM
    listeners = [
        ("kube-apiserver", instance.address, instance.ports["kube-apiserver"], tcp),
        *(("etcd", "127.0.0.1", instance.ports[name], tcp) for name in ("etcd-client", "etcd-peer", "etcd-metrics")),
    ]
    if instance.is_node:
        listeners += [
            ("kubelet", instance.gateway, KUBELET_PORT, tcp),
            ("coredns", instance.gateway, DNS_PORT, tcp),
            ("coredns", instance.gateway, DNS_PORT, socket.SOCK_DGRAM),
        ]
    return listeners


def _check_kernel() -> None:
    release = platform.release()
    major, minor = (int(part) for part in release.split("-")[0].split(".")[:2])
    if (major, minor) < _MINIMUM_KERNEL:
        raise PreflightError(f"Linux {release} is too old: Services need 5.13 or newer (nftables)")


def _check_capabilities() -> None:
    missing = [name for name, number in _CAPABILITIES.items() if not containerd.has_capability(number)]
    if missing:
        raise PreflightError(
            f"root lacks the capabilities {', '.join(missing)} here", "inside a container, start it with --privileged"
        )


def _check_state_folder(profile: str) -> None:
    root = state_root()
    existing = next(path for path in (root, *root.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise PreflightError(
            f"{existing} is not writable", "use sudo, or keep the state elsewhere with CAMERA_OPERATOR_STATE"
        )
    free, needed = shutil.disk_usage(existing).free, _STATE_BYTES[profile]
    if free < needed:
        raise PreflightError(
            f"the {profile} profile needs {needed / 1e9:.1f} GB of disk, but {existing} has {free / 1e9:.1f} GB left",
            "free some space, or keep the state elsewhere with CAMERA_OPERATOR_STATE",
        )
