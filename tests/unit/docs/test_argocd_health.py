"""The health checks for Argo CD, run by a real Lua on statuses that the operator really writes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import LuaRuntime

from builders import camera, cameras, in_generation, planned, under_maintenance, with_secret
from camera_api.faults import Fault
from camera_operator.status import camera_status_manifest, group_status_manifest
from world import World

CHECKS = yaml.safe_load((Path(__file__).parents[3] / "deploy/argocd/health.yaml").read_text())["data"]


def health(kind: str, generation: int, spec: dict[str, Any], status: dict[str, Any]) -> tuple[str, str]:
    """Status and message that Argo CD shows."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    check: Any = lua.eval(f"function(obj) {CHECKS[f'resource.customizations.health.camera-operator.io_{kind}']} end")
    result = check(_table(lua, {"metadata": {"generation": generation}, "spec": spec, "status": status}))
    return result.status, result.message


def _table(lua: LuaRuntime, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _table(lua, item) for key, item in value.items()})
    return lua.table_from([_table(lua, item) for item in value]) if isinstance(value, list) else value


def of_camera(world: World, name: str) -> tuple[str, str]:
    view = world.cameras[name]
    return health("Camera", view.generation, {}, camera_status_manifest(view.status))


def of_group(world: World) -> tuple[str, str]:
    assert world.group is not None
    spec = {"paused": world.group.spec.paused}
    return health("CameraGroup", world.group.generation, spec, group_status_manifest(world.group.status))


@pytest.fixture
def world() -> World:
    world = World()
    for view in (*cameras(3), camera("soon", planned()), camera("work", under_maintenance())):
        world.add(view)
    world.settle()
    return world


def test_a_camera_that_is_watched_is_healthy_whatever_is_seen(world: World) -> None:
    world.faults["camera-0001"] = (Fault.BLACK,)
    world.report()
    world.settle()

    assert of_camera(world, "camera-0000") == ("Healthy", "Working: Working")
    assert of_camera(world, "camera-0001") == ("Healthy", "Faulty: Black")


def test_a_camera_that_nobody_is_to_look_at_is_suspended(world: World) -> None:
    assert of_camera(world, "soon")[0] == "Suspended"
    assert of_camera(world, "work")[0] == "Suspended"


def test_a_camera_that_cannot_be_used_is_degraded_and_says_why(world: World) -> None:
    world.add(camera("bad", with_secret("nothing")))
    world.settle()

    status, message = of_camera(world, "bad")

    assert status == "Degraded"
    assert "there is no Secret 'nothing'" in message


def test_what_the_operator_has_not_seen_is_in_progress(world: World) -> None:
    world.cameras["camera-0000"] = in_generation(5)(world.cameras["camera-0000"])

    assert of_camera(world, "camera-0000")[0] == "Progressing"
    assert health("Camera", 1, {}, {})[0] == "Progressing"
    assert health("CameraGroup", 1, {}, {})[0] == "Progressing"


def test_a_group_is_healthy_when_its_workers_are(world: World) -> None:
    assert of_group(world)[0] == "Healthy"
    world.kill_pod("lobby-ingest-0")
    world.reconcile()

    assert of_group(world)[0] == "Progressing"


def test_a_group_without_its_category_is_degraded(world: World) -> None:
    world.category = None
    world.reconcile()

    assert of_group(world)[0] == "Degraded"


def test_a_paused_group_is_suspended(world: World) -> None:
    world.edit_group(paused=True)
    world.reconcile()

    assert of_group(world)[0] == "Suspended"
