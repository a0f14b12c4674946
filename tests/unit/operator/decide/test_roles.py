"""The same machinery for both roles: what holds for ingest workers holds for analytics workers."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from builders import KEYS, SETTINGS, camera, cameras, category, group, observed, with_secret
from camera_api.analytics import TaskDefault, TaskOverride
from camera_api.assignment import Assignment, Role
from camera_operator.decide.model import CameraView
from camera_operator.decide.plan import make_plan
from camera_operator.decide.tasks import effective_tasks
from world import World

BOTH = replace(SETTINGS, roles=(Role.INGEST, Role.ANALYTICS))
INTRUSION = {"name": "intrusion", "type": "Intrusion"}


def analysed(max_ingest: int = 6, max_analytics: int = 2, **spec: Any) -> World:
    """A city whose category looks for intrusions."""
    world = World()
    world.settings = BOTH
    world.category = category(
        max_ingest, analytics={"maxCamerasPerWorker": max_analytics, "tasks": [INTRUSION]}, **spec
    )
    return world


def assignments(world: World, role: Role) -> dict[str, Assignment]:
    return {
        view.name: view.assignment
        for view in world.observe().workers
        if view.role is role and view.assignment is not None
    }


def analysts(world: World) -> dict[str, str]:
    """Analytics worker by camera name."""
    return {
        entry.name: name
        for name, assignment in assignments(world, Role.ANALYTICS).items()
        for entry in assignment.cameras
    }


def settled(count: int, **sizes: Any) -> World:
    world = analysed(**sizes)
    for view in cameras(count):
        world.add(view)
    world.settle()
    return world


def test_no_analytics_worker_runs_by_default_or_without_tasks() -> None:
    tasks = category(analytics={"tasks": [INTRUSION]})

    assert {write.worker for write in make_plan(observed(camera("door"), in_category=tasks), SETTINGS).writes} == {
        "lobby-ingest-0"
    }
    assert {write.worker for write in make_plan(observed(camera("door")), BOTH).writes} == {"lobby-ingest-0"}


def test_analytics_workers_have_their_own_size_and_number() -> None:
    world = settled(5)

    assert sorted(Counter(analysts(world).values()).values()) == [1, 2, 2]
    assert len(assignments(world, Role.INGEST)) == 1
    stored = world.workers["lobby-analytics-0"]
    assert stored.requests is not None
    assert stored.requests.cpu == 100 + 2 * 100
    assert world.group is not None
    assert dict(world.group.status.workers) == {"ingest": 1, "analytics": 3, "ready": 4}


def test_an_analytics_worker_reads_from_the_service_of_the_ingest_worker() -> None:
    world = settled(1)
    (ingest,) = assignments(world, Role.INGEST).values()

    ((entry,),) = (assignment.cameras for assignment in assignments(world, Role.ANALYTICS).values())

    assert entry.relay_url == "http://lobby-ingest-0.city.svc:8080/v1/cameras/city/camera-0000/packets"
    assert entry.relay_token == ingest.bearer_token
    assert [task.name for task in entry.tasks] == ["intrusion"]


def test_an_analytics_worker_is_told_no_password_of_a_camera() -> None:
    world = analysed()
    world.credentials = {"keys": KEYS}
    world.add(camera("door", with_secret("keys")))
    world.settle()

    ((entry,),) = (assignment.cameras for assignment in assignments(world, Role.ANALYTICS).values())

    assert entry.credentials is None
    assert KEYS.password.get_secret_value() not in (world.workers["lobby-analytics-0"].secret or "")


def test_the_address_of_the_relay_follows_a_move_and_survives_a_pod() -> None:
    world = settled(3, max_ingest=3)
    before = assignments(world, Role.ANALYTICS)
    world.kill_pod("lobby-ingest-0")
    world.settle()
    assert assignments(world, Role.ANALYTICS) == before

    world.edit_group(min_workers=3)
    world.moves_allowed = 8
    world.settle()

    record = {entry.name: name for name, held in assignments(world, Role.INGEST).items() for entry in held.cameras}
    assert len(set(record.values())) == 3
    for assignment in assignments(world, Role.ANALYTICS).values():
        for entry in assignment.cameras:
            assert entry.relay_url is not None
            assert entry.relay_url.startswith(f"http://{record[entry.name]}.city.svc:")


def test_adding_a_camera_changes_one_worker_of_each_role() -> None:
    world = settled(3)
    world.add(camera("yard"))

    first = {write.worker for write in world.reconcile().writes}
    world.run_kubelet()
    world.report()

    assert first == {"lobby-ingest-0", "lobby-analytics-1"}


def test_a_camera_that_is_gone_leaves_the_workers_of_both_roles() -> None:
    world = settled(3)
    del world.cameras["camera-0002"]

    world.settle()

    assert "camera-0002" not in analysts(world)
    assert "camera-0002" not in world.record()


def test_a_camera_whose_tasks_are_switched_off_leaves_analytics_only() -> None:
    world = settled(3)

    def without(view: CameraView) -> CameraView:
        return replace(view, tasks=(TaskOverride(name="intrusion", enabled=False),))

    world.edit("camera-0001", without)
    world.settle()

    assert sorted(analysts(world)) == ["camera-0000", "camera-0002"]
    assert sorted(assignments(world, Role.INGEST)["lobby-ingest-0"].cameras, key=lambda entry: entry.name)


def test_a_new_image_replaces_one_worker_of_each_role_at_a_time() -> None:
    world = settled(5)
    world.settings = replace(BOTH, worker_image="registry.example/camera-worker:2")

    replaced: list[str] = []
    for _ in range(12):
        plan = world.reconcile()
        now = [write.worker for write in plan.writes if write.replacements]
        assert Counter(name.split("-")[1] for name in now).most_common(1)[0][1] == 1 if now else True
        replaced += now
        world.run_kubelet()
        world.report()

    assert sorted(replaced) == ["lobby-analytics-0", "lobby-analytics-1", "lobby-analytics-2", "lobby-ingest-0"]


def test_few_cameras_leave_their_analytics_worker_for_the_others() -> None:
    world = settled(10, max_ingest=20, max_analytics=5)
    world.moves_allowed = 8
    for name in sorted(analysts(world))[:6]:
        del world.cameras[name]

    world.settle()

    assert len(set(analysts(world).values())) == 1
    assert len(analysts(world)) == 4


def test_each_role_with_workers_gets_a_disruption_budget() -> None:
    world = settled(1)

    assert set(world.budgets) == {Role.INGEST, Role.ANALYTICS}


def test_a_restarted_operator_writes_nothing_for_either_role() -> None:
    world = settled(5)
    world.restart_operator()

    assert world.plan().is_empty
    world.report()
    assert world.plan().is_empty


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {"intrusion": "Intrusion"}),
        ([{"name": "intrusion", "enabled": False}], {}),
        ([{"name": "crowd", "type": "Crowding", "minCount": 5}], {"intrusion": "Intrusion", "crowd": "Crowding"}),
        ([{"name": "unknown"}], {"intrusion": "Intrusion"}),
        ([{"name": "gate", "type": "LineCrossing"}], {"intrusion": "Intrusion"}),
    ],
)
def test_a_camera_adjusts_its_categorys_tasks_by_name(
    overrides: list[dict[str, Any]], expected: dict[str, str]
) -> None:
    tasks = effective_tasks(
        [TaskDefault.model_validate(INTRUSION)], [TaskOverride.model_validate(each) for each in overrides]
    )

    assert {task.name: task.type.value for task in tasks} == expected


def test_what_a_camera_sets_replaces_only_that() -> None:
    default = TaskDefault.model_validate({**INTRUSION, "minDuration": "30s", "classes": ["person"]})

    (task,) = effective_tasks([default], [TaskOverride.model_validate({"name": "intrusion", "minDuration": "5s"})])

    assert (task.min_duration, [str(each) for each in task.classes or ()]) == ("5s", ["person"])


def test_a_group_going_away_leaves_the_workers_of_both_roles_to_the_garbage_collector() -> None:
    world = settled(2)
    world.group = group(is_deleting=True)

    plan = world.plan()

    assert not plan.writes
    assert not plan.deletions
