"""The components of a cluster: command line, configuration, and how one knows that it is healthy."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import configs, containerd, dns, pki
from local_cluster.instance import DNS_PORT
from local_cluster.kube_api import KubeApi, accepts_connections, answers_health

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_cluster.instance import Instance
    from local_cluster.paths import InstancePaths

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The limits by default (20 requests a second) would make 1,000 pods within minutes.
_FOR_MANY_PODS = ("--kube-api-qps=100", "--kube-api-burst=200")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclass(frozen=True)
class Component:
    """One long-running process of a cluster.

    Attributes:
        name: its name in logs, status and commands.
        argv: command line; no secret is in it.
        is_healthy: asks the running component; never raises.
        config_files: files whose change asks for a restart.
        environment: additions to a minimal environment.
    """

    name: str
    argv: tuple[str, ...]
    is_healthy: Callable[[], bool] = field(compare=False)
    config_files: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Hash of the command line and the configuration files."""
        digest = hashlib.sha256("\0".join(self.argv).encode())
        for path in self.config_files:
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def base_environment() -> dict[str, str]:
    """What every component gets; of the caller's environment only the home folder."""
    return {"PATH": _PATH, "HOME": str(Path.home()), "LANG": "C.UTF-8"}


class Blueprint:
    """Prepares the files of an instance and describes its components, in the order in which they start.

    Args:
        instance: what was decided when the instance was created.
        paths: where its files are.
        binaries: folder with one program per component.
    """

    def __init__(self, instance: Instance, paths: InstancePaths, binaries: Path) -> None:
        self._instance = instance
        self._paths = paths
        self._binaries = binaries
        self._ca = pki.Authority(paths.pki, "ca")
        self._etcd_ca = pki.Authority(paths.pki, "etcd-ca")
        self._front_proxy_ca = pki.Authority(paths.pki, "front-proxy-ca")
        self._service_account = pki.service_account_keys(paths.pki)
        admin = self._ca.client(pki.ADMIN)
        self.api = KubeApi(instance.api_url, self._ca.pair.certificate, admin)
        pki.write_kubeconfig(
            paths.kubeconfig,
            server=instance.api_url,
            authority=self._ca.pair.certificate,
            client=admin,
            name=instance.name,
        )

    def components(self) -> list[list[Component]]:
        """Groups of components; those of one group start together, when the groups before them are healthy."""
        groups = [[self._etcd()], [self._apiserver()]]
        if self._instance.is_node:
            # containerd needs nobody, so it starts in the shadow of etcd.
            groups[0].append(self._containerd())
            groups.append(
                [
                    self._controller_manager(),
                    self._scheduler(),
                    self._kubelet(),
                    self._kube_proxy(),
                    self._coredns(),
                ]
            )
        elif self._instance.has_controllers:
            schedulers = [self._scheduler()] if self._instance.profile == "workloads" else []
            groups.append([self._controller_manager(), *schedulers])
        return groups

    def _program(self, name: str) -> str:
        return str(self._binaries / name)

    def _port(self, name: str) -> int:
        return self._instance.ports[name]

    def _etcd(self) -> Component:
        server = self._etcd_ca.server("etcd", ["127.0.0.1", "localhost"])
        client_url = f"https://127.0.0.1:{self._port('etcd-client')}"
        peer_url = f"http://127.0.0.1:{self._port('etcd-peer')}"
        metrics_url = f"http://127.0.0.1:{self._port('etcd-metrics')}"
        argv = (
            self._program("etcd"),
            "--name=local",
            f"--data-dir={self._paths.etcd}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=local={peer_url}",
            f"--listen-metrics-urls={metrics_url}",
            f"--cert-file={server.certificate}",
            f"--key-file={server.key}",
            f"--trusted-ca-file={self._etcd_ca.pair.certificate}",
            "--client-cert-auth",
            # The gateway would connect to its own server with the server's certificate, which is none for clients.
            "--enable-grpc-gateway=false",
            # The data is as throw-away as the cluster: a power cut may lose it, and writes are many times faster.
            "--unsafe-no-fsync",
            # Only member: it need not wait for others before it elects itself.
            "--heartbeat-interval=50",
            "--election-timeout=500",
            # Room for benchmarks with 100,000 objects.
            "--quota-backend-bytes=8589934592",
            "--log-level=warn",
        )
        return Component("etcd", argv, lambda: answers_health(f"{metrics_url}/readyz"))

    def _apiserver(self) -> Component:
        instance, ca = self._instance, self._ca
        server = ca.server(
            "kube-apiserver",
            [
                "127.0.0.1",
                "localhost",
                instance.address,
                instance.api_service_address,
                *(f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")),
            ],
        )
        etcd = self._etcd_ca.client(pki.Client("etcd-client", "kube-apiserver"))
        kubelet = ca.client(pki.KUBELET_CLIENT)
        aggregator = self._front_proxy_ca.client(pki.FRONT_PROXY)
        argv = [
            self._program("kube-apiserver"),
            f"--bind-address={instance.address}",
            f"--secure-port={self._port('kube-apiserver')}",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--client-ca-file={ca.pair.certificate}",
            f"--etcd-servers=https://127.0.0.1:{self._port('etcd-client')}",
            f"--etcd-cafile={self._etcd_ca.pair.certificate}",
            f"--etcd-certfile={etcd.certificate}",
            f"--etcd-keyfile={etcd.key}",
            f"--service-cluster-ip-range={instance.service_cidr}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self._service_account.certificate}",
            f"--service-account-signing-key-file={self._service_account.key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--kubelet-certificate-authority={ca.pair.certificate}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            f"--requestheader-client-ca-file={self._front_proxy_ca.pair.certificate}",
            f"--requestheader-allowed-names={pki.FRONT_PROXY.user}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={aggregator.certificate}",
            f"--proxy-client-key-file={aggregator.key}",
            # The name of the node is in nobody's DNS.
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        ]
        if instance.is_node:
            argv.append(f"--advertise-address={instance.gateway}")
        else:
            # No pod will ever use the endpoint of the kubernetes Service, and it may not be a loopback address:
            # the documentation address of RFC 5737 stands in for it.
            argv += ["--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"]
        return Component("kube-apiserver", tuple(argv), lambda: self.api.is_ok("/readyz"))

    def _controller_manager(self) -> Component:
        port = self._port("kube-controller-manager")
        kubeconfig = self._kubeconfig(pki.CONTROLLER_MANAGER)
        argv = [
            self._program("kube-controller-manager"),
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--use-service-account-credentials",
            f"--root-ca-file={self._ca.pair.certificate}",
            f"--service-account-private-key-file={self._service_account.key}",
            f"--flex-volume-plugin-dir={self._paths.volume_plugins}",
            f"--cluster-signing-cert-file={self._ca.pair.certificate}",
            f"--cluster-signing-key-file={self._ca.pair.key}",
            # There is no second one to be elected instead.
            "--leader-elect=false",
            "--profiling=false",
        ]
        if self._instance.is_node:
            # One node, so its network is the whole pod network.
            size = self._instance.pod_cidr.partition("/")[2]
            argv += [
                "--allocate-node-cidrs",
                f"--cluster-cidr={self._instance.pod_cidr}",
                f"--node-cidr-mask-size={size}",
                f"--service-cluster-ip-range={self._instance.service_cidr}",
            ]
        elif self._instance.profile == "workloads":
            # Whoever plays the pods may give them addresses of this machine, which no endpoint may have; and nothing
            # is routed to Services.
            argv += ["--controllers=*,-endpoints-controller,-endpointslice-controller", *_FOR_MANY_PODS]
        return Component(
            "kube-controller-manager", tuple(argv), lambda: answers_health(f"https://127.0.0.1:{port}/healthz")
        )

    def _scheduler(self) -> Component:
        port = self._port("kube-scheduler")
        kubeconfig = self._kubeconfig(pki.SCHEDULER)
        argv = [
            self._program("kube-scheduler"),
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--profiling=false",
        ]
        if self._instance.profile == "workloads":
            argv += _FOR_MANY_PODS
        return Component("kube-scheduler", tuple(argv), lambda: answers_health(f"https://127.0.0.1:{port}/healthz"))

    def _containerd(self) -> Component:
        paths = self._paths
        config = configs.write(paths.config / "containerd.toml", containerd.render_config(paths))
        proxies = {name: os.environ[name] for name in _PROXY_VARIABLES if name in os.environ}
        argv = ("containerd", f"--config={config}", "--log-level=warn")
        socket = paths.containerd_socket
        return Component("containerd", argv, lambda: accepts_connections(socket), (config,), proxies)

    def _kubelet(self) -> Component:
        instance, paths = self._instance, self._paths
        port = self._port("kubelet-health")
        server = self._ca.server("kubelet-server", [instance.gateway, instance.name])
        config = configs.write(
            paths.config / "kubelet.yaml",
            configs.kubelet(instance, paths, authority=self._ca.pair.certificate, server=server),
        )
        argv = (
            self._program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={self._kubeconfig(pki.node_client(instance.name))}",
            f"--root-dir={paths.kubelet}",
            f"--hostname-override={instance.name}",
            f"--node-ip={instance.gateway}",
        )
        return Component("kubelet", argv, lambda: answers_health(f"http://127.0.0.1:{port}/healthz"), (config,))

    def _kube_proxy(self) -> Component:
        port = self._port("kube-proxy-health")
        kubeconfig = self._kubeconfig(pki.KUBE_PROXY)
        config = configs.write(
            self._paths.config / "kube-proxy.yaml", configs.kube_proxy(self._instance, kubeconfig=kubeconfig)
        )
        argv = (self._program("kube-proxy"), f"--config={config}")
        return Component("kube-proxy", argv, lambda: answers_health(f"http://127.0.0.1:{port}/healthz"), (config,))

    def _coredns(self) -> Component:
        gateway = self._instance.gateway
        kubeconfig = self._kubeconfig(pki.COREDNS)
        config = configs.write(self._paths.config / "Corefile", configs.corefile(self._instance, kubeconfig=kubeconfig))
        argv = (self._program("coredns"), f"-conf={config}")
        return Component(
            "coredns", argv, lambda: dns.resolves("kubernetes.default.svc.cluster.local", gateway, DNS_PORT), (config,)
        )

    def _kubeconfig(self, client: pki.Client) -> Path:
        self._paths.config.mkdir(exist_ok=True)
        path = self._paths.config / f"{client.file}.kubeconfig"
        pki.write_kubeconfig(
            path,
            server=self._instance.api_url,
            authority=self._ca.pair.certificate,
            client=self._ca.client(client),
            name=client.file,
        )
        return path
