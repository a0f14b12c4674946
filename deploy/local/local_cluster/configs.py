"""Configuration files of kubelet, kube-proxy and CoreDNS, and the objects that a node's cluster starts with."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from local_cluster.instance import DNS_PORT, KUBELET_PORT

if TYPE_CHECKING:
    from local_cluster.instance import Instance
    from local_cluster.paths import InstancePaths
    from local_cluster.pki import KeyPair

# cgroup under which all pods live; of our own, so that taking the cluster down stops exactly its containers.
CGROUP_ROOT = "camera-operator"


def write(path: Path, content: str) -> Path:
    """Write a configuration file if it changes; returns its path.

    kube-proxy watches its file and exits when it is merely written again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != content:
        path.write_text(content)
    return path


def kubelet(instance: Instance, paths: InstancePaths, *, authority: Path, server: KeyPair) -> str:
    """KubeletConfiguration of the only node."""
    addresses = ipaddress.ip_network(instance.pod_cidr).num_addresses - 3  # network, gateway, broadcast
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": instance.gateway,
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": instance.ports["kubelet-health"],
        "tlsCertFile": str(server.certificate),
        "tlsPrivateKeyFile": str(server.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP_ROOT}",
        # Both cgroup versions are fine, and so is swap, which pods do not use.
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [instance.gateway],
        # Pods see the cluster's names and what CoreDNS forwards, not the search domains of this machine.
        "resolvConf": "",
        "podLogsDir": str(paths.pod_logs),
        "volumePluginDir": str(paths.volume_plugins),
        # kube-proxy runs in nftables mode; kubelet's own iptables chains would only be left behind.
        "makeIPTablesUtilChains": False,
        "maxPods": min(500, addresses),
        # Images were loaded by hand and cannot be pulled again: never remove one to make room.
        "imageGCHighThresholdPercent": 100,
        # Absolute figures: a developer's disk that is 90 % full is no reason to evict pods.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "serializeImagePulls": False,
    }
    return yaml.safe_dump(config, sort_keys=False)


def kube_proxy(instance: Instance, *, kubeconfig: Path) -> str:
    """KubeProxyConfiguration in nftables mode."""
    config: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": instance.name,
        "clusterCIDR": instance.pod_cidr,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "healthzBindAddress": f"127.0.0.1:{instance.ports['kube-proxy-health']}",
        "metricsBindAddress": f"127.0.0.1:{instance.ports['kube-proxy-metrics']}",
        "nodePortAddresses": ["primary"],
        # Zero leaves the connection tracking settings of this machine as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    return yaml.safe_dump(config, sort_keys=False)


def corefile(instance: Instance, *, kubeconfig: Path, resolv_conf: Path = Path("/etc/resolv.conf")) -> str:
    """CoreDNS: the cluster's names, and this machine's name servers for all others."""
    lines = [
        f".:{DNS_PORT} {{",
        f"    bind {instance.gateway}",
        "    errors",
        "    cache 5",
        "    kubernetes cluster.local in-addr.arpa ip6.arpa {",
        f"        kubeconfig {kubeconfig}",
        "        ttl 5",
        "        fallthrough in-addr.arpa ip6.arpa",
        "    }",
    ]
    if _has_name_server(resolv_conf):
        lines += [
            f"    forward . {resolv_conf} {{",
            "        max_fails 2",
            # A machine without a network answers at once that it cannot, instead of after a timeout.
            "        failfast_all_unhealthy_upstreams",
            "    }",
        ]
    return "\n".join([*lines, "}", ""])


def bootstrap_manifests() -> str:
    """Objects that a new cluster needs: what CoreDNS may read."""
    read = ["list", "watch"]
    role: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": read},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        ],
    }
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
    }
    return yaml.safe_dump_all([role, binding], sort_keys=False)


def _has_name_server(resolv_conf: Path) -> bool:
    try:
        return any(line.split()[:1] == ["nameserver"] for line in resolv_conf.read_text().splitlines())
    except OSError:
        return False
