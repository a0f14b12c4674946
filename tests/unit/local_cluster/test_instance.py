import dataclasses
import socket
import threading
from pathlib import Path

import pytest

from local_cluster import instance as instances
from local_cluster.errors import ClusterError, PreflightError
from local_cluster.instance import Instance, create_instance, existing_instances, free_ports, lock_instance
from local_cluster.paths import InstancePaths


def create(name: str, *, profile: instances.Profile = "control-plane") -> Instance:
    InstancePaths.of(name).root.mkdir(parents=True)
    return create_instance(name, profile)


def test_decisions_survive_being_written_and_read() -> None:
    created = create("a")
    assert Instance.load("a") == created


def test_instances_get_ports_of_their_own() -> None:
    ports = [port for name in ("a", "b", "c") for port in create(name).ports.values()]
    assert len(set(ports)) == len(ports)


def test_a_port_in_use_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        used = server.getsockname()[1]
        monkeypatch.setattr(instances, "_PORT_RANGE", range(used, used + 1))
        with pytest.raises(PreflightError, match="no 1 TCP ports are free"):
            free_ports(["a"], taken=[])


def test_only_one_node_per_machine() -> None:
    create("a", profile="node")
    create("b")
    with pytest.raises(PreflightError, match="already has a node instance, 'a'") as caught:
        create("c", profile="node")
    assert "--name a down" in caught.value.hint


def test_a_node_listens_at_the_gateway_of_the_pods_and_a_control_plane_at_the_loopback(
    node: Instance, control_plane: Instance
) -> None:
    assert node.api_url == "https://10.244.0.1:21000"
    assert control_plane.api_url == "https://127.0.0.1:21000"
    assert dataclasses.replace(node, pod_cidr="192.168.8.0/22").gateway == "192.168.8.1"
    assert dataclasses.replace(node, service_cidr="172.20.0.0/16").api_service_address == "172.20.0.1"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "a"}', '{"unknown": 1}'])
def test_a_damaged_file_is_an_error_that_says_what_to_do(content: str) -> None:
    paths = InstancePaths.of("a")
    paths.root.mkdir(parents=True)
    paths.state_file.write_text(content)
    with pytest.raises(ClusterError, match="is damaged") as caught:
        Instance.load("a")
    assert "down" in caught.value.hint
    assert Instance.load_leniently("a") is None
    assert existing_instances() == []


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 41])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="is no name for a cluster"):
        InstancePaths.of(name)


def test_the_profile_of_an_existing_instance_cannot_be_changed() -> None:
    create("a")
    assert instances.profile_of("a", None) == "control-plane"
    assert instances.profile_of("b", None) == "node"
    with pytest.raises(ClusterError, match="exists with the profile control-plane, not node"):
        instances.profile_of("a", "node")


def test_another_network_or_port_for_an_existing_instance_is_refused(node: Instance) -> None:
    instances.refuse_changes(node, pod_cidr=node.pod_cidr, service_cidr=None, api_port=21000)
    with pytest.raises(ClusterError, match=r"exists with --pod-cidr 10\.244\.0\.0/22, which cannot be changed"):
        instances.refuse_changes(node, pod_cidr="10.0.0.0/22", service_cidr=None, api_port=None)


def test_the_lock_makes_a_second_command_wait_and_survives_the_removal_of_the_folder(paths: InstancePaths) -> None:
    order: list[str] = []

    def second() -> None:
        with lock_instance(paths):
            order.append("second")
            assert paths.root.exists(), "the lock is on the folder that exists now"

    with lock_instance(paths):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.1)
        order.append("first")
        instances.remove_folder(paths)
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_removing_the_last_instance_removes_the_folder_of_all(state: Path) -> None:
    create("a")
    create("b")
    instances.remove_folder(InstancePaths.of("a"))
    assert state.exists()
    instances.remove_folder(InstancePaths.of("b"))
    assert not state.exists()
