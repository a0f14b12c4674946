"""The kinds on a real API server: what it refuses and in which words, what it fills in, and what kubectl shows.

Nothing of the project runs here: users get these answers while the operator is down.
"""

import itertools
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from kubernetes.client import V1Namespace, V1ObjectMeta

from camera_api import API_VERSION, GROUP, VERSION
from camera_api.base import ApiModel
from camera_api.camera import CameraSpec
from camera_api.category import CameraCategorySpec
from camera_api.group import CameraGroupSpec
from camera_api.render_crds import KINDS, Kind, render_crd
from local_cluster import Cluster, CommandError

pytestmark = pytest.mark.integration

Object = dict[str, Any]

MANIFESTS = Path(__file__).parent / "manifests"
PLURALS = {"Camera": "cameras", "CameraGroup": "cameragroups", "CameraCategory": "cameracategories"}
MODELS: dict[str, type[ApiModel]] = {
    "Camera": CameraSpec,
    "CameraGroup": CameraGroupSpec,
    "CameraCategory": CameraCategorySpec,
}
SMALLEST: dict[str, Object] = {
    "Camera": {
        "apiVersion": API_VERSION,
        "kind": "Camera",
        "metadata": {"name": "gate"},
        "spec": {"group": "petrol-pumps", "source": {"rtsp": {"url": "rtsp://192.0.2.10:554/stream1"}}},
    },
    "CameraGroup": {
        "apiVersion": API_VERSION,
        "kind": "CameraGroup",
        "metadata": {"name": "petrol-pumps"},
        "spec": {"category": "petrol-pumps"},
    },
    "CameraCategory": {
        "apiVersion": API_VERSION,
        "kind": "CameraCategory",
        "metadata": {"name": "petrol-pumps"},
        "spec": {},
    },
}


# --- The tables -----------------------------------------------------------------------------------------------------


class _CaseLoader(yaml.SafeLoader):
    """YAML with the two tags of the tables."""


def _long(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text, length = loader.construct_scalar(node).rsplit(" ", 1)
    return text.ljust(int(length), text[-1] if text[-1].isalpha() else "x")


def _numbered(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Any:
    settings = loader.construct_mapping(node, deep=True)
    names = [f"n{number}" for number in range(settings["count"])]
    if "item" in settings:
        return [{"name": name, **settings["item"]} for name in names]
    return dict.fromkeys(names, "x")


_CaseLoader.add_constructor("!long", _long)
_CaseLoader.add_constructor("!numbered", _numbered)


def load_cases(file: str) -> list[Any]:
    cases = yaml.load((MANIFESTS / file).read_text(), Loader=_CaseLoader)
    return [pytest.param(case, id=f"{case['kind']}: {case['case']}") for case in cases]


def merged(target: Object, patch: Object) -> Object:
    """A JSON merge patch applied (RFC 7396)."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result[key] if isinstance(result.get(key), dict) else {}, value)
        else:
            result[key] = value
    return result


def contains(actual: Any, expected: Any) -> bool:
    """Whether the value has all that is expected; lists must be alike in length."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and contains(actual[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(map(contains, actual, expected))
    return bool(actual == expected)


# --- The API server -------------------------------------------------------------------------------------------------


class RefusedError(Exception):
    """The API server's answer to a request that it did not carry out."""

    def __init__(self, status: Object) -> None:
        super().__init__(status["message"])
        self.code: int = status["code"]
        self.status = status

    def causes(self) -> list[tuple[str, str]]:
        """Field and message of each mistake.

        Left out are notes without a field: that rules were not run beside other mistakes, and that a fraction is no
        integer once more. The API server's own check of the scale subresource starts its path with a dot.
        """
        assert self.code == 422, self.status["message"]
        causes = [(cause["field"], cause["message"]) for cause in self.status["details"]["causes"]]
        return [(field.removeprefix("."), message) for field, message in causes if field != "<nil>"]


@dataclass(frozen=True)
class Server:
    """Requests to the API server over one connection, as ``kubectl`` sends them (strict field validation)."""

    client: kubernetes.client.ApiClient
    namespace: str

    def request(self, method: str, path: str, body: Object | None = None, *, dry_run: bool = False) -> Object:
        """One request.

        Raises:
            RefusedError: the API server answers with an error.
        """
        query = [("fieldValidation", "Strict")] if body is not None else []
        if dry_run:
            query.append(("dryRun", "All"))
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        request = self.client.param_serialize(method, path, query_params=query, header_params=headers, body=body)
        response = self.client.call_api(*request)
        answer: Object = json.loads(response.read())  # type: ignore[no-untyped-call]
        if response.status >= 300:
            raise RefusedError(answer)
        return answer

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        scope = "" if kind == "CameraCategory" else f"/namespaces/{self.namespace}"
        parts = [f"/apis/{GROUP}/{VERSION}{scope}", PLURALS[kind], name, subresource]
        return "/".join(part for part in parts if part)

    def create(self, manifest: Object, *, dry_run: bool = False) -> Object:
        return self.request("POST", self.path(manifest["kind"]), manifest, dry_run=dry_run)

    def delete(self, stored: Object) -> None:
        self.request("DELETE", self.path(stored["kind"], stored["metadata"]["name"]))


@pytest.fixture(scope="module")
def server(crds: Cluster, api: kubernetes.client.ApiClient) -> Iterator[Server]:
    del crds  # the kinds are installed
    namespace = f"kinds-{secrets.token_hex(3)}"
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=namespace)))
    server = Server(api, namespace)
    yield server
    for kind in ("Camera", "CameraGroup"):
        server.request("DELETE", server.path(kind))
    core.delete_namespace(namespace)


_numbers = itertools.count(1)


def unique(manifest: Object) -> Object:
    """The manifest with a name of its own, unless the case is about the name."""
    if manifest["metadata"]["name"] != SMALLEST[manifest["kind"]]["metadata"]["name"]:
        return manifest
    return merged(manifest, {"metadata": {"name": f"case-{next(_numbers)}"}})


def applied(server: Server, case: Object) -> Object:
    """Creates the object of a case, or creates and updates it, and returns what is stored, read back."""
    first = unique(merged(SMALLEST[case["kind"]], case["before"] if "before" in case else case["change"]))
    stored = server.create(first)
    path = server.path(case["kind"], stored["metadata"]["name"])
    if "before" in case:
        server.request("PATCH", path, case["change"])
    return server.request("GET", path)


# --- What is refused and accepted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", load_cases("bad.yaml"))
def test_a_mistake_is_refused_at_its_field_with_what_is_allowed(server: Server, case: Object) -> None:
    if "before" in case:
        before = server.create(unique(merged(SMALLEST[case["kind"]], case["before"])))
        path = server.path(case["kind"], before["metadata"]["name"])
        request = partial(server.request, "PATCH", path, case["change"], dry_run=True)
    else:
        request = partial(server.create, unique(merged(SMALLEST[case["kind"]], case["change"])), dry_run=True)
    with pytest.raises(RefusedError) as caught:
        request()
    causes = caught.value.causes()
    assert {field for field, _ in causes} == {case["field"]}, causes
    message = "; ".join(message for _, message in causes)
    assert [words for words in case["says"] if words not in message] == [], message
    assert "should match" not in message, "a regular expression is no explanation"
    assert "hunter" not in json.dumps(caught.value.status), "the answer ends in logs of pipelines"


@pytest.mark.parametrize("case", load_cases("good.yaml"))
def test_what_is_right_is_accepted_and_read_back_with_defaults(server: Server, case: Object) -> None:
    stored = applied(server, case)
    try:
        wanted = merged(SMALLEST[case["kind"]], case.get("before", {}))
        wanted = merged(wanted, case["change"])
        del wanted["metadata"]
        assert contains(stored, wanted)
        assert contains(stored, case.get("stored", {})), stored["spec"]
    finally:
        server.delete(stored)


@pytest.mark.parametrize("case", load_cases("good.yaml"))
def test_models_read_what_the_api_server_stores_as_the_same_value(server: Server, case: Object) -> None:
    """Defaults of the models and of the API server are the same, so a reader never sees a third value."""
    stored = applied(server, case)
    try:
        sent = merged(merged(SMALLEST[case["kind"]], case.get("before", {})), case["change"]).get("spec", {})
        model = MODELS[case["kind"]]
        assert model.model_validate(stored["spec"]) == model.model_validate(sent)
    finally:
        server.delete(stored)


def rules_of(schema: Object, path: str) -> Iterator[tuple[str, str]]:
    """Field and message of every CEL rule below a schema; list items as ``[0]``."""
    for validation in schema.get("x-kubernetes-validations", ()):
        yield path + validation.get("fieldPath", ""), validation["message"]
    for name, child in schema.get("properties", {}).items():
        yield from rules_of(child, f"{path}.{name}")
    if "items" in schema:
        yield from rules_of(schema["items"], f"{path}[0]")


@pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])
def test_every_rule_of_the_schema_has_a_case_that_it_refuses(kind: Kind) -> None:
    cases = [case for (case,) in (parameters.values for parameters in load_cases("bad.yaml"))]
    cases = [case for case in cases if case["kind"] == kind.kind]
    schema = render_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    untried = [
        (field, message)
        for field, message in rules_of(schema, "")
        if not any(
            re.sub(r"\[\d+\]", "[0]", f".{case['field']}") == field and all(words in message for words in case["says"])
            for case in cases
        )
    ]
    assert untried == []


# --- Status ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def camera(server: Server) -> Iterator[Object]:
    camera = server.create(unique(SMALLEST["Camera"]))
    yield camera
    server.delete(camera)


@pytest.fixture
def group(server: Server) -> Iterator[Object]:
    group = server.create(unique(SMALLEST["CameraGroup"]))
    yield group
    server.delete(group)


CONDITION = {
    "type": "Streaming",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-31T18:00:00Z",
    "reason": "FramesArrive",
    "message": "",
}


@pytest.mark.parametrize(
    ("status", "field", "says"),
    [
        pytest.param({"state": "unknown"}, "status.state", '"Unknown"', id="state in lower case"),
        pytest.param({"since": "just now"}, "status.since", "date-time", id="since in words"),
        pytest.param({"conditions": [CONDITION, CONDITION]}, "status.conditions[1]", "Duplicate", id="condition twice"),
        pytest.param(
            {"conditions": [{**CONDITION, "status": "Yes"}]},
            "status.conditions[0].status",
            '"Unknown"',
            id="condition status",
        ),
    ],
)
def test_a_status_that_makes_no_sense_is_refused(
    server: Server, camera: Object, status: Object, field: str, says: str
) -> None:
    path = server.path("Camera", camera["metadata"]["name"], "status")
    with pytest.raises(RefusedError) as caught:
        server.request("PATCH", path, {"status": status})
    causes = caught.value.causes()
    assert [cause[0] for cause in causes] == [field]
    assert says in causes[0][1]


def test_status_is_written_by_its_subresource_only(server: Server, camera: Object) -> None:
    name = camera["metadata"]["name"]
    unchanged = server.request("PATCH", server.path("Camera", name), {"status": {"state": "Working"}})
    assert "status" not in unchanged
    written = server.request("PATCH", server.path("Camera", name, "status"), {"status": {"state": "Working"}})
    assert written["status"] == {"state": "Working"}
    assert written["metadata"]["generation"] == camera["metadata"]["generation"]


def test_the_scale_subresource_is_minimum_and_count_of_ingest_workers(server: Server, group: Object) -> None:
    name = group["metadata"]["name"]
    status = {"workers": {"ingest": 3}, "selector": f"camera-operator.io/group={name}"}
    server.request("PATCH", server.path("CameraGroup", name, "status"), {"status": status})
    scale = server.request("GET", server.path("CameraGroup", name, "scale"))
    assert scale["spec"].get("replicas", 0) == 0
    assert scale["status"] == {"replicas": 3, "selector": f"camera-operator.io/group={name}"}


# --- kubectl --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kubectl:
    """kubectl in the namespace of the tests."""

    cluster: Cluster
    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, input=stdin)


@pytest.fixture
def kubectl(crds: Cluster, server: Server) -> Kubectl:
    return Kubectl(crds, server.namespace)


def test_kubectl_scale_sets_min_workers(kubectl: Kubectl, server: Server, group: Object) -> None:
    name = group["metadata"]["name"]
    kubectl("scale", f"camgrp/{name}", "--replicas=2")
    assert server.request("GET", server.path("CameraGroup", name))["spec"]["minWorkers"] == 2


def test_kubectl_scale_beyond_the_limit_is_refused(kubectl: Kubectl, group: Object) -> None:
    with pytest.raises(CommandError, match=r"spec\.minWorkers.*less than or equal to 200"):
        kubectl("scale", f"camgrp/{group['metadata']['name']}", "--replicas=201")


def test_kubectl_apply_names_an_unknown_field(kubectl: Kubectl) -> None:
    manifest = merged(SMALLEST["Camera"], {"spec": {"source": {"rtsp": {"subStreamURL": "rtsp://192.0.2.10/sub"}}}})
    with pytest.raises(CommandError, match=r'unknown field "spec\.source\.rtsp\.subStreamURL"'):
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def test_kubectl_apply_shows_the_messages_of_the_schema(kubectl: Kubectl) -> None:
    manifest = merged(SMALLEST["Camera"], {"spec": {"source": {"rtsp": {"transport": "UDP", "url": "rtsps://cam/1"}}}})
    with pytest.raises(CommandError, match=r"spec\.source\.rtsp\.transport: .*must be Auto or TCP for an rtsps:// URL"):
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def test_points_of_a_zone_survive_the_yaml_that_people_write(kubectl: Kubectl, server: Server) -> None:
    kubectl(
        "apply",
        "-f",
        "-",
        stdin=f"""
apiVersion: {API_VERSION}
kind: Camera
metadata: {{name: zoned}}
spec:
  group: petrol-pumps
  source: {{rtsp: {{url: rtsp://192.0.2.10/stream1}}}}
  analytics:
    tasks:
    - name: yard
      zones:
      - name: gate
        points:
        - {{left: 0.1, top: 0.2}}
        - {{left: 0.9, top: 0.2}}
        - left: 0.5
          top: 0.8
""",
    )
    stored = CameraSpec.model_validate(server.request("GET", server.path("Camera", "zoned"))["spec"])
    zones = stored.analytics.tasks[0].zones
    assert zones is not None
    assert [(point.x, point.y) for point in zones[0].points] == [(0.1, 0.2), (0.9, 0.2), (0.5, 0.8)]


def test_cameras_are_selected_by_group_lifecycle_state_and_category(kubectl: Kubectl, server: Server) -> None:
    cameras = [
        ("shop-1", {"group": "shops"}, {"state": "Faulty", "category": "shops"}),
        ("shop-2", {"group": "shops"}, {"state": "Working", "category": "shops"}),
        ("shop-3", {"group": "shops", "lifecycle": "Planned"}, {"state": "Planned", "category": "shops"}),
        ("bank-1", {"group": "banks"}, {"state": "Faulty", "category": "banks"}),
    ]
    for name, spec, status in cameras:
        server.create(merged(SMALLEST["Camera"], {"metadata": {"name": name}, "spec": spec}))
        server.request("PATCH", server.path("Camera", name, "status"), {"status": status})

    def selected(fields: str) -> set[str]:
        output = kubectl("get", "cam", "--field-selector", fields, "-o", "name")
        return {line.rpartition("/")[2] for line in output.split()}

    assert selected("spec.group=shops,status.state=Faulty") == {"shop-1"}
    assert selected("status.state=Faulty") == {"shop-1", "bank-1"}
    assert selected("status.category=shops,status.state!=Faulty") == {"shop-2", "shop-3"}
    assert selected("spec.lifecycle=Planned") == {"shop-3"}


def table(output: str) -> list[list[str]]:
    """Rows of a ``kubectl get``, cut at the columns of its header."""
    lines = output.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+( \S+)*", lines[0])]
    return [[line[a:b].strip() for a, b in itertools.pairwise([*starts, None])] for line in lines]


def test_kubectl_get_shows_state_reason_and_since_of_cameras(kubectl: Kubectl, server: Server, camera: Object) -> None:
    name = camera["metadata"]["name"]
    status = {
        "state": "Faulty",
        "reason": "ConnectionRefusedError",
        "since": "2020-01-01T00:00:00Z",
        "category": "petrol-pumps",
        "worker": "petrol-pumps-ingest-0",
    }
    server.request("PATCH", server.path("Camera", name, "status"), {"status": status})
    header, row = table(kubectl("get", "cam", name))
    assert header == ["NAME", "STATE", "REASON", "SINCE", "GROUP", "CATEGORY", "AGE"]
    assert row[:3] == [name, "Faulty", "ConnectionRefusedError"]
    assert "y" in row[3], "years since"
    assert row[4:6] == ["petrol-pumps", "petrol-pumps"]
    header, row = table(kubectl("get", "cam", name, "-o", "wide"))
    assert (header[-1], row[-1]) == ("WORKER", "petrol-pumps-ingest-0")


def test_kubectl_get_shows_counts_of_groups(kubectl: Kubectl, server: Server, group: Object) -> None:
    name = group["metadata"]["name"]
    status = {
        "cameras": {"declared": 12, "working": 9, "faulty": 2, "unknown": 1},
        "workers": {"ingest": 2},
        "conditions": [{**CONDITION, "type": "Ready", "status": "False"}],
    }
    server.request("PATCH", server.path("CameraGroup", name, "status"), {"status": status})
    header, row = table(kubectl("get", "camgrp", name))
    assert header == ["NAME", "CATEGORY", "DECLARED", "WORKING", "FAULTY", "UNKNOWN", "WORKERS", "READY", "AGE"]
    assert row[:-1] == [name, "petrol-pumps", "12", "9", "2", "1", "2", "False"]


def test_kubectl_get_shows_sizes_of_categories(kubectl: Kubectl, server: Server) -> None:
    category = server.create(merged(unique(SMALLEST["CameraCategory"]), {"spec": {"displayName": "Petrol pumps"}}))
    try:
        header, row = table(kubectl("get", "camcat", category["metadata"]["name"]))
        assert header == ["NAME", "DISPLAY NAME", "PER WORKER", "DECODE", "TARGET", "AGE"]
        assert row[1:-1] == ["Petrol pumps", "50", "EveryKeyFrame", "95"]
    finally:
        server.delete(category)


def test_kubectl_explain_says_what_a_url_looks_like(kubectl: Kubectl) -> None:
    text = " ".join(kubectl("explain", "camera.spec.source.rtsp").split())
    assert "url <string> -required- Main stream, for example rtsp://192.0.2.10:554/stream1" in text
    assert "enum: Auto, TCP, UDP" in text
    assert "credentialsSecretRef" in text


def test_the_api_server_has_no_complaint_about_the_kinds(kubectl: Kubectl) -> None:
    for plural in PLURALS.values():
        conditions = json.loads(kubectl("get", "crd", f"{plural}.{GROUP}", "-o", "json"))["status"]["conditions"]
        states = {condition["type"]: condition["status"] for condition in conditions}
        assert states["NamesAccepted"] == "True"
        assert states["Established"] == "True"
        assert states.get("NonStructuralSchema", "False") == "False"
