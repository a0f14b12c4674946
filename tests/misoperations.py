"""Specifications that people get wrong, generated from the schemas of the CRDs, as Acto does it.

Each differs from a good one in a single field: its bounds and what lies just beyond them, nothing at all, the wrong
type, another alphabet, the longest list and one longer.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from control_plane import REPOSITORY

Object = dict[str, Any]
Path_ = tuple[str | int, ...]

_MANIFESTS: Path = REPOSITORY / "crds" / "manifests"
#: Other letters, a picture, and a mark that turns the direction of writing.
_STRANGE = "ключ-摄像头-🎥-\u202e"
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Misoperation:
    """A specification, and what is odd about it."""

    path: Path_
    what: str
    spec: Object

    def __str__(self) -> str:
        return f"spec.{'.'.join(map(str, self.path))} {self.what}"


def misoperations(plural: str, good: Object) -> list[Misoperation]:
    """All of a kind.

    Args:
        plural: of the kind, as its manifest is called.
        good: a specification that uses every field that can be used together.
    """
    manifest = yaml.safe_load((_MANIFESTS / f"{plural}.yaml").read_text())
    schema = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    found = []
    for path, field in _fields(schema, good, ()):
        for what, value in _values(field, _get(good, path)):
            spec = copy.deepcopy(good)
            _set(spec, path, value)
            found.append(Misoperation(path, what, spec))
    return found


def _fields(schema: Object, value: Any, at: Path_) -> Iterator[tuple[Path_, Object]]:
    """Every field that the schema knows, down to where the good specification has nothing."""
    for name, child in schema.get("properties", {}).items():
        path = (*at, name)
        yield path, child
        present = value.get(name) if isinstance(value, dict) else None
        if isinstance(present, dict):
            yield from _fields(child, present, path)
        elif isinstance(present, list) and present:
            yield (*path, 0), child["items"]
            yield from _fields(child["items"], present[0], (*path, 0))


def _values(field: Object, present: Any) -> Iterator[tuple[str, Any]]:
    yield "is absent", _ABSENT
    yield "is of the wrong type", [[]] if field.get("type") != "array" else "x"
    match field.get("type"):
        case "integer" | "number":
            for bound, step in (("minimum", -1), ("maximum", +1)):
                if bound in field:
                    yield f"is the {bound}", field[bound]
                    yield f"is beyond the {bound}", field[bound] + step
        case "boolean":
            yield "is true", True
            yield "is false", False
        case "array":
            yield "is empty", []
            most = field.get("maxItems", 0)
            if isinstance(present, list) and present:
                yield "is as long as can be", _repeated(present[0], most)
                yield "is too long", _repeated(present[0], most + 1)
        case "object":
            yield "is empty", {}
        case _:
            yield from _texts(field)


def _texts(field: Object) -> Iterator[tuple[str, Any]]:
    for choice in field.get("enum", ()):
        yield f"is {choice}", choice
    yield "is empty", ""
    yield "is in another alphabet", _STRANGE
    yield "is a reference to nothing", "nowhere"
    if "maxLength" in field:
        yield "is as long as can be", "x" * field["maxLength"]
        yield "is too long", "x" * (field["maxLength"] + 1)
    if field.get("x-kubernetes-int-or-string"):
        for amount in (0, 64, "64", "64Gi", "1m", "1Mi", "-1", "1e3"):
            yield f"is {amount!r}", amount


def _repeated(item: Any, count: int) -> list[Any]:
    """So many items, with names of their own where they have names."""
    named = next((key for key in ("name", "topologyKey") if isinstance(item, dict) and key in item), None)
    if named is None:
        return [item] * count
    return [{**item, named: f"{item[named]}-{number}"} for number in range(count)]


def _get(value: Any, path: Path_) -> Any:
    """What is at the path; None: the good specification has nothing there."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, TypeError):
            return None
    return value


def _set(spec: Object, path: Path_, value: Any) -> None:
    parent: Any = _get(spec, path[:-1])
    if value is not _ABSENT:
        parent[path[-1]] = value
    elif not isinstance(parent, dict) or path[-1] in parent:
        del parent[path[-1]]
