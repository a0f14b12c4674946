"""The operator as a process on a real API server that fails it, or is failed by it: nothing is lost.

The scenarios and the end that is expected are those of the tests with the in-memory API server.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import scenarios
from api_proxy import ApiProxy, Fault, SentWrite, api_proxy
from camera_api.assignment import Assignment
from camera_operator.cluster_api import SECRETS, load_configuration
from camera_operator.errors import ClusterError
from operator_city import SERVICE_ACCOUNTS, City, OperatorProcess, eventually
from scenarios import Scenario
from simulated_city import simulated_city
from virtual_time import run

pytestmark = pytest.mark.integration

#: Scenarios that need neither pods, nor a garbage collector, nor patience.
QUICK = tuple(
    scenario
    for scenario in scenarios.SCENARIOS
    if scenario.change
    in {
        scenarios.group_with_cameras_appears,
        scenarios.camera_is_removed,
        scenarios.camera_changes_its_group,
        scenarios.login_is_rotated,
        scenarios.worker_loses_its_secret,
        scenarios.worker_loses_its_service,
        scenarios.category_gets_other_health_limits,
        scenarios.more_workers_are_wanted,
    }
)


@pytest.fixture
async def proxy(city: City) -> AsyncIterator[ApiProxy]:
    configuration = await load_configuration(str(city.cluster.kubeconfig))
    async with api_proxy(configuration) as proxy:
        yield proxy


def told(assignments: dict[str, Assignment]) -> dict[str, Any]:
    """What the workers are told, whichever of them it is: that depends on which camera was seen first."""
    cameras = [camera for assignment in assignments.values() for camera in assignment.cameras]
    return {
        "workers": sorted(len(assignment.cameras) for assignment in assignments.values()),
        "cameras": [
            (camera.name, camera.source, camera.credentials, camera.health, camera.maintenance)
            for camera in sorted(cameras, key=lambda camera: camera.name)
        ],
    }


def expected_end(scenario: Scenario) -> dict[str, Any]:
    """The end with the in-memory API server, where nothing goes wrong."""

    async def story() -> dict[str, Any]:
        async with simulated_city() as city:
            await scenario.before(city)
            await city.start_operator()
            await city.quiet()
            await scenario.change(city)
            await city.quiet()
            return told(city.assignments())

    return run(story())


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


async def settle(city: City, scenario: Scenario, proxy: ApiProxy, folder: Path) -> OperatorProcess:
    await city.add_category(ingest={"maxCamerasPerWorker": 2})
    await scenario.before(city)
    operator = await city.start_operator(kubeconfig=proxy.kubeconfig(folder))
    await city.quiet(operator)
    return operator


async def ends_as(city: City, expected: dict[str, Any]) -> None:
    """The workers are told what they would be told if nothing had gone wrong."""
    found: dict[str, Any] = {}

    async def probe() -> bool:
        nonlocal found
        found = told(await city.assignments())
        return found == expected

    with contextlib.suppress(AssertionError):
        await eventually(probe, 20, "the end is right")
    assert found == expected


async def dies(city: City, proxy: ApiProxy, folder: Path, scenario: Scenario, death: Death) -> bool:
    """Lets the operator die at a write, starts another one; returns whether there was such a write."""
    expected = await asyncio.to_thread(expected_end, scenario)
    operator = await settle(city, scenario, proxy, folder)
    proxy.kill, proxy.judge = operator.process.kill, death.judge()
    await scenario.change(city)

    async def dead() -> bool:
        return operator.process.poll() is not None

    try:
        await eventually(dead, 5, "the operator has died")
    except AssertionError:
        return False
    second = await city.start_operator("--lease-name", "another")
    await ends_as(city, expected)
    await city.quiet(second)
    return True


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
    city: City, proxy: ApiProxy, tmp_path: Path, change: scenarios.Deed, death: Death
) -> None:
    scenario = next(each for each in QUICK if each.change is change)
    assert await dies(city, proxy, tmp_path, scenario, death)


@pytest.mark.long
@pytest.mark.parametrize(
    "death",
    [Death(1, Fault.KILLS_BEFORE), *(Death(number, Fault.KILLS_AFTER) for number in range(1, 9))],
    ids=lambda death: f"{death.fault.name.lower()}-{death.number}",
)
@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
async def test_an_operator_that_is_killed_at_any_write_is_made_up_for(
    city: City, proxy: ApiProxy, tmp_path: Path, scenario: Scenario, death: Death
) -> None:
    """Where the operator makes fewer writes than that, it has nothing to die of."""
    assert await dies(city, proxy, tmp_path, scenario, death) or death.number > 1


async def test_writes_that_fail_are_made_up_for_without_a_storm(city: City, proxy: ApiProxy, tmp_path: Path) -> None:
    """Every second write fails, in each way in turn, while all watches come late."""
    faults = [Fault.TOO_MANY_REQUESTS, Fault.SERVER_ERROR, Fault.ANSWER_LOST, Fault.CONFLICT]

    def judge(_write: SentWrite) -> Fault:
        number = len(proxy.writes)
        return faults[number // 2 % len(faults)] if number % 2 else Fault.NONE

    await city.add_category(ingest={"maxCamerasPerWorker": 2})
    operator = await city.start_operator(kubeconfig=proxy.kubeconfig(tmp_path))
    proxy.judge, proxy.watch_delay = judge, 1.0
    names = [f"c{number}" for number in range(6)]
    for name in names:
        await city.add_camera(name, secret="login")
    await city.assigned(*names, within_s=60)
    for name in names:
        await city.camera_is(name, "Pending", within_s=60)
    await city.quiet(operator, for_s=3.0)
    # 3 workers of 3 objects, a budget, 6 cameras, the group's status a few times: each two or three times.
    assert len(proxy.writes) < 90
    assert operator.process.poll() is None


async def test_an_etcd_that_restarts_is_survived(city: City) -> None:
    await city.add_camera("a")
    operator = await city.start_operator()
    (before,) = (await city.assigned("a")).values()
    await asyncio.to_thread(city.cluster.restart_component, "etcd")

    async def added() -> bool:
        try:
            await city.add_camera("b")
        except ClusterError:
            # The API server has no etcd for a while.
            return False
        return True

    await eventually(added, 60, "the API server takes writes again")
    (after,) = (await city.assigned("a", "b", within_s=60)).values()
    assert after.cameras[0] == before.cameras[0]
    assert after.bearer_token == before.bearer_token
    assert operator.process.poll() is None


@pytest.mark.long
async def test_a_token_that_is_revoked_is_replaced_by_the_one_in_the_file(city: City, tmp_path: Path) -> None:
    """As when a pod's token has expired: kubelet writes the next one in time, but here there is a gap of 401."""
    chart = city.kubeconfig_of_chart(tmp_path)
    account = await operator_account(city)

    async def new_token(anchor: str) -> str:
        """It ends with the Secret that it is bound to."""
        await city.add_secret(anchor, key="anchor")
        return city.new_token(account, "--bound-object-kind", "Secret", "--bound-object-name", anchor)

    token_file = tmp_path / "token"
    token_file.write_text(await new_token("first"))
    config = yaml.safe_load(chart.read_text())
    config["users"] = [{"name": user["name"], "user": {"tokenFile": str(token_file)}} for user in config["users"]]
    chart.write_text(yaml.safe_dump(config))
    await city.add_camera("a")
    operator = await city.start_operator("--lease-name", city.namespace, kubeconfig=chart, in_pod=True)
    (before,) = (await city.assigned("a")).values()
    await city.quiet(operator)

    await city.remove(SECRETS, "first")
    # The API server remembers for ten seconds that a token was good.
    await asyncio.sleep(15)
    await city.add_camera("b")
    await asyncio.sleep(10)
    (meanwhile,) = (await city.assignments()).values()
    assert meanwhile == before, "the token was not revoked"
    writes = await operator.writes()
    assert writes is not None

    token_file.write_text(await new_token("second"))
    (after,) = (await city.assigned("a", "b", within_s=120)).values()
    assert after.cameras[0] == before.cameras[0]
    assert await city.quiet(operator) - writes < 10
    assert operator.process.poll() is None
    assert "eyJ" not in operator.log.read_text()


async def operator_account(city: City) -> str:
    """Name of the service account that the chart has made."""
    pages = city.api.list_pages(SERVICE_ACCOUNTS, city.namespace)
    names: list[str] = [item["metadata"]["name"] async for page in pages for item in page.items]
    return next(name for name in names if name != "default")
