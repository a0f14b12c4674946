"""The API server refuses, delays or forgets an answer, at every write in turn: nothing is lost, and nothing storms."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from camera_operator.cluster_api import CAMERAS, SECRETS
from camera_operator.errors import ClusterError, ConflictError, DeniedError, ExpiredError, UnavailableError
from gate import AnswerLost, Call, Ending, Judge, Strike, Verdict
from scenarios import SCENARIOS, Scenario, two_groups
from simulated_city import SimulatedCity, differences, simulated_city
from users import Users
from virtual_time import run

#: What may come back for a write, and for how many in a row.
FAULTS: dict[str, Verdict] = {
    "conflict": ConflictError("write", 409, "Conflict"),
    "too_many_requests": UnavailableError("write", 429, "TooManyRequests", retry_after=7.0),
    "server_error": UnavailableError("write", 500, "InternalError"),
    "answer_lost": AnswerLost(UnavailableError("write", 0, "no answer within 5 s")),
}


async def play(scenario: Scenario, fault: Strike) -> tuple[dict[str, Any], int]:
    """The end, and the number of writes that the operator has sent since the change."""
    async with simulated_city() as city:
        await scenario.before(city)
        await city.start_operator(judge=fault)
        await city.quiet()
        before = len(city.writes)
        fault.arm()
        await scenario.change(city)
        await city.quiet()
        return city.outcome(), len(city.writes) - before


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_one_write_that_fails_is_made_up_for(scenario: Scenario) -> None:
    """Every third write, with the faults in turn: each kind of write meets each kind of fault in some scenario."""
    expected, writes = run(play(scenario, Strike(0, Ending.NORMAL)))
    names = list(FAULTS)
    turn = SCENARIOS.index(scenario)
    for number in range(1 + turn % 3, writes + 1, 3):
        name = names[(number + turn) % len(names)]
        fault = Strike(number, FAULTS[name])
        end, sent = run(play(scenario, fault))
        assert differences(end, expected) == [], f"{name} at write {number}: {fault.struck}"
        # The write itself once more, and what was decided anew on the way.
        assert sent <= 2 * writes + 8, f"{name} at write {number}: {fault.struck}"


def while_true(condition: Callable[[Call], bool], error: ClusterError) -> tuple[Judge, Callable[[], None]]:
    """A judge that lets all such calls fail until it is told to stop."""
    over = asyncio.Event()

    def judge(call: Call) -> Verdict:
        return error if condition(call) and not over.is_set() else Ending.NORMAL

    return judge, over.set


async def settled_city(city: SimulatedCity, judge: Judge) -> None:
    await two_groups(city)
    await city.start_operator(judge=judge)
    await asyncio.sleep(60.0)


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("call", 503, "ServiceUnavailable"),
        UnavailableError("call", 0, "ServerDisconnectedError"),
        UnavailableError("call", 429, "TooManyRequests", retry_after=5.0),
        DeniedError("call", 401, "Unauthorized"),
        ExpiredError("call", 410, "Expired"),
    ],
    ids=["unavailable", "disconnected", "throttled", "unauthorized", "expired"],
)
def test_an_outage_of_five_minutes_is_survived_without_a_storm(error: ClusterError) -> None:
    async def story() -> None:
        async with simulated_city() as city:
            armed = False
            judge, end_outage = while_true(lambda _call: armed, error)
            await settled_city(city, judge)
            before, armed = len(city.writes), True
            await city.add_camera("d", secret="login")
            await city.remove(CAMERAS, "a")
            await asyncio.sleep(300.0)
            # The Lease runs out within 10 s; then nothing is even tried.
            assert len(city.writes) - before < 40
            end_outage()
            await city.quiet()
            assert city.outcome()["watched"] == ["b", "c", "d", "m"]

    run(story())


def test_a_group_that_may_not_be_written_disturbs_no_other_one() -> None:
    """As when a Role is missing in a department's namespace."""

    async def story() -> None:
        async with simulated_city() as city:
            armed = False
            judge, allow = while_true(
                lambda call: armed and call.is_write and call.name.startswith("mall"),
                DeniedError("write", 403, "Forbidden"),
            )
            await settled_city(city, judge)
            before, armed = len(city.writes), True
            await city.add_camera("n", group="mall")
            await city.add_camera("d", secret="login")
            await asyncio.sleep(5.0)
            assert "d" in city.outcome()["watched"]
            assert city.outcome()["cameras"]["city/d"]["state"] == "Working"
            await asyncio.sleep(595.0)
            # Exponential back-off up to a minute: some 16 attempts in ten minutes, each of a few writes.
            assert len(city.writes) - before < 80
            allow()
            await asyncio.sleep(120.0)
            await city.quiet()
            assert city.outcome()["cameras"]["city/n"]["state"] == "Working"

    run(story())


def test_statuses_that_may_not_be_written_keep_no_other_one_back() -> None:
    """More of them than there are writers, in a namespace without a Role."""

    async def story() -> None:
        async with simulated_city() as city:
            judge, _ = while_true(
                lambda call: call.is_write and call.namespace == "forbidden", DeniedError("write", 403, "Forbidden")
            )
            forbidden = Users(city.fake, "forbidden")
            forbidden.category = city.category
            await forbidden.add_group()
            for number in range(40):
                await forbidden.add_camera(f"f{number}", lifecycle="Planned")
            await settled_city(city, judge)
            await city.add_camera("d", secret="login")
            await asyncio.sleep(5.0)
            assert city.outcome()["cameras"]["city/d"]["state"] == "Working"

    run(story())


def test_a_slow_api_server_delays_and_changes_nothing() -> None:
    """Every request takes nearly as long as it may: the Lease is lost and won again, over and over."""

    async def story() -> None:
        async with simulated_city() as city:
            await two_groups(city)
            slow = False
            await city.start_operator(delay=lambda _call: city.random.uniform(1.0, 2.4) if slow else 0.0)
            await city.quiet()
            slow = True
            await city.add_camera("d", secret="login")
            await city.remove(CAMERAS, "a")
            await asyncio.sleep(300.0)
            slow = False
            await city.quiet()
            assert city.outcome()["watched"] == ["b", "c", "d", "m"]

    run(story())


def test_a_secret_of_somebody_else_in_the_way_costs_only_its_own_group(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with simulated_city() as city:
            await two_groups(city)
            await city.start_operator()
            await city.quiet()
            await city.add_secret("third-ingest-0", key="not a worker's")
            await city.add_group("third")
            await city.add_camera("t", group="third")
            await city.add_camera("d", secret="login")
            await asyncio.sleep(60.0)
            assert city.outcome()["cameras"]["city/d"]["state"] == "Working"
            assert all("is in the way" in each for each in city.violations)
            city.violations.clear()
            await city.remove(SECRETS, "third-ingest-0")
            await asyncio.sleep(90.0)
            city.violations.clear()
            await city.quiet()
            assert city.outcome()["cameras"]["city/t"]["state"] == "Working"

    run(story())
    assert "Secret city/third-ingest-0 is in the way" in caplog.text
