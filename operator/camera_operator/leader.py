"""Leadership by a Lease: at most one process writes, and the next one takes over without a new LIST.

The election is client-go's (``k8s.io/client-go/tools/leaderelection``) with shorter times, so that a standby writes
within 15 s after the leader has died: who holds the Lease renews it every 2 s; a candidate takes it over when it has
not seen it change for the Lease's duration *by its own clock*, so that no two clocks are ever compared. The elector of
the ``kubernetes`` package is not used: it compares wall clocks, dies of a network error, cannot release and cannot tell
whether a renewal is overdue.

A process that loses the Lease stops writing at once and goes on as a standby, its cache warm. It counts as leading
only until 7 s after it *began* the last successful renewal, and a write takes 5 s at most, on the API server as well
(``cluster_api.Request.url``), so that its last write has ended before anybody may take over after 12 s.

That is what keeps two processes from giving one camera to two workers. The resourceVersions of the Secrets keep them
from undoing each other's writes; two leaders who write *different* Secrets they would not keep apart.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from camera_operator.cluster_api import LEASES, ClusterApi
from camera_operator.errors import ClusterError, ConflictError, DeniedError, NotFoundError, NotLeadingError

logger = logging.getLogger(__name__)

#: Seconds after which a Lease that does not change may be taken over (client-go: 15).
LEASE_DURATION = 12
#: Seconds after a renewal during which its holder may write (client-go: 10).
RENEW_DEADLINE = 7.0
#: Seconds between two attempts (client-go's default).
RETRY_PERIOD = 2.0

Lease = dict[str, Any]


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Leader:
    """A candidate, and the holder's permission to write.

    Args:
        api: for the Lease.
        namespace: of the Lease.
        name: of the Lease.
        identity: of this process; must differ from that of every other candidate.
        on_change: told the new state after each change.
        clock: monotonic seconds.
        now: wall clock, only for the times that the Lease shows to people.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        api: ClusterApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        on_change: Callable[[bool], None] = lambda _leading: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._on_change = on_change
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._leading = False
        self._valid_until = 0.0
        self._seen: tuple[str, int] | None = None  # holder and resourceVersion of the Lease
        self._seen_at = 0.0
        self._holder = ""
        self._error = ""

    @property
    def is_leading(self) -> bool:
        """Whether this process may write now."""
        return self._leading and self._clock() < self._valid_until

    @property
    def holder(self) -> str:
        """Who holds the Lease, as last seen; empty: nobody."""
        return self._holder

    def require(self) -> None:
        """Gate of every write.

        Raises:
            NotLeadingError: this process may not write.
        """
        if not self.is_leading:
            raise NotLeadingError(f"the Lease {self._namespace}/{self._name} is not held by this process")

    async def run(self) -> None:
        """Tries to hold the Lease, for ever."""
        while True:
            await self.step()
            await self._sleep(RETRY_PERIOD)

    async def step(self) -> None:
        """One attempt to take or renew the Lease."""
        began = self._clock()
        try:
            held = await self._take_or_renew(began)
            self._error = ""
        except ConflictError:
            # Another candidate was faster; the next attempt sees its Lease.
            held = False
        except ClusterError as error:
            self._log_error(error)
            # A single failed renewal does not cost the leadership as long as the last one counts.
            held = self._leading and self._clock() < self._valid_until
            self._set_leading(held)
            return
        if self._leading and self._clock() >= self._valid_until:
            # The renewal came too late: writes were refused meanwhile, and whoever waits to lead again must hear of it.
            self._set_leading(False)
        if held:
            self._valid_until = began + RENEW_DEADLINE
            held = self._clock() < self._valid_until
        self._set_leading(held)

    async def release(self) -> None:
        """Gives the Lease up, so that a standby takes over at once. Errors only delay it, so they are logged."""
        if not self._leading:
            return
        self._set_leading(False)
        try:
            lease = await self._api.get(LEASES, self._namespace, self._name)
            if (lease.get("spec") or {}).get("holderIdentity") != self._identity:
                return
            lease["spec"] = {
                **lease["spec"],
                "holderIdentity": "",
                "leaseDurationSeconds": 1,
                "renewTime": _micro_time(self._now()),
            }
            await self._api.replace(LEASES, lease)
        except ClusterError as error:
            logger.warning("the Lease could not be released, a standby waits until it runs out: %s", error)

    async def _take_or_renew(self, now: float) -> bool:
        try:
            lease = await self._api.get(LEASES, self._namespace, self._name)
        except NotFoundError:
            await self._api.create(LEASES, self._claimed({}, transitions=0))
            self._holder = self._identity
            return True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        self._holder = holder
        version = (holder, int(lease["metadata"]["resourceVersion"]))
        if version != self._seen:
            self._seen, self._seen_at = version, now
        if holder and holder != self._identity:
            duration = float(spec.get("leaseDurationSeconds") or LEASE_DURATION)
            if now < self._seen_at + duration:
                return False
            logger.info("the Lease of %s has run out", holder)
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self._identity)
        replaced = await self._api.replace(LEASES, self._claimed(lease, transitions=transitions))
        self._holder = self._identity
        self._seen, self._seen_at = (self._identity, int(replaced["metadata"]["resourceVersion"])), now
        return True

    def _claimed(self, lease: Lease, *, transitions: int) -> Lease:
        now = _micro_time(self._now())
        spec = lease.get("spec") or {}
        renewed = spec.get("holderIdentity") == self._identity
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": lease.get("metadata") or {"namespace": self._namespace, "name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_DURATION,
                "acquireTime": spec.get("acquireTime", now) if renewed else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    def _set_leading(self, leading: bool) -> None:
        if leading == self._leading:
            return
        self._leading = leading
        logger.info("this process leads now" if leading else "this process does not lead any more; it stands by")
        self._on_change(leading)

    def _log_error(self, error: ClusterError) -> None:
        # Once per kind of error: an outage of the API server lasts for many attempts.
        if str(error) == self._error:
            return
        self._error = str(error)
        hint = (
            "; the operator's Role must allow get, create and update of leases"
            if isinstance(error, DeniedError)
            else ""
        )
        logger.warning("the Lease could not be taken or renewed: %s%s", error, hint)
