"""Which objects the chart brings, and what all of them have in common."""

from typing import Any

from unit.chart.rendering import NAMESPACE, Chart, Objects

CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "CameraCategory"}
EVERYTHING: dict[str, Any] = {
    "categories": {"create": True},
    "podMonitor": {"enabled": True},
    "networkPolicy": {"workers": {"enabled": True}, "egress": {"enabled": True}},
    "watchNamespaces": ["markets", "traffic"],
    "commonLabels": {"team": "cctv"},
}


def test_default_install_is_this_inventory(default: Objects) -> None:
    name, cluster_name = "camera-operator", "camera-system-camera-operator"
    assert default.names() == {
        ("CustomResourceDefinition", "", "cameras.camera-operator.io"),
        ("CustomResourceDefinition", "", "cameragroups.camera-operator.io"),
        ("CustomResourceDefinition", "", "cameracategories.camera-operator.io"),
        ("ClusterRole", "", cluster_name),
        ("ClusterRole", "", f"{cluster_name}-view"),
        ("ClusterRole", "", f"{cluster_name}-edit"),
        ("ClusterRole", "", f"{cluster_name}-admin"),
        ("ClusterRoleBinding", "", cluster_name),
        ("Role", NAMESPACE, f"{name}-leader"),
        ("RoleBinding", NAMESPACE, f"{name}-leader"),
        ("ServiceAccount", NAMESPACE, name),
        ("Deployment", NAMESPACE, name),
        ("Service", NAMESPACE, name),
        ("PodDisruptionBudget", NAMESPACE, name),
        ("NetworkPolicy", NAMESPACE, name),
        ("Pod", NAMESPACE, f"{name}-test-ready"),
    }


def test_everything_switched_off_leaves_operator_and_service(chart: Chart) -> None:
    objects = chart.objects(
        {
            "crds": {"enabled": False},
            "rbac": {"create": False, "aggregateToDefaultRoles": False},
            "serviceAccount": {"create": False},
            "podDisruptionBudget": {"enabled": False},
            "networkPolicy": {"enabled": False},
        }
    )
    assert {kind for kind, _, _ in objects.names()} == {"Deployment", "Service", "Pod"}


def test_rendering_twice_gives_the_same_bytes(chart: Chart) -> None:
    assert chart.text(EVERYTHING) == chart.text(EVERYTHING)


def test_no_object_is_rendered_twice(chart: Chart) -> None:
    objects = chart.objects(EVERYTHING)
    assert len(objects.names()) == len(objects.all)


def test_every_object_but_cluster_scoped_ones_names_its_namespace(chart: Chart) -> None:
    for item in chart.objects(EVERYTHING):
        assert ("namespace" in item["metadata"]) == (item["kind"] not in CLUSTER_SCOPED), item["kind"]


def test_every_object_of_the_release_carries_the_common_labels(chart: Chart) -> None:
    for item in chart.objects(EVERYTHING):
        if item["kind"] == "CameraCategory":  # the user's, not the release's
            continue
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "camera-operator"
        assert labels["app.kubernetes.io/instance"] == "camera-operator"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["team"] == "cctv"


def test_releases_in_two_namespaces_share_no_object_but_the_kinds(chart: Chart) -> None:
    one = chart.objects(namespace="one").names()
    two = chart.objects(namespace="two").names()
    assert {kind for kind, _, _ in one & two} == {"CustomResourceDefinition"}


def test_the_longest_release_name_gives_valid_names(chart: Chart) -> None:
    objects = chart.objects(EVERYTHING, release="r" * 53, namespace="n" * 63)
    for kind, _, name in objects.names():
        limit = 253 if kind in {*CLUSTER_SCOPED, "Role", "RoleBinding", "NetworkPolicy"} else 63
        assert len(name) <= limit, (kind, name)
        assert not name.endswith("-")


def test_names_can_be_overridden(chart: Chart) -> None:
    objects = chart.objects({"fullnameOverride": "cameras"})
    assert objects.one("Deployment")["metadata"]["name"] == "cameras"
    assert objects.one("ClusterRoleBinding")["metadata"]["name"] == "camera-system-cameras"
    objects = chart.objects({"nameOverride": "watcher"}, release="city")
    assert objects.one("Deployment")["metadata"]["name"] == "city-watcher"
    selector = objects.one("Deployment")["spec"]["selector"]["matchLabels"]
    assert selector["app.kubernetes.io/name"] == "watcher"


def test_all_selectors_of_the_operator_match_its_pods_and_not_those_of_helm_test(chart: Chart) -> None:
    objects = chart.objects({"podMonitor": {"enabled": True}})
    deployment = objects.one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    test_labels = objects.one("Pod")["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        objects.one("Service")["spec"]["selector"],
        objects.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        objects.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        objects.one("PodMonitor", "camera-operator")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= test_labels.items()
