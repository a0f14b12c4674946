"""Renders the CustomResourceDefinitions from the models: ``camera-crds OUTPUT_DIRECTORY``.

A structural schema is JSON Schema without references, without ``anyOf`` for nullable fields and without titles
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/).
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from camera_api import GROUP, VERSION
from camera_api.base import DNS_LABEL_MESSAGE, PATTERN_MESSAGE, rule
from camera_api.camera import CameraSpec, CameraStatus
from camera_api.category import CameraCategorySpec
from camera_api.group import MAX_GROUP_NAME_LENGTH, CameraGroupSpec, CameraGroupStatus

Schema = dict[str, Any]

_VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``."""

    name: str
    type: str
    json_path: str
    description: str
    wide: bool = False

    def render(self) -> Schema:
        """The column as the CRD spells it."""
        column: Schema = {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.json_path,
            "description": self.description,
        }
        return {**column, "priority": 1} if self.wide else column


@dataclass(frozen=True, slots=True)
class Kind:
    """What the CRD of one kind needs beyond its models."""

    kind: str
    plural: str
    short_name: str
    scope: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel] | None
    spec_required: bool
    columns: tuple[Column, ...]
    name_rule: dict[str, str]
    selectable_fields: tuple[str, ...] = ()
    scale: dict[str, str] | None = None

    @property
    def crd_name(self) -> str:
        """metadata.name of the CRD."""
        return f"{self.plural}.{GROUP}"


_DNS_LABEL_NAME = rule(
    "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
    DNS_LABEL_MESSAGE,
    field_path=".metadata.name",
)
_AGE = Column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created")

CATEGORY = Kind(
    kind="CameraCategory",
    plural="cameracategories",
    short_name="camcat",
    scope="Cluster",
    description="CameraCategory settles worker sizes, health thresholds and analytics of all cameras of one kind.",
    spec=CameraCategorySpec,
    status=None,
    spec_required=False,
    columns=(
        Column("Display Name", "string", ".spec.displayName", "Name for people"),
        Column("Per Worker", "integer", ".spec.ingest.maxCamerasPerWorker", "Cameras per ingest worker at most"),
        Column("Decode", "string", ".spec.ingest.decode", "Frames decoded to check the picture"),
        Column("Target", "number", ".spec.uptimeTarget", "Uptime target in percent"),
        _AGE,
    ),
    name_rule=_DNS_LABEL_NAME,
)

CAMERA_GROUP = Kind(
    kind="CameraGroup",
    plural="cameragroups",
    short_name="camgrp",
    scope="Namespaced",
    description="CameraGroup is a set of cameras of one category and department; it gets its own workers.",
    spec=CameraGroupSpec,
    status=CameraGroupStatus,
    spec_required=True,
    columns=(
        Column("Category", "string", ".spec.category", "Category of the cameras"),
        Column("Declared", "integer", ".status.cameras.declared", "Cameras that name this group"),
        Column("Working", "integer", ".status.cameras.working", "Cameras that deliver a usable picture"),
        Column("Faulty", "integer", ".status.cameras.faulty", "Cameras with a fault"),
        Column("Unknown", "integer", ".status.cameras.unknown", "Cameras that are not watched at the moment"),
        Column("Workers", "integer", ".status.workers.ingest", "Ingest workers"),
        Column("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", "Whether all workers are ready"),
        _AGE,
        Column("Department", "string", ".spec.department.name", "Owner of the cameras", wide=True),
    ),
    name_rule=rule(
        f"self.metadata.name.matches('^[a-z]([-a-z0-9]{{0,{MAX_GROUP_NAME_LENGTH - 2}}}[a-z0-9])?$')",
        f"must have 1 to {MAX_GROUP_NAME_LENGTH} lower-case letters, digits and '-', starting with a letter and ending "
        "with a letter or digit: workers are named after their group",
        field_path=".metadata.name",
    ),
    selectable_fields=(".spec.category",),
    scale={
        "specReplicasPath": ".spec.minWorkers",
        "statusReplicasPath": ".status.workers.ingest",
        "labelSelectorPath": ".status.selector",
    },
)

CAMERA = Kind(
    kind="Camera",
    plural="cameras",
    short_name="cam",
    scope="Namespaced",
    description="Camera is one device: where its stream is, and whether it works, since when and why not.",
    spec=CameraSpec,
    status=CameraStatus,
    spec_required=True,
    columns=(
        Column("State", "string", ".status.state", "State in one word"),
        Column("Reason", "string", ".status.reason", "Why the camera is in this state"),
        Column("Since", "date", ".status.since", "Time in this state"),
        Column("Group", "string", ".spec.group", "CameraGroup of the camera"),
        Column("Category", "string", ".status.category", "CameraCategory of the camera"),
        _AGE,
        Column("Worker", "string", ".status.worker", "Ingest worker that watches the camera", wide=True),
    ),
    name_rule=_DNS_LABEL_NAME,
    selectable_fields=(".spec.group", ".spec.lifecycle", ".status.state", ".status.category"),
)

KINDS = (CATEGORY, CAMERA_GROUP, CAMERA)

_FIRST_KEYS = ("description", "type", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_DROPPED = {
    "title",
    "$defs",
    "default",
    # Key patterns of maps have no place in a structural schema; a CEL rule checks keys where it matters.
    "propertyNames",
    "patternProperties",
    PATTERN_MESSAGE,
}


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural OpenAPI v3 schema of a model, defaults included where they say something.

    Raises:
        ValueError: the model has a construct that a structural schema cannot express.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}), model.__name__)


def _structural(node: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    node = _resolved(node, definitions, where)
    # The same order of keys everywhere; those that are not named follow as the model has them.
    keys = dict.fromkeys(key for key in (*_FIRST_KEYS, *node) if key in node and key not in _DROPPED)
    result = {key: node[key] for key in keys}
    if "description" in node:
        # Docstrings are wrapped for the source code; kubectl explain wraps for the terminal.
        result["description"] = " ".join(node["description"].split())
    if "properties" in node:
        result["properties"] = {
            name: _structural(child, definitions, f"{where}.{name}") for name, child in node["properties"].items()
        }
    if "items" in node:
        result["items"] = _structural(node["items"], definitions, f"{where}[]")
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(node["additionalProperties"], definitions, f"{where}{{}}")
    if node.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    if PATTERN_MESSAGE in node:
        _pattern_as_rule(result, node[PATTERN_MESSAGE])
    default = _default(node.get("default"), result, where)
    return result if default is None else {**result, "default": default}


def _resolved(node: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    """The node without references and without the alternative null; what the field says wins over its type."""
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            target = definitions[node["$ref"].removeprefix("#/$defs/")]
        else:
            choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
            if len(choices) != 1:
                raise ValueError(f"{where}: a structural schema has no alternatives")
            target = choices[0]
        outer = {key: value for key, value in node.items() if key not in {"$ref", "anyOf"}}
        validations = [*target.get(_VALIDATIONS, ()), *outer.get(_VALIDATIONS, ())]
        node = {**target, **outer, **({_VALIDATIONS: validations} if validations else {})}
    return node


def _pattern_as_rule(schema: Schema, message: str) -> None:
    """Replaces a pattern by a CEL rule, because the API server shows the regular expression to the user otherwise."""
    pattern = schema.pop("pattern").replace("\\", "\\\\")
    # The pattern wants at least one character; "should be at least 1 chars long" would come before its message.
    schema.pop("minLength", None)
    schema[_VALIDATIONS] = [rule(f"self.matches('{pattern}')", message), *schema.get(_VALIDATIONS, ())]


def _default(default: Any, schema: Schema, where: str) -> Any:
    """What the API server fills in; None for nothing.

    Empty texts, lists and maps are left out of stored objects. An object whose fields have defaults gets ``{}``:
    the API server fills in what is below, at each level that the user leaves out.

    Raises:
        ValueError: the object's default differs from the defaults of its fields, which the schema cannot say.
    """
    if "properties" not in schema:
        return None if default in ("", [], {}) else default
    children = {name: child["default"] for name, child in schema["properties"].items() if "default" in child}
    if default is None or not children:
        return None
    for name, value in default.items():
        child = schema["properties"][name]
        if _default(value, child, f"{where}.{name}") != children.get(name):
            raise ValueError(f"{where}.{name}: the object's default is not the field's default")
    return {}


def render_crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind."""
    properties: Schema = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        # The name is there for the rule's field path only. The API server adds the rest.
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
        "spec": structural_schema(kind.spec),
    }
    if not kind.spec_required:
        properties["spec"]["default"] = {}
    subresources: Schema = {}
    if kind.status is not None:
        properties["status"] = _without_defaults(structural_schema(kind.status))
        subresources["status"] = {}
    if kind.scale is not None:
        subresources["scale"] = kind.scale
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "description": kind.description,
                "type": "object",
                **({"required": ["spec"]} if kind.spec_required else {}),
                "properties": properties,
                _VALIDATIONS: [kind.name_rule],
            }
        },
        "additionalPrinterColumns": [column.render() for column in kind.columns],
    }
    if subresources:
        version["subresources"] = subresources
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["camera-operator"],
            },
            "scope": kind.scope,
            "versions": [version],
        },
    }


def _without_defaults(schema: Schema) -> Schema:
    """Status holds what the operator wrote and nothing else: a default there would look like a finding."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in schema:
        result["properties"] = {name: _without_defaults(child) for name, child in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = _without_defaults(schema[key])
    return result


class _Dumper(yaml.SafeDumper):
    """Plain YAML without anchors, long lines left whole."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


# kubectl and helm read YAML 1.1, where a bare y or n is a boolean; PyYAML leaves these two without quotes.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))


def render_yaml(kind: Kind) -> str:
    """The CRD as YAML, as it stands in ``crds/manifests``."""
    header = "# Generated from crds/camera_api by `make generate`; do not edit.\n"
    return header + yaml.dump(render_crd(kind), Dumper=_Dumper, sort_keys=False, width=120)


def file_name(kind: Kind) -> str:
    """Name of the kind's file in ``crds/manifests``."""
    return f"{kind.plural}.yaml"


def main(arguments: list[str] | None = None) -> int:
    """Writes one file per kind; with ``--check`` compares instead and exits 1 on a difference."""
    parser = argparse.ArgumentParser(prog="camera-crds", description="Render the CRDs from the models.")
    parser.add_argument("directory", type=Path, help="where the manifests are (crds/manifests)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    options = parser.parse_args(arguments)
    stale = []
    for kind in KINDS:
        path = options.directory / file_name(kind)
        text = render_yaml(kind)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path)
        if not options.check:
            options.directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if options.check and stale:
        sys.stderr.write(f"not as rendered: {', '.join(map(str, stale))}; run `make generate`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
