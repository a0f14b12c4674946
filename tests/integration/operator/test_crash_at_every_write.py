"""The operator's process dies at any of its writes to a real API server: the next one brings the city to the same end.

The scenarios, and what workers are told in the end, are those of the tests with the in-memory API server.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import scenarios
from api_proxy import ApiProxy, Fault, SentWrite, api_proxy
from camera_api.assignment import Assignment
from camera_operator.cluster_api import CAMERAS, GROUPS, load_configuration
from operator_city import City, NewCity, OperatorProcess, eventually
from operator_life import MOVES_PER_HOUR
from scenarios import Scenario
from simulated_city import simulated_city
from virtual_time import run

pytestmark = pytest.mark.integration

Object = dict[str, Any]

#: Scenarios that need neither a garbage collector nor patience.
SCENARIOS = tuple(
    scenario
    for scenario in scenarios.SCENARIOS
    if scenario.change
    in {
        scenarios.group_with_cameras_appears,
        scenarios.camera_is_removed,
        scenarios.camera_is_replaced_by_a_namesake,
        scenarios.category_gets_other_sizes,
        scenarios.last_camera_of_a_worker_is_removed,
        scenarios.worker_loses_its_pod_maker,
        scenarios.camera_changes_its_group,
        scenarios.login_is_rotated,
        scenarios.worker_loses_its_secret,
        scenarios.worker_loses_its_service,
        scenarios.category_gets_other_health_limits,
        scenarios.more_workers_are_wanted,
    }
)
#: Most of a story is waiting.
STORIES_AT_ONCE = 4
#: Seconds without a write after which nothing more comes: longer than between two moves, or until Events are written.
REST = 3.0


@dataclass(frozen=True, slots=True)
class Death:
    """Of the operator, at its n-th write (from 1)."""

    number: int
    fault: Fault

    def judge(self) -> Callable[[SentWrite], Fault]:
        """Counts writes from now on."""
        left = self.number

        def judge(_write: SentWrite) -> Fault:
            nonlocal left
            left -= 1
            return self.fault if left == 0 else Fault.NONE

        return judge


def deaths() -> Iterator[Death]:
    """At every write. To die before a write is to die after the one that went before it, but for the first one."""
    yield Death(1, Fault.KILLS_BEFORE)
    for number in itertools.count(1):
        yield Death(number, Fault.KILLS_AFTER)


def told(assignments: dict[str, Assignment]) -> Object:
    """What the workers are told, whichever of them it is: that depends on which camera was seen first."""
    cameras = [camera for assignment in assignments.values() for camera in assignment.cameras]
    return {
        "workers": sorted(len(assignment.cameras) for assignment in assignments.values()),
        "cameras": [
            (camera.name, camera.source, camera.credentials, camera.health, camera.maintenance)
            for camera in sorted(cameras, key=lambda camera: camera.name)
        ],
    }


def told_in_memory(scenario: Scenario) -> Object:
    """What they are told in the end with the in-memory API server, where nothing goes wrong."""

    async def story() -> Object:
        async with simulated_city() as city:
            await scenario.before(city)
            await city.start_operator()
            await city.quiet()
            await scenario.change(city)
            await city.quiet()
            return told(city.assignments())

    return run(story())


async def outcome(city: City) -> Object:
    """What workers are told and people see, without moments, versions and which worker has which camera."""
    seen = {}
    for resource in (CAMERAS, GROUPS):
        async for page in city.api.list_pages(resource, city.namespace):
            for item in page.items:
                status = item.get("status") or {}
                kept = {key: status.get(key) for key in ("state", "reason", "cameras", "faults", "workers")}
                conditions = [(each["type"], each["status"], each["reason"]) for each in status.get("conditions", ())]
                seen[f"{resource.kind} {item['metadata']['name']}"] = {**kept, "conditions": conditions}
    return {"told": told(await city.assignments()), "seen": seen}


@asynccontextmanager
async def with_workers(city: City) -> AsyncIterator[None]:
    """The city's workers run within the block."""
    workers = asyncio.create_task(city.run_workers())
    try:
        yield
    finally:
        workers.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await workers


async def rests_or_dies(operator: OperatorProcess, proxy: ApiProxy, for_s: float) -> bool:
    """Waits until no write was sent for a while, or the operator is dead; returns whether it is."""
    count, since = len(proxy.writes), time.monotonic()
    while time.monotonic() - since < for_s:
        if operator.process.poll() is not None:
            return True
        await asyncio.sleep(0.05)
        if len(proxy.writes) != count:
            count, since = len(proxy.writes), time.monotonic()
    return False


class Story:
    """A scenario in a city of its own, with a death in it.

    Args:
        new_city: makes the city.
        scenario: what happens in it.
        death: of the operator, which is followed by another one; None: it lives.
        rest: seconds without a write after which the next thing happens.

    Attributes:
        end: see ``outcome``.
        has_died: whether there was a write to die at.
    """

    def __init__(self, new_city: NewCity, scenario: Scenario, death: Death | None, *, rest: float = REST) -> None:
        self.end: Object = {}
        self.has_died = False
        self._new_city = new_city
        self._scenario = scenario
        self._death = death
        self._rest = rest

    async def play(self, expected: Object) -> None:
        """Up to the end, of which some parts are expected, or all."""
        async with self._new_city() as city:
            configuration = await load_configuration(str(city.cluster.kubeconfig))
            async with api_proxy(configuration) as proxy, with_workers(city):
                await self._play(city, proxy)
                with contextlib.suppress(AssertionError):
                    await eventually(lambda: self._ends_as(city, expected), 20, "the end is right")
                writes = [f"{write.method} {write.path}" for write in proxy.writes]
        assert {key: self.end[key] for key in expected} == expected, f"{self._death}, of the writes {writes}"

    async def _play(self, city: City, proxy: ApiProxy) -> None:
        # As in memory; with the 60 moves that an hour has by default, the first one comes after a minute.
        flags = ("--moves-per-hour", str(MOVES_PER_HOUR))
        kubeconfig = proxy.kubeconfig(city.folder)
        await city.add_category(ingest={"maxCamerasPerWorker": 2})
        await self._scenario.before(city)
        operator = await city.start_operator(*flags, kubeconfig=kubeconfig)
        assert not await rests_or_dies(operator, proxy, self._rest)
        if self._death is not None:
            proxy.kill, proxy.judge = operator.process.kill, self._death.judge()
        await self._scenario.change(city)
        self.has_died = await rests_or_dies(operator, proxy, self._rest)
        if self.has_died:
            # The Lease of the dead one would have to run out first.
            second = await city.start_operator(*flags, "--lease-name", "another", kubeconfig=kubeconfig)
            assert not await rests_or_dies(second, proxy, self._rest)

    async def _ends_as(self, city: City, expected: Object) -> bool:
        self.end = await outcome(city)
        return all(self.end[key] == value for key, value in expected.items())


@pytest.mark.parametrize(
    ("change", "death"),
    [
        (scenarios.group_with_cameras_appears, Death(1, Fault.KILLS_BEFORE)),
        (scenarios.group_with_cameras_appears, Death(4, Fault.KILLS_AFTER)),
        (scenarios.camera_changes_its_group, Death(1, Fault.KILLS_AFTER)),
    ],
    ids=["before_the_first", "in_the_middle", "between_release_and_assignment"],
)
async def test_an_operator_that_is_killed_at_a_write_is_made_up_for(
    new_city: NewCity, change: scenarios.Deed, death: Death
) -> None:
    scenario = next(each for each in SCENARIOS if each.change is change)
    story = Story(new_city, scenario, death, rest=1.0)
    await story.play({"told": await asyncio.to_thread(told_in_memory, scenario)})
    assert story.has_died


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_an_operator_that_is_killed_at_any_write_is_made_up_for(new_city: NewCity, scenario: Scenario) -> None:
    """One death after another, until there is no write left to die at."""
    calm = Story(new_city, scenario, None)
    await calm.play({"told": await asyncio.to_thread(told_in_memory, scenario)})
    coming, struck, survived = deaths(), 0, False
    while not survived:
        batch = [Story(new_city, scenario, death) for death in itertools.islice(coming, STORIES_AT_ONCE)]
        async with asyncio.TaskGroup() as tasks:
            for story in batch:
                tasks.create_task(story.play(calm.end))
        survived = not all(story.has_died for story in batch)
        struck += sum(story.has_died for story in batch)
    assert struck > 0, "the operator wrote nothing: the scenario proves nothing"
