"""Writes Kubernetes Events (events.k8s.io) about groups: collected for a moment, then one for each reason.

The first event of a reason comes after a moment, in which a burst gathers; the next one of the same reason not before a
minute has passed, with all that has happened meanwhile. The same text again only counts a series up. So a group makes a
handful of events in a minute at most, whatever happens to its cameras.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from camera_api import API_VERSION
from camera_operator.cluster_api import EVENTS, ClusterApi
from camera_operator.decide.events import WARNINGS, EventReason, Occurrence, note
from camera_operator.decide.model import GroupView, ObjectKey
from camera_operator.errors import ClusterError, DeniedError, NotFoundError, NotLeadingError

logger = logging.getLogger(__name__)

#: Seconds in which a burst gathers.
GATHER_FOR = 2.0
#: Seconds between two events of a group with the same reason.
APART = 60.0
#: Seconds after which an event with the same text is a new one and not the next of a series.
SERIES_FOR = 600.0
#: Groups and reasons that are remembered at most, against a fleet that never repeats itself.
_REMEMBERED = 10_000
_CONTROLLER = "camera-operator.io/operator"

Key = tuple[ObjectKey, EventReason]


@dataclass(slots=True)
class _Gathering:
    group: GroupView
    due: float
    happened: dict[str, list[str]] = field(default_factory=dict)  #: subjects by detail


@dataclass(slots=True)
class _Written:
    name: str
    note: str
    at: float
    count: int = 1


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EventRecorder:
    """See the module.

    Args:
        api: for the writes.
        instance: name of this process.
        require_leading: raises ``NotLeadingError`` if this process may not write.
        clock: monotonic seconds.
        now: wall clock.
    """

    def __init__(
        self,
        api: ClusterApi,
        *,
        instance: str,
        require_leading: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._api = api
        self._instance = instance[:128]
        self._require_leading = require_leading
        self._clock = clock
        self._now = now
        self._gathering: dict[Key, _Gathering] = {}
        self._written: dict[Key, _Written] = {}
        self._wake = asyncio.Event()

    def record(self, group: GroupView, happened: Iterable[Occurrence]) -> None:
        """Takes note of what has happened to a group."""
        for each in happened:
            key = (group.key, each.reason)
            gathering = self._gathering.get(key)
            if gathering is None:
                last = self._written.get(key)
                due = self._clock() + GATHER_FOR
                due = due if last is None else max(due, last.at + APART)
                gathering = self._gathering[key] = _Gathering(group, due)
                self._wake.set()
            gathering.happened.setdefault(each.detail, []).append(each.subject)

    def drop_all(self) -> None:
        """Forgets everything: another process leads now."""
        self._gathering.clear()
        self._written.clear()

    async def run(self) -> None:
        """Writes events when they are due, for ever."""
        while True:
            self._wake.clear()
            await self.write_due()
            due = min((each.due for each in self._gathering.values()), default=None)
            timeout = None if due is None else max(due - self._clock(), 0.0)
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def write_due(self) -> None:
        """Writes what is due by now."""
        now = self._clock()
        for key in [key for key, each in self._gathering.items() if each.due <= now]:
            gathering = self._gathering.pop(key, None)
            if gathering is None:
                continue
            try:
                self._require_leading()
                await self._write(key, gathering, now)
            except NotLeadingError:
                return
            except DeniedError as error:
                # Above all a namespace that is being deleted takes nothing new.
                logger.debug("event %s of group %s/%s is not written: %s", key[1].value, *key[0], error)
            except ClusterError as error:
                # An event is a courtesy: the status tells the same, and does not get lost.
                logger.warning("event %s of group %s/%s is not written: %s", key[1].value, *key[0], error)

    async def _write(self, key: Key, gathering: _Gathering, now: float) -> None:
        text = note(key[1], gathering.happened)
        last = self._written.get(key)
        if last is not None and last.note == text and now - last.at < SERIES_FOR:
            last.at, last.count = now, last.count + 1
            series = {"count": last.count, "lastObservedTime": self._micro_time()}
            try:
                await self._api.merge_patch(EVENTS, key[0][0], last.name, {"series": series})
            except NotFoundError:
                # The API server forgets events after an hour.
                del self._written[key]
            return
        manifest = self._manifest(key[1], gathering.group, text)
        await self._api.create(EVENTS, manifest)
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written[key] = _Written(manifest["metadata"]["name"], text, now)

    def _manifest(self, reason: EventReason, group: GroupView, text: str) -> dict[str, Any]:
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"namespace": group.namespace, "name": f"{group.name}.{secrets.token_hex(8)}"},
            "eventTime": self._micro_time(),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": reason.value,
            "type": "Warning" if reason in WARNINGS else "Normal",
            "note": text,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": "CameraGroup",
                "namespace": group.namespace,
                "name": group.name,
                "uid": group.uid,
            },
        }

    def _micro_time(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
