"""values.yaml, its schema and the table in the README say the same, and mistakes are refused by name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from unit.chart.rendering import CHART, Chart

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
#: Kubernetes' own structures, whose keys belong to Kubernetes, and what a parent chart passes on.
OPEN = {"global", "affinity.nodeAffinity", "affinity.podAffinity", "affinity.podAntiAffinity"}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its reference."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    definition: dict[str, Any] = SCHEMA["definitions"][reference.removeprefix("#/definitions/")]
    return definition


def sub_schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and content of all schemas below one, itself included."""
    schema = resolved(schema)
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from sub_schemas(child, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from sub_schemas(schema["items"], f"{path}[]")


def test_lint_finds_nothing(chart: Chart) -> None:
    output = chart.run("lint", str(CHART), "--strict")
    assert "1 chart(s) linted, 0 chart(s) failed" in output
    assert "[WARNING]" not in output


def test_schema_closes_every_object() -> None:
    objects = {path: schema for path, schema in sub_schemas(SCHEMA) if schema.get("type") == "object"}
    open_objects = {path for path, schema in objects.items() if "additionalProperties" not in schema}
    assert len(objects) > 50
    assert open_objects == OPEN


def test_schema_gives_every_value_a_type() -> None:
    untyped = {path for path, schema in sub_schemas(SCHEMA) if "type" not in schema}
    assert untyped == set()


def test_schema_knows_exactly_the_keys_of_the_values_file() -> None:
    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
        properties = resolved(schema).get("properties")
        if properties is None:
            return
        yield from (f"{path}{key} has no schema" for key in values.keys() - properties.keys())
        # Optional parts of Kubernetes' own structures need no default.
        if not path.startswith(("podSecurityContext", "containerSecurityContext", "affinity")):
            yield from (f"{path}{key} has no default" for key in properties.keys() - values.keys() - {"global"})
        for key, value in values.items():
            if isinstance(value, dict):
                yield from compare(value, properties[key], f"{path}{key}.")

    assert list(compare(VALUES, SCHEMA, "")) == []


def test_readme_lists_every_value_with_its_default() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| `(.*?)` \| (.+) \|$", (CHART / "README.md").read_text(), re.MULTILINE)
    listed = {path: json.loads(default) for path, default, _ in rows}

    def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for key, value in values.items():
            path = prefix + key
            if isinstance(value, dict) and path not in listed:
                yield from leaves(value, f"{path}.")
            else:
                yield path, value

    assert listed == dict(leaves(VALUES))


def test_a_misspelt_key_is_refused_in_every_object(chart: Chart) -> None:
    closed = [
        path for path, schema in sub_schemas(SCHEMA) if schema.get("additionalProperties") is False and "[]" not in path
    ]
    values: dict[str, Any] = {}
    for path in closed:
        place = values
        for key in path.split(".") if path else []:
            place = place.setdefault(key, {})
        place["typo"] = True
    message = chart.refusal(values)
    for path in closed:
        assert f"at '{'/' + path.replace('.', '/') if path else ''}'" in message
    assert message.count("additional properties 'typo' not allowed") >= len(closed) > 20


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicaCount", -1),
        ("replicaCount", "two"),
        ("image.tag", "has space"),
        ("image.digest", "sha256:short"),
        ("image.pullPolicy", "Sometimes"),
        ("image.repository", ""),
        ("worker.image.repository", "registry.example/worker@sha256"),
        ("imagePullSecrets", ["registry"]),
        ("worker.imagePullSecrets", [{"name": "registry"}]),
        ("watchNamespaces", "traffic"),
        ("watchNamespaces", ["Traffic"]),
        ("watchNamespaces", ["traffic", "traffic"]),
        ("log.level", "verbose"),
        ("log.format", "xml"),
        ("reconcile.concurrency", 0),
        ("reconcile.resyncSeconds", 5),
        ("statusWrites.perSecond", 0),
        ("statusWrites.burst", 100_000),
        ("crds.keep", "yes"),
        ("commonLabels", {"app.kubernetes.io/name": "mine"}),
        ("podLabels", {"app.kubernetes.io/component": "mine"}),
        ("podLabels", {"team": 7}),
        ("resources.limits", {"memory": "1 GB"}),
        ("strategy.rollingUpdate.maxUnavailable", "half"),
        ("podDisruptionBudget.maxUnavailable", "200%"),
        ("podMonitor.interval", "30"),
        ("networkPolicy.egress.apiServerPorts", []),
        ("networkPolicy.egress.apiServerCIDRs", ["192.0.2.10"]),
        ("networkPolicy.ingress.from", [{}]),
        ("networkPolicy.workers.from", [{"podSelektor": {}}]),
        ("podSecurityContext.runAsUser", 0),
        ("service.port", 70_000),
        ("tolerations", [{"key": "gpu", "operator": "Equals"}]),
        ("topologySpreadConstraints", [{"topologyKey": "zone"}]),
        ("extraEnv", [{"value": "no name"}]),
        ("fullnameOverride", "Cameras"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(chart: Chart, path: str, value: object) -> None:
    values: Any = value
    for key in reversed(path.split(".")):
        values = {key: values}
    assert f"/{path.replace('.', '/')}" in chart.refusal(values)


def test_values_of_a_parent_chart_are_accepted(chart: Chart) -> None:
    assert chart.objects({"global": {"imageRegistry": "registry.example"}}).all


def test_common_structures_of_kubernetes_are_accepted(chart: Chart) -> None:
    values = {
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "cameras", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        "resources": {"requests": {"cpu": 1, "memory": "512Mi", "ephemeral-storage": "1Gi"}},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
        "podSecurityContext": {"runAsUser": None, "supplementalGroups": [5]},
        "strategy": {"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}},
        "imagePullSecrets": [{"name": "registry"}],
        "podMonitor": {"interval": "1m30s", "relabelings": [{"action": "labeldrop", "regex": "pod"}]},
        "networkPolicy": {"ingress": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}},
    }
    assert chart.objects(values).all
