"""What is said about a group."""

from dataclasses import replace

from builders import (
    SETTINGS,
    camera,
    deleting,
    group,
    health,
    heard,
    holding,
    observed,
    planned,
    pod,
    retired,
    running,
    under_maintenance,
    with_secret,
    worker,
)
from camera_api.camera import CameraState
from camera_api.category import DecodePolicy
from camera_api.faults import Fault
from camera_operator.decide.model import CameraView, GroupStatusView, GroupView, Observed, WorkerView
from camera_operator.decide.plan import make_plan
from world import World


def status_of(everything: Observed) -> GroupStatusView:
    assert everything.group is not None
    return make_plan(everything, SETTINGS).group_status or everything.group.status


def group_with(
    *views: CameraView, workers: tuple[WorkerView, ...] = (), of: GroupView | None = None
) -> GroupStatusView:
    return status_of(observed(*views, workers=workers, of=of))


def told(status: GroupStatusView) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status.value, each.reason) for each in status.conditions}


def test_cameras_are_counted_by_state_and_faults_by_reason() -> None:
    good, dark, refused, moved, lost = (camera(name) for name in ("good", "dark", "refused", "moved", "lost"))
    idle = [camera("soon", planned()), camera("gone", retired()), camera("keyless", with_secret("nothing"))]
    work = camera("work", under_maintenance())
    busy = worker(0, holding(good, dark, refused, moved, work), running(), heard())
    dead = worker(1, holding(lost), heard())
    reports = (
        health(good),
        health(dark, Fault.BLACK),
        health(refused, Fault.CONNECTION_REFUSED),
        health(moved, Fault.BLACK),
        health(work, Fault.STALLED),
    )
    views = [good, dark, refused, moved, lost, work, *idle]
    first = make_plan(observed(*views, workers=(busy, dead), reports=reports), SETTINGS)
    stale = [
        replace(view, status=replace(first.camera_statuses[view.key], state=CameraState.WORKING)) for view in [lost]
    ]
    views = [view for view in views if view.name != "lost"] + stale

    status = status_of(observed(*views, workers=(busy, dead), reports=reports))

    assert status.cameras == {
        "declared": 9,
        "planned": 1,
        "pending": 1,
        "working": 1,
        "faulty": 3,
        "unknown": 1,
        "maintenance": 1,
        "retired": 1,
    }
    assert status.faults == {"Black": 2, "ConnectionRefused": 1}
    assert status.workers == {"ingest": 2, "analytics": 0, "ready": 1}


def test_a_camera_that_is_being_deleted_counts_no_more() -> None:
    assert group_with(camera("door", deleting())).cameras["declared"] == 0


def test_the_selector_finds_the_ingest_workers_of_the_group() -> None:
    selector = group_with().selector

    assert "camera-operator.io/group=lobby" in selector
    assert "camera-operator.io/role=ingest" in selector


def test_a_group_without_cameras_needs_no_workers_and_is_ready() -> None:
    assert told(group_with()) == {
        "Accepted": ("True", "Accepted"),
        "WorkersReady": ("True", "NoWorkersNeeded"),
        "UpToDate": ("True", "UpToDate"),
        "PicturesChecked": ("True", "Decoding"),
        "Ready": ("True", "WorkersReady"),
    }


def test_a_group_is_ready_when_all_its_workers_are() -> None:
    door = camera("door")

    up = told(group_with(door, workers=(worker(0, holding(door), running(), heard()),)))
    starting = group_with(door, workers=(worker(0, holding(door), running(pod(ready=False))),))

    assert up["Ready"] == ("True", "WorkersReady")
    assert told(starting)["Ready"] == ("False", "WorkersNotReady")
    assert "lobby-ingest-0" in starting.conditions[1].message


def test_a_worker_that_is_only_planned_is_not_ready() -> None:
    status = group_with(camera("door"))

    assert status.workers == {"ingest": 1, "analytics": 0, "ready": 0}
    assert told(status)["WorkersReady"] == ("False", "WorkersNotReady")


def test_a_surplus_worker_counts_no_more() -> None:
    assert group_with(workers=(worker(0, running(), heard()),)).workers["ingest"] == 0


def test_many_unready_workers_are_not_all_named() -> None:
    views = [camera(f"camera-{number}") for number in range(8)]
    world = World(max_cameras=1)
    for view in views:
        world.add(view)

    message = status_of(world.observe()).conditions[1].message

    assert "8 of 8 workers" in message
    assert "and 3 more" in message


def test_a_missing_category_is_the_groups_trouble() -> None:
    world = World()
    world.category = None

    status = told(status_of(world.observe()))
    assert status["Ready"] == ("False", "CategoryNotFound")
    assert status["Stalled"] == ("True", "CategoryNotFound")


def test_a_paused_group_says_so() -> None:
    assert told(group_with(of=group(paused=True)))["Accepted"] == ("True", "Paused")


def test_a_group_that_is_being_deleted_gets_no_status() -> None:
    assert make_plan(observed(of=group(is_deleting=True)), SETTINGS).group_status is None


def test_a_status_that_stands_is_not_written_even_beside_conditions_of_others() -> None:
    status = group_with()
    foreign = replace(status.conditions[0], type="example.org/Audited")
    shared = replace(status, conditions=(*status.conditions, foreign))

    assert make_plan(observed(of=replace(group(), status=shared)), SETTINGS).group_status is None


def test_a_group_whose_workers_leave_pictures_out_says_so() -> None:
    door = camera("door")
    overloaded = replace(
        worker(0, holding(door), running(), heard()), decode_reduced_to=DecodePolicy.KEY_FRAME_EVERY_10S
    )

    status = group_with(door, workers=(overloaded,))

    assert told(status)["PicturesChecked"] == ("False", "DecodeReduced")
    message = next(each.message for each in status.conditions if each.type == "PicturesChecked")
    assert "lobby-ingest-0" in message
    assert "KeyFrameEvery10s" in message
