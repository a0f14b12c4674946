"""The local cluster without a node: starts, heals, survives faults and leaves nothing behind."""

import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cluster import Cluster, CommandError, PreflightError, processes, status
from local_cluster.errors import ClusterError
from local_cluster.instance import is_port_free

pytestmark = pytest.mark.integration

CLUSTER = Path(__file__).resolve().parents[2] / "deploy" / "local" / "cluster"


def unique_name() -> str:
    return f"self-{os.getpid()}-{secrets.token_hex(2)}"


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A control plane that these tests may break."""
    cluster = Cluster.up(profile="control-plane", name=unique_name(), controller_manager=True)
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def healed(own: Cluster) -> Iterator[Cluster]:
    """The control plane, healthy again after the test."""
    yield own
    Cluster.up(name=own.name)


def pids(cluster: Cluster) -> dict[str, int | None]:
    return {component.name: component.pid for component in status.gather(cluster).components}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(CLUSTER), *arguments], capture_output=True, text=True, check=False)


def test_all_components_are_healthy(own: Cluster) -> None:
    found = status.gather(own)
    assert [component.name for component in found.components] == ["etcd", "kube-apiserver", "kube-controller-manager"]
    assert found.healthy


def test_kubectl_applies_what_it_is_given_and_reports_errors(own: Cluster) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "value"}}
    own.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    assert own.kubectl("get", "configmap", "a", "-o", "jsonpath={.data.key}") == "value"
    with pytest.raises(CommandError, match='configmaps "none" not found') as caught:
        own.kubectl("get", "configmap", "none")
    assert caught.value.returncode == 1


def test_helm_talks_to_the_cluster(own: Cluster) -> None:
    assert own.helm("list", "--output", "json").strip() == "[]"


def test_the_controller_manager_aggregates_roles_and_collects_garbage(own: Cluster) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "a", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["example.org"], "resources": ["things"], "verbs": ["get"]}],
    }
    own.kubectl("apply", "-f", "-", input=json.dumps(role))
    own.kubectl(
        "wait", "clusterrole/view", "--timeout=20s", "--for=jsonpath={.rules[?(@.apiGroups[0]=='example.org')]}"
    )


def test_a_second_up_leaves_all_as_it_is(own: Cluster) -> None:
    before = pids(own)
    Cluster.up(name=own.name)
    assert pids(own) == before


def test_up_heals_a_killed_component_and_leaves_the_others(healed: Cluster) -> None:
    before = pids(healed)
    healed.kill_component("kube-apiserver", signal.SIGKILL)
    assert not status.gather(healed).healthy
    Cluster.up(name=healed.name)
    after = pids(healed)
    assert status.gather(healed).healthy
    assert after["kube-apiserver"] not in (before["kube-apiserver"], None)
    assert after["etcd"] == before["etcd"]


def test_a_paused_component_keeps_its_data_and_goes_on(healed: Cluster) -> None:
    healed.kubectl("create", "configmap", "kept")
    healed.pause_component("kube-apiserver")
    with pytest.raises(CommandError):
        healed.kubectl("get", "configmap", "kept", "--request-timeout=500ms")
    healed.resume_component("kube-apiserver")
    assert "kept" in healed.kubectl("get", "configmap", "kept", "-o", "name")


def test_a_restart_keeps_the_data(healed: Cluster) -> None:
    healed.kubectl("create", "configmap", "restarted")
    for component in ("etcd", "kube-apiserver"):
        before = pids(healed)[component]
        healed.restart_component(component)
        assert pids(healed)[component] != before
    assert "restarted" in healed.kubectl("get", "configmap", "restarted", "-o", "name")


def test_an_unknown_component_is_an_error_that_names_the_known_ones(own: Cluster) -> None:
    with pytest.raises(ClusterError, match="'kubelet' is no component") as caught:
        own.restart_component("kubelet")
    assert "kube-apiserver" in caught.value.hint


def test_the_database_refuses_clients_without_its_certificate(own: Cluster) -> None:
    pki = own.paths.pki
    url = f"https://127.0.0.1:{own.instance.ports['etcd-client']}/version"
    request = ["curl", "--silent", "--show-error", "--cacert", str(pki / "etcd-ca.crt"), url]
    refused = subprocess.run(
        [*request, "--cert", str(pki / "admin.crt"), "--key", str(pki / "admin.key")], capture_output=True, check=False
    )
    assert refused.returncode != 0, "a client certificate of Kubernetes is none of etcd"


def test_no_secret_is_in_an_argument_or_a_log(own: Cluster) -> None:
    keys = [path.read_text().splitlines()[1] for path in own.paths.pki.glob("*.key")]
    assert keys
    shown = [Path(f"/proc/{process.pid}/cmdline").read_text() for process, _ in processes.marked(own.paths.root)]
    shown += [log.read_text() for log in own.paths.logs.iterdir()]
    assert not any(key in text for key in keys for text in shown)


def test_the_command_line_shows_the_cluster(own: Cluster) -> None:
    shown = command("status", "--name", own.name, "--output", "json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["endpoint"] == own.apiserver_url
    passed_on = command("--name", own.name, "kubectl", "get", "-n", "default", "namespaces", "-o", "name")
    assert "namespace/default" in passed_on.stdout
    assert command("kubeconfig", "--name", own.name).stdout.strip() == str(own.kubeconfig)
    failed = command("--name", own.name, "kubectl", "get", "configmap", "none")
    assert failed.returncode == 1


def test_images_need_a_node(own: Cluster) -> None:
    shown = command("load-image", "localhost/any:dev", "--name", own.name)
    assert shown.returncode == 1
    assert "has no node" in shown.stderr


def test_a_taken_port_stops_the_start_before_anything_is_left() -> None:
    name = unique_name()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PreflightError, match=f"TCP port {port}"):
            Cluster.up(profile="control-plane", name=name, api_port=port)
    with pytest.raises(ClusterError, match="there is no local cluster"):
        Cluster.attach(name)


def test_two_clusters_run_side_by_side_and_down_leaves_nothing_of_one(own: Cluster) -> None:
    other = Cluster.up(profile="control-plane", name=unique_name())
    ports = list(other.instance.ports.values())
    assert not set(ports) & set(own.instance.ports.values())
    other.kubectl("create", "configmap", "only-here")
    other.down()
    assert processes.marked(other.paths.root) == []
    assert not other.paths.root.exists()
    assert all(is_port_free("127.0.0.1", port) for port in ports)
    assert status.gather(own).healthy
    assert "only-here" not in own.kubectl("get", "configmaps", "-o", "name")


def test_workloads_get_pods_on_nodes_that_are_played() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "played"},
        "status": {
            "allocatable": {"cpu": "1", "memory": "1Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    container = {"name": "c", "image": "none", "resources": {"requests": {"cpu": "100m"}}}
    labels = {"app": "a"}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "a"},
        "spec": {
            "serviceName": "a",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    cluster = Cluster.up(profile="workloads", name=unique_name())
    try:
        assert status.gather(cluster).healthy
        for manifest in (node, workload):
            cluster.kubectl("create", "-f", "-", input=json.dumps(manifest))
        cluster.kubectl("wait", "pod/a-0", "--for=create", "--timeout=20s")
        cluster.kubectl("wait", "pod/a-0", "--for=condition=PodScheduled", "--timeout=20s")
        assert (
            cluster.kubectl("get", "pod", "a-0", "-o", "jsonpath={.spec.nodeName} {.status.phase}") == "played Pending"
        )
    finally:
        cluster.down()
