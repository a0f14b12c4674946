"""What can happen to a settled city: for every test that lets something go wrong on the way."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from camera_operator.cluster_api import CAMERAS, GROUPS, SECRETS, SERVICES, STATEFUL_SETS
from camera_operator.decide.times import format_time
from users import PASSWORD, Users

Deed = Callable[[Users], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A city before, and what happens to it then."""

    before: Deed
    change: Deed
    is_hasty: bool = False  #: where the cameras end depends on how far the operator is when the next thing happens
    order_matters: bool = False  #: to see the second thing before the first one leads to another end
    needs_garbage_collector: bool = False

    @property
    def name(self) -> str:
        """For test reports."""
        return self.change.__name__


async def no_cameras(_users: Users) -> None:
    """The group ``shops`` and nothing else."""


async def two_groups(users: Users) -> None:
    """Worker shops-ingest-0 with a and b, shops-ingest-1 with c; mall-ingest-0 with m."""
    await users.add_group("mall")
    for name in ("a", "b", "c"):
        await users.add_camera(name, secret="login")
    await users.add_camera("m", group="mall")


async def group_with_cameras_appears(users: Users) -> None:
    await users.add_group("mall")
    for name in ("m0", "m1", "m2"):
        await users.add_camera(name, group="mall", secret="login")


async def camera_is_added(users: Users) -> None:
    await users.add_camera("d", secret="login")


async def camera_is_removed(users: Users) -> None:
    await users.remove(CAMERAS, "a")


async def last_camera_of_a_worker_is_removed(users: Users) -> None:
    await users.remove(CAMERAS, "c")


async def camera_is_replaced_by_a_namesake(users: Users) -> None:
    await users.remove(CAMERAS, "a")
    await users.add_camera("a", secret="login")


async def camera_changes_its_group(users: Users) -> None:
    await users.add_camera("a", group="mall", secret="login")


async def camera_changes_its_group_and_returns(users: Users) -> None:
    await users.add_camera("a", group="mall", secret="login")
    await asyncio.sleep(0.7)
    await users.add_camera("a", secret="login")


async def camera_moves_to_another_worker(users: Users) -> None:
    """Its place is taken while it is retired."""
    await users.add_camera("a", secret="login", lifecycle="Retired")
    await users.watch_until_quiet()
    await users.add_camera("d", secret="login")
    await users.watch_until_quiet()
    await users.add_camera("a", secret="login")


async def camera_moves_before_it_is_released(users: Users) -> None:
    """The second thoughts come before the worker can have heard of the first ones."""
    await users.add_camera("a", secret="login", lifecycle="Retired")
    await users.add_camera("d", secret="login")
    await asyncio.sleep(0.25)
    await users.add_camera("a", secret="login")


async def login_is_rotated(users: Users) -> None:
    await users.add_secret(username="admin", password=f"{PASSWORD}-changed")


async def login_is_replaced(users: Users) -> None:
    await users.remove(SECRETS, "login")
    await asyncio.sleep(1.0)
    await users.add_secret(username="admin", password=f"{PASSWORD}-changed")


async def worker_loses_its_secret(users: Users) -> None:
    await users.remove(SECRETS, "shops-ingest-0")


async def worker_loses_its_secret_in_the_middle_of_a_move(users: Users) -> None:
    await users.add_camera("a", group="mall", secret="login")
    await asyncio.sleep(0.15)
    await users.remove(SECRETS, "shops-ingest-0")


async def worker_loses_its_pod_maker(users: Users) -> None:
    await users.remove(STATEFUL_SETS, "shops-ingest-0")


async def worker_loses_its_service(users: Users) -> None:
    await users.remove(SERVICES, "shops-ingest-0")


async def category_gets_other_health_limits(users: Users) -> None:
    await users.add_category(ingest={"maxCamerasPerWorker": 2}, health={"offlineAfter": "42s"})


async def category_gets_other_sizes(users: Users) -> None:
    await users.add_category(ingest={"maxCamerasPerWorker": 2, "perCamera": {"cpu": "123m", "memory": "45Mi"}})


async def group_is_paused_and_edited(users: Users) -> None:
    await users.add_group(paused=True)
    await asyncio.sleep(0.5)
    await users.add_camera("d", secret="login")
    await users.remove(CAMERAS, "a")


async def group_is_paused_for_a_while(users: Users) -> None:
    await group_is_paused_and_edited(users)
    await users.watch_until_quiet()
    await users.add_group()


async def group_is_deleted(users: Users) -> None:
    await users.remove(GROUPS, "mall")


async def group_is_deleted_and_made_again(users: Users) -> None:
    await users.remove(GROUPS, "mall")
    await users.watch_until_quiet()
    await users.add_group("mall")


async def consent_expires(users: Users) -> None:
    expires = format_time(users.now() + timedelta(seconds=4))
    await users.add_camera("a", secret="login", consent={"grantedBy": "the owner", "expiresAt": expires})


async def more_workers_are_wanted(users: Users) -> None:
    await users.add_group(minWorkers=4)


async def more_workers_are_wanted_for_a_while(users: Users) -> None:
    await users.add_group(minWorkers=4)
    await users.watch_until_quiet()
    await users.add_group()


SCENARIOS = (
    Scenario(no_cameras, group_with_cameras_appears),
    Scenario(two_groups, camera_is_added),
    Scenario(two_groups, camera_is_removed),
    Scenario(two_groups, last_camera_of_a_worker_is_removed),
    Scenario(two_groups, camera_is_replaced_by_a_namesake),
    Scenario(two_groups, camera_changes_its_group),
    Scenario(two_groups, camera_changes_its_group_and_returns),
    Scenario(two_groups, camera_moves_to_another_worker),
    Scenario(two_groups, camera_moves_before_it_is_released, is_hasty=True),
    Scenario(two_groups, login_is_rotated),
    Scenario(two_groups, login_is_replaced),
    Scenario(two_groups, worker_loses_its_secret),
    Scenario(two_groups, worker_loses_its_secret_in_the_middle_of_a_move, is_hasty=True),
    Scenario(two_groups, worker_loses_its_pod_maker),
    Scenario(two_groups, worker_loses_its_service),
    Scenario(two_groups, category_gets_other_health_limits),
    Scenario(two_groups, category_gets_other_sizes),
    Scenario(two_groups, group_is_paused_and_edited, order_matters=True),
    Scenario(two_groups, group_is_paused_for_a_while),
    Scenario(two_groups, group_is_deleted, needs_garbage_collector=True),
    Scenario(two_groups, group_is_deleted_and_made_again, needs_garbage_collector=True),
    Scenario(two_groups, consent_expires),
    Scenario(two_groups, more_workers_are_wanted),
    Scenario(two_groups, more_workers_are_wanted_for_a_while),
)
