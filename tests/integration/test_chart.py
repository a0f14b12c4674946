"""The chart on a real API server: installed, upgraded and uninstalled by helm, and the rights that it gives.

A control plane of its own, since the kinds belong to the release here and to the test session elsewhere. With
kube-controller-manager, which aggregates the roles view, edit and admin. No node: nothing runs.
"""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import kubernetes.config
import pytest
import yaml
from kubernetes.client import (
    AuthorizationV1Api,
    V1ResourceAttributes,
    V1SubjectAccessReview,
    V1SubjectAccessReviewSpec,
)

from local_cluster import Cluster, CommandError
from unit.chart.rendering import CHART, REPOSITORY

pytestmark = pytest.mark.integration

RELEASE = "camera-operator"
NAMESPACE = "camera-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
KINDS = {"cameras.camera-operator.io", "cameragroups.camera-operator.io", "cameracategories.camera-operator.io"}
#: One who has a role in the namespace markets, by a RoleBinding.
PEOPLE = {"view": "viewer", "edit": "editor", "admin": "owner"}


@pytest.fixture(scope="module")
def control_plane() -> Iterator[Cluster]:
    """An empty cluster with the namespaces markets and traffic, and people in markets."""
    cluster = Cluster.up(
        profile="control-plane", name=f"chart-{os.getpid()}-{secrets.token_hex(2)}", controller_manager=True
    )
    try:
        for namespace in ("markets", "traffic"):
            cluster.kubectl("create", "namespace", namespace)
        for role, person in PEOPLE.items():
            cluster.kubectl(
                *("create", "rolebinding", person, "--namespace", "markets"),
                *("--clusterrole", role, "--user", person),
            )
        cluster.kubectl("create", "clusterrolebinding", "head", "--clusterrole", "admin", "--user", "head")
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def helm(control_plane: Cluster) -> Iterator[Cluster]:
    """The cluster without a release.

    The kinds stay between tests: kube-apiserver takes minutes to delete some that were created moments ago.
    """
    try:
        yield control_plane
    finally:
        if RELEASE in control_plane.helm("list", "--namespace", NAMESPACE, "--short").split():
            control_plane.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks")


def deploy(cluster: Cluster, *flags: str, chart: Path = CHART, **values: object) -> str:
    """Installs or upgrades the release with values and returns what helm prints."""
    return cluster.helm(
        *("upgrade", "--install", RELEASE, str(chart), "--namespace", NAMESPACE, "--create-namespace"),
        *("--values", "-", *flags),
        input=json.dumps(values),
    )


def wait_for_kinds(cluster: Cluster) -> None:
    """Waits until the kinds are served, which helm does not."""
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in sorted(KINDS)))


def names(cluster: Cluster, kind: str) -> set[str]:
    """Names of all cluster-scoped objects of a kind."""
    return set(cluster.kubectl("get", kind, "--output", "jsonpath={.items[*].metadata.name}").split())


def may(cluster: Cluster, user: str, verb: str, resource: str, namespace: str = "") -> bool:
    """Whether the API server lets a user do something: in a namespace, or (empty) in the whole cluster.

    ``resource`` is ``TYPE``, ``TYPE/NAME`` or ``TYPE:SUBRESOURCE``, with ``TYPE`` as in ``deployments.apps``.
    """
    resource, _, subresource = resource.partition(":")
    resource, _, name = resource.partition("/")
    resource, _, group = resource.partition(".")
    review = V1SubjectAccessReview(
        spec=V1SubjectAccessReviewSpec(
            user=user,
            groups=["system:authenticated"],
            resource_attributes=V1ResourceAttributes(
                verb=verb, group=group, resource=resource, subresource=subresource, name=name, namespace=namespace
            ),
        )
    )
    client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]
    with client:
        status = AuthorizationV1Api(client).create_subject_access_review(review).status
    assert status is not None
    allowed: bool = status.allowed
    return allowed


def test_all_objects_are_accepted_and_the_notes_say_what_to_do_next(helm: Cluster) -> None:
    output = deploy(
        helm,
        watchNamespaces=["markets", "traffic"],
        networkPolicy={"egress": {"enabled": True}, "workers": {"enabled": True}},
        topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    )
    assert "STATUS: deployed" in output
    assert "kubectl apply --namespace markets" in output
    assert names(helm, "crd") >= KINDS


def test_first_steps_of_the_notes_work(helm: Cluster) -> None:
    notes = deploy(helm)
    wait_for_kinds(helm)
    manifests = notes.split("<<EOF\n", 1)[1].split("EOF\n", 1)[0]
    helm.kubectl("apply", "--namespace", "default", "--filename", "-", input=manifests)
    listed = helm.kubectl("get", "cameras,cameragroups", "--all-namespaces")
    assert "camera.camera-operator.io/entrance" in listed
    assert "cameragroup.camera-operator.io/market" in listed
    helm.kubectl("get", "cameras", "--all-namespaces", "--field-selector", "status.state=Faulty")


def test_pods_are_admitted_where_the_restricted_standard_is_enforced(helm: Cluster) -> None:
    deploy(helm)
    helm.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    try:
        deployment = json.loads(
            helm.kubectl("get", "deployment", RELEASE, "--namespace", NAMESPACE, "--output", "json")
        )
        (test_pod,) = (
            manifest
            for manifest in yaml.safe_load_all(helm.helm("get", "hooks", RELEASE, "--namespace", NAMESPACE))
            if manifest and manifest["kind"] == "Pod"
        )
        template = deployment["spec"]["template"]
        operator_pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": template["spec"]}
        for pod in (operator_pod, test_pod):
            helm.kubectl(
                *("create", "--namespace", NAMESPACE, "--dry-run=server", "--filename", "-"), input=json.dumps(pod)
            )
    finally:
        helm.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce-")


def test_upgrade_upgrades_the_kinds(helm: Cluster, tmp_path: Path) -> None:
    older = tmp_path / "chart"
    shutil.copytree(CHART, older)
    crd_file = older / "files" / "crds" / "cameras.yaml"
    crd = yaml.safe_load(crd_file.read_text())
    del crd["spec"]["versions"][0]["additionalPrinterColumns"]
    crd_file.write_text(yaml.safe_dump(crd))
    columns = ("get", "crd", "cameras.camera-operator.io", "--output", "jsonpath={..additionalPrinterColumns[*].name}")

    deploy(helm, chart=older)
    assert "State" not in helm.kubectl(*columns).split()
    deploy(helm, replicaCount=1)
    assert "State" in helm.kubectl(*columns).split()
    replicas = ("get", "deployment", RELEASE, "--namespace", NAMESPACE, "--output", "jsonpath={.spec.replicas}")
    assert helm.kubectl(*replicas) == "1"


def test_kinds_applied_by_kubectl_are_taken_over_when_asked(helm: Cluster) -> None:
    manifests = str(REPOSITORY / "crds" / "manifests")
    helm.kubectl("apply", "--server-side", "--force-conflicts", "--filename", manifests)
    helm.kubectl("annotate", "--filename", manifests, "meta.helm.sh/release-name-", "meta.helm.sh/release-namespace-")
    with pytest.raises(CommandError, match="invalid ownership metadata"):
        deploy(helm)
    assert "STATUS: deployed" in deploy(helm, "--take-ownership", "--force-conflicts")


def test_uninstall_keeps_the_kinds_and_every_camera(helm: Cluster) -> None:
    deploy(helm)
    wait_for_kinds(helm)
    group = {"apiVersion": "camera-operator.io/v1alpha1", "kind": "CameraGroup", "metadata": {"name": "kept"}}
    apply = ("apply", "--namespace", "traffic", "--filename", "-")
    helm.kubectl(*apply, input=json.dumps({**group, "spec": {"category": "shops"}}))
    identity = ("get", "cameragroup.camera-operator.io/kept", "--namespace", "traffic", "--output", "jsonpath={..uid}")
    uid = helm.kubectl(*identity)

    helm.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    assert names(helm, "crd") == KINDS
    assert helm.kubectl(*identity) == uid
    assert not any(RELEASE in name for name in names(helm, "clusterrole") | names(helm, "clusterrolebinding"))

    # A later install takes the kinds over again.
    assert "STATUS: deployed" in deploy(helm)
    assert helm.kubectl(*identity) == uid


def test_categories_are_created_once_and_then_belong_to_the_user(helm: Cluster) -> None:
    shipped = {path.stem for path in (REPOSITORY / "deploy" / "categories").glob("*.yaml")}
    deploy(helm)
    wait_for_kinds(helm)
    assert "NOT CREATED YET" not in deploy(helm, categories={"create": True})
    assert names(helm, "cameracategories") == shipped
    helm.kubectl("patch", "cameracategory", "shops", "--type=merge", "--patch", '{"spec": {"uptimeTarget": 42}}')
    helm.kubectl("delete", "cameracategory", "schools")

    deploy(helm, categories={"create": False})
    assert names(helm, "cameracategories") == shipped - {"schools"}
    deploy(helm, categories={"create": True})
    assert names(helm, "cameracategories") == shipped
    target = ("get", "cameracategory", "shops", "--output", "jsonpath={.spec.uptimeTarget}")
    assert helm.kubectl(*target) == "42"

    helm.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    deploy(helm, categories={"create": True})
    assert helm.kubectl(*target) == "42"


def test_old_clusters_are_refused_with_the_version_they_need(helm: Cluster) -> None:
    with pytest.raises(CommandError, match=r"kubeVersion: >=1\.31"):
        helm.helm("template", RELEASE, str(CHART), "--kube-version", "1.30.5")


MUST = [
    ("list", "cameras.camera-operator.io"),
    ("watch", "cameragroups.camera-operator.io"),
    ("patch", "cameras.camera-operator.io:status"),
    ("patch", "cameragroups.camera-operator.io:status"),
    ("update", "cameragroups.camera-operator.io:finalizers"),
    ("get", "secrets"),
    ("create", "secrets"),
    ("patch", "secrets"),
    ("delete", "secrets"),
    ("create", "services"),
    ("create", "statefulsets.apps"),
    ("delete", "statefulsets.apps"),
    ("patch", "pods"),
    ("delete", "pods"),
    ("patch", "pods:resize"),
    ("create", "poddisruptionbudgets.policy"),
    ("create", "events.events.k8s.io"),
]
MUST_NOT = [
    ("create", "cameras.camera-operator.io"),
    ("patch", "cameras.camera-operator.io"),
    ("delete", "cameras.camera-operator.io"),
    ("patch", "cameragroups.camera-operator.io"),
    ("create", "pods"),
    ("create", "pods:eviction"),
    ("create", "pods:exec"),
    ("get", "pods:log"),
    ("update", "secrets"),
    ("deletecollection", "secrets"),
    ("get", "configmaps"),
    ("create", "deployments.apps"),
    ("create", "daemonsets.apps"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("create", "serviceaccounts:token"),
    ("impersonate", "users"),
]


def test_operator_of_all_namespaces_may_what_it_must_and_no_more(helm: Cluster) -> None:
    deploy(helm)
    assert [right for right in MUST if not may(helm, OPERATOR, *right)] == []
    assert [right for right in MUST_NOT if may(helm, OPERATOR, *right, "markets")] == []
    assert may(helm, OPERATOR, "watch", "cameracategories.camera-operator.io")
    assert not may(helm, OPERATOR, "patch", "cameracategories.camera-operator.io")
    assert not may(helm, OPERATOR, "list", "namespaces")
    assert not may(helm, OPERATOR, "list", "customresourcedefinitions.apiextensions.k8s.io")


def test_operator_of_some_namespaces_has_its_rights_only_there(helm: Cluster) -> None:
    deploy(helm, watchNamespaces=["markets"])
    assert [right for right in MUST if not may(helm, OPERATOR, *right, "markets")] == []
    assert [right for right in MUST if may(helm, OPERATOR, *right, "traffic")] == []
    assert [right for right in MUST if may(helm, OPERATOR, *right, NAMESPACE)] == []
    assert may(helm, OPERATOR, "list", "cameracategories.camera-operator.io")


def test_operator_may_use_its_own_lease_only(helm: Cluster) -> None:
    deploy(helm)
    assert may(helm, OPERATOR, "create", "leases.coordination.k8s.io", NAMESPACE)
    assert may(helm, OPERATOR, "update", f"leases.coordination.k8s.io/{RELEASE}", NAMESPACE)
    assert not may(helm, OPERATOR, "update", "leases.coordination.k8s.io/another", NAMESPACE)
    assert not may(helm, OPERATOR, "list", "leases.coordination.k8s.io", NAMESPACE)
    assert not may(helm, OPERATOR, "create", "leases.coordination.k8s.io", "kube-system")


def test_people_get_the_kinds_through_the_clusters_own_roles(helm: Cluster) -> None:
    deploy(helm)
    wait_for_aggregation(helm)
    camera, group = "cameras.camera-operator.io", "cameragroups.camera-operator.io"
    category = "cameracategories.camera-operator.io"
    for person in PEOPLE.values():
        assert may(helm, person, "list", camera, "markets")
        assert not may(helm, person, "list", camera, "traffic")
        assert not may(helm, person, "patch", f"{camera}:status", "markets")
        assert not may(helm, person, "create", category)
    assert not may(helm, "viewer", "create", camera, "markets")
    assert not may(helm, "viewer", "patch", f"{group}:scale", "markets")
    for person in ("editor", "owner"):
        assert may(helm, person, "create", camera, "markets")
        assert may(helm, person, "patch", f"{group}:scale", "markets")
    assert may(helm, "head", "create", category)
    assert may(helm, "head", "list", category)


def wait_for_aggregation(cluster: Cluster) -> None:
    """Waits until kube-controller-manager has put the chart's rules into view, edit and admin."""
    camera, category = "cameras.camera-operator.io", "cameracategories.camera-operator.io"
    wanted = [("viewer", "list", camera, "markets"), ("editor", "create", camera, "markets")]
    wanted += [("owner", "create", camera, "markets"), ("head", "create", category, "")]
    deadline = time.monotonic() + 30
    while missing := [right for right in wanted if not may(cluster, *right)]:
        assert time.monotonic() < deadline, f"not granted: {missing}"
        time.sleep(0.2)


# The last one, because it takes the kinds away.
def test_uninstall_removes_the_kinds_if_they_are_not_to_be_kept(helm: Cluster) -> None:
    assert "will delete the kinds and with them EVERY camera" in deploy(helm, crds={"keep": False})
    helm.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    remaining = json.loads(helm.kubectl("get", "crd", "--output", "json"))["items"]
    assert [crd["metadata"]["name"] for crd in remaining if "deletionTimestamp" not in crd["metadata"]] == []
