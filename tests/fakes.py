"""An API server in memory, as far as the operator uses one; ``tests/contract`` holds it to what the real one does."""

import copy
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from camera_api.quantities import parse_cpu, parse_memory
from camera_operator.cluster_api import (
    CAMERAS,
    FIELD_MANAGER,
    GROUPS,
    PODS,
    STATUS_FIELD_MANAGER,
    Object,
    Page,
    Resource,
)
from camera_operator.errors import ClusterError, ConflictError, DeniedError, NotFoundError, RejectedError

Key = tuple[Resource, str, str]
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
Path = tuple[str, ...]

#: metadata that the server sets and no manager owns.
_SERVER_FIELDS = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp")


class FakeApi:
    """See ``camera_operator.cluster_api.ClusterApi``.

    Attributes:
        writes: verb, kind and name of every write that was asked for, in order.
        on_event: is told what a watch would tell.
        fail: asked before each call, with verb, kind and name; an error that it returns is raised.
        page_size: objects per page of a LIST.
    """

    def __init__(self, *, page_size: int = 2) -> None:
        self.writes: list[tuple[str, str, str]] = []
        self.on_event: Callable[[Resource, str, Object], object] = lambda _resource, _type, _object: None
        self.fail: Callable[[str, str, str], ClusterError | None] = lambda _verb, _kind, _name: None
        self.page_size = page_size
        self.missing: tuple[str, ...] = ()
        self._objects: dict[Key, Object] = {}
        self._owned: dict[tuple[Key, str], set[Path]] = {}
        self._versions = itertools.count(100)
        self._version = 99
        self._uids = itertools.count(1)

    def objects(self, resource: Resource) -> list[Object]:
        """All objects of a kind, by namespace and name."""
        return [copy.deepcopy(value) for key, value in self._sorted() if key[0] == resource]

    def everything(self) -> list[tuple[Resource, Object]]:
        """All objects of all kinds, by kind, namespace and name."""
        return [(key[0], copy.deepcopy(value)) for key, value in self._sorted()]

    def identities(self) -> Iterator[tuple[Resource, Object]]:
        """Kind and metadata of all objects, to be read only."""
        return ((key[0], value["metadata"]) for key, value in self._objects.items())

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """An object; None: there is none of that name."""
        return copy.deepcopy(self._objects.get((resource, namespace, name)))

    def put(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """What a user does with kubectl: creates the object or replaces everything but its identity."""
        key = _key(resource, manifest)
        stored = self._objects.get(key)
        merged = copy.deepcopy(dict(manifest))
        if stored is not None:
            for field in _SERVER_FIELDS:
                if field in stored["metadata"]:
                    merged["metadata"][field] = stored["metadata"][field]
            if "status" in stored and "status" not in merged:
                merged["status"] = copy.deepcopy(stored["status"])
        return self._store(key, merged)

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """What a user does with kubectl delete."""
        self._remove((resource, namespace, name))

    async def list_pages(
        self, resource: Resource, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Page]:
        self._check("list", resource, "")
        moment = self._version
        items = [
            item
            for item in self.objects(resource)
            if namespace in (None, item["metadata"].get("namespace"))
            and matches(item["metadata"].get("labels") or {}, label_selector)
            and matches({"type": item.get("type", "Opaque")}, field_selector)
        ]
        for start in range(0, max(len(items), 1), self.page_size):
            yield Page(items[start : start + self.page_size], moment)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._check("get", resource, name)
        return copy.deepcopy(self._find((resource, namespace, name)))

    async def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        key = _key(resource, manifest)
        self._check("create", resource, key[2])
        if key in self._objects:
            raise ConflictError(f"create {resource.kind} {key[2]}", 409, "AlreadyExists")
        return self._store(key, dict(manifest))

    async def replace(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        key = _key(resource, manifest)
        self._check("update", resource, key[2])
        stored = self._find(key)
        self._require(resource, stored, manifest["metadata"])
        return self._store(key, dict(manifest))

    async def apply(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        key = _key(resource, manifest)
        self._check("apply", resource, key[2])
        content = {name: value for name, value in manifest.items() if name != "status"}
        return self._apply(key, content, FIELD_MANAGER)

    async def apply_status(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        key = _key(resource, manifest)
        self._check("apply_status", resource, key[2])
        self._find(key)
        metadata = {name: value for name, value in manifest["metadata"].items() if name != "uid"}
        content = {"metadata": metadata, "status": manifest["status"]}
        return self._apply(key, content, STATUS_FIELD_MANAGER)

    async def resize_pod(self, namespace: str, name: str, container: str, resources: Mapping[str, Any]) -> Object:
        self._check("patch_resize", PODS, name)
        stored = copy.deepcopy(self._find((PODS, namespace, name)))
        self._require_room(stored, resources)
        for each in stored["spec"]["containers"]:
            if each["name"] == container:
                each["resources"] = copy.deepcopy(dict(resources))
        return self._store((PODS, namespace, name), stored)

    def _require_room(self, pod: Object, resources: Mapping[str, Any]) -> None:
        """The admission of a resize: a node that is known must be large enough."""
        node = self._objects.get((NODES, "", pod["spec"].get("nodeName", "")))
        if node is None:
            return
        allocatable = node["status"]["allocatable"]
        wanted = resources["requests"]
        if parse_cpu(wanted["cpu"]) > parse_cpu(allocatable["cpu"]):
            raise DeniedError("resize Pod", 403, "Forbidden: node didn't have enough allocatable resources: cpu")
        if parse_memory(wanted["memory"]) > parse_memory(allocatable["memory"]):
            raise DeniedError("resize Pod", 403, "Forbidden: node didn't have enough allocatable resources: memory")

    async def can_resize_pods(self) -> bool:
        return True

    async def merge_patch(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Object:
        self._check("patch", resource, name)
        stored = copy.deepcopy(self._find((resource, namespace, name)))
        _merge(stored, patch)
        return self._store((resource, namespace, name), stored)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        self._check("delete", resource, name)
        stored = self._find((resource, namespace, name))
        wanted = {"uid": uid, **({} if resource_version is None else {"resourceVersion": resource_version})}
        self._require(resource, stored, wanted)
        if resource == PODS and stored.get("spec", {}).get("nodeName"):
            # Its node is asked to end it, and reports when it has.
            ending = {"deletionTimestamp": "2030-01-31T12:00:00Z", **stored["metadata"]}
            self._store((resource, namespace, name), {**stored, "metadata": ending})
            return
        self._remove((resource, namespace, name))

    async def missing_kinds(self) -> tuple[str, ...]:
        self._check("get", CAMERAS, "")
        return self.missing

    def _sorted(self) -> Iterator[tuple[tuple[Resource, str, str], Object]]:
        for key in sorted(self._objects, key=lambda key: (key[0].plural, key[1], key[2])):
            yield key, self._objects[key]

    def _check(self, verb: str, resource: Resource, name: str) -> None:
        if verb not in {"get", "list"}:
            self.writes.append((verb, resource.kind, name))
        error = self.fail(verb, resource.kind, name)
        if error is not None:
            raise error

    def _find(self, key: Key) -> Object:
        if key not in self._objects:
            raise NotFoundError(f"{key[0].kind} {key[1]}/{key[2]}", 404, "NotFound")
        return self._objects[key]

    def _require(self, resource: Resource, stored: Object, wanted: Mapping[str, Any]) -> None:
        for field in ("uid", "resourceVersion"):
            if field in wanted and wanted[field] != stored["metadata"][field]:
                raise ConflictError(f"{resource.kind} {stored['metadata']['name']}", 409, "Conflict")

    def _apply(self, key: Key, content: Mapping[str, Any], manager: str) -> Object:
        stored = self._objects.get(key)
        metadata = content["metadata"]
        if stored is None:
            if "uid" in metadata:
                raise ConflictError(f"apply {key[0].kind} {key[2]}", 409, "Conflict")
        else:
            self._require(key[0], stored, metadata)
        applied = _without_server_fields(content)
        paths = set(_leaves(applied))
        merged = copy.deepcopy(stored) if stored is not None else {"metadata": {}}
        others = {
            path for (owned, name), has in self._owned.items() if owned == key and name != manager for path in has
        }
        for path in self._owned.get((key, manager), set()) - paths - others:
            if path[:-1] in paths and key[0] in (CAMERAS, GROUPS):
                # A map that loses its last key while it is given as empty becomes null, which no schema here allows.
                raise RejectedError(f"apply {key[0].kind} {key[2]}", 422, f"Invalid ({'.'.join(path[:-1])})")
            _delete_path(merged, path)
        _merge(merged, applied)
        self._owned[key, manager] = paths
        merged["metadata"].update(namespace=key[1], name=key[2])
        return self._store(key, merged)

    def _store(self, key: Key, manifest: Object) -> Object:
        resource, namespace, name = key
        stored, new = self._objects.get(key), copy.deepcopy(manifest)
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        if resource in (CAMERAS, GROUPS) and not isinstance(new.get("spec"), dict):
            raise RejectedError(f"{resource.kind} {name}", 422, "Invalid (spec)")
        metadata = new["metadata"]
        if resource.namespaced:
            metadata["namespace"] = namespace
        if stored is not None:
            metadata["uid"] = stored["metadata"]["uid"]
            metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
            metadata["generation"] = stored["metadata"].get("generation", 1)
            if new == stored:
                return copy.deepcopy(stored)
            metadata["generation"] += new.get("spec") != stored.get("spec")
        else:
            metadata["uid"] = f"uid-{next(self._uids)}"
            metadata["generation"] = 1
        self._version = next(self._versions)
        metadata["resourceVersion"] = str(self._version)
        self._objects[key] = new
        self.on_event(resource, "ADDED" if stored is None else "MODIFIED", copy.deepcopy(new))
        return copy.deepcopy(new)

    def _remove(self, key: Key) -> None:
        gone = self._objects.pop(key)
        for owned in [owned for owned in self._owned if owned[0] == key]:
            del self._owned[owned]
        self._version = next(self._versions)
        gone["metadata"]["resourceVersion"] = str(self._version)
        self.on_event(key[0], "DELETED", gone)


def _key(resource: Resource, manifest: Mapping[str, Any]) -> Key:
    return resource, manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def matches(values: Mapping[str, str], selector: str) -> bool:
    """Whether labels or fields fit a selector of equalities and inequalities."""
    for term in filter(None, selector.split(",")):
        name, differs, wanted = term.partition("!=")
        if differs:
            if values.get(name) == wanted:
                return False
            continue
        name, _, wanted = term.partition("=")
        if values.get(name) != wanted:
            return False
    return True


def _without_server_fields(content: Mapping[str, Any]) -> Object:
    applied = copy.deepcopy(dict(content))
    applied["metadata"] = {name: value for name, value in applied["metadata"].items() if name not in _SERVER_FIELDS}
    return applied


def _leaves(value: Mapping[str, Any], at: Path = ()) -> Iterator[Path]:
    for name, child in value.items():
        if isinstance(child, Mapping) and child:
            yield from _leaves(child, (*at, name))
        else:
            yield (*at, name)


def _delete_path(value: Object, path: Path) -> None:
    """Removes a field, and the maps around it that become empty."""
    child = value.get(path[0])
    if len(path) > 1 and isinstance(child, dict):
        _delete_path(child, path[1:])
    if len(path) == 1 or child == {}:
        value.pop(path[0], None)


def _merge(into: Object, patch: Mapping[str, Any]) -> None:
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = copy.deepcopy(value)
