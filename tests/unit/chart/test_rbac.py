"""The operator's rights are exactly what it calls, and Secrets are read only where cameras are."""

from collections.abc import Iterable
from typing import Any

from unit.chart.rendering import NAMESPACE, Chart, Objects

Rule = dict[str, Any]
Grant = tuple[str, str, str]  #: API group, resource, verb

CAMERAS = "camera-operator.io"
CLUSTER_NAME = "camera-system-camera-operator"


def grants(rules: Iterable[Rule]) -> set[Grant]:
    """All that rules allow."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def allow(group: str, resources: str, verbs: str) -> set[Grant]:
    """Grants from space-separated lists."""
    return {(group, resource, verb) for resource in resources.split() for verb in verbs.split()}


CATEGORIES = allow(CAMERAS, "cameracategories", "list watch")
IN_SERVED_NAMESPACES = (
    allow(CAMERAS, "cameras cameragroups", "get list watch")
    | allow(CAMERAS, "cameras/status cameragroups/status", "patch")
    | allow(CAMERAS, "cameragroups/finalizers", "update")
    | allow("", "secrets", "get list watch create patch delete")
    | allow("", "services", "list watch create patch delete")
    | allow("apps", "statefulsets", "list watch create patch delete")
    | allow("", "pods", "list watch patch delete")
    | allow("", "pods/resize", "patch")
    | allow("policy", "poddisruptionbudgets", "list watch create patch delete")
    | allow("events.k8s.io", "events", "create patch")
)


def test_serving_all_namespaces_takes_one_cluster_role(default: Objects) -> None:
    assert grants(default.one("ClusterRole", CLUSTER_NAME)["rules"]) == CATEGORIES | IN_SERVED_NAMESPACES
    assert [role["metadata"]["name"] for role in default.of("Role")] == ["camera-operator-leader"]


def test_serving_some_namespaces_takes_a_role_in_each_and_nothing_but_categories_in_the_cluster(chart: Chart) -> None:
    objects = chart.objects({"watchNamespaces": ["markets", "traffic"]})
    assert grants(objects.one("ClusterRole", CLUSTER_NAME)["rules"]) == CATEGORIES
    roles = {
        role["metadata"]["namespace"]: grants(role["rules"])
        for role in objects.of("Role")
        if role["metadata"]["name"] == CLUSTER_NAME
    }
    assert roles == {"markets": IN_SERVED_NAMESPACES, "traffic": IN_SERVED_NAMESPACES}


def test_secrets_are_granted_only_in_served_namespaces(chart: Chart) -> None:
    objects = chart.objects({"watchNamespaces": ["markets", "traffic"]})
    with_secrets = [
        role["metadata"].get("namespace")
        for role in (*objects.of("Role"), *objects.of("ClusterRole"))
        if any(resource == "secrets" for _, resource, _ in grants(role["rules"]))
    ]
    assert sorted(with_secrets) == ["markets", "traffic"]


def test_the_lease_is_the_only_right_in_the_own_namespace(default: Objects) -> None:
    create, use = default.one("Role", "camera-operator-leader")["rules"]
    assert create == {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}
    assert use["resourceNames"] == ["camera-operator"]
    assert use["verbs"] == ["get", "update"]


def test_the_granted_lease_is_the_one_the_operator_uses(chart: Chart) -> None:
    objects = chart.objects({"leaseName": "cameras-leader"})
    assert objects.one("Role", "camera-operator-leader")["rules"][1]["resourceNames"] == ["cameras-leader"]
    (entry,) = [
        entry
        for entry in objects.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
        if entry["name"] == "CAMERA_OPERATOR_LEASE_NAME"
    ]
    assert entry["value"] == "cameras-leader"


def test_no_rule_has_a_wildcard(chart: Chart) -> None:
    for values in ({}, {"watchNamespaces": ["markets"]}):
        objects = chart.objects(values)
        for role in (*objects.of("Role"), *objects.of("ClusterRole")):
            for rule in role["rules"]:
                assert not any("*" in entry for entries in rule.values() for entry in entries), role["metadata"]["name"]


def test_every_binding_binds_the_operator_to_a_role_of_the_chart(chart: Chart) -> None:
    objects = chart.objects({"watchNamespaces": ["markets", "traffic"], "serviceAccount": {"name": "cameras"}})
    roles = {(role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]) for role in objects}
    bindings = [*objects.of("RoleBinding"), *objects.of("ClusterRoleBinding")]
    assert len(bindings) == 4
    for binding in bindings:
        reference = binding["roleRef"]
        assert (reference["kind"], binding["metadata"].get("namespace"), reference["name"]) in roles
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "cameras", "namespace": NAMESPACE}]


def test_viewers_read_and_editors_write_but_status_is_the_operators(default: Objects) -> None:
    view = default.one("ClusterRole", f"{CLUSTER_NAME}-view")
    edit = default.one("ClusterRole", f"{CLUSTER_NAME}-edit")
    assert {verb for _, _, verb in grants(view["rules"])} == {"get", "list", "watch"}
    assert {resource for _, resource, _ in grants(edit["rules"])} == {"cameras", "cameragroups", "cameragroups/scale"}
    assert (CAMERAS, "cameragroups/scale", "patch") in grants(edit["rules"])


def test_categories_are_written_by_admins_only(default: Objects) -> None:
    writers = {
        role["metadata"]["name"]
        for role in default.of("ClusterRole")
        if {("camera-operator.io", "cameracategories", "update")} & grants(role["rules"])
    }
    assert writers == {f"{CLUSTER_NAME}-admin"}


def test_roles_aggregate_upwards(default: Objects) -> None:
    aggregated = {
        role["metadata"]["name"].removeprefix(f"{CLUSTER_NAME}-"): {
            label.removeprefix("rbac.authorization.k8s.io/aggregate-to-")
            for label in role["metadata"]["labels"]
            if label.startswith("rbac.authorization.k8s.io/")
        }
        for role in default.of("ClusterRole")
        if role["metadata"]["name"] != CLUSTER_NAME
    }
    assert aggregated == {"view": {"view", "edit", "admin"}, "edit": {"edit", "admin"}, "admin": {"admin"}}
