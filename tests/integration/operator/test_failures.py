"""The operator as a process on a real API server that fails it: nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from api_proxy import ApiProxy, Fault, SentWrite, api_proxy
from camera_operator.cluster_api import SECRETS, load_configuration
from camera_operator.errors import ClusterError
from operator_city import SERVICE_ACCOUNTS, City, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def proxy(city: City) -> AsyncIterator[ApiProxy]:
    configuration = await load_configuration(str(city.cluster.kubeconfig))
    async with api_proxy(configuration) as proxy:
        yield proxy


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
