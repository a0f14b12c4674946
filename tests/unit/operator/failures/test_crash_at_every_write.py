"""The operator dies at any of its writes: the next one brings the city to the very same end."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from gate import Call, Ending, Strike
from scenarios import SCENARIOS, Scenario
from simulated_city import SimulatedCity, differences, simulated_city
from virtual_time import run

#: Seconds until kubelet has started the process again.
_RESTART = 2.0

Delay = Callable[[Call], float]


def no_delay(_call: Call) -> float:
    return 0.0


async def play(scenario: Scenario, strike: Strike, delay: Delay, *, exactly: bool) -> dict[str, Any]:
    """The scenario with the strike in it; returns the state in the end, exactly or as people see it."""
    async with simulated_city() as city:
        await scenario.before(city)
        life = await city.start_operator(judge=strike, delay=delay)
        await city.quiet()
        strike.arm()
        happening = asyncio.create_task(_happen(scenario, city))
        died = asyncio.create_task(life.gate.died.wait())
        await asyncio.wait({happening, died}, return_when=asyncio.FIRST_COMPLETED)
        if died.done():
            await life.kill()
            await asyncio.sleep(_RESTART)
            await city.start_operator()
        died.cancel()
        await happening
        await city.quiet()
        state = city.state() if exactly else city.outcome()
        await _assert_stable(city)
        return state


async def _happen(scenario: Scenario, city: SimulatedCity) -> None:
    await scenario.change(city)
    await city.quiet()


async def _assert_stable(city: SimulatedCity) -> None:
    """One more operator finds nothing to do (2, 3), and every process has taken over what its Secret says."""
    await city.lives[-1].kill()
    writes = len(city.writes)
    await city.start_operator()
    await city.quiet()
    assert city.writes[writes:] == []
    assert all(city.outcome()["processes"].values())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_end_is_that_of_an_operator_that_never_died(scenario: Scenario) -> None:
    """To die before a write is to die after the one that went before it, but for the first one."""
    exactly = not scenario.is_hasty
    expected = run(play(scenario, Strike(1, Ending.NORMAL), no_delay, exactly=exactly))
    number, ending = 1, Ending.DIES_BEFORE
    while True:
        strike = Strike(number, ending)
        state = run(play(scenario, strike, no_delay, exactly=exactly))
        assert differences(state, expected) == [], f"{ending.name} at write {number}: {strike.struck}"
        if strike.struck is None:
            break
        number, ending = number + (ending is Ending.DIES_AFTER), Ending.DIES_AFTER
    assert number > 1, "the operator wrote nothing: the scenario proves nothing"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_writes_that_are_under_way_when_the_operator_dies_arrive_later(scenario: Scenario) -> None:
    """Of concurrent writes any may have arrived, so cameras may end elsewhere, but they end equally well."""
    expected = run(play(scenario, Strike(1, Ending.NORMAL), no_delay, exactly=False))
    number = 1
    while True:
        strike, wire = Strike(number, Ending.DIES_BEFORE), random.Random(number)
        # Now and then a write takes nearly as long as the operator waits for its answer.
        state = run(play(scenario, strike, lambda _call: wire.choice([0.01, 0.1, 0.4, 2.4]), exactly=False))  # noqa: B023 - called within the turn
        assert differences(state, expected) == [], f"dies before write {number}: {strike.struck}"
        if strike.struck is None:
            break
        number += 4
