"""A new image of the workers in a whole city: canary groups first, one worker at a time, even if the operator dies."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from camera_operator.cluster_api import GROUPS, PODS
from camera_operator.specs import names
from gate import Ending, Strike, pass_all
from scenarios import two_groups
from simulated_city import SimulatedCity, differences, simulated_city
from virtual_time import run

OLD, NEW, BROKEN = (f"registry.example/camera-worker:{tag}" for tag in ("1", "2", "broken"))


async def settle(city: SimulatedCity) -> None:
    """Two ordinary groups, of two workers and one, and a canary group of two."""
    await two_groups(city)
    await city.add_group("canary", canary=True)
    for name in ("k0", "k1", "k2"):
        await city.add_camera(name, group="canary", secret="login")
    await city.start_operator(image=OLD)
    await city.quiet()


def images(city: SimulatedCity) -> dict[str, Counter[str]]:
    """Images of the pods that are not on their way out, by group."""
    found: dict[str, Counter[str]] = {}
    for pod in city.fake.objects(PODS):
        if "deletionTimestamp" not in pod["metadata"]:
            group = pod["metadata"]["labels"][names.LABEL_GROUP]
            found.setdefault(group, Counter())[pod["spec"]["containers"][0]["image"]] += 1
    return found


def conditions(city: SimulatedCity, group: str, kind: str) -> tuple[str, str]:
    """Status and reason of a group's condition."""
    found = city.fake.find(GROUPS, city.namespace, group)
    assert found is not None
    condition = next(each for each in found["status"]["conditions"] if each["type"] == kind)
    return condition["status"], condition["reason"]


class Onlooker:
    """Looks at the pods all the time, and says what was never to be seen."""

    def __init__(self, city: SimulatedCity) -> None:
        self.complaints: list[str] = []
        self._city = city
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            found = images(self._city)
            canary = found.get("canary", Counter())
            started = {group for group, counts in found.items() if counts[NEW] or counts[BROKEN]} - {"canary"}
            if started and canary != Counter({NEW: 2}):
                self.complaints.append(f"{started} began while the canary group had {canary}")
            for group, size in (("canary", 2), ("shops", 2)):
                if sum(found.get(group, Counter()).values()) < size - 1:
                    self.complaints.append(f"more than one worker of {group} was replaced at a time")

    def stop(self) -> None:
        self._task.cancel()


async def roll_out(strike: Strike | None) -> dict[str, Any]:
    """The new image with a strike on the way; returns what people see in the end."""
    async with simulated_city() as city:
        await settle(city)
        await city.lives[-1].kill()
        onlooker = Onlooker(city)
        life = await city.start_operator(image=NEW, judge=strike if strike is not None else pass_all)
        if strike is not None:
            strike.arm()
        died = asyncio.create_task(life.gate.died.wait())
        quiet = asyncio.create_task(city.quiet())
        await asyncio.wait({died, quiet}, return_when=asyncio.FIRST_COMPLETED)
        if died.done():
            await life.kill()
            await asyncio.sleep(random.uniform(0.0, 5.0))
            await city.start_operator(image=NEW)
        died.cancel()
        await quiet
        await city.quiet()
        onlooker.stop()
        assert onlooker.complaints == []
        assert images(city) == {"canary": Counter({NEW: 2}), "shops": Counter({NEW: 2}), "mall": Counter({NEW: 1})}
        assert [conditions(city, group, "UpToDate")[0] for group in ("canary", "shops", "mall")] == ["True"] * 3
        return city.outcome()


def test_a_new_image_reaches_the_canary_group_first_and_one_worker_at_a_time() -> None:
    run(roll_out(None))


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.long)])
def test_an_operator_that_dies_during_a_rollout_ends_it_in_its_next_life(step: int) -> None:
    expected = run(roll_out(None))
    number = 1
    while True:
        strike = Strike(number, Ending.DIES_AFTER)
        assert differences(run(roll_out(strike)), expected) == [], f"dies after write {number}: {strike.struck}"
        if strike.struck is None:
            break
        number += step
    assert number > 5, "a rollout of five workers takes more writes"


async def roll_out_a_broken_image() -> None:
    async with simulated_city() as city:
        await settle(city)
        city.nodes.broken_images.add(BROKEN)
        await city.lives[-1].kill()
        broken = await city.start_operator(image=BROKEN)
        await asyncio.sleep(600.0)
        await city.quiet()
        assert images(city) == {
            "canary": Counter({OLD: 1, BROKEN: 1}),
            "shops": Counter({OLD: 2}),
            "mall": Counter({OLD: 1}),
        }
        assert conditions(city, "canary", "UpToDate") == ("False", "RolloutPaused")
        assert conditions(city, "shops", "UpToDate") == ("False", "AwaitingCanary")

        await broken.kill()
        await city.start_operator(image=NEW)
        await city.quiet()
        assert {image for counts in images(city).values() for image in counts} == {NEW}


def test_a_broken_image_stops_at_one_worker_of_the_canary_group() -> None:
    run(roll_out_a_broken_image())
