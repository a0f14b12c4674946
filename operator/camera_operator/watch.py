"""Keeps the cache true: kopf's watches bring changes at once, sweeps bring what watches lose.

kopf lists a kind and then watches it, and lists again when its watch has expired (410). It tells nobody what was
deleted between the two, and it spends a queue, a task and several copies on each listed object (0.4 ms, 1 kB kept).
So every LIST of kopf's is carried out as a sweep: kopf asks for a page of one object; before it sees the answer, the
scope is listed in full, compared with the cache, and kopf is told that there is nothing, as of that LIST's
resourceVersion. It watches from there on, so nothing is missed, listed twice or decoded twice.

Of the events it gets only what is news: half of them tell of the operator's own writes, whose answers the cache has.

The first sweep of every scope is what completes the cache. A regular sweep guards against what nobody has thought of.

Handlers are ``on.event`` only, with storages that store nothing: kopf then makes no write of its own.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import kopf

# kopf.spawn_tasks takes one, but kopf exports no name for it.
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory
from kubernetes.aio.client import Configuration
from yarl import URL

from camera_operator.cache import CACHED, Cache, Scope
from camera_operator.cluster_api import (
    BUDGETS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    ClusterApi,
    Resource,
    open_session,
)
from camera_operator.decide.model import ObjectKey
from camera_operator.errors import ClusterError, ExpiredError
from camera_operator.specs import names

logger = logging.getLogger(__name__)

_WORKER_OBJECTS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
#: Which objects of a kind are watched and swept, by label.
LABEL_SELECTORS: dict[Resource, str] = {
    PODS: _WORKER_OBJECTS,
    SERVICES: _WORKER_OBJECTS,
    STATEFUL_SETS: _WORKER_OBJECTS,
    BUDGETS: _WORKER_OBJECTS,
}
#: ... and by field. Helm's records of releases are up to 1 MB each, and no camera logs in with a token or certificate.
FIELD_SELECTORS: dict[Resource, str] = {
    SECRETS: "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=kubernetes.io/tls"
}
_SWEEP_RETRY = 2.0
_SWEEP_RETRY_AT_MOST = 30.0
_KINDS_RETRY = 5.0


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers no last-handled state: there are no handlers of changes."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return


class _NoProgress(kopf.ProgressStorage):
    """Remembers no progress of handlers: there are none that progress."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return

    def purge(self, **_: Any) -> None:
        return

    def touch(self, **_: Any) -> None:
        return

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoMemories(ResourceMemories):
    """Keeps no record of objects: kopf would hold 1 kB of each until it hears of the object's deletion."""

    async def recall(self, *arguments: Any, **options: Any) -> ResourceMemory:
        return await super().recall(*arguments, **{**options, "ephemeral": True})


class _Backoffs:
    """1, 2, 4, 8, 15, 15, … seconds, for ever: an API server that is down is no reason to lose a warm cache."""

    def __iter__(self) -> Iterator[float]:
        delay = 1.0
        while True:
            yield delay
            delay = min(delay * 2, 15.0)


async def wait_for_kinds(api: ClusterApi, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
    """Waits until the CRDs are installed, and says what is missing as long as they are not."""
    said = ""
    while True:
        try:
            missing = await api.missing_kinds()
            trouble = (
                f"the CRDs of {', '.join(missing)} are not installed; install the chart with crds.enabled=true"
                " or apply the folder crds/manifests"
                if missing
                else ""
            )
        except ClusterError as error:
            trouble = str(error)
        if not trouble:
            return
        if trouble != said:
            logger.error("waiting for the cluster: %s", trouble)
            said = trouble
        await sleep(_KINDS_RETRY)


class Watcher:
    """kopf on one side, the sweeps on the other, the cache in the middle.

    Args:
        configuration: how to reach the cluster, for kopf.
        api: for the sweeps.
        cache: is filled; its scopes say what is watched.
        changed: called with each group that a change concerns.
        synced: called once, when the cache has become complete.
        namespaces: that are watched; empty: all.
        resync: seconds between two regular sweeps of a scope.
    """

    def __init__(
        self,
        configuration: Configuration,
        api: ClusterApi,
        cache: Cache,
        *,
        changed: Callable[[ObjectKey], None],
        synced: Callable[[], None] = lambda: None,
        namespaces: tuple[str, ...] = (),
        resync: float = 600.0,
    ) -> None:
        self._configuration = configuration
        self._api = api
        self._cache = cache
        self._changed = changed
        self._synced = synced
        self._namespaces = namespaces
        self._resync = resync
        self._scope_by_path = {scope.resource.path(scope.namespace): scope for scope in cache.scopes}
        self._sweeping = asyncio.Lock()
        self._due: asyncio.Queue[Scope] = asyncio.Queue()
        self._queued: set[Scope] = set()
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._tasks: Collection[asyncio.Task[Any]] = ()

    async def start(self) -> Collection[asyncio.Task[Any]]:
        """Starts kopf; returns its tasks. The end of any of them is the end of the watch."""
        self._tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=self._settings(),
            memories=_NoMemories(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
            stop_flag=self._stop,
        )
        return self._tasks

    async def stop(self) -> None:
        """Stops kopf."""
        self._stop.set()
        if self._tasks:
            # kopf takes every task that it is not told about for one of its own, and would cancel it.
            await kopf.run_tasks(self._tasks, ignored=asyncio.all_tasks())

    async def sweep_for_ever(self) -> None:
        """Sweeps scopes as they become due."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep_regularly(), name="regular sweeps")
            # One that cannot be listed waits without holding up the others.
            for number in range(len(self._cache.scopes)):
                tasks.create_task(self._sweep_due(), name=f"sweeper {number}")

    def ask_for_sweep(self, scope: Scope) -> None:
        """Sweeps the scope soon."""
        if scope not in self._queued:
            self._queued.add(scope)
            self._due.put_nowait(scope)

    async def sweep(self, scope: Scope) -> int:
        """Compares a scope with a LIST; returns the LIST's resourceVersion.

        Raises:
            ClusterError: the LIST failed; the scope is as it was, but for what the pages have brought.
        """
        sweep = self._cache.sweep(scope)
        version = 0
        pages = self._api.list_pages(
            scope.resource,
            scope.namespace,
            label_selector=LABEL_SELECTORS.get(scope.resource, ""),
            field_selector=FIELD_SELECTORS.get(scope.resource, ""),
        )
        async for page in pages:
            self._tell(sweep.add(page.items))
            version = page.resource_version
            # Decoded objects are ten times as large as what is kept of them: these go before the next ones come.
            page.items.clear()
        was_synced = self._cache.is_synced
        self._tell(sweep.finish(version))
        if self._cache.is_synced and not was_synced:
            logger.info(
                "the cache is complete after %.1f s: %d cameras in %d groups",
                time.monotonic() - self._began,
                self._cache.camera_count(),
                len(self._cache.group_keys()),
            )
            self._synced()
        return version

    async def sweep_until_done(self, scope: Scope) -> int:
        """Sweeps a scope, if need be repeatedly; returns the resourceVersion of the LIST that has succeeded."""
        delay = _SWEEP_RETRY
        has_expired = False
        while True:
            try:
                # One after another: the pages of one kind are enough to hold in memory and to ask of the API server.
                async with self._sweeping:
                    return await self.sweep(scope)
            except ExpiredError:
                logger.info("listing %s took longer than its snapshot lives; starting again", scope.resource.plural)
                if not has_expired:
                    has_expired = True
                    continue
            except ClusterError as error:
                logger.warning("the cache of %s could not be compared: %s", scope.resource.plural, error)
            # An API server that is too slow for a LIST, time and again, gets no next one at once.
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
            delay = min(delay * 2, _SWEEP_RETRY_AT_MOST)

    async def stand_in(self, url: URL, answer: Any) -> Any:
        """What kopf is to see of an answer of the API server: in place of a LIST that it is empty, as of a sweep.

        Args:
            url: that kopf has asked for.
            answer: decoded.
        """
        scope = self._scope_by_path.get(url.path)
        if scope is None or not isinstance(answer, dict) or "items" not in answer:
            return answer
        version = await self.sweep_until_done(scope)
        return {**answer, "items": [], "metadata": {"resourceVersion": str(version)}}

    def is_news(self, url: URL, line: bytes) -> bool:
        """Whether kopf is to see a line of a watch.

        Args:
            url: of the watch.
            line: an event as JSON.
        """
        scope = self._scope_by_path.get(url.path)
        if scope is None or not line:
            return True
        event = json.loads(line)
        # kopf goes on from the last version that it has seen; a BOOKMARK brings it one at least once a minute.
        return event["type"] not in {"ADDED", "MODIFIED"} or not self._cache.knows(scope.resource, event["object"])

    async def _sweep_due(self) -> None:
        while True:
            scope = await self._due.get()
            # Before the LIST: what asks again from now on wants a later one.
            self._queued.discard(scope)
            await self.sweep_until_done(scope)

    async def _sweep_regularly(self) -> None:
        while True:
            for scope in self._cache.scopes:
                # Spread over the period, so that a large fleet's LISTs do not come together.
                pause = self._resync / len(self._cache.scopes)
                await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, no secret
                if self._cache.is_synced:
                    self.ask_for_sweep(scope)

    def _tell(self, groups: Collection[ObjectKey]) -> None:
        for group in groups:
            self._changed(group)

    def take(self, resource: Resource, event_type: str, raw: dict[str, Any]) -> None:
        """Takes over a watch event.

        Args:
            resource: kind of the object.
            event_type: ADDED, MODIFIED or DELETED.
            raw: the object.
        """
        if event_type == "DELETED":
            self._tell(self._cache.delete(resource, raw))
        else:
            self._tell(self._cache.put(resource, raw))

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(
                server=self._configuration.host,
                aiohttp_session=await open_session(self._configuration, revise=self.stand_in, wants=self.is_news),
            )

        kopf.on.login(registry=registry, id="login")(login)
        for resource in CACHED:
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=resource.plural)(
                self._handler(resource)
            )
        return registry

    def _handler(self, resource: Resource) -> Callable[..., Any]:
        async def handle(event: Any, **_: Any) -> None:
            self.take(resource, event["type"], event["object"])

        return handle

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.persistence.diffbase_storage = _NoDiffBase()
        settings.persistence.progress_storage = _NoProgress()
        # Neither namespaces nor CRDs are watched: that would need rights over the whole cluster.
        settings.scanning.disabled = True
        settings.process.ultimate_exiting_timeout = None
        # Of kopf's own LISTs nothing is used; see the module.
        settings.watching.chunk_size = 1
        settings.networking.error_backoffs = _Backoffs()
        # An object's task ends this long after its last event; thousands of idle ones cost memory.
        settings.queueing.idle_timeout = 0.1
        settings.queueing.exit_timeout = 0.5
        for resource, selector in LABEL_SELECTORS.items():
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
        for resource, selector in FIELD_SELECTORS.items():
            settings.watching.field_selectors[resource.group, resource.version, resource.plural] = selector
        return settings
