"""Gathers everything about one group at one moment: from the cache, the workers' reports and the writes that wait."""

import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime

from camera_api.assignment import Credentials, Role
from camera_operator.cache import Cache, WorkerObjects
from camera_operator.decide.model import (
    CameraView,
    GroupView,
    HealthView,
    ObjectKey,
    Observed,
    SecretProblem,
    WorkerView,
)
from camera_operator.decide.releases import may_have_had, may_hold
from camera_operator.health_poller import HealthPoller
from camera_operator.move_budget import MoveBudget
from camera_operator.specs import names
from camera_operator.status import StatusWriter


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _newcomers(cameras: Iterable[CameraView], workers: Iterable[WorkerView]) -> frozenset[str]:
    """Names of the cameras that no worker of the group has."""
    own = {camera.name for worker in workers if worker.assignment is not None for camera in worker.assignment.cameras}
    return frozenset(camera.name for camera in cameras if camera.name not in own)


class Observer:
    """See the module.

    Args:
        cache: what the API server holds.
        health: what the workers have reported.
        statuses: statuses that are decided but not yet written.
        moves: rations the moves that nothing forces.
        worker_image: that workers should run.
        clock: monotonic seconds.
        now: wall clock.
    """

    def __init__(
        self,
        cache: Cache,
        health: HealthPoller,
        statuses: StatusWriter,
        *,
        moves: MoveBudget,
        worker_image: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._cache = cache
        self._health = health
        self._statuses = statuses
        self._moves = moves
        self._behind: dict[ObjectKey, tuple[int, float]] = {}  # revision and when it was first seen
        self._worker_image = worker_image
        self._clock = clock
        self._now = now

    def observe(self, key: ObjectKey) -> Observed:
        """Everything about the group."""
        cameras = tuple(self._with_pending_status(camera) for camera in self._cache.cameras(key))
        workers = self._workers(key)
        newcomers = _newcomers(cameras, workers)
        others = self._workers_elsewhere(key, newcomers) if newcomers else ()
        group = self._cache.group(key)
        if group is not None and (pending := self._statuses.group_status(key)) is not None:
            group = replace(group, status=pending)
        return Observed(
            namespace=key[0],
            group_name=key[1],
            group=group,
            category=self._cache.category(group.spec.category) if group is not None else None,
            cameras=cameras,
            credentials=self._credentials(key[0], cameras),
            workers=workers,
            health=self._camera_health(key[0], workers),
            held_elsewhere=self._held_elsewhere(key, newcomers, others),
            unseen=self._unseen(key[0], cameras, newcomers, others),
            budgets=self._cache.budgets(key),
            canaries_waiting=self._canaries_waiting(group),
            moves_allowed=self._moves.allowed(key, self._clock()),
            now=self._now(),
            monotonic_now=self._clock(),
        )

    def _canaries_waiting(self, group: GroupView | None) -> tuple[str, ...]:
        """Canary groups that a group's workers wait for with a new image."""
        if group is None or group.spec.canary:
            return ()
        return tuple(
            f"{canary.namespace}/{canary.name}"
            for canary in self._cache.canaries()
            if (self._statuses.group_status(canary.key) or canary.status).worker_image != self._worker_image
        )

    def _workers_elsewhere(self, key: ObjectKey, newcomers: AbstractSet[str]) -> tuple[WorkerView, ...]:
        """Workers of the namespace's other groups that one of the newcomers may concern."""
        # Few of the 2,000 that a namespace may have: views of all of them would cost more than all else of a pass.
        views = (
            self._worker(other, name, objects)
            for other in self._cache.groups_with_workers(key[0])
            if other != key
            for name, objects in self._cache.workers(other).items()
            if objects.secret is None or objects.secret.may_concern(newcomers)
        )
        return tuple(view for view in views if view is not None)

    def _held_elsewhere(
        self, key: ObjectKey, newcomers: AbstractSet[str], others: Iterable[WorkerView]
    ) -> Mapping[str, str]:
        """Newcomers that a worker of another group may still be watching: theirs is the old group."""
        held = {name: worker.name for worker in others for name in may_hold(worker, newcomers)}
        return held | self._cache.intents.holders(newcomers, but=key)

    def _unseen(
        self,
        namespace: str,
        cameras: tuple[CameraView, ...],
        newcomers: AbstractSet[str],
        others: Iterable[WorkerView],
    ) -> Mapping[str, frozenset[str]]:
        """By camera, workers that may have had it and of which no pod is on a node."""
        last = {camera.status.worker for camera in cameras} - {""}
        gone = {worker for worker in last if not self._cache.runs(namespace, worker)}
        unseen = {camera.name: {camera.status.worker} for camera in cameras if camera.status.worker in gone}
        # A status can have been lost on the way between two groups; the record of the old one cannot.
        for worker in others:
            for name in may_have_had(worker, newcomers):
                unseen.setdefault(name, set()).add(worker.name)
        return {name: frozenset(workers) for name, workers in unseen.items()}

    def _with_pending_status(self, camera: CameraView) -> CameraView:
        pending = self._statuses.camera_status(camera.key)
        return camera if pending is None else replace(camera, status=pending)

    def _credentials(
        self, namespace: str, cameras: tuple[CameraView, ...]
    ) -> Mapping[str, Credentials | SecretProblem]:
        wanted = {camera.credentials_secret for camera in cameras if camera.credentials_secret is not None}
        return {name: self._cache.credentials(namespace, name) for name in wanted}

    def _workers(self, key: ObjectKey) -> tuple[WorkerView, ...]:
        views = []
        for name, objects in self._cache.workers(key).items():
            view = self._worker(key, name, objects)
            if view is not None:
                views.append(view)
        return tuple(sorted(views, key=lambda view: (view.role, view.ordinal)))

    def _worker(self, key: ObjectKey, name: str, objects: WorkerObjects) -> WorkerView | None:
        parsed = names.parse_worker_name(name)
        if parsed is None:
            # Labelled like ours, named by somebody else: not a worker of this operator.
            return None
        _, role, ordinal = parsed
        health = self._health.health((key[0], name))
        return WorkerView(
            name=name,
            ordinal=ordinal,
            role=role,
            assignment=objects.secret.assignment if objects.secret is not None else None,
            released=objects.secret.released if objects.secret is not None else {},
            sized_for=objects.stateful_set.sized_for if objects.stateful_set is not None else None,
            template=objects.stateful_set.template if objects.stateful_set is not None else None,
            image=objects.stateful_set.image if objects.stateful_set is not None else "",
            working_before=objects.stateful_set.working_before if objects.stateful_set is not None else None,
            secret_resource_version=objects.secret.resource_version if objects.secret is not None else None,
            secret_invalid=objects.secret is not None and objects.secret.assignment is None,
            stateful_set_fingerprint=objects.stateful_set.fingerprint if objects.stateful_set is not None else None,
            service_fingerprint=objects.service.fingerprint if objects.service is not None else None,
            pods=tuple(view.pod for _, view in sorted(objects.pods.items())),
            acknowledged_revision=health.acknowledged_revision,
            last_report_at=health.last_report_at,
            reachable_since=health.reachable_since,
            behind_since=self._behind_since((key[0], name), objects, health.acknowledged_revision),
            decode_reduced_to=health.decode_reduced_to,
        )

    def _behind_since(self, worker: ObjectKey, objects: WorkerObjects, acknowledged: int) -> float | None:
        """Since when the worker has not taken its assignment over, as far as this operator has seen."""
        assignment = objects.secret.assignment if objects.secret is not None else None
        if assignment is None or acknowledged >= assignment.revision:
            self._behind.pop(worker, None)
            return None
        revision, since = self._behind.get(worker, (0, 0.0))
        if revision != assignment.revision:
            since = self._clock()
            self._behind[worker] = (assignment.revision, since)
        return since

    def _camera_health(self, namespace: str, workers: tuple[WorkerView, ...]) -> Mapping[str, HealthView]:
        reports: dict[str, HealthView] = {}
        for worker in workers:
            if worker.role is not Role.INGEST or worker.assignment is None:
                continue
            reported = self._health.health((namespace, worker.name)).cameras
            for camera in worker.assignment.cameras:
                if camera.uid in reported:
                    reports[camera.uid] = reported[camera.uid]
        return reports
