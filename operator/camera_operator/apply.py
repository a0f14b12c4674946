"""Carries a plan out.

Every write is preceded by the question whether this process leads, and its answer goes into the cache at once, so that
the next pass plans from what was written and not from a watch that is still on its way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from camera_operator.cache import Cache
from camera_operator.cluster_api import BUDGETS, PODS, SECRETS, SERVICES, STATEFUL_SETS, ClusterApi, Resource
from camera_operator.decide.model import ObjectKey, Plan, PodResize, WorkerWrite
from camera_operator.errors import ConflictError, DeniedError, NotFoundError, OperatorError, UnavailableError
from camera_operator.specs import names
from camera_operator.specs.worker import CONTAINER_NAME

logger = logging.getLogger(__name__)

#: The API server's words when a pod's node is too small for it, or is no more (kube-apiserver 1.36).
_NO_ROOM = ("enough allocatable", " not found")
#: Writes at the same time over all groups; more only queue up in the API server.
CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker whose writes did not all succeed."""

    worker: str
    error: OperatorError
    is_assigned: bool = False  #: whether its assignment stands as planned, and only something around it is missing


class Applier:
    """See the module.

    Args:
        api: for the writes.
        cache: told what was written.
        require_leading: raises ``NotLeadingError`` if this process may not write.
        found: told of the groups that something concerns which no watch has told of yet.
    """

    def __init__(
        self,
        api: ClusterApi,
        cache: Cache,
        *,
        require_leading: Callable[[], None],
        found: Callable[[ObjectKey], None] = lambda _group: None,
    ) -> None:
        self._api = api
        self._cache = cache
        self._require_leading = require_leading
        self._found = found
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def apply(self, group: ObjectKey, plan: Plan) -> tuple[Failure, ...]:
        """Writes and deletes workers' objects; one worker's trouble does not hold up the others."""
        # Before anything is awaited: the pass of another group must not plan without it.
        self._cache.intents.begin(group, plan.writes)
        jobs = [
            *((write.worker, self._write_worker(group, write)) for write in plan.writes),
            *((worker, self._delete_worker(group, worker)) for worker in plan.deletions),
            *((budget["metadata"]["name"], self._write_budget(group, budget)) for budget in plan.budgets),
        ]
        results = await asyncio.gather(*(self._outcome(worker, job) for worker, job in jobs))
        return tuple(failure for failure in results if failure is not None)

    async def _outcome(self, worker: str, job: Awaitable[Failure | None]) -> Failure | None:
        try:
            async with self._slots:
                return await job
        except OperatorError as error:
            return Failure(worker, error)

    async def _write_worker(self, group: ObjectKey, write: WorkerWrite) -> Failure | None:
        done = []
        if write.secret is not None:
            await self._assign(group, write, write.secret)
            done.append(_describe_assignment(write))
        try:
            await self._write_rest(group, write, done)
        except OperatorError as error:
            return Failure(write.worker, error, is_assigned=True)
        logger.info("group %s/%s: worker %s: %s (%s)", *group, write.worker, write.reason, ", ".join(done) or "nudged")
        return None

    async def settle(self, group: ObjectKey) -> tuple[Failure, ...]:
        """Looks at what writes without an answer have done, before the group is planned again."""
        failures = []
        for worker in self._cache.intents.open_questions(group):
            try:
                await self._look_again(group[0], worker)
            except OperatorError as error:
                failures.append(Failure(worker, error))
            else:
                self._cache.intents.answered(group, worker)
        return tuple(failures)

    async def _assign(self, group: ObjectKey, write: WorkerWrite, manifest: Mapping[str, Any]) -> None:
        """Writes the Secret, and notes whether the outcome is known."""
        is_known = False
        try:
            await self._require_vacated(group[0], write.vacated)
            await self._write_secret(group, write, manifest)
            is_known = True
        except OperatorError as error:
            is_known = not isinstance(error, UnavailableError)
            raise
        finally:
            note = self._cache.intents.answered if is_known else self._cache.intents.unanswered
            note(group, write.worker)

    async def _write_rest(self, group: ObjectKey, write: WorkerWrite, done: list[str]) -> None:
        """Everything but the assignment. ``done`` is told what was written, for the log."""
        # Right after the Secret: kubelet delivers it when a pod's annotation changes, else after 85 s.
        await self._nudge(group, write)
        for resource, manifest in ((SERVICES, write.service), (STATEFUL_SETS, write.stateful_set)):
            if manifest is not None:
                self._require_leading()
                self._cache.put(resource, await self._api.apply(resource, manifest))
                done.append(resource.kind)
        for replacement in write.replacements:
            await self._delete(PODS, group[0], replacement.pod, replacement.uid)
            done.append(f"pod {replacement.pod} replaced")
        for resize in write.resizes:
            done.append(await self._resize(group, write.worker, resize))  # noqa: PERF401 - told also if the next one fails

    async def _write_secret(self, group: ObjectKey, write: WorkerWrite, manifest: Mapping[str, Any]) -> None:
        """Creates or replaces the assignment, but only if nobody else has: that is what fences off a second leader."""
        self._require_leading()
        try:
            if write.secret_resource_version is None:
                # An apply would adopt whatever exists under the name.
                written = await self._api.create(SECRETS, manifest)
            else:
                known = self._cache.workers(group).get(write.worker)
                if known is None or known.secret is None:
                    raise ConflictError(f"apply Secret {group[0]}/{write.worker}", 0, "it was deleted meanwhile")  # noqa: TRY301 - as if the API server had said so
                preconditions = {"uid": known.secret.uid, "resourceVersion": write.secret_resource_version}
                metadata = {**manifest["metadata"], **preconditions}
                written = await self._api.apply(SECRETS, {**manifest, "metadata": metadata})
        except ConflictError:
            await self._look_again(group[0], write.worker)
            raise
        self._cache.put(SECRETS, written)

    async def _require_vacated(self, namespace: str, workers: Iterable[str]) -> None:
        """Asks the API server whether anything of these workers runs, which no watch has told of.

        A pod that is found goes into the cache, so that the next pass waits for it.

        Raises:
            ConflictError: something runs.
        """
        for worker in sorted(workers):
            pod = names.pod_name(worker)
            try:
                found = await self._api.get(PODS, namespace, pod)
            except NotFoundError:
                continue
            self._take(PODS, found)
            if self._cache.runs(namespace, worker):
                raise ConflictError(f"get Pod {namespace}/{pod}", 0, "it runs, and no watch has told of it yet")

    async def _look_again(self, namespace: str, name: str) -> None:
        """Takes over what a conflict was about, so that the next pass does not run into it again."""
        try:
            found = await self._api.get(SECRETS, namespace, name)
        except NotFoundError:
            return
        self._take(SECRETS, found)
        labels = found["metadata"].get("labels") or {}
        if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
            logger.error(
                "Secret %s/%s is in the way: the operator needs the name for a worker, but did not make it;"
                " rename or delete it",
                namespace,
                name,
            )

    def _take(self, resource: Resource, found: Mapping[str, Any]) -> None:
        """Takes over what no watch has told of. When one does, it is no news, so that nobody else would be told."""
        for group in self._cache.put(resource, found):
            self._found(group)

    async def _nudge(self, group: ObjectKey, write: WorkerWrite) -> None:
        for pod in sorted({*write.nudges, *write.fits}):
            annotations = {}
            if pod in write.nudges:
                annotations[names.ANNOTATION_ASSIGNMENT_REVISION] = write.nudges[pod]
            if pod in write.fits:
                annotations[names.ANNOTATION_FITS] = str(write.fits[pod])
            patch = {"metadata": {"annotations": annotations}}
            self._require_leading()
            try:
                self._cache.put(PODS, await self._api.merge_patch(PODS, group[0], pod, patch))
            except NotFoundError:
                # Its successor mounts the Secret as it is now.
                continue

    async def _resize(self, group: ObjectKey, worker: str, resize: PodResize) -> str:
        """Returns what was done, for the log."""
        namespace = group[0]
        self._require_leading()
        requests = resize.resources["requests"]
        try:
            resized = await self._api.resize_pod(namespace, resize.pod, CONTAINER_NAME, resize.resources)
        except NotFoundError:
            # Its successor is made from a template that is large enough.
            return f"pod {resize.pod} is gone"
        except DeniedError as error:
            # What a node can never have is refused at once, by an admission plugin; what it cannot have at present,
            # kubelet refuses later.
            known = self._cache.workers(group).get(worker)
            noted = known.pods[resize.pod].pod.fits if known is not None and resize.pod in known.pods else None
            if noted == resize.fits or not any(words in error.cause for words in _NO_ROOM):
                # Noted before, and still not to be had: with back-off, not in a loop.
                raise
            patch = {"metadata": {"annotations": {names.ANNOTATION_FITS: str(resize.fits)}}}
            self._cache.put(PODS, await self._api.merge_patch(PODS, namespace, resize.pod, patch))
            return f"pod {resize.pod} cannot get {requests['cpu']} CPU and {requests['memory']} on its node"
        self._cache.put(PODS, resized)
        return f"pod {resize.pod} resized to {requests['cpu']} CPU and {requests['memory']}"

    async def _write_budget(self, group: ObjectKey, budget: Mapping[str, Any]) -> Failure | None:
        self._require_leading()
        self._cache.put(BUDGETS, await self._api.apply(BUDGETS, budget))
        logger.info("group %s/%s: PodDisruptionBudget %s applied", *group, budget["metadata"]["name"])
        return None

    async def _delete_worker(self, group: ObjectKey, worker: str) -> Failure | None:
        """Deletes what is left of a worker: what makes pods first, the record of what they watch last."""
        objects = self._cache.workers(group).get(worker)
        if objects is None:
            return None
        for resource, part in ((STATEFUL_SETS, objects.stateful_set), (SERVICES, objects.service)):
            if part is not None:
                await self._delete(resource, group[0], worker, part.uid)
        if objects.secret is not None:
            secret = objects.secret
            if not self._cache.runs(group[0], worker):
                await self._require_vacated(group[0], [worker])
            await self._delete(SECRETS, group[0], worker, secret.uid, secret.resource_version)
        logger.info("group %s/%s: worker %s deleted", *group, worker)
        return None

    async def _delete(
        self, resource: Resource, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        self._require_leading()
        try:
            await self._api.delete(resource, namespace, name, uid=uid, resource_version=resource_version)
        except NotFoundError:
            return
        except ConflictError:
            # Another StatefulSet or Service of the name comes by the watch; of the Secret, the next pass needs the
            # version at once.
            if resource is SECRETS:
                await self._look_again(namespace, name)
            raise


def _describe_assignment(write: WorkerWrite) -> str:
    if write.assignment is None:
        return "Secret"
    count = len(write.assignment.cameras)
    return f"assignment {write.assignment.revision} with {count} camera{'' if count == 1 else 's'}"


def describe(failures: Iterable[Failure]) -> str:
    """All failures in one line."""
    return "; ".join(f"worker {failure.worker}: {failure.error}" for failure in failures)
