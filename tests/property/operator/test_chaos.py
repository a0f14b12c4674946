"""Users, nodes, watches and lives of the operator at odds, in any order: only the specifications matter in the end."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from camera_api.faults import Fault
from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS, PODS, SECRETS, SERVICES, STATEFUL_SETS, Resource
from camera_operator.errors import ConflictError, NotFoundError
from scenarios import two_groups
from simulated_city import SimulatedCity, differences, simulated_city
from users import PASSWORD
from virtual_time import run

RESYNC = 60.0
#: Every kind has been swept, and every Secret delivered, since the last event.
SETTLED = 130.0

Act = Callable[[SimulatedCity, str], Coroutine[Any, Any, None]]


async def add_camera(city: SimulatedCity, name: str) -> None:
    await city.add_camera(name, group=city.random.choice(["shops", "mall"]), secret="login")


async def retire_camera(city: SimulatedCity, name: str) -> None:
    await city.add_camera(name, secret="login", lifecycle="Retired")


async def remove_camera(city: SimulatedCity, name: str) -> None:
    await city.remove(CAMERAS, name)


async def refer_to_nothing(city: SimulatedCity, name: str) -> None:
    await city.add_camera(name, group=city.random.choice(["shops", "nowhere"]), secret="nothing")


async def rotate_login(city: SimulatedCity, _name: str) -> None:
    await city.add_secret(username="admin", password=f"{PASSWORD}-{city.random.random()}")


async def remove_login(city: SimulatedCity, _name: str) -> None:
    await city.remove(SECRETS, "login")


async def edit_category(city: SimulatedCity, _name: str) -> None:
    cpu = city.random.choice(["20m", "40m"])
    most = city.random.randint(1, 4)
    await city.add_category(ingest={"maxCamerasPerWorker": most, "perCamera": {"cpu": cpu, "memory": "16Mi"}})


async def edit_group(city: SimulatedCity, _name: str) -> None:
    paused = city.random.random() < 0.3
    await city.add_group(minWorkers=city.random.randint(0, 3), paused=paused)


async def remake_group(city: SimulatedCity, _name: str) -> None:
    await city.remove(GROUPS, "mall")
    await asyncio.sleep(city.random.choice([0.0, 5.0]))
    await city.add_group("mall")


async def remove_worker_part(city: SimulatedCity, _name: str) -> None:
    await _to_any_worker(city, city.random.choice([SECRETS, SERVICES, STATEFUL_SETS]))


async def evict_pod(city: SimulatedCity, _name: str) -> None:
    if pods := city.fake.objects(PODS):
        metadata = city.random.choice(pods)["metadata"]
        city.nodes.evict((metadata["namespace"], metadata["name"]))


async def kill_pod(city: SimulatedCity, _name: str) -> None:
    await _to_any_worker(city, PODS)


async def _to_any_worker(city: SimulatedCity, resource: Resource) -> None:
    found = [item["metadata"]["name"] for item in city.fake.objects(resource) if item["metadata"].get("labels")]
    if found:
        city.fake.remove(resource, city.namespace, city.random.choice(found))


async def break_device(city: SimulatedCity, name: str) -> None:
    city.nodes.device_changes(name, *city.random.choice([(), (Fault.CONNECTION_REFUSED,)]))


async def kill_operator(city: SimulatedCity, _name: str) -> None:
    await city.lives[-1].kill()
    await asyncio.sleep(city.random.choice([0.0, 2.0, 30.0]))
    await start_operator(city)


ACTS: tuple[Act, ...] = (
    *(add_camera, add_camera, retire_camera, remove_camera, refer_to_nothing, rotate_login, remove_login),
    *(edit_category, edit_group, remake_group, remove_worker_part, evict_pod, kill_pod, break_device, kill_operator),
)


async def start_operator(city: SimulatedCity) -> None:
    """One whose requests take their time."""
    await city.start_operator(delay=lambda _call: city.random.choice([0.0, 0.02, 0.3]), resync=RESYNC)


@dataclass(frozen=True, slots=True)
class Step:
    act: Act
    name: str
    pause: float  #: seconds after it

    def __repr__(self) -> str:
        return f"{self.act.__name__}({self.name}), {self.pause} s"


STEPS = st.lists(
    st.builds(
        Step, st.sampled_from(ACTS), st.sampled_from(["a", "b", "c", "d", "m"]), st.sampled_from([0.0, 0.15, 1.0, 20.0])
    ),
    min_size=3,
    max_size=14,
)


async def suffer(steps: list[Step], seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The end, and what it would be for a city that is made with the same specifications at once."""
    async with simulated_city(seed) as city:
        await two_groups(city)
        await start_operator(city)
        await asyncio.sleep(20.0)
        city.watch_delays = lambda _resource: _seen(city.random)
        for step in steps:
            try:
                await step.act(city, step.name)
            except (NotFoundError, ConflictError):
                continue
            await asyncio.sleep(step.pause)
        await _correct_mistakes(city)
        await asyncio.sleep(SETTLED)
        await city.quiet()
        found, faults = city.outcome(), dict(city.nodes.faults)
        specifications = [item for item in city.fake.everything() if item[0] in (CATEGORIES, GROUPS, CAMERAS)]
    async with simulated_city(seed) as fresh:
        fresh.nodes.faults = faults
        for resource, item in specifications:
            fresh.fake.put(resource, {"metadata": _named(item["metadata"]), "spec": item["spec"]})
        await fresh.start_operator()
        await fresh.quiet()
        return _of_people(found), _of_people(fresh.outcome())


async def _correct_mistakes(city: SimulatedCity) -> None:
    """A paused group stays as it is, and a camera that refers to nothing is watched if it was: both are history."""
    if city.fake.find(SECRETS, city.namespace, "login") is None:
        await rotate_login(city, "")
    await city.add_group()
    for camera in city.fake.objects(CAMERAS):
        if camera["spec"].get("credentialsSecretRef") == {"name": "nothing"}:
            await city.add_camera(camera["metadata"]["name"], secret="login")


def _seen(chance: random.Random) -> tuple[float, ...]:
    """When a watch tells of a change: soon, late, several times or never."""
    return chance.choice([(0.01,), (0.01,), (0.01, 0.5), (chance.uniform(0.0, 8.0),), ()])


def _named(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: metadata[key] for key in ("name", "namespace") if key in metadata}


def _of_people(outcome: dict[str, Any]) -> dict[str, Any]:
    """Cameras and their states; how many workers watch them depends on what went before."""
    return {"cameras": outcome["cameras"], "watched": outcome["watched"], "healed": all(outcome["processes"].values())}


_CHAOS = settings(
    deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink]
)


#: A camera passes through a group that does not exist, so that its status forgets who watched it, while a pod of its
#: last worker starts of which no watch has told.
_UNSEEN_POD = (
    *(Step(refer_to_nothing, "a", 0.15), Step(kill_pod, "a", 0.15), Step(add_camera, "d", 0.0)),
    *(Step(kill_pod, "a", 1.0), Step(add_camera, "a", 1.0), Step(kill_pod, "a", 20.0), Step(kill_pod, "a", 1.0)),
    *(Step(add_camera, "a", 0.0), Step(add_camera, "a", 0.0)),
)


@example([*_UNSEEN_POD, Step(add_camera, "a", 1.0), Step(refer_to_nothing, "d", 0.0)], 395)
@example(
    [
        *(*_UNSEEN_POD, Step(add_camera, "a", 0.0), Step(retire_camera, "a", 0.0)),
        *(Step(refer_to_nothing, "d", 0.0), Step(add_camera, "a", 0.15)),
    ],
    395,
)
@settings(_CHAOS, max_examples=25)
@given(steps=STEPS, seed=st.integers(min_value=0, max_value=2**16))
def test_the_end_depends_on_the_specifications_alone(steps: list[Step], seed: int) -> None:
    found, expected = run(suffer(steps, seed))
    assert differences(found, expected) == []


@pytest.mark.long
@settings(_CHAOS, max_examples=600)
@given(steps=STEPS, seed=st.integers(min_value=0, max_value=2**16))
def test_the_end_depends_on_the_specifications_alone_at_length(steps: list[Step], seed: int) -> None:
    found, expected = run(suffer(steps, seed))
    assert differences(found, expected) == []
