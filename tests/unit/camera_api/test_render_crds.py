"""The rendered CRDs: as checked in, structural, bounded, and with words instead of regular expressions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from camera_api.base import ApiModel, DnsLabel, rule, rules, says
from camera_api.render_crds import KINDS, Kind, file_name, main, render_crd, render_yaml, structural_schema

MANIFESTS = Path(__file__).resolve().parents[3] / "crds" / "manifests"

Schema = dict[str, Any]

#: Integers without an upper bound, and why.
UNBOUNDED_INTEGERS = {
    "observedGeneration": "metadata.generation, which has no bound either",
}
KIND_IDS = [kind.kind for kind in KINDS]


def root(kind: Kind) -> Schema:
    schema: Schema = render_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def nodes(kind: Kind, *parts: str) -> list[tuple[str, Schema]]:
    """All schemas below spec and status, with their paths."""
    properties = root(kind)["properties"]
    return [node for part in parts or ("spec", "status") if part in properties for node in walk(properties[part], part)]


# --- Files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_the_manifest_is_as_the_models_render_it(kind: Kind) -> None:
    assert (MANIFESTS / file_name(kind)).read_text() == render_yaml(kind), "run `make generate`"


def test_there_is_no_manifest_of_a_kind_that_is_gone() -> None:
    assert {path.name for path in MANIFESTS.iterdir()} == {file_name(kind) for kind in KINDS}


def test_check_fails_on_a_difference_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    edited = tmp_path / "cameras.yaml"
    edited.write_text(edited.read_text() + "# by hand\n")
    assert main(["--check", str(tmp_path)]) == 1
    assert "cameras.yaml" in capsys.readouterr().err
    assert edited.read_text().endswith("# by hand\n")


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_the_yaml_reads_back_as_the_crd(kind: Kind) -> None:
    assert yaml.safe_load(render_yaml(kind)) == render_crd(kind)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_no_field_has_a_name_that_yaml_takes_for_a_boolean(kind: Kind) -> None:
    """kubectl reads YAML 1.1: a bare ``y: 0.5`` in a manifest has the key true."""
    names = {name for _, schema in nodes(kind) for name in schema.get("properties", {})}
    assert names & {"y", "n", "yes", "no", "on", "off", "true", "false", "null"} == set()


# --- Structure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_everything_is_bounded(kind: Kind) -> None:
    """An object's size has a bound, and so has the cost of the CEL rules."""
    unbounded = []
    for path, schema in nodes(kind):
        name = path.rpartition(".")[2]
        match schema.get("type"):
            case "string":
                bounded = "maxLength" in schema or "enum" in schema
            case "array":
                bounded = "maxItems" in schema
            case "object":
                bounded = "properties" in schema or "maxProperties" in schema
            case "integer" | "number":
                bounded = "minimum" in schema and ("maximum" in schema or name in UNBOUNDED_INTEGERS)
            case "boolean":
                bounded = True
            case None:
                bounded = schema.get("x-kubernetes-int-or-string") is True and "maxLength" in schema
            case other:
                raise AssertionError(f"{path}: unexpected type {other}")
        if not bounded:
            unbounded.append(path)
    assert unbounded == []


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_every_list_says_how_it_is_merged(kind: Kind) -> None:
    for path, schema in nodes(kind):
        if schema.get("type") != "array":
            continue
        merge = schema.get("x-kubernetes-list-type")
        assert merge in {"atomic", "set", "map"}, path
        if merge == "map":
            assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"]), path


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_the_schema_is_structural(kind: Kind) -> None:
    for path, schema in nodes(kind):
        for key in ("$ref", "$defs", "anyOf", "allOf", "oneOf", "not", "title", "const", "propertyNames", "nullable"):
            assert key not in schema, path
        assert [key for key in schema if key.startswith("x-") and not key.startswith("x-kubernetes-")] == [], path


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_every_field_is_explained_in_one_line(kind: Kind) -> None:
    fields = [
        (f"{path}.{name}", child)
        for path, schema in nodes(kind)
        for name, child in schema.get("properties", {}).items()
    ]
    assert [path for path, schema in fields if not schema.get("description")] == []
    assert [path for path, schema in fields if "\n" in schema["description"]] == []


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_users_read_words_and_never_a_regular_expression(kind: Kind) -> None:
    for path, schema in nodes(kind, "spec"):
        assert "pattern" not in schema, f"{path}: give the pattern a message with says()"
        for validation in schema.get("x-kubernetes-validations", ()):
            message = validation["message"]
            assert message[0].islower(), f"{path}: a message completes the path that stands before it"
            assert not message.startswith("spec."), path
            assert "\n" not in message, path


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_a_status_has_no_defaults(kind: Kind) -> None:
    assert [path for path, schema in nodes(kind, "status") if "default" in schema] == []


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_columns_and_selectable_fields_are_fields(kind: Kind) -> None:
    paths = {f".{path}" for path, _ in nodes(kind)} | {".metadata.creationTimestamp"}
    for column in kind.columns:
        assert column.json_path.partition("[")[0] in paths, column.name
    assert set(kind.selectable_fields) <= paths
    if kind.scale is not None:
        assert set(kind.scale.values()) <= paths


def test_only_categories_are_of_the_whole_cluster() -> None:
    assert {kind.kind: kind.scope for kind in KINDS} == {
        "CameraCategory": "Cluster",
        "CameraGroup": "Namespaced",
        "Camera": "Namespaced",
    }


# --- The renderer itself --------------------------------------------------------------------------------------------


class Inner(ApiModel):
    size: Annotated[int, Field(ge=0, le=9)] = 3
    note: str = ""


def test_an_object_whose_fields_have_defaults_is_filled_in_level_by_level() -> None:
    class Outer(ApiModel):
        inner: Inner = Inner()

    inner = structural_schema(Outer)["properties"]["inner"]
    assert inner["default"] == {}
    assert inner["properties"]["size"]["default"] == 3
    assert "default" not in inner["properties"]["note"], "an empty text need not be stored"


def test_a_default_that_differs_from_the_fields_defaults_is_an_error() -> None:
    class Outer(ApiModel):
        inner: Inner = Inner(size=4)

    with pytest.raises(ValueError, match=r"Outer\.inner\.size: the object's default is not the field's default"):
        structural_schema(Outer)


def test_alternatives_are_an_error() -> None:
    class Outer(ApiModel):
        value: int | str

    with pytest.raises(ValueError, match=r"Outer\.value: a structural schema has no alternatives"):
        structural_schema(Outer)


def test_rules_of_a_type_and_of_a_field_add_up_and_a_pattern_comes_first() -> None:
    class Outer(ApiModel):
        name: Annotated[DnsLabel, Field(json_schema_extra=rules(rule("self != 'all'", "must not be all")))]
        other: Annotated[str, Field(pattern=r"^a\.b$", json_schema_extra=says("must be a.b"))]

    properties = structural_schema(Outer)["properties"]
    messages = [validation["message"] for validation in properties["name"]["x-kubernetes-validations"]]
    assert [message[:19] for message in messages] == ["must be a DNS label", "must not be all"]
    assert "pattern" not in properties["name"]
    assert properties["other"]["x-kubernetes-validations"] == [
        {"rule": r"self.matches('^a\\.b$')", "message": "must be a.b"},
    ]
