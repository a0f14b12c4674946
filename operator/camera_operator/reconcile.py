"""Takes one group at a time from the queue through observe, decide and apply, and keeps at it until it succeeds."""

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping

from camera_operator.apply import Applier, Failure, describe
from camera_operator.cache import Cache
from camera_operator.decide.events import occurrences
from camera_operator.decide.model import CameraStatusView, ObjectKey, Observed, Plan
from camera_operator.decide.plan import make_plan
from camera_operator.decide.settings import PlanSettings
from camera_operator.errors import ConflictError, NotLeadingError, UnavailableError
from camera_operator.events import EventRecorder
from camera_operator.health_poller import HealthPoller
from camera_operator.metrics import Metrics
from camera_operator.move_budget import MoveBudget
from camera_operator.observe import Observer
from camera_operator.status import StatusWriter
from camera_operator.work_queue import QueueClosedError, WorkQueue

logger = logging.getLogger(__name__)


class Reconciler:
    """See the module.

    Args:
        cache: what the API server holds; nothing is decided before it is complete.
        queue: groups that wait for a pass.
        observer: gathers.
        applier: writes workers.
        statuses: writes statuses.
        moves: rations the moves that nothing forces.
        events: told what has happened.
        health: told which workers to follow.
        metrics: told the groups' numbers.
        plan_settings: for the decisions.
        is_leading: whether this process may write.
        plan: the decisions.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        queue: WorkQueue[ObjectKey],
        observer: Observer,
        applier: Applier,
        statuses: StatusWriter,
        moves: MoveBudget,
        events: EventRecorder,
        health: HealthPoller,
        metrics: Metrics,
        plan_settings: PlanSettings,
        is_leading: Callable[[], bool],
        plan: Callable[[Observed, PlanSettings], Plan] = make_plan,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._observer = observer
        self._applier = applier
        self._statuses = statuses
        self._moves = moves
        self._events = events
        self._health = health
        self._metrics = metrics
        self._settings = plan_settings
        self._is_leading = is_leading
        self._plan = plan
        self._clock = clock
        self._conflicts: Counter[ObjectKey] = Counter()

    def start_over(self) -> None:
        """Asks for a pass over every group: the cache is complete, or this process begins to lead."""
        self._moves.start_over()
        for key in self._cache.group_keys():
            self._queue.add(key)

    async def run(self, concurrency: int) -> None:
        """Works the queue off until it is closed.

        Args:
            concurrency: groups at the same time.
        """
        async with asyncio.TaskGroup() as tasks:
            for number in range(concurrency):
                tasks.create_task(self._work(), name=f"reconciler {number}")

    async def _work(self) -> None:
        while True:
            try:
                key, since = await self._queue.get()
            except QueueClosedError:
                return
            if not (self._cache.is_synced and self._is_leading()):
                # All groups are asked for again when both hold, see start_over.
                self._queue.done(key)
                continue
            await self._pass(key, since)
            # A pass that writes nothing waits for nothing: those of 100 large groups would follow one another for
            # seconds, and the Lease run out meanwhile.
            await asyncio.sleep(0)

    async def _pass(self, key: ObjectKey, since: float) -> None:
        began = self._clock()
        try:
            failures = await self.reconcile(key, since)
        except Exception as error:  # noqa: BLE001
            # A defect in a decision must not stop the other groups; the pass is repeated with back-off. The message
            # may quote what was decided about, credentials included, so only the type and the place are logged.
            place = "".join(traceback.format_tb(error.__traceback__, limit=-3))
            delay = self._queue.failed(key)
            logger.error(  # noqa: TRY400 - see above
                "group %s/%s: pass failed with %s, next one in %.1f s\n%s", *key, type(error).__name__, delay, place
            )
            result = "error"
        else:
            result = self._finish(key, failures)
        self._metrics.reconcile_duration.labels(result).observe(self._clock() - began)

    async def reconcile(self, key: ObjectKey, since: float) -> tuple[Failure, ...]:
        """One pass over a group.

        Args:
            key: namespace and name.
            since: monotonic time of the first event that the pass answers.
        """
        if unsettled := await self._applier.settle(key):
            return unsettled
        observed = self._observer.observe(key)
        self._health.follow(key, self._cache.workers(key))
        if observed.group is None and not observed.cameras and not observed.workers:
            self._forget(key)
            return ()
        plan = self._plan(observed, self._settings)
        self._moves.spend(key, plan.moves)
        failures = await self._applier.apply(key, plan)
        if any(isinstance(failure.error, (NotLeadingError, ConflictError)) for failure in failures):
            return failures
        self._metrics.moves.inc(plan.moves)
        if any(write.secret is not None for write in plan.writes) and not failures:
            self._metrics.assignment_latency.observe(self._clock() - since)
        self._statuses.put(key, plan.group_status, _without(plan.camera_statuses, failures))
        self._report(key, observed, plan)
        if observed.group is not None:
            failed = [failure.worker for failure in failures]
            self._events.record(observed.group, occurrences(observed, plan, failed))
        waits = [plan.look_again_after, self._moves.next_after(key) if plan.wants_moves else None]
        delays = [wait for wait in waits if wait is not None]
        if delays:
            self._queue.add_after(key, min(delays))
        else:
            self._queue.forget(key)
        if plan.writes or plan.deletions:
            # Until a pass finds nothing to do, however many steps a change takes.
            self._queue.add(key)
        return failures

    def _finish(self, key: ObjectKey, failures: tuple[Failure, ...]) -> str:
        errors = [failure.error for failure in failures]
        if not errors or any(isinstance(error, NotLeadingError) for error in errors):
            self._conflicts.pop(key, None)
            self._queue.done(key)
            return "ok" if not errors else "error"
        if all(isinstance(error, ConflictError) for error in errors):
            # Somebody was faster, and the cache knows by now: the first repetition needs no wait.
            self._conflicts[key] += 1
            self._queue.failed(key, retry_after=0.0 if self._conflicts[key] == 1 else None)
            logger.info("group %s/%s: planned again, %s", *key, describe(failures))
            return "conflict"
        waits = [error.retry_after for error in errors if isinstance(error, UnavailableError) and error.retry_after]
        delay = self._queue.failed(key, retry_after=max(waits) if waits else None)
        logger.warning("group %s/%s: next attempt in %.1f s, %s", *key, delay, describe(failures))
        return "error"

    def _report(self, key: ObjectKey, observed: Observed, plan: Plan) -> None:
        if observed.group is None:
            self._metrics.forget_group(key)
            return
        status = plan.group_status if plan.group_status is not None else observed.group.status
        workers: Counter[tuple[str, str]] = Counter()
        for worker in observed.workers:
            ready = any(pod.ready and not pod.terminating for pod in worker.pods)
            workers[worker.role.value, "ready" if ready else "unready"] += 1
        self._metrics.set_group(key, status, workers)

    def _forget(self, key: ObjectKey) -> None:
        self._metrics.forget_group(key)
        self._queue.forget(key)
        self._moves.forget(key)
        self._conflicts.pop(key, None)


def _without(
    statuses: Mapping[ObjectKey, CameraStatusView], failures: tuple[Failure, ...]
) -> Mapping[ObjectKey, CameraStatusView]:
    """The statuses that are true although some workers could not be written."""
    failed = {failure.worker for failure in failures if not failure.is_assigned}
    return {key: status for key, status in statuses.items() if status.worker not in failed} if failed else statuses
