"""What is decided once when an instance is created, and remembered until it is taken down."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import random
import shutil
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Self, get_args

from local_cluster.errors import ClusterError, PreflightError
from local_cluster.paths import InstancePaths, state_root

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

Profile = Literal["node", "control-plane", "workloads"]
PROFILES: tuple[str, ...] = get_args(Profile)

# Outside of Linux's range for outgoing connections (32768-60999), so that no connection takes a remembered port
# while a component restarts; NodePorts (30000-32767) are left free as well.
_PORT_RANGE = range(20000, 30000)
_PORT_NAMES = (
    "kube-apiserver",
    "etcd-client",
    "etcd-peer",
    "etcd-metrics",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet-health",
    "kube-proxy-health",
    "kube-proxy-metrics",
)
NODE_API_PORT = 6443
KUBELET_PORT = 10250
DNS_PORT = 53


@dataclass(frozen=True)
class Instance:
    """An instance's decisions.

    Attributes:
        name: name of the instance, of its kubeconfig context and of its node.
        profile: ``control-plane`` is etcd and kube-apiserver; ``workloads`` makes pods of workloads and schedules
            them, but has no node to run them; ``node`` runs pods.
        ports: TCP port by component, on the loopback interface, except kube-apiserver's on ``address``.
        pod_cidr: network of the pods; its first address is the node's.
        service_cidr: network of the cluster IPs.
        controller_manager: whether a control plane also runs kube-controller-manager; the other profiles always do.
        sysctls: kernel settings by name as they were before the node changed them.
        boot_id: the boot in which ``sysctls`` were read.
        binaries: folder of the programs that it was last started with.
    """

    name: str
    profile: Profile
    ports: dict[str, int]
    pod_cidr: str = "10.244.0.0/22"
    service_cidr: str = "10.96.0.0/16"
    controller_manager: bool = False
    sysctls: dict[str, str] = field(default_factory=dict)
    boot_id: str = ""
    binaries: str = ""

    @property
    def is_node(self) -> bool:
        """Whether pods run here."""
        return self.profile == "node"

    @property
    def has_controllers(self) -> bool:
        """Whether kube-controller-manager runs."""
        return self.profile != "control-plane" or self.controller_manager

    @property
    def gateway(self) -> str:
        """Address of the node, first of the pod network: nothing but pods and this machine can reach it."""
        return str(ipaddress.ip_network(self.pod_cidr)[1])

    @property
    def api_service_address(self) -> str:
        """Cluster IP of the ``kubernetes`` Service, first of the service network."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def address(self) -> str:
        """Where kube-apiserver listens."""
        return self.gateway if self.is_node else "127.0.0.1"

    @property
    def api_url(self) -> str:
        """Base URL of kube-apiserver."""
        return f"https://{self.address}:{self.ports['kube-apiserver']}"

    def save(self) -> None:
        """Write the decisions, at once or not at all."""
        paths = InstancePaths.of(self.name)
        temporary = paths.state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(paths.state_file)

    @classmethod
    def load(cls, name: str) -> Self | None:
        """The instance of this name, or None when it does not exist (or not yet: its creation was interrupted).

        Raises:
            ClusterError: its file cannot be read.
        """
        path = InstancePaths.of(name).state_file
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ClusterError(f"{path} is not readable", "the cluster belongs to root; use sudo") from error
        except (ValueError, TypeError) as error:
            raise ClusterError(
                f"{path} is damaged: {error}", "take the cluster down with `down` and up again"
            ) from error

    @classmethod
    def load_leniently(cls, name: str) -> Self | None:
        """Like :meth:`load`, but a damaged file counts as none; for taking an instance down."""
        try:
            return cls.load(name)
        except ClusterError:
            return None


def existing_instances() -> list[Instance]:
    """All instances of this machine that have been created."""
    root = state_root()
    if not root.is_dir():
        return []
    names = sorted(entry.name for entry in root.iterdir() if (entry / "instance.json").exists())
    return [instance for name in names if (instance := Instance.load_leniently(name))]


def create_instance(
    name: str,
    profile: Profile,
    *,
    pod_cidr: str | None = None,
    service_cidr: str | None = None,
    api_port: int | None = None,
    controller_manager: bool = False,
) -> Instance:
    """Decide on ports and networks, and remember them.

    Raises:
        PreflightError: no port is free, or a node instance of another name exists.
    """
    with _exclusive(state_root()):
        others = existing_instances()
        node = next((other for other in others if other.is_node), None)
        if profile == "node" and node is not None:
            raise PreflightError(
                f"the machine already has a node instance, {node.name!r}",
                f"use it, or take it down first: cluster --name {node.name} down",
            )
        taken = {port for other in others for port in other.ports.values()}
        ports = free_ports(_PORT_NAMES, taken)
        if api_port is not None or profile == "node":
            ports["kube-apiserver"] = api_port or NODE_API_PORT
        instance = Instance(name, profile, ports, controller_manager=controller_manager)
        if pod_cidr:
            instance = replace(instance, pod_cidr=pod_cidr)
        if service_cidr:
            instance = replace(instance, service_cidr=service_cidr)
        instance.save()
    return instance


def refuse_changes(instance: Instance, *, pod_cidr: str | None, service_cidr: str | None, api_port: int | None) -> None:
    """Networks and ports are decided once; silently keeping the old ones would surprise.

    Raises:
        ClusterError: another value than the present one is asked for.
    """
    present = {
        "--pod-cidr": (pod_cidr, instance.pod_cidr),
        "--service-cidr": (service_cidr, instance.service_cidr),
        "--api-port": (api_port, instance.ports["kube-apiserver"]),
    }
    for option, (wanted, existing) in present.items():
        if wanted is not None and wanted != existing:
            raise ClusterError(
                f"the cluster {instance.name!r} exists with {option} {existing}, which cannot be changed",
                f"take it down first: cluster --name {instance.name} down",
            )


def profile_of(name: str, wanted: Profile | None) -> Profile:
    """The profile of an existing instance, or the wanted one of a new instance.

    Raises:
        ClusterError: both are given and differ.
    """
    instance = Instance.load(name)
    if instance is None:
        return wanted or "node"
    if wanted is not None and wanted != instance.profile:
        raise ClusterError(
            f"the cluster {name!r} exists with the profile {instance.profile}, not {wanted}",
            f"choose another name, or take it down first: cluster --name {name} down",
        )
    return instance.profile


def free_ports(names: Collection[str], taken: Collection[int]) -> dict[str, int]:
    """A port for each name that nobody listens on and that is in none of the ``taken``."""
    ports: dict[str, int] = {}
    candidates = [port for port in _PORT_RANGE if port not in taken]
    random.shuffle(candidates)
    for port in candidates:
        if len(ports) == len(names):
            break
        if is_port_free("127.0.0.1", port):
            ports[next(name for name in names if name not in ports)] = port
    if len(ports) < len(names):
        raise PreflightError(f"no {len(names)} TCP ports are free between {_PORT_RANGE.start} and {_PORT_RANGE.stop}")
    return ports


def is_port_free(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether a server could listen there now; also true for an address that the machine does not have."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # Like Go's listeners do, so that connections in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # IP_FREEBIND is 15 in <linux/in.h>: the bridge that will have the address may not exist yet.
            probe.setsockopt(socket.IPPROTO_IP, 15, 1)
            probe.bind((address, port))
        except OSError:
            return False
    return True


@contextmanager
def lock_instance(paths: InstancePaths) -> Iterator[None]:
    """Let one command at a time change the instance; a second one waits.

    The lock is on the folder itself: it needs no file of its own, and so leaves none behind.
    """
    with ExitStack() as stack:
        while True:
            paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = stack.enter_context(_exclusive(paths.root))
                # `down` may have removed the folder while this command waited for it.
                if os.fstat(descriptor).st_ino == paths.root.stat().st_ino:
                    break
            except FileNotFoundError:
                pass
            stack.close()
        yield


def remove_folder(paths: InstancePaths) -> None:
    """Remove the instance's folder, and the folder of all instances when it was the last one."""
    shutil.rmtree(paths.root)
    try:
        paths.root.parent.rmdir()
    except OSError:
        # Other instances are in it.
        return


@contextmanager
def _exclusive(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
