"""Follows the workers' reports: one long poll per worker, always open, answered when something changes.

A worker that says nothing new still answers after ``POLL_WAIT``, which is what shows that it lives. Reports are kept
per worker, so that during a move the camera's health is that of the worker it is assigned to.
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from pydantic import ValidationError
from yarl import URL

from camera_api.category import DecodePolicy
from camera_api.health import HealthReport
from camera_operator.cache import Cache, WorkerObjects
from camera_operator.decide.model import HealthView, ObjectKey
from camera_operator.slim import slim_health

logger = logging.getLogger(__name__)

#: Seconds that a worker may hold a poll. Half of the 20 s after which a report counts as stale, so that one lost
#: answer does not make a worker's cameras Unknown.
POLL_WAIT = 8
#: Seconds beyond the wait until a poll counts as failed.
_POLL_SLACK = 4.0
_CONNECT_TIMEOUT = 3.0
#: Seconds between two attempts to reach a worker; the second grows to the third.
_RETRY_AT_LEAST = 0.25
_RETRY_AT_MOST = 2.0
#: A report of 200 cameras with all faults and messages has some 200 kB.
_REPORT_LIMIT = 8 * 2**20

WorkerKey = tuple[str, str]  #: namespace and name of the worker


@dataclass(frozen=True, slots=True)
class Target:
    """Where a worker's reports come from at present."""

    pod_uid: str
    address: str
    port: int
    token: str = field(repr=False)


@dataclass(slots=True)
class WorkerHealth:
    """What a worker has reported."""

    source: tuple[str, str] | None = field(default=None, repr=False)  #: UID and bearer token of the pod it is of
    acknowledged_revision: int = 0  #: of the present pod; 0: it has not reported yet
    last_report_at: float | None = None  #: monotonic seconds, of any pod of the worker
    reachable_since: float | None = None  #: monotonic seconds since when the worker is tried
    decode_reduced_to: DecodePolicy | None = None  #: what an overloaded worker decodes at most
    cameras: dict[str, HealthView] = field(default_factory=dict)  #: by UID

    def take(self, report: HealthReport, now: float, *, first: bool) -> bool:
        """Takes a report over; returns whether it says anything new.

        Args:
            report: the answer.
            now: monotonic seconds.
            first: whether it is the first one of a pod or after an error.
        """
        before = (self.acknowledged_revision, self.decode_reduced_to)
        self.acknowledged_revision, self.last_report_at = report.acknowledged_revision, now
        self.decode_reduced_to = report.decode_reduced_to
        changed = first or before != (report.acknowledged_revision, report.decode_reduced_to)
        # The cache holds the UIDs, too.
        told = {sys.intern(camera.uid): slim_health(camera) for camera in report.cameras}
        if report.full:
            changed |= told != self.cameras
            self.cameras = told
            return changed
        for uid, health in told.items():
            changed |= self.cameras.get(uid) != health
            self.cameras[uid] = health
        for uid in report.removed:
            changed |= self.cameras.pop(uid, None) is not None
        return changed


def choose_target(objects: WorkerObjects) -> Target | None:
    """The pod to ask, a ready one if there is one; None: there is none to ask."""
    if objects.secret is None or objects.secret.assignment is None:
        return None
    candidates = [view for view in objects.pods.values() if view.pod.address and not view.pod.terminating]
    if not candidates:
        return None
    chosen = min(candidates, key=lambda view: (not view.pod.ready, view.pod.name))
    token = objects.secret.assignment.bearer_token.get_secret_value()
    return Target(chosen.pod.uid, chosen.pod.address, chosen.port, token)


@dataclass(slots=True)
class _Poll:
    target: Target
    task: asyncio.Task[None]


class HealthPoller:
    """Long polls of all workers.

    Args:
        cache: where workers, their pods and tokens are.
        changed: called with the group whose worker has reported something new.
        count: called with the result of each poll: changed, unchanged, error.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        changed: Callable[[ObjectKey], None],
        count: Callable[[str], None] = lambda _result: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._changed = changed
        self._count = count
        self._clock = clock
        self._health: dict[WorkerKey, WorkerHealth] = {}
        self._polls: dict[WorkerKey, _Poll] = {}
        self._workers_of: dict[ObjectKey, set[str]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._failure: asyncio.Future[None] | None = None

    def health(self, worker: WorkerKey) -> WorkerHealth:
        """What a worker has reported; empty if it has not."""
        return self._health.get(worker, _NOTHING)

    async def run(self) -> None:
        """Keeps the session open, and fails when a poll fails in a way that is an error of this program."""
        self._failure = asyncio.get_running_loop().create_future()
        # Thousands of connections are one per worker by design; the kernel's limit on files is the only one.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            try:
                await self._failure
            finally:
                self._session = None
                await self._stop_all()

    def follow(self, group: ObjectKey, workers: Mapping[str, WorkerObjects]) -> None:
        """Polls exactly these workers of a group from now on."""
        if self._session is None:
            return
        namespace = group[0]
        followed = self._workers_of.pop(group, set())
        for name in followed - workers.keys():
            self._stop((namespace, name))
            self._health.pop((namespace, name), None)
        if workers:
            self._workers_of[group] = set(workers)
        for name, objects in workers.items():
            pod_uids = {view.pod.uid for view in objects.pods.values()}
            self._follow_worker(group, (namespace, name), choose_target(objects), pod_uids)

    def pause(self) -> None:
        """Stops all polls and forgets what was reported: it would be stale when polling goes on."""
        for worker in list(self._polls):
            self._stop(worker)
        self._health.clear()
        self._workers_of.clear()

    def _follow_worker(self, group: ObjectKey, worker: WorkerKey, target: Target | None, pod_uids: set[str]) -> None:
        health = self._present_health(worker, target, pod_uids)
        poll = self._polls.get(worker)
        if poll is not None and poll.target == target:
            return
        self._stop(worker)
        if target is None or self._session is None:
            return
        task = asyncio.create_task(self._poll(self._session, group, worker, target, health), name=f"poll {worker[1]}")
        task.add_done_callback(self._poll_ended)
        self._polls[worker] = _Poll(target, task)

    def _present_health(self, worker: WorkerKey, target: Target | None, pod_uids: set[str]) -> WorkerHealth:
        health = self._health.setdefault(worker, WorkerHealth(reachable_since=self._clock()))
        source = (target.pod_uid, target.token) if target is not None else None
        # What a pod that ends has acknowledged holds until it is gone; a new one has to say so itself.
        ended = source is None and health.source is not None and health.source[0] not in pod_uids
        if ended or (source is not None and source != health.source):
            health.source, health.acknowledged_revision = source, 0
        return health

    def _stop(self, worker: WorkerKey) -> None:
        poll = self._polls.pop(worker, None)
        if poll is not None:
            poll.task.cancel()

    async def _stop_all(self) -> None:
        tasks = [poll.task for poll in self._polls.values()]
        self._polls.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _poll_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _poll(
        self, session: aiohttp.ClientSession, group: ObjectKey, worker: WorkerKey, target: Target, health: WorkerHealth
    ) -> None:
        cursor: tuple[str, int] | None = None
        failures = 0
        trouble = ""
        while True:
            try:
                report = await fetch_report(session, target, cursor)
            except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
                # The class only: messages of network errors hold addresses, those of validation the answer.
                trouble = self._log_trouble(worker, trouble, type(error).__name__)
                self._count("error")
                cursor = None if isinstance(error, ValidationError) else cursor
                failures += 1
                delay = min(_RETRY_AT_LEAST * 2 ** (failures - 1), _RETRY_AT_MOST)
                await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, no secret
                continue
            if trouble:
                logger.info("worker %s/%s reports again", *worker)
            first = cursor is None or failures > 0
            trouble, failures = "", 0
            changed = health.take(report, self._clock(), first=first)
            cursor = (report.instance, report.cursor)
            # Decoded, a full report has 2 kB per camera, and the next poll may wait for long.
            del report
            self._count("changed" if changed else "unchanged")
            if changed:
                self._changed(group)

    def _log_trouble(self, worker: WorkerKey, before: str, trouble: str) -> str:
        # Said once per kind: a worker that is down is asked again every two seconds.
        if trouble != before:
            logger.warning("worker %s/%s does not report: %s", *worker, trouble)
        return trouble


_NOTHING = WorkerHealth()


async def fetch_report(
    session: aiohttp.ClientSession, target: Target, cursor: tuple[str, int] | None, *, wait: int = POLL_WAIT
) -> HealthReport:
    """One answer of a worker's health route.

    Args:
        session: for the request.
        target: the worker's pod.
        cursor: instance and cursor of the last report; None asks for a full one.
        wait: seconds that the worker may wait for a change.

    Raises:
        aiohttp.ClientError: no connection, or an answer other than 200.
        TimeoutError: no answer within the wait and a margin.
        ValidationError: the answer is not a report.
    """
    url = URL.build(scheme="http", host=target.address, port=target.port, path="/v1/health")
    query: dict[str, str] = (
        {}
        if cursor is None
        else {
            "instance": cursor[0],
            "after": str(cursor[1]),
            "wait": str(wait),
        }
    )
    timeout = aiohttp.ClientTimeout(total=wait + _POLL_SLACK, sock_connect=_CONNECT_TIMEOUT)
    headers = {"Authorization": f"Bearer {target.token}"}
    async with session.get(url.with_query(query), headers=headers, timeout=timeout, allow_redirects=False) as response:
        if response.status != 200:  # noqa: PLR2004 - HTTP status
            raise aiohttp.ClientResponseError(
                response.request_info, response.history, status=response.status, message=response.reason or ""
            )
        body = await response.content.read(_REPORT_LIMIT)
    return HealthReport.model_validate_json(body)
