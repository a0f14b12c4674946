import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster import configs, containerd, network
from local_cluster.errors import PreflightError
from local_cluster.instance import Instance
from local_cluster.paths import InstancePaths
from local_cluster.pki import KeyPair


def containerd_config(
    paths: InstancePaths, *, version: tuple[int, int], overlay: bool = True, may_lower_oom_score: bool = True
) -> dict[str, Any]:
    return tomllib.loads(
        containerd.config_text(
            paths,
            version=version,
            cni_plugins=Path("/usr/lib/cni"),
            overlay=overlay,
            may_lower_oom_score=may_lower_oom_score,
        )
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", (1, 6)),
        ("containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6+b4", (1, 7)),
        ("containerd containerd.io v1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da", (1, 7)),
        ("containerd github.com/containerd/containerd/v2 2.1.4-0ubuntu1", (2, 1)),
        ("containerd github.com/containerd/containerd/v2 v2.0.5 fb4c30d4ede3531652d86197bf3fc9515e5276d9", (2, 0)),
    ],
)
def test_the_version_of_containerd_is_read_as_distributions_write_it(text: str, version: tuple[int, int]) -> None:
    assert containerd.parse_version(text) == version


def test_an_unknown_answer_of_containerd_is_an_error() -> None:
    with pytest.raises(PreflightError, match="names no version"):
        containerd.parse_version("not found")


def test_containerd_1_gets_configuration_version_2(paths: InstancePaths) -> None:
    config = containerd_config(paths, version=(1, 7))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert config["version"] == 2
    assert cri["sandbox_image"] == containerd.PAUSE_IMAGE
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": str(paths.cni / "conf")}
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False


def test_containerd_2_gets_configuration_version_3(paths: InstancePaths) -> None:
    config = containerd_config(paths, version=(2, 1))
    images = config["plugins"]["io.containerd.cri.v1.images"]
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert config["version"] == 3
    assert images["pinned_images"]["sandbox"] == containerd.PAUSE_IMAGE
    assert runtime["netns_mounts_under_state_dir"] is True
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False


@pytest.mark.parametrize("version", [(1, 6), (2, 0)])
def test_everything_of_containerd_stays_in_the_folder_of_the_instance(
    paths: InstancePaths, version: tuple[int, int]
) -> None:
    config = containerd_config(paths, version=version)
    places = [
        config["root"],
        config["state"],
        config["grpc"]["address"],
        config["plugins"]["io.containerd.internal.v1.opt"]["path"],
    ]
    assert all(Path(place).is_relative_to(paths.root) for place in places)
    assert config["plugins"]["io.containerd.nri.v1.nri"]["disable"] is True


@pytest.mark.parametrize(("version", "plugin"), [((1, 6), "grpc.v1.cri"), ((2, 0), "cri.v1.runtime")])
def test_oom_scores_are_kept_in_bounds_where_the_capability_is_missing(
    paths: InstancePaths, version: tuple[int, int], plugin: str
) -> None:
    for may in (True, False):
        config = containerd_config(paths, version=version, may_lower_oom_score=may)
        assert config["plugins"][f"io.containerd.{plugin}"]["restrict_oom_score_adj"] is not may


def test_snapshots_are_copies_where_overlays_do_not_work(paths: InstancePaths) -> None:
    config = containerd_config(paths, version=(1, 6), overlay=False)
    assert config["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["snapshotter"] == "native"
    config = containerd_config(paths, version=(2, 0), overlay=False)
    assert config["plugins"]["io.containerd.cri.v1.images"]["snapshotter"] == "native"


def kubelet_config(node: Instance, paths: InstancePaths) -> dict[str, Any]:
    server = KeyPair(Path("/pki/k.crt"), Path("/pki/k.key"))
    config: dict[str, Any] = yaml.safe_load(configs.kubelet(node, paths, authority=Path("/pki/ca.crt"), server=server))
    return config


def test_kubelet_listens_at_the_gateway_only_and_wants_credentials(node: Instance, paths: InstancePaths) -> None:
    config = kubelet_config(node, paths)
    assert config["address"] == node.gateway
    assert config["healthzBindAddress"] == "127.0.0.1"
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}


def test_kubelet_never_removes_images_and_makes_no_iptables_chains(node: Instance, paths: InstancePaths) -> None:
    config = kubelet_config(node, paths)
    assert config["imageGCHighThresholdPercent"] == 100
    assert config["makeIPTablesUtilChains"] is False


def test_there_are_no_more_pods_than_addresses(paths: InstancePaths, node: Instance) -> None:
    assert kubelet_config(node, paths)["maxPods"] == 500
    small = Instance("t1", "node", node.ports, pod_cidr="10.1.0.0/28")
    assert kubelet_config(small, paths)["maxPods"] == 13


def test_kube_proxy_leaves_connection_tracking_alone(node: Instance) -> None:
    config = yaml.safe_load(configs.kube_proxy(node, kubeconfig=Path("/k")))
    assert config["mode"] == "nftables"
    assert config["conntrack"] == {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }


@pytest.mark.parametrize(
    ("content", "forwards"), [("nameserver 192.0.2.53\n", True), ("# nameserver 192.0.2.53\nsearch x\n", False)]
)
def test_other_names_are_forwarded_if_the_machine_has_a_name_server(
    tmp_path: Path, node: Instance, content: str, forwards: bool
) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(content)
    text = configs.corefile(node, kubeconfig=Path("/k"), resolv_conf=resolv_conf)
    assert (f"forward . {resolv_conf}" in text) is forwards
    assert f"bind {node.gateway}" in text
    assert text.count("{") == text.count("}")


def test_a_machine_without_resolv_conf_forwards_nothing(tmp_path: Path, node: Instance) -> None:
    assert "forward" not in configs.corefile(node, kubeconfig=Path("/k"), resolv_conf=tmp_path / "none")


def test_an_unchanged_configuration_is_not_written_again(tmp_path: Path) -> None:
    path = configs.write(tmp_path / "folder" / "config", "a")
    os.utime(path, ns=(1, 1))
    configs.write(path, "a")
    assert path.stat().st_mtime_ns == 1
    configs.write(path, "b")
    assert path.read_text() == "b"


def test_pods_are_translated_only_when_they_talk_to_the_outside() -> None:
    rules = network.ruleset("10.244.0.0/22")
    assert 'ip saddr 10.244.0.0/22 oifname != "camera0"' in rules
    assert rules.startswith("table ip camera-operator\ndelete table ip camera-operator\n"), "applying twice is safe"
