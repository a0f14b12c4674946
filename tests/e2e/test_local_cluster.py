"""The node profile of the local cluster itself: pods of a locally built image, DNS, healing, and a clean end.

A node that is already up is used for the stories of pods and left up. The story of its whole life needs a machine
without one, so this file comes first in a run of all end-to-end tests.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cluster import Cluster, ClusterError, cgroups, images, mounts, network, processes, status
from local_cluster.paths import InstancePaths
from local_cluster.progress import Reporter

pytestmark = pytest.mark.e2e

NODE = "node"
NAMESPACE = "local-cluster-e2e"
IMAGE = "localhost/local-cluster-e2e:dev"
DOCKERFILE = """\
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE} AS server
COPY server.py /server.py
USER 65532:65532
ENTRYPOINT ["python3", "/server.py"]
"""
SERVER = """\
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
http.server.HTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
# Restricted pod security, as the operator's workers run.
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "server", "labels": {"app": "server"}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "server",
                "image": IMAGE,
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"cpu": "200m", "memory": "64Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
# Folders of other programs that kubelet, containerd and network plugins write to unless told not to.
SHARED_FOLDERS = (
    "/opt/containerd",
    "/run/netns",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
RESOLVE = "import socket; print(socket.gethostbyname('{name}'))"
UNKNOWN = "import socket\ntry: socket.gethostbyname('none.default')\nexcept socket.gaierror: print('unknown')"
FETCH = "import urllib.request; print(urllib.request.urlopen('{url}', timeout=5).status)"


def exists() -> bool:
    try:
        Cluster.attach(NODE)
    except ClusterError:
        return False
    return True


def in_pod(node: Cluster, code: str) -> str:
    return node.kubectl("exec", "-n", NAMESPACE, "server", "--", "python3", "-c", code).strip()


def wait_ready(node: Cluster) -> None:
    node.kubectl("wait", "-n", NAMESPACE, "pod/server", "--for=condition=Ready", "--timeout=60s")


def traces() -> dict[str, object]:
    """Everything by which a node could be noticed on the machine."""
    paths = InstancePaths.of(NODE)
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "processes": processes.marked(paths.root) + cgroups.processes(),
        "mounts": mounts.below(paths.root),
        "tables": tables,
        "links": sorted(line.split()[0] for line in links.splitlines()),
        "control groups": sorted(map(str, Path("/sys/fs/cgroup").glob("**/camera-operator"))),
        "settings": network.read_sysctls(),
        "files": paths.root.exists(),
        "shared folders": [folder for folder in SHARED_FOLDERS if Path(folder).exists()],
        "shims": sorted(map(str, Path("/run/containerd/s").glob("*"))),
    }


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "server.py").write_text(SERVER)
    request = images.Request(target="server", tag=IMAGE, dockerfile=context / "Dockerfile", context=context)
    built = images.build(request, Reporter(quiet=True))
    assert images.build(request, Reporter(quiet=True)) == built, "unchanged inputs are the same image"
    return built.tag


def deploy(node: Cluster, image: str) -> None:
    images.load(node.instance, image, Reporter(quiet=True))
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    node.kubectl("apply", "-f", "-", input=json.dumps(namespace))
    node.kubectl("apply", "-n", NAMESPACE, "-f", "-", input="\n---\n".join(map(json.dumps, (POD, SERVICE))))
    wait_ready(node)


@pytest.mark.skipif(exists(), reason="this machine's node is in use (make demo-down, or deploy/local/cluster down)")
def test_a_node_with_pods_comes_and_goes_without_a_trace(image: str) -> None:
    before = traces()
    node = Cluster.up(profile="node", name=NODE)
    try:
        deploy(node, image)
        assert traces() != before
    finally:
        node.down()
    assert traces() == before


@pytest.fixture(scope="module")
def node(image: str) -> Iterator[Cluster]:
    was_up = exists()
    node = Cluster.up(profile="node", name=NODE)
    try:
        deploy(node, image)
        yield node
    finally:
        if was_up:
            node.kubectl("delete", "namespace", NAMESPACE)
        else:
            node.down()


def test_all_components_are_healthy(node: Cluster) -> None:
    found = status.gather(node)
    assert found.healthy, found.as_table()
    assert found.node == "Ready"


def test_a_pod_resolves_names_of_the_cluster_and_learns_at_once_that_a_name_is_unknown(node: Cluster) -> None:
    assert in_pod(node, RESOLVE.format(name="kubernetes.default")) == "10.96.0.1"
    assert in_pod(node, UNKNOWN) == "unknown"


def test_a_service_leads_to_its_pod_from_everywhere(node: Cluster) -> None:
    address = node.kubectl("get", "-n", NAMESPACE, "service/web", "-o", "jsonpath={.spec.clusterIP}")
    name = f"web.{NAMESPACE}.svc.cluster.local"
    assert in_pod(node, FETCH.format(url=f"http://{name}")) == "200", "a pod reaches itself through its Service"
    machine = subprocess.run(["curl", "--silent", "--fail", f"http://{address}/"], capture_output=True, check=False)
    assert machine.returncode == 0


def test_a_pod_reaches_the_api_server(node: Cluster) -> None:
    connect = "import socket; print(socket.create_connection(('kubernetes.default.svc', 443), 5).getpeername()[1])"
    assert in_pod(node, connect) == "443"


def test_logs_of_a_pod_are_shown(node: Cluster) -> None:
    assert "serving" in node.kubectl("logs", "-n", NAMESPACE, "server")


def test_a_pod_is_resized_in_place(node: Cluster) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "96Mi"}, "limits": {"cpu": "500m", "memory": "96Mi"}}
    patch = {"spec": {"containers": [{"name": "server", "resources": resources}]}}
    node.kubectl("patch", "-n", NAMESPACE, "pod/server", "--subresource=resize", "--patch", json.dumps(patch))
    node.kubectl(
        "wait",
        *("-n", NAMESPACE, "pod/server", "--timeout=30s"),
        "--for=jsonpath={.status.containerStatuses[0].resources.limits.memory}=96Mi",
    )
    restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
    assert node.kubectl("get", "-n", NAMESPACE, "pod/server", "-o", restarts) == "0"


def test_privileged_pods_are_refused_where_pod_security_is_restricted(node: Cluster) -> None:
    container = {"name": "privileged", "image": IMAGE, "securityContext": {"privileged": True}}
    metadata = {"name": "privileged", "namespace": NAMESPACE}
    privileged = {**POD, "metadata": metadata, "spec": {"containers": [container]}}
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        node.kubectl("apply", "-f", "-", input=json.dumps(privileged))


def test_up_heals_kubelet_and_containerd_and_pods_go_on(node: Cluster) -> None:
    containers = "jsonpath={.status.containerStatuses[0].containerID}"
    before = node.kubectl("get", "-n", NAMESPACE, "pod/server", "-o", containers)
    for component in ("kubelet", "containerd"):
        node.kill_component(component, signal.SIGKILL)
    assert not status.gather(node).healthy
    Cluster.up(name=NODE)
    assert status.gather(node).healthy
    wait_ready(node)
    assert node.kubectl("get", "-n", NAMESPACE, "pod/server", "-o", containers) == before


def test_network_namespaces_of_others_do_not_disturb_pods(node: Cluster) -> None:
    used_before = Path("/run/netns").exists()
    subprocess.run(["ip", "netns", "add", "local-cluster-e2e"], check=True)
    try:
        node.kubectl("delete", "-n", NAMESPACE, "pod/server", "--timeout=30s")
    finally:
        subprocess.run(["ip", "netns", "delete", "local-cluster-e2e"], check=True)
        if not used_before:
            subprocess.run(["umount", "/run/netns"], check=True)
            Path("/run/netns").rmdir()
    deploy(node, IMAGE)
