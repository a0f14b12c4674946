"""What the API server holds, as far as decisions need it, with the indexes to gather one group at a time.

Three sources feed it, in any order: watch events, LISTs (``Sweep``) and the answers to the operator's own writes.
What is older than what is known is dropped, by ``resourceVersion``, which the API server promises to be comparable
within a kind (KEP-5504); what was deleted does not come back, by UID.

A sweep is what makes the cache true: after one, an object of the swept scope is here if and only if it existed at the
moment of the LIST, or a later event said so. That covers what a watch loses, such as deletions across a 410. The first
sweep of every scope is what makes the cache complete; until then ``is_synced`` is false and nothing may be decided.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, Credentials, Role
from camera_operator.cluster_api import (
    BUDGETS,
    CAMERAS,
    CATEGORIES,
    GROUPS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from camera_operator.decide.model import CameraView, CategoryView, GroupView, ObjectKey, SecretProblem
from camera_operator.intents import Intents
from camera_operator.slim import share_assignment
from camera_operator.specs import names
from camera_operator.views import (
    BudgetView,
    WorkerPartView,
    WorkerPodView,
    WorkerSecretView,
    budget_view,
    camera_view,
    category_view,
    group_view,
    secret_view,
    worker_part_view,
    worker_pod_view,
)

View = TypeVar("View")
Object = Mapping[str, Any]

#: Kinds that the cache holds, in the order in which they are swept.
CACHED = (CATEGORIES, GROUPS, SECRETS, STATEFUL_SETS, SERVICES, BUDGETS, PODS, CAMERAS)


@dataclass(frozen=True, slots=True)
class Scope:
    """A kind in a namespace, or in all of them (None): what one LIST and one watch cover."""

    resource: Resource
    namespace: str | None


@dataclass(frozen=True, slots=True)
class _Entry(Generic[View]):
    version: int
    uid: str
    view: View


@dataclass(slots=True)
class WorkerObjects:
    """What exists of one worker."""

    secret: WorkerSecretView | None = None
    stateful_set: WorkerPartView | None = None
    service: WorkerPartView | None = None
    pods: dict[str, WorkerPodView] = field(default_factory=dict)  #: by name

    @property
    def is_empty(self) -> bool:
        """Whether nothing exists."""
        return not (self.secret or self.stateful_set or self.service or self.pods)


class _Table(Generic[View]):
    """Objects of one kind by key, each with its version."""

    def __init__(self, changed: Callable[[ObjectKey, View | None, View | None], Iterable[ObjectKey]]) -> None:
        self.entries: dict[ObjectKey, _Entry[View]] = {}
        self._changed = changed
        self._floors: dict[str | None, int] = {}
        self._deleted: dict[str, int] = {}  # UID to the version of the deletion, until a sweep covers it

    def floor(self, namespace: str) -> int:
        """Version of the last sweep: everything up to it is known."""
        return max(self._floors.get(None, 0), self._floors.get(namespace, 0))

    def put(self, key: ObjectKey, version: int, uid: str, view: View | None, *, swept: bool = False) -> set[ObjectKey]:
        """A state of an object; None as the view: it exists but does not matter. Returns the groups it concerns."""
        entry = self.entries.get(key)
        if uid in self._deleted or (entry is not None and version <= entry.version):
            return set()
        if not swept and version <= self.floor(key[0]):
            return set()
        if view is None:
            return self._drop(key) if entry is not None else set()
        self.entries[key] = _Entry(version, uid, view)
        old = entry.view if entry is not None else None
        return set(self._changed(key, old, view)) if old != view else set()

    def delete(self, key: ObjectKey, version: int, uid: str) -> set[ObjectKey]:
        """The object of this UID is gone."""
        if version <= self.floor(key[0]):
            return set()
        self._deleted[uid] = version
        entry = self.entries.get(key)
        return self._drop(key) if entry is not None and entry.uid == uid else set()

    def finish_sweep(self, namespace: str | None, seen: set[ObjectKey], version: int) -> set[ObjectKey]:
        """The LIST of a scope is complete: what it did not hold and is not newer than it is gone."""
        gone = [
            key
            for key, entry in self.entries.items()
            if key not in seen and entry.version <= version and namespace in (None, key[0])
        ]
        groups: set[ObjectKey] = set()
        for key in gone:
            groups |= self._drop(key)
        self._floors[namespace] = max(version, self._floors.get(namespace, 0))
        self._deleted = {uid: deleted for uid, deleted in self._deleted.items() if deleted > version}
        return groups

    def _drop(self, key: ObjectKey) -> set[ObjectKey]:
        return set(self._changed(key, self.entries.pop(key).view, None))


class Sweep:
    """A LIST on its way into the cache."""

    def __init__(self, cache: "Cache", scope: Scope) -> None:
        self._cache = cache
        self._scope = scope
        self._seen: set[ObjectKey] = set()

    def add(self, items: Iterable[Object]) -> set[ObjectKey]:
        """Objects of a page; returns the groups that they concern."""
        groups: set[ObjectKey] = set()
        for item in items:
            key, _, _ = _identity(item)
            self._seen.add(key)
            groups |= self._cache.put(self._scope.resource, item, swept=True)
        return groups

    def finish(self, version: int) -> set[ObjectKey]:
        """All pages are in; returns the groups that what is gone concerns.

        Args:
            version: resourceVersion of the LIST.
        """
        return self._cache.finish_sweep(self._scope, self._seen, version)


def _identity(raw: Object) -> tuple[ObjectKey, int, str]:
    # Interned as in the views: 100,000 names and UIDs are there once.
    metadata = raw["metadata"]
    key = sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"])
    return key, int(metadata["resourceVersion"]), sys.intern(metadata["uid"])


class Cache:
    """See the module.

    Args:
        namespaces: whose objects it holds; empty: all.
    """

    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        self.scopes = tuple(
            Scope(resource, namespace)
            for resource in CACHED
            for namespace in ((namespaces or (None,)) if resource.namespaced else (None,))
        )
        self.intents = Intents()  #: what is about to be written
        self._unswept = set(self.scopes)
        self._cameras: _Table[CameraView] = _Table(self._camera_changed)
        self._groups: _Table[GroupView] = _Table(self._group_changed)
        self._categories: _Table[CategoryView] = _Table(self._category_changed)
        self._secrets: _Table[WorkerSecretView | Credentials | SecretProblem] = _Table(self._secret_changed)
        self._stateful_sets: _Table[WorkerPartView] = _Table(self._stateful_set_changed)
        self._services: _Table[WorkerPartView] = _Table(self._service_changed)
        self._budgets: _Table[BudgetView] = _Table(self._budget_changed)
        self._pods: _Table[WorkerPodView] = _Table(self._pod_changed)
        self._cameras_of_group: dict[ObjectKey, dict[str, CameraView]] = {}
        self._groups_of_secret: dict[ObjectKey, dict[str, int]] = {}  # group name to number of cameras
        self._workers: dict[ObjectKey, dict[str, WorkerObjects]] = {}
        self._tables: dict[Resource, tuple[_Table[Any], Callable[[Object], Any]]] = {
            CAMERAS: (self._cameras, self._camera_view),
            GROUPS: (self._groups, group_view),
            CATEGORIES: (self._categories, category_view),
            SECRETS: (self._secrets, self._secret_view),
            STATEFUL_SETS: (self._stateful_sets, worker_part_view),
            SERVICES: (self._services, worker_part_view),
            BUDGETS: (self._budgets, budget_view),
            PODS: (self._pods, worker_pod_view),
        }

    @property
    def is_synced(self) -> bool:
        """Whether every scope has been swept, so that what is not here does not exist."""
        return not self._unswept

    @property
    def unswept(self) -> tuple[Scope, ...]:
        """Scopes that are still incomplete."""
        return tuple(scope for scope in self.scopes if scope in self._unswept)

    def put(self, resource: Resource, raw: Object, *, swept: bool = False) -> set[ObjectKey]:
        """An object as it was at its resourceVersion; returns the groups that a change concerns."""
        if self.knows(resource, raw):
            return set()
        table, parse = self._tables[resource]
        key, version, uid = _identity(raw)
        return table.put(key, version, uid, parse(raw), swept=swept)

    def knows(self, resource: Resource, raw: Object) -> bool:
        """Whether an object is here as it was at its resourceVersion, or later."""
        key, version, _ = _identity(raw)
        entry = self._tables[resource][0].entries.get(key)
        return entry is not None and version <= entry.version

    def delete(self, resource: Resource, raw: Object) -> set[ObjectKey]:
        """An object's last state; it is gone. Returns the groups that this concerns."""
        table, _ = self._tables[resource]
        key, version, uid = _identity(raw)
        return table.delete(key, version, uid)

    def sweep(self, scope: Scope) -> Sweep:
        """Begins to take over a LIST of the scope."""
        return Sweep(self, scope)

    def finish_sweep(self, scope: Scope, seen: set[ObjectKey], version: int) -> set[ObjectKey]:
        """See ``Sweep.finish``."""
        table, _ = self._tables[scope.resource]
        groups = table.finish_sweep(scope.namespace, seen, version)
        self._unswept.discard(scope)
        return groups

    def group_keys(self) -> set[ObjectKey]:
        """All groups there are, or that a camera or worker names."""
        return {*self._groups.entries, *self._cameras_of_group, *self._workers}

    def group(self, key: ObjectKey) -> GroupView | None:
        """A group; None: there is none of that name."""
        entry = self._groups.entries.get(key)
        return entry.view if entry is not None else None

    def category(self, name: str) -> CategoryView | None:
        """A category; None: there is none of that name."""
        entry = self._categories.entries.get(("", name))
        return entry.view if entry is not None else None

    def camera(self, key: ObjectKey) -> CameraView | None:
        """A camera; None: there is none of that name."""
        entry = self._cameras.entries.get(key)
        return entry.view if entry is not None else None

    def cameras(self, group: ObjectKey) -> list[CameraView]:
        """Cameras that name the group, by name."""
        members = self._cameras_of_group.get(group, {})
        return [members[name] for name in sorted(members)]

    def resource_version(self, resource: Resource, key: ObjectKey) -> str | None:
        """Version of an object as it is here; None: there is none."""
        entry = self._tables[resource][0].entries.get(key)
        return str(entry.version) if entry is not None else None

    def camera_count(self) -> int:
        """Cameras in all groups."""
        return len(self._cameras.entries)

    def credentials(self, namespace: str, name: str) -> Credentials | SecretProblem:
        """What a camera's Secret holds."""
        entry = self._secrets.entries.get((namespace, name))
        if entry is None:
            return SecretProblem.NOT_FOUND
        return SecretProblem.INCOMPLETE if isinstance(entry.view, WorkerSecretView) else entry.view

    def canaries(self) -> Iterator[GroupView]:
        """Groups that get a new worker image first, by namespace and name."""
        for _, entry in sorted(self._groups.entries.items()):
            if entry.view.spec.canary and not entry.view.deleting:
                yield entry.view

    def budgets(self, group: ObjectKey) -> Mapping[Role, str]:
        """Fingerprints of the PodDisruptionBudgets of a group, by role."""
        found = (self._budgets.entries.get((group[0], names.budget_name(group[1], role))) for role in Role)
        return {entry.view.role: entry.view.fingerprint for entry in found if entry is not None}

    def groups_with_workers(self, namespace: str) -> tuple[ObjectKey, ...]:
        """Groups of a namespace that have a worker, or something left of one."""
        return tuple(group for group in self._workers if group[0] == namespace)

    def workers(self, group: ObjectKey) -> Mapping[str, WorkerObjects]:
        """What exists of the group's workers, by name."""
        return self._workers.get(group, {})

    def runs(self, namespace: str, worker: str) -> bool:
        """Whether a pod of the worker is on a node, as far as is known."""
        parsed = names.parse_worker_name(worker)
        objects = self.workers((namespace, parsed[0])).get(worker) if parsed is not None else None
        return objects is not None and any(view.pod.node for view in objects.pods.values())

    # A camera and the assignment that has it say the same about its source: it is there once, whichever comes first.

    def _camera_view(self, raw: Object) -> CameraView:
        view = camera_view(raw)
        known = self._known_source(view)
        return replace(view, source=known) if known == view.source else view

    def _known_source(self, camera: CameraView) -> AssignedSource | None:
        before = self.camera(camera.key)
        if before is not None:
            return before.source
        objects = self.workers((camera.namespace, camera.group)).get(camera.status.worker)
        assignment = _assignment(objects.secret) if objects is not None else None
        cameras = assignment.cameras if assignment is not None else ()
        return next((each.source for each in cameras if each.name == camera.name), None)

    def _secret_view(self, raw: Object) -> WorkerSecretView | Credentials | SecretProblem:
        view = secret_view(raw)
        assignment = _assignment(view)
        if not isinstance(view, WorkerSecretView) or assignment is None:
            return view
        entry = self._secrets.entries.get(_identity(raw)[0])
        before = _assignment(entry.view) if entry is not None else None
        return replace(view, assignment=share_assignment(assignment, before, self._declared_source))

    def _declared_source(self, assigned: AssignedCamera) -> AssignedSource | None:
        camera = self.camera(assigned.key)
        return camera.source if camera is not None else None

    # What concerns whom.

    def _camera_changed(self, _key: ObjectKey, old: CameraView | None, new: CameraView | None) -> Iterator[ObjectKey]:
        if old is not None:
            group = (old.namespace, old.group)
            if new is None or new.group != old.group:
                members = self._cameras_of_group[group]
                del members[old.name]
                if not members:
                    del self._cameras_of_group[group]
            self._count_secret(old, -1)
            yield group
        if new is not None:
            group = (new.namespace, new.group)
            self._cameras_of_group.setdefault(group, {})[new.name] = new
            self._count_secret(new, +1)
            yield group

    def _count_secret(self, camera: CameraView, step: int) -> None:
        if camera.credentials_secret is None:
            return
        key = (camera.namespace, camera.credentials_secret)
        counts = self._groups_of_secret.setdefault(key, {})
        counts[camera.group] = counts.get(camera.group, 0) + step
        if counts[camera.group] == 0:
            del counts[camera.group]
            if not counts:
                del self._groups_of_secret[key]

    def _group_changed(self, key: ObjectKey, old: GroupView | None, new: GroupView | None) -> Iterator[ObjectKey]:
        yield key
        if _canary(old) != _canary(new):
            # How far the canaries are decides what the others may do.
            yield from self._groups.entries

    def _budget_changed(self, _key: ObjectKey, old: BudgetView | None, new: BudgetView | None) -> Iterator[ObjectKey]:
        for view in (old, new):
            if view is not None:
                yield view.group

    def _category_changed(
        self, key: ObjectKey, _old: CategoryView | None, _new: CategoryView | None
    ) -> Iterator[ObjectKey]:
        for group, entry in self._groups.entries.items():
            if entry.view.spec.category == key[1]:
                yield group

    def _secret_changed(
        self,
        key: ObjectKey,
        old: WorkerSecretView | Credentials | SecretProblem | None,
        new: WorkerSecretView | Credentials | SecretProblem | None,
    ) -> Iterator[ObjectKey]:
        for group in self._groups_of_secret.get(key, {}):
            yield key[0], group
        if isinstance(old, WorkerSecretView):
            yield from self._set_part("secret", old, None)
        if isinstance(new, WorkerSecretView):
            yield from self._set_part("secret", None, new)

    def _stateful_set_changed(
        self, _key: ObjectKey, old: WorkerPartView | None, new: WorkerPartView | None
    ) -> Iterator[ObjectKey]:
        return self._set_part("stateful_set", old, new)

    def _service_changed(
        self, _key: ObjectKey, old: WorkerPartView | None, new: WorkerPartView | None
    ) -> Iterator[ObjectKey]:
        return self._set_part("service", old, new)

    def _set_part(
        self, part: str, old: WorkerPartView | WorkerSecretView | None, new: WorkerPartView | WorkerSecretView | None
    ) -> Iterator[ObjectKey]:
        if old is not None:
            group = (old.ref.namespace, old.ref.group)
            objects = self._worker(group, old.ref.worker)
            setattr(objects, part, None)
            self._prune(group, old.ref.worker)
            yield group
        if new is not None:
            group = (new.ref.namespace, new.ref.group)
            setattr(self._worker(group, new.ref.worker), part, new)
            yield group

    def _pod_changed(
        self, _key: ObjectKey, old: WorkerPodView | None, new: WorkerPodView | None
    ) -> Iterator[ObjectKey]:
        if old is not None:
            group = (old.ref.namespace, old.ref.group)
            self._worker(group, old.ref.worker).pods.pop(old.pod.name, None)
            self._prune(group, old.ref.worker)
            yield group
        if new is not None:
            group = (new.ref.namespace, new.ref.group)
            self._worker(group, new.ref.worker).pods[new.pod.name] = new
            yield group

    def _worker(self, group: ObjectKey, worker: str) -> WorkerObjects:
        return self._workers.setdefault(group, {}).setdefault(worker, WorkerObjects())

    def _prune(self, group: ObjectKey, worker: str) -> None:
        workers = self._workers.get(group, {})
        if worker in workers and workers[worker].is_empty:
            del workers[worker]
            if not workers:
                self._workers.pop(group, None)


def _assignment(secret: WorkerSecretView | Credentials | SecretProblem | None) -> Assignment | None:
    """The assignment of a worker's Secret; None: it is another one, or cannot be read."""
    return secret.assignment if isinstance(secret, WorkerSecretView) else None


def _canary(group: GroupView | None) -> str | None:
    """The image that a canary group has tried; None: it is none."""
    if group is None or group.deleting or not group.spec.canary:
        return None
    return group.status.worker_image
