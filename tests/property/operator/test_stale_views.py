"""The operator sees the city late, in the wrong order, twice or not at all, and with two leaders at a time.

At no moment may two workers watch a camera (the simulated city checks it after every change), and in the end everything
is as it would be with a perfect view.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from camera_operator.cluster_api import LEASES, WRITE_TIMEOUT
from camera_operator.errors import ClusterError, UnavailableError
from gate import Call, Ending
from scenarios import SCENARIOS, Scenario, two_groups
from simulated_city import SimulatedCity, differences, simulated_city
from virtual_time import run

#: Seconds between two sweeps of a kind. By default ten minutes; they bring back what a watch has lost.
RESYNC = 60.0
SWEPT = 1.5 * RESYNC

IN_ANY_ORDER = tuple(scenario for scenario in SCENARIOS if not scenario.order_matters)

View = Callable[[random.Random], tuple[float, ...]]


def late(chance: random.Random) -> tuple[float, ...]:
    """Up to ten seconds, so that events overtake each other."""
    return (chance.uniform(0.0, 10.0),)


def repeated(chance: random.Random) -> tuple[float, ...]:
    return tuple(chance.uniform(0.0, 3.0) for _ in range(chance.randint(1, 4)))


def lossy(chance: random.Random) -> tuple[float, ...]:
    return (0.01,) if chance.random() < 0.5 else ()


def blind(_chance: random.Random) -> tuple[float, ...]:
    """Nothing is seen but by sweeps."""
    return ()


def hectic(chance: random.Random) -> tuple[float, ...]:
    return chance.choice([late, repeated, lossy])(chance)


def disturb(city: SimulatedCity, view: View) -> None:
    city.watch_delays = lambda _resource: view(city.random)


async def play(scenario: Scenario, view: View | None, seed: int) -> dict[str, Any]:
    async with simulated_city(seed) as city:
        await scenario.before(city)
        await city.start_operator(resync=RESYNC)
        await city.quiet()
        if view is not None:
            disturb(city, view)
        await scenario.change(city)
        await asyncio.sleep(SWEPT)
        await city.quiet()
        return city.outcome()


@pytest.mark.parametrize("view", [late, blind, hectic], ids=lambda view: view.__name__)
@pytest.mark.parametrize("scenario", IN_ANY_ORDER, ids=lambda scenario: scenario.name)
def test_a_disturbed_view_changes_nothing_in_the_end(scenario: Scenario, view: View) -> None:
    expected = run(play(scenario, None, seed=0))
    assert differences(run(play(scenario, view, seed=SCENARIOS.index(scenario))), expected) == []


async def play_with_two_leaders(scenario: Scenario, view: View, seed: int) -> tuple[dict[str, Any], float]:
    """Both believe to lead, and neither looks at the Lease. Returns the end, and how long workers shared cameras."""
    async with simulated_city(seed) as city:
        city.may_share = True
        await scenario.before(city)
        slow = _slowly(city)
        lives = [await city.start_operator(delay=slow, elects=False, resync=RESYNC) for _ in range(2)]
        await city.quiet()
        disturb(city, view)
        await scenario.change(city)
        await asyncio.sleep(20.0)
        await lives[0].kill()
        await asyncio.sleep(SWEPT)
        await city.quiet()
        return city.outcome(), city.shared


def _slowly(city: SimulatedCity) -> Callable[[Call], float]:
    return lambda _call: city.random.uniform(0.0, 0.3)


@pytest.mark.parametrize("view", [late], ids=lambda view: view.__name__)
@pytest.mark.parametrize("scenario", IN_ANY_ORDER, ids=lambda scenario: scenario.name)
def test_what_two_leaders_get_wrong_is_put_right(scenario: Scenario, view: View) -> None:
    """No precondition spans two Secrets: it is the Lease alone that keeps a camera from going to two workers."""
    expected = run(play(scenario, None, seed=0))
    end, shared = run(play_with_two_leaders(scenario, view, SCENARIOS.index(scenario)))
    assert differences(end, expected) == []
    # As long as an event is late at most, and what a release takes.
    assert shared < 15.0


async def play_with_a_deposed_leader(scenario: Scenario, seed: int) -> dict[str, Any]:
    """The leader can no longer renew the Lease, in the middle of writes that take nearly as long as they may."""
    async with simulated_city(seed) as city:
        await scenario.before(city)
        deposed = False

        def judge(call: Call) -> Ending | ClusterError:
            return UnavailableError("renew", 0, "no route") if deposed and call.kind == LEASES.kind else Ending.NORMAL

        def delay(call: Call) -> float:
            return city.random.uniform(0.0, WRITE_TIMEOUT) if deposed and call.is_write else 0.0

        await city.start_operator(judge=judge, delay=delay, resync=RESYNC)
        await city.quiet()
        await city.start_operator(resync=RESYNC)
        disturb(city, late)
        happening = asyncio.create_task(scenario.change(city))
        await asyncio.sleep(city.random.uniform(0.0, 1.0))
        deposed = True
        await happening
        await asyncio.sleep(SWEPT)
        await city.quiet()
        assert [life.is_leading for life in city.lives] == [False, True]
        return city.outcome()


@pytest.mark.parametrize("scenario", IN_ANY_ORDER, ids=lambda scenario: scenario.name)
def test_a_leader_that_loses_the_lease_shares_no_camera_with_the_next_one(scenario: Scenario) -> None:
    expected = run(play(scenario, None, seed=0))
    end = run(play_with_a_deposed_leader(scenario, SCENARIOS.index(scenario)))
    assert differences(end, expected) == []


async def change_the_group_during_the_first_assignment(pause: float) -> dict[str, Any]:
    async with simulated_city() as city:
        await two_groups(city)
        await city.start_operator(delay=lambda call: 0.3 if call.kind == "Secret" else 0.0)
        await city.quiet()
        await city.add_camera("d", secret="login")
        await asyncio.sleep(pause)
        await city.add_camera("d", group="mall", secret="login")
        await city.quiet()
        return {name: [camera.name for camera in each.cameras] for name, each in city.assignments().items()}


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.15, 0.25, 0.35])
def test_a_camera_that_changes_its_group_during_its_assignment_is_not_given_away_twice(pause: float) -> None:
    assignments = run(change_the_group_during_the_first_assignment(pause))
    assert assignments["mall-ingest-0"] == ["d", "m"]
