"""Writes statuses at a bounded rate: groups before cameras, and of those what waits longest first.

What waits is the newest decision about an object; a later one takes its place in the line. ``pending`` is what a
pass has to plan from, since it is what the status is about to be.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from camera_operator.cache import Cache
from camera_operator.cluster_api import CAMERAS, GROUPS, ClusterApi, Resource
from camera_operator.decide.model import (
    CameraStatusView,
    ConditionView,
    GroupStatusView,
    ObjectKey,
)
from camera_operator.errors import (
    ClusterError,
    ConflictError,
    NotFoundError,
    NotLeadingError,
    RejectedError,
    UnavailableError,
)

logger = logging.getLogger(__name__)

StatusView = CameraStatusView | GroupStatusView

#: Writes at the same time. The API server takes 335 status applies/s on two cores, 10 ms each.
CONCURRENCY = 16
#: Seconds until a write that failed is tried again; what is refused again waits twice as long, up to a minute.
_RETRY_AFTER = 1.0
_RETRY_AT_MOST = 60.0


class TokenBucket:
    """Permission for so many actions per second, some of them at once.

    Args:
        rate: tokens per second.
        burst: tokens at most.
        now: monotonic seconds; the bucket is full then.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled_at = now

    def take(self, now: float) -> float:
        """Takes a token and returns 0.0, or returns the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


def _condition_manifest(condition: ConditionView) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status.value,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": condition.observed_generation,
        "lastTransitionTime": condition.last_transition_time,
    }


def camera_status_manifest(status: CameraStatusView) -> dict[str, Any]:
    """The status as the CRD spells it; what is unset is left out, and so removed by the apply."""
    manifest: dict[str, Any] = {
        "state": status.state.value if status.state is not None else None,
        "reason": status.reason,
        "since": status.since,
        "category": status.category,
        "worker": status.worker,
        "observedGeneration": status.observed_generation,
        "conditions": [_condition_manifest(condition) for condition in status.conditions],
    }
    return {key: value for key, value in manifest.items() if value is not None}


def group_status_manifest(status: GroupStatusView) -> dict[str, Any]:
    """The status as the CRD spells it."""
    return {
        "observedGeneration": status.observed_generation,
        "category": status.category,
        "cameras": dict(status.cameras),
        # An empty map that was not empty before becomes null in a server-side apply, and null is refused.
        **({"faults": dict(status.faults)} if status.faults else {}),
        "workers": dict(status.workers),
        "workerImage": status.worker_image,
        "selector": status.selector,
        "conditions": [_condition_manifest(condition) for condition in status.conditions],
    }


@dataclass(slots=True)
class _Pending:
    status: StatusView
    failures: int = 0  #: in a row, that were about this object


@dataclass(slots=True)
class _Line:
    """What waits of one kind. A fleet's whole cameras may: 100,000 of them for five minutes."""

    pending: dict[ObjectKey, _Pending] = field(default_factory=dict)  #: also while it is being written
    order: deque[ObjectKey] = field(default_factory=deque)  #: may name what waits no more

    def put(self, key: ObjectKey, status: StatusView) -> None:
        """A decision: in place of an earlier one about the same object, or at the end."""
        pending = self.pending.get(key)
        if pending is not None:
            pending.status = status
            return
        self.pending[key] = _Pending(status)
        self.order.append(key)


class StatusWriter:
    """See the module.

    Args:
        api: for the writes.
        cache: told what was written; knows whether an object still exists.
        rate: writes per second in the long run.
        burst: writes at once.
        require_leading: raises ``NotLeadingError`` if this process may not write.
        changed: called with each group that a conflict has shown to have changed.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        api: ClusterApi,
        cache: Cache,
        *,
        rate: float,
        burst: float,
        require_leading: Callable[[], None],
        changed: Callable[[ObjectKey], None] = lambda _group: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._cache = cache
        self._require_leading = require_leading
        self._changed = changed
        self._clock = clock
        self._bucket = TokenBucket(rate, burst, clock())
        self._lines = {GROUPS: _Line(), CAMERAS: _Line()}  # in the order in which they are served
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False

    def __len__(self) -> int:
        return sum(len(line.pending) for line in self._lines.values())

    def camera_status(self, key: ObjectKey) -> CameraStatusView | None:
        """The status that a camera is about to get; None: it stays as it is."""
        pending = self._lines[CAMERAS].pending.get(key)
        return pending.status if pending is not None and isinstance(pending.status, CameraStatusView) else None

    def group_status(self, key: ObjectKey) -> GroupStatusView | None:
        """The status that a group is about to get; None: it stays as it is."""
        pending = self._lines[GROUPS].pending.get(key)
        return pending.status if pending is not None and isinstance(pending.status, GroupStatusView) else None

    def put(
        self, group: ObjectKey, group_status: GroupStatusView | None, cameras: Mapping[ObjectKey, CameraStatusView]
    ) -> None:
        """Puts what a pass has decided into the line.

        Args:
            group: namespace and name of the group.
            group_status: None: as it is, or is about to be.
            cameras: those that differ from what they are, or are about to be.
        """
        if group_status is not None:
            self._lines[GROUPS].put(group, group_status)
        for key, status in cameras.items():
            self._lines[CAMERAS].put(key, status)
        self._wake.set()

    def drop_all(self) -> None:
        """Forgets what waits: another process decides now."""
        self._lines = {resource: _Line() for resource in self._lines}

    async def run(self) -> None:
        """Writes until it is closed."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(CONCURRENCY):
                tasks.create_task(self._work(), name=f"status writer {number}")

    def close(self) -> None:
        """Begins no more writes. What waits is left to the next leader, which decides it again."""
        self._closed = True
        self._wake.set()

    async def _work(self) -> None:
        while not self._closed:
            if self._next_line() is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            # One waits for the next token, the others for their turn.
            async with self._turn:
                if self._next_line() is None:
                    continue
                delay = self._bucket.take(self._clock())
                if delay > 0:
                    await asyncio.sleep(delay)
                    continue
            await self._write_next()

    async def _write_next(self) -> None:
        served = self._next_line()
        if self._closed or served is None:
            return
        resource, line = served
        key = line.order.popleft()
        pending = line.pending.get(key)
        if pending is None:
            return
        status = pending.status
        try:
            self._require_leading()
            await self._write(resource, key, status)
        except NotLeadingError:
            line.pending.pop(key, None)
            return
        except NotFoundError:
            logger.debug("%s %s/%s is gone", resource.kind, *key)
        except ConflictError:
            # Changed since: what changed is on its way through the watch too, and a pass decides again. Until then
            # the decision stands, unless the object is another one by now.
            if await self._look_again(resource, key):
                line.order.appendleft(key)
                return
        except RejectedError as error:
            # Nothing but another decision helps; it comes with the next change.
            logger.error("status of %s %s/%s is refused: %s", resource.kind, *key, error)  # noqa: TRY400 - no traceback
        except UnavailableError as error:
            logger.warning("status of %s %s/%s is written later: %s", resource.kind, *key, error)
            await asyncio.sleep(_RETRY_AFTER if error.retry_after is None else error.retry_after)
            self._line_up_again(line, key, pending)
            return
        except ClusterError as error:
            # It is about this object or its namespace: nothing else may have to wait for it.
            delay = min(_RETRY_AFTER * 2**pending.failures, _RETRY_AT_MOST)
            pending.failures += 1
            if pending.failures == 1:
                logger.warning("status of %s %s/%s is written later: %s", resource.kind, *key, error)
            asyncio.get_running_loop().call_later(delay, self._line_up_again, line, key, pending)
            return
        if pending.status == status:
            line.pending.pop(key, None)
        else:
            # A newer decision came while this one was on its way; it keeps the place.
            line.order.appendleft(key)

    def _next_line(self) -> tuple[Resource, _Line] | None:
        """The line whose turn it is; None: nothing waits."""
        return next(((resource, line) for resource, line in self._lines.items() if line.order), None)

    def _line_up_again(self, line: _Line, key: ObjectKey, pending: _Pending) -> None:
        """At the end of the line: what cannot be written must not keep back what can."""
        if line.pending.get(key) is not pending:
            return
        line.order.append(key)
        self._wake.set()

    async def _write(self, resource: Resource, key: ObjectKey, status: StatusView) -> None:
        view = self._cache.camera(key) if resource is CAMERAS else self._cache.group(key)
        version = self._cache.resource_version(resource, key)
        if view is None or view.status == status:
            return
        manifest = (
            camera_status_manifest(status) if isinstance(status, CameraStatusView) else group_status_manifest(status)
        )
        written = await self._api.apply_status(
            resource,
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"namespace": key[0], "name": key[1], "resourceVersion": version},
                "status": manifest,
            },
        )
        self._cache.put(resource, written)

    async def _look_again(self, resource: Resource, key: ObjectKey) -> bool:
        """Takes over what a conflict was about; returns whether it is still the same object."""
        before = self._cache.camera(key) if resource is CAMERAS else self._cache.group(key)
        try:
            found = await self._api.get(resource, *key)
        except ClusterError:
            # The write is tried again anyway, and says then what is wrong.
            return True
        for group in self._cache.put(resource, found):
            self._changed(group)
        return before is not None and found["metadata"]["uid"] == before.uid
