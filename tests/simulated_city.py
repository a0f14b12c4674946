"""A whole city in virtual time: users, the in-memory API server, nodes with workers, and lives of the operator.

After every change of anything it is checked that no camera is watched, or may be watched, by two workers (design
invariant 1) and that no password stands anywhere but in a Secret (8).
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from builders import NOW
from camera_api.assignment import Assignment
from camera_operator import health_poller
from camera_operator.cluster_api import CAMERAS, GROUPS, LEASES, SECRETS, Resource
from camera_operator.specs import names
from fakes import FakeApi
from gate import Call, Gate, Judge, pass_all
from operator_life import PLAN_SETTINGS, Life
from simulated_nodes import Nodes, read_assignment
from users import PASSWORD, Users

Object = dict[str, Any]

#: Nothing is written any more when nothing was for so long: more than every time limit of a report.
QUIET = 35.0
#: What differs between two runs that end in the same state: identities, moments and counters.
_IDENTITIES = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "lastTransitionTime",
        "since",
        "bearerToken",
        "revision",
    }
)


class SimulatedCity(Users):
    """See the module. To be made by ``simulated_city``.

    Attributes:
        nodes: the cluster's other half.
        writes: that all lives have sent, in order.
        violations: promises that were broken, and errors that were logged or that nobody has caught.
        shared: seconds for which some camera could be watched by two workers.
        may_share: whether that is no violation.
    """

    def __init__(self, seed: int) -> None:
        self.fake = FakeApi()
        super().__init__(self.fake, "city")
        self.fake.on_event = self._on_event
        self.nodes = Nodes(self.fake, self.now, self._check_watchers)
        self.random = random.Random(seed)
        self.lives: list[Life] = []
        #: Seconds until a watch tells a life of a change, or several (told again), or none (lost).
        self.watch_delays: Callable[[Resource], tuple[float, ...]] = lambda _resource: (0.01,)
        self.violations: list[str] = []
        self.shared = 0.0
        self.may_share = False
        self._sharing_since: float | None = None
        self._assignments: dict[tuple[str, str], Assignment] = {}

    def now(self) -> datetime:
        """Wall clock."""
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())

    @property
    def writes(self) -> list[Call]:
        """All that lives have sent, by life."""
        return [call for life in self.lives for call in life.gate.calls]

    async def start_operator(
        self,
        *,
        judge: Judge = pass_all,
        delay: Callable[[Call], float] = lambda _call: 0.0,
        elects: bool = True,
        resync: float = 600.0,
        image: str = PLAN_SETTINGS.worker_image,
    ) -> Life:
        """A further life of the operator."""
        gate = Gate(self.fake, judge=judge, delay=delay)
        life = Life(
            gate,
            identity=f"operator-{len(self.lives)}",
            now=self.now,
            elects=elects,
            resync=resync,
            image=image,
        )
        self.lives.append(life)
        life.start()
        return life

    async def watch_until_quiet(self) -> None:
        await self.quiet()

    async def quiet(self, within: float = 900.0) -> None:
        """Waits until nobody does anything any more."""
        deadline = asyncio.get_running_loop().time() + within
        calm, before = 0.0, (-1, -1)
        while calm < QUIET:
            await asyncio.sleep(1.0)
            assert not self.violations, self.violations
            present = (len(self.writes), self.nodes.activity)
            calm = calm + 1.0 if present == before else 0.0
            before = present
            last = "\n".join(map(str, self.writes[-20:]))
            assert asyncio.get_running_loop().time() < deadline, f"it never gets quiet:\n{last}"

    def state(self) -> dict[str, Any]:
        """All there is, without what differs from run to run."""
        found = {
            f"{resource.kind} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": _normalised(item)
            for resource, item in self.fake.everything()
            if resource != LEASES
        }
        return {**found, "processes": self._processes()}

    def outcome(self) -> dict[str, Any]:
        """What matters to people of ``state``, wherever the cameras are: states, and the number of watching workers."""
        cameras = {
            f"{item['metadata']['namespace']}/{item['metadata']['name']}": {
                key: value for key, value in item.get("status", {}).items() if key in {"state", "reason", "category"}
            }
            for item in self.fake.objects(CAMERAS)
        }
        groups = {item["metadata"]["name"]: _normalised(item).get("status") for item in self.fake.objects(GROUPS)}
        watched = sorted(camera.name for each in self._assignments.values() for camera in each.cameras)
        return {"cameras": cameras, "groups": groups, "watched": watched, "processes": self._processes()}

    def assignments(self) -> dict[str, Assignment]:
        """Assignments by worker."""
        return {key[1]: assignment for key, assignment in sorted(self._assignments.items())}

    def _processes(self) -> dict[str, bool]:
        """By worker, whether its process has taken over what its Secret says."""
        return {
            process.worker[1]: process.assignment == self._assignments.get(process.worker)
            for process in self.nodes.processes.values()
        }

    def _on_event(self, resource: Resource, event_type: str, raw: Object) -> None:
        if resource == LEASES:
            return
        if resource == SECRETS and names.LABEL_WORKER in (raw["metadata"].get("labels") or {}):
            key = raw["metadata"]["namespace"], raw["metadata"]["name"]
            self._assignments.pop(key, None)
            assignment = read_assignment(raw)
            if event_type != "DELETED" and assignment is not None:
                self._assignments[key] = assignment
            self._check_watchers()
        elif resource != SECRETS and PASSWORD in json.dumps(raw):
            self.violations.append(f"a password is in {resource.kind} {raw['metadata']['name']}")
        self.nodes.watch(resource, event_type, raw)
        for life in self.lives:
            for delay in self.watch_delays(resource):
                asyncio.get_running_loop().call_later(delay, life.take, resource, event_type, raw)

    def _check_watchers(self) -> None:
        """An assignment may be taken over at any moment, so it counts as watching already."""
        holders: dict[tuple[str, str], set[str]] = {}
        running = [(process.worker, process.assignment) for process in self.nodes.processes.values()]
        for worker, assignment in (*self._assignments.items(), *running):
            for camera in assignment.cameras:
                holders.setdefault(camera.key, set()).add(worker[1])
        sharing = {camera_key: sorted(workers) for camera_key, workers in holders.items() if len(workers) > 1}
        now = asyncio.get_running_loop().time()
        if sharing and not self.may_share:
            self.violations.append(f"two workers may watch the same camera: {sharing}")
        if self._sharing_since is not None:
            self.shared += now - self._sharing_since
        self._sharing_since = now if sharing else None


@asynccontextmanager
async def simulated_city(seed: int = 0, **category: Any) -> AsyncIterator[SimulatedCity]:
    """A city with a category, a group ``shops`` and the Secret ``login``; no operator yet."""
    city = SimulatedCity(seed)
    random.seed(seed)
    await city.add_category(**{"ingest": {"maxCamerasPerWorker": 2}, **category})
    await city.add_group()
    await city.add_secret(username="admin", password=PASSWORD)
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: city.violations.append(f"{context['message']}: {context.get('exception')!r}")
    )
    logs = _ErrorLog(city.violations)
    logging.getLogger("camera_operator").addHandler(logs)
    with mock.patch.object(health_poller, "fetch_report", city.nodes.fetch_report):
        try:
            yield city
        finally:
            logging.getLogger("camera_operator").removeHandler(logs)
            for life in city.lives:
                await life.kill()
    assert not city.violations, city.violations


class _ErrorLog(logging.Handler):
    """Turns what the operator calls an error into a violation."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._violations = violations

    def emit(self, record: logging.LogRecord) -> None:
        self._violations.append(record.getMessage())


def _normalised(raw: Object) -> Any:
    metadata = raw["metadata"]
    assignment = read_assignment(raw)
    if assignment is not None:
        raw = {**raw, "data": json.loads(assignment.to_secret_text())}
    # Entries that are no longer in force stay until the Secret is written next.
    dropped = (names.ANNOTATION_RELEASED, names.ANNOTATION_ASSIGNMENT_REVISION)
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in dropped}
    return _without_identities({**raw, "metadata": {**metadata, "annotations": annotations}})


def _without_identities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_identities(child) for key, child in value.items() if key not in _IDENTITIES | {"podIP"}}
    if isinstance(value, list | tuple):
        return [_without_identities(child) for child in value]
    return value


def differences(found: Any, expected: Any, at: str = "") -> list[str]:
    """Where two states differ, one line for each field. To compare the texts of whole cities takes minutes."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted({*found, *expected})
        return [line for key in keys for line in differences(found.get(key), expected.get(key), f"{at}/{key}")]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for number, (one, other) in pairs for line in differences(one, other, f"{at}/{number}")]
    return [] if found == expected else [f"{at}: {found!r}, expected {expected!r}"]
