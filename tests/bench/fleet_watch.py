"""What the operator has made of the fleet, as a watching client learns of it."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio.client import Configuration

from bench.fleet import NAMESPACE, Object
from camera_api.assignment import ASSIGNMENT_KEY
from camera_operator.cluster_api import CAMERAS, GROUPS, PODS, SECRETS, SERVICES, STATEFUL_SETS, Resource, open_session
from camera_operator.specs import names

_WORKERS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
_SELECTORS = {
    SECRETS: _WORKERS,
    SERVICES: _WORKERS,
    STATEFUL_SETS: _WORKERS,
    PODS: _WORKERS,
    CAMERAS: "",
    GROUPS: "",
}


class FleetWatch:
    """Watches the fleet's objects from before there is any.

    Attributes:
        assignments: content of each worker's Secret.
        states: state and reason by camera.
        groups: status by group.
        revisions: number of states of each worker's Secret that were seen.
        ready: the workers' pods that are ready.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.assignments: dict[str, Object] = {}
        self.states: dict[str, tuple[str, str]] = {}
        self.groups: dict[str, Object] = {}
        self.revisions: Counter[str] = Counter()
        self.ready: set[str] = set()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._placed: Counter[str] = Counter()
        self._names: dict[Resource, set[str]] = {SERVICES: set(), STATEFUL_SETS: set()}
        self._marks: dict[str, asyncio.Future[float]] = {}
        self._configuration = configuration
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        async def unrevised(_url: object, answer: Any) -> Any:
            return answer

        self._session = await open_session(self._configuration, revise=unrevised, wants=lambda _url, _line: True)
        started = [asyncio.Event() for _ in _SELECTORS]
        for resource, event in zip(_SELECTORS, started, strict=True):
            self._tasks.append(asyncio.create_task(self._watch(self._session, resource, event)))
        await self.until(lambda: all(event.is_set() for event in started), "all watches have begun", 30.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def placement(self) -> dict[str, str]:
        """Worker by camera."""
        return {
            camera["name"]: worker
            for worker, assignment in self.assignments.items()
            for camera in assignment.get("cameras", ())
        }

    def assigned(self) -> int:
        """Number of cameras of complete workers: Secret, Service and StatefulSet are there."""
        complete = self._names[SERVICES] & self._names[STATEFUL_SETS]
        return sum(count for worker, count in self._placed.items() if worker in complete)

    def with_status(self) -> int:
        """Number of cameras that have a state."""
        return sum(count for (state, _), count in self._counts.items() if state)

    def in_state(self, state: str) -> int:
        """Number of cameras in a state."""
        return sum(count for (found, _), count in self._counts.items() if found == state)

    def mark(self, text: str) -> Awaitable[float]:
        """The monotonic time at which a Secret with this text in a camera's URL is seen."""
        return self._marks.setdefault(text, asyncio.get_running_loop().create_future())

    async def until(self, holds: Callable[[], bool], what: str, limit_s: float = 180.0) -> float:
        """Waits until something holds; returns the monotonic time.

        Raises:
            SystemExit: not in time.
        """
        deadline = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {limit_s:.0f} s: {what}")
            for task in self._tasks:
                if task.done():
                    raise SystemExit(f"a watch has ended: {task.exception()!r}")
            await asyncio.sleep(0.01)
        return time.monotonic()

    async def _watch(self, session: aiohttp.ClientSession, resource: Resource, started: asyncio.Event) -> None:
        url = self._configuration.host + resource.path(NAMESPACE)
        query = {"labelSelector": _SELECTORS[resource]} if _SELECTORS[resource] else {}
        async with session.get(url, params={**query, "limit": "1"}) as response:
            version = (await response.json())["metadata"]["resourceVersion"]
        query |= {"watch": "1", "timeoutSeconds": "7200"}
        while True:
            # The API server hangs up on a client that is too slow, as this one is while it creates a fleet.
            async with session.get(
                url, params={**query, "resourceVersion": version}, timeout=aiohttp.ClientTimeout(total=None)
            ) as response:
                response.raise_for_status()
                started.set()
                async for line in response.content.iter_chunked(2**20):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise RuntimeError(f"watch of {resource.plural}: {event['object'].get('message')}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._take(resource, event["object"], gone=event["type"] == "DELETED")

    def _take(self, resource: Resource, raw: Object, *, gone: bool) -> None:
        name = raw["metadata"]["name"]
        if resource is SECRETS:
            self._take_secret(name, raw, gone=gone)
        elif resource is CAMERAS:
            before = self.states.pop(name, None)
            if before is not None:
                self._counts[before] -= 1
            if not gone:
                status = raw.get("status") or {}
                state = self.states[name] = (status.get("state", ""), status.get("reason", ""))
                self._counts[state] += 1
        elif resource is PODS:
            conditions = (raw.get("status") or {}).get("conditions") or ()
            is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
            if is_ready and not gone:
                self.ready.add(name)
            else:
                self.ready.discard(name)
        elif resource is GROUPS:
            self.groups[name] = raw.get("status") or {}
        elif gone:
            self._names[resource].discard(name)
        else:
            self._names[resource].add(name)

    def _take_secret(self, name: str, raw: Object, *, gone: bool) -> None:
        self.assignments.pop(name, None)
        self._placed.pop(name, None)
        if gone:
            return
        text = base64.b64decode(raw["data"][ASSIGNMENT_KEY]).decode()
        assignment = self.assignments[name] = json.loads(text)
        self._placed[name] = len(assignment.get("cameras", ()))
        self.revisions[name] += 1
        for mark, seen in list(self._marks.items()):
            if mark in text:
                del self._marks[mark]
                if not seen.done():
                    seen.set_result(time.monotonic())
