"""The operator's pods: settings that the operator understands, restricted rights, and where they run."""

import argparse
from typing import Any

import pytest

from camera_operator.settings import ENVIRONMENT_PREFIX, Settings, add_flags, load_settings
from unit.chart.rendering import Chart, Objects, container, environment, pod

DIGEST = "sha256:" + "0123456789abcdef" * 4


def settings_of(objects: Objects) -> Settings:
    """What the operator makes of the environment that the chart gives it."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    # Kubernetes fills in what comes from the pod itself.
    from_pod = {"CAMERA_OPERATOR_NAMESPACE": "camera-system", "CAMERA_OPERATOR_POD_NAME": "camera-operator-x"}
    return load_settings(parser.parse_args([]), {**from_pod, **environment(objects)})


def test_operator_reads_every_variable_that_the_chart_sets(default: Objects, chart: Chart) -> None:
    full = chart.objects({"watchNamespaces": ["markets"], "worker": {"imagePullSecrets": ["registry"]}})
    known = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    for objects in (default, full):
        assert {entry["name"] for entry in container(objects)["env"]} <= known
    # Whoever runs in a cluster needs no kubeconfig.
    assert known - {entry["name"] for entry in container(full)["env"]} == {
        "CAMERA_OPERATOR_KUBECONFIG",
        "CAMERA_OPERATOR_CONTEXT",
    }


def test_default_values_give_the_operators_own_defaults(default: Objects) -> None:
    settings = settings_of(default)
    for name, field in Settings.__dataclass_fields__.items():
        # Logs of a cluster are read by machines first.
        if name not in {"worker_image", "namespace", "pod_name", "log_format"}:
            assert getattr(settings, name) == field.default, name
    assert settings.log_format == "json"


def test_values_reach_the_operator(chart: Chart) -> None:
    settings = settings_of(
        chart.objects(
            {
                "watchNamespaces": ["markets", "traffic"],
                "log": {"level": "debug", "format": "text"},
                "reconcile": {"concurrency": 64, "resyncSeconds": 86400, "movesPerHour": 0, "failoverAfterSeconds": 10},
                "statusWrites": {"perSecond": 10000, "burst": 10000},
                "leaseName": "leader",
                "runbook": "https://wiki.example.org/cameras",
                "worker": {
                    "image": {"repository": "registry.example/worker", "tag": "1.2", "pullPolicy": "Always"},
                    "imagePullSecrets": ["one", "two"],
                    "serviceAccountName": "cameras",
                    "log": {"level": "warning"},
                },
            }
        )
    )
    assert settings == Settings(
        worker_image="registry.example/worker:1.2",
        worker_image_pull_policy="Always",
        worker_image_pull_secrets=("one", "two"),
        worker_service_account="cameras",
        worker_log_level="warning",
        watch_namespaces=("markets", "traffic"),
        namespace="camera-system",
        pod_name="camera-operator-x",
        lease_name="leader",
        log_level="debug",
        log_format="text",
        reconcile_concurrency=64,
        status_writes_per_second=10000,
        status_write_burst=10000,
        resync_seconds=86400,
        moves_per_hour=0,
        failover_after_seconds=10,
        runbook="https://wiki.example.org/cameras",
    )


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"repository": "registry.example:5000/camera"}, "registry.example:5000/camera:0.1.0"),
        ({"repository": "camera", "tag": "1.2.3"}, "camera:1.2.3"),
        ({"repository": "camera", "digest": DIGEST}, f"camera@{DIGEST}"),
        ({"repository": "camera", "tag": "1.2.3", "digest": DIGEST}, f"camera@{DIGEST}"),
    ],
)
def test_image_is_the_tag_or_the_digest(chart: Chart, image: dict[str, str], expected: str) -> None:
    objects = chart.objects({"image": image, "worker": {"image": image}})
    assert container(objects)["image"] == expected
    assert environment(objects)["CAMERA_OPERATOR_WORKER_IMAGE"] == expected
    assert objects.one("Pod")["spec"]["containers"][0]["image"] == expected


def test_pods_fit_the_restricted_pod_security_standard(default: Objects) -> None:
    for specification in (pod(default), default.one("Pod")["spec"]):
        assert specification["securityContext"]["runAsNonRoot"] is True
        assert specification["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & specification.keys()
        for item in specification["containers"]:
            assert item["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_only_the_operator_holds_a_token(default: Objects) -> None:
    assert pod(default)["automountServiceAccountToken"] is True
    assert default.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert default.one("Pod")["spec"]["automountServiceAccountToken"] is False


def test_service_variables_do_not_get_among_the_settings(default: Objects) -> None:
    assert pod(default)["enableServiceLinks"] is False


def test_probes_ask_the_port_that_the_operator_listens_on(default: Objects) -> None:
    item = container(default)
    (port,) = item["ports"]
    assert port["name"] == "http"
    assert str(port["containerPort"]) == environment(default)["CAMERA_OPERATOR_HTTP_PORT"]
    probes = {name: item[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/healthz", "port": "http"},
        "livenessProbe": {"path": "/healthz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }


def test_memory_is_limited_and_cpu_is_not(default: Objects) -> None:
    resources = container(default)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_two_replicas_prefer_two_nodes(default: Objects) -> None:
    deployment = default.one("Deployment")
    assert deployment["spec"]["replicas"] == 2
    (term,) = pod(default)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    selector = term["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert selector == deployment["spec"]["selector"]["matchLabels"]


def test_scheduling_values_stand_in_the_pod(chart: Chart) -> None:
    values: dict[str, Any] = {
        "nodeSelector": {"pool": "control"},
        "tolerations": [{"key": "control", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 45,
        "imagePullSecrets": [{"name": "registry"}],
    }
    specification = pod(chart.objects(values))
    assert {key: specification[key] for key in values} == values


def test_spread_means_the_operators_pods_unless_it_says_otherwise(chart: Chart) -> None:
    own = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    other = {**own, "labelSelector": {"matchLabels": {"app": "other"}}}
    objects = chart.objects({"topologySpreadConstraints": [own, other]})
    first, second = pod(objects)["topologySpreadConstraints"]
    assert first["labelSelector"] == objects.one("Deployment")["spec"]["selector"]
    assert second == other


def test_pod_labels_and_annotations_are_added(chart: Chart) -> None:
    objects = chart.objects({"podLabels": {"team": "cctv"}, "podAnnotations": {"example.com/note": "x"}})
    metadata = objects.one("Deployment")["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "cctv"
    assert metadata["annotations"]["example.com/note"] == "x"


def test_a_new_version_of_the_chart_alone_restarts_nothing(default: Objects) -> None:
    assert "helm.sh/chart" not in default.one("Deployment")["spec"]["template"]["metadata"]["labels"]


def test_further_environment_comes_last(chart: Chart) -> None:
    extra = {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}
    assert container(chart.objects({"extraEnv": [extra]}))["env"][-1] == extra


def test_service_account_of_someone_else_is_used(chart: Chart) -> None:
    objects = chart.objects({"serviceAccount": {"create": False, "name": "given"}})
    assert pod(objects)["serviceAccountName"] == "given"
    assert objects.of("ServiceAccount") == []
