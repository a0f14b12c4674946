"""The node's network: a bridge for the pods, address translation to the outside, and the kernel settings for both."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.errors import CommandError, PreflightError

if TYPE_CHECKING:
    from local_cluster.instance import Instance

BRIDGE = "camera0"
TABLE = "camera-operator"
_KUBE_PROXY_TABLE = "kube-proxy"
# A fixed address: otherwise the bridge takes the lowest of its ports', and pods lose their gateway when that changes.
_BRIDGE_MAC = "02:ca:3e:7a:00:01"
_SYSCTL = Path("/proc/sys")

# What the node needs, and what kubelet sets without being asked: all are put back by `down`.
_REQUIRED_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    # Without it, the answer of a pod to another pod behind a Service takes the short way over the bridge, its source
    # address is not translated back, and the connection never comes up.
    "net/bridge/bridge-nf-call-iptables": "1",
}
_KUBELET_SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def read_sysctls() -> dict[str, str]:
    """The present values of all settings that a node changes."""
    names = (*_REQUIRED_SYSCTLS, *_KUBELET_SYSCTLS)
    return {name: (_SYSCTL / name).read_text().strip() for name in names if (_SYSCTL / name).exists()}


def write_sysctls(values: dict[str, str]) -> None:
    """Set kernel settings that exist and differ."""
    for name, value in values.items():
        path = _SYSCTL / name
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)


def load_bridge_filter() -> None:
    """Make the kernel show bridged packets to its firewall; a module on most machines.

    Raises:
        PreflightError: the kernel does not have it.
    """
    if (_SYSCTL / "net/bridge").exists():
        return
    modprobe = shutil.which("modprobe", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if modprobe is None:
        raise PreflightError(
            "the kernel's module br_netfilter is not loaded, and modprobe is missing",
            "install it: apt-get install kmod",
        )
    loaded = subprocess.run([modprobe, "br_netfilter"], capture_output=True, text=True, check=False)
    if loaded.returncode != 0 or not (_SYSCTL / "net/bridge").exists():
        raise PreflightError(
            f"the kernel's module br_netfilter cannot be loaded: {loaded.stderr.strip()}",
            "inside a container, load it on the host first: modprobe br_netfilter",
        )


def bring_up(instance: Instance) -> None:
    """Create the bridge, its address, routes and rules; what exists already is left alone."""
    write_sysctls(_REQUIRED_SYSCTLS)
    if not bridge_exists():
        _run("ip", "link", "add", BRIDGE, "address", _BRIDGE_MAC, "type", "bridge")
    prefix = instance.pod_cidr.partition("/")[2]
    _run("ip", "address", "replace", f"{instance.gateway}/{prefix}", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    # The firewall sends a cluster IP elsewhere, but only if the kernel finds any route at all: it has none when the
    # machine is offline.
    _run("ip", "route", "replace", instance.service_cidr, "dev", BRIDGE, "src", instance.gateway)
    _run("nft", "--file", "-", stdin=ruleset(instance.pod_cidr))
    _open_closed_chains()


def ruleset(pod_cidr: str) -> str:
    """Rules that give pods the address of this machine when they talk to the outside."""
    return f"""\
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {pod_cidr} oifname != "{BRIDGE}" ip daddr != 224.0.0.0/4 masquerade
    }}
}}
"""


def take_down() -> None:
    """Remove the bridge with its routes, our rules and kube-proxy's."""
    _close_opened_chains()
    tables = _nft_tables()
    for family, name in ((f, n) for f in ("ip", "ip6") for n in (TABLE, _KUBE_PROXY_TABLE)):
        if (family, name) in tables:
            _run("nft", "delete", "table", family, name)
    if bridge_exists():
        for port in bridge_ports():
            # Pods' ends vanish with their network namespaces; a moment later when the kernel is busy.
            subprocess.run(["ip", "link", "delete", port], capture_output=True, check=False)
        _run("ip", "link", "delete", BRIDGE)


def bridge_exists() -> bool:
    """Whether the pods' bridge exists."""
    return Path("/sys/class/net", BRIDGE).exists()


def bridge_ports() -> list[str]:
    """Interfaces of pods on the bridge."""
    folder = Path("/sys/class/net", BRIDGE, "brif")
    return sorted(port.name for port in folder.iterdir()) if folder.exists() else []


def check_addresses(instance: Instance) -> None:
    """Refuse networks that the machine already uses, or another cluster's service rules.

    Raises:
        PreflightError: names the network and the option that chooses another one.
    """
    wanted = {"--pod-cidr": instance.pod_cidr, "--service-cidr": instance.service_cidr}
    if ipaddress.ip_network(instance.pod_cidr).overlaps(ipaddress.ip_network(instance.service_cidr)):
        raise PreflightError(
            f"the pod network {instance.pod_cidr} and the service network {instance.service_cidr} overlap",
            "choose others with --pod-cidr and --service-cidr",
        )
    for route in json.loads(_run("ip", "-json", "-4", "route", "show", "table", "all")):
        if route.get("dev") == BRIDGE or route.get("dst") == "default" or route.get("table") == "local":
            continue
        used = ipaddress.ip_network(route["dst"], strict=False)
        for option, cidr in wanted.items():
            if used.prefixlen and used.overlaps(ipaddress.ip_network(cidr)):
                raise PreflightError(
                    f"the network {cidr} is in use on this machine ({route['dst']} on {route.get('dev', 'a route')})",
                    f"choose another one with {option}",
                )
    if not bridge_exists() and ("ip", _KUBE_PROXY_TABLE) in _nft_tables():
        raise PreflightError(
            "another cluster's kube-proxy runs on this machine (nftables table ip kube-proxy)",
            "use that cluster by KUBECONFIG, or stop it first",
        )


def _open_closed_chains() -> None:
    """Let pods through where the machine's firewall (docker, ufw) drops what nobody allowed."""
    for chain, directions in _filter_rules():
        policy = _iptables("-S", chain)
        if policy is None or f"-P {chain} DROP" not in policy:
            continue
        for direction in directions:
            if _iptables("-C", chain, *direction) is None:
                _iptables("-I", chain, *direction)


def _close_opened_chains() -> None:
    for chain, directions in _filter_rules():
        for direction in directions:
            while _iptables("-D", chain, *direction) is not None:
                pass


def _filter_rules() -> list[tuple[str, list[list[str]]]]:
    comment = ["-m", "comment", "--comment", TABLE, "-j", "ACCEPT"]
    incoming, outgoing = ["-i", BRIDGE, *comment], ["-o", BRIDGE, *comment]
    return [("INPUT", [incoming]), ("FORWARD", [incoming, outgoing])]


def _iptables(*arguments: str) -> str | None:
    """Run iptables if the machine filters by it; None when it does not, or on an error.

    Merely calling it would create its tables.
    """
    if ("ip", "filter") not in _nft_tables():
        return None
    try:
        result = subprocess.run(["iptables", "--wait", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout if result.returncode == 0 else None


def _nft_tables() -> set[tuple[str, str]]:
    items = json.loads(_run("nft", "--json", "list", "tables"))["nftables"]
    return {(item["table"]["family"], item["table"]["name"]) for item in items if "table" in item}


def _run(*command: str, stdin: str | None = None) -> str:
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CommandError(
            f"`{' '.join(command)}` failed: {result.stderr.strip()}",
            returncode=result.returncode,
            stderr=result.stderr,
        )
    return result.stdout
