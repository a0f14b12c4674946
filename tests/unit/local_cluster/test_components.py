from pathlib import Path

import pytest

from local_cluster.components import Blueprint, Component
from local_cluster.instance import Instance, Profile
from local_cluster.paths import InstancePaths

CONTROLLERS, SCHEDULER = "kube-controller-manager", "kube-scheduler"


def components(paths: InstancePaths, profile: Profile, *, controller_manager: bool = False) -> dict[str, Component]:
    names = ("kube-apiserver", "etcd-client", "etcd-peer", "etcd-metrics", CONTROLLERS, SCHEDULER)
    ports = dict(zip(names, range(21000, 21100), strict=False))
    instance = Instance("t1", profile, ports, controller_manager=controller_manager)
    groups = Blueprint(instance, paths, Path("/binaries")).components()
    return {component.name: component for group in groups for component in group}


@pytest.mark.parametrize(
    ("profile", "controller_manager", "further"),
    [
        ("control-plane", False, []),
        ("control-plane", True, [CONTROLLERS]),
        ("workloads", False, [CONTROLLERS, SCHEDULER]),
    ],
)
def test_each_profile_without_a_node_has_its_components(
    paths: InstancePaths, profile: Profile, controller_manager: bool, further: list[str]
) -> None:
    found = components(paths, profile, controller_manager=controller_manager)
    assert list(found) == ["etcd", "kube-apiserver", *further]


def test_only_the_profile_for_many_pods_changes_what_controllers_do_by_default(paths: InstancePaths) -> None:
    usual = components(paths, "control-plane", controller_manager=True)[CONTROLLERS].argv
    many = components(paths, "workloads")[CONTROLLERS].argv
    assert [argument for argument in many if argument not in usual] == [
        "--controllers=*,-endpoints-controller,-endpointslice-controller",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    ]
