import dataclasses
import json

import pytest

from local_cluster import network
from local_cluster.errors import PreflightError
from local_cluster.instance import Instance


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine whose `ip` and `nft` answer what the test says."""
    answers = {"ip": "[]", "nft": '{"nftables": []}'}
    monkeypatch.setattr(network, "_run", lambda *command, **_: answers[command[0]])
    monkeypatch.setattr(network, "bridge_exists", lambda: False)
    return answers


def routes(*entries: dict[str, str]) -> str:
    return json.dumps(entries)


def test_a_machine_with_other_networks_is_fine(machine: dict[str, str], node: Instance) -> None:
    machine["ip"] = routes(
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.168.1.0/24", "dev": "eth0"},
        {"dst": "172.17.0.0/16", "dev": "docker0"},
        {"dst": "10.245.0.1", "dev": "tun0"},
    )
    network.check_addresses(node)


@pytest.mark.parametrize(
    ("destination", "option"),
    [
        ("10.244.1.0/24", "--pod-cidr"),
        ("10.244.3.7", "--pod-cidr"),
        ("10.0.0.0/8", "--pod-cidr"),
        ("10.96.1.0/24", "--service-cidr"),
    ],
)
def test_a_network_in_use_is_refused_with_the_option_to_choose_another(
    machine: dict[str, str], node: Instance, destination: str, option: str
) -> None:
    machine["ip"] = routes({"dst": destination, "dev": "tun0"})
    with pytest.raises(PreflightError, match="in use on this machine") as caught:
        network.check_addresses(node)
    assert destination in str(caught.value)
    assert "tun0" in str(caught.value)
    assert caught.value.hint == f"choose another one with {option}"


def test_the_own_bridge_is_no_conflict(machine: dict[str, str], node: Instance) -> None:
    machine["ip"] = routes({"dst": "10.244.0.0/22", "dev": network.BRIDGE})
    network.check_addresses(node)


@pytest.mark.usefixtures("machine")
def test_overlapping_networks_are_refused(node: Instance) -> None:
    with pytest.raises(PreflightError, match="overlap"):
        network.check_addresses(dataclasses.replace(node, service_cidr="10.244.0.0/16"))


def test_another_kube_proxy_is_refused(machine: dict[str, str], node: Instance) -> None:
    machine["nft"] = json.dumps({"nftables": [{"table": {"family": "ip", "name": "kube-proxy"}}]})
    with pytest.raises(PreflightError, match="another cluster's kube-proxy"):
        network.check_addresses(node)
