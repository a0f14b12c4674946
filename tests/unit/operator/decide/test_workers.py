"""What is written for workers, and what is left alone."""

from dataclasses import replace

import pytest

from builders import (
    GROUP,
    KEYS,
    NOW,
    SETTINGS,
    at,
    camera,
    cameras,
    category,
    deleting,
    group,
    having_released,
    heard,
    holding,
    in_lifecycle,
    observed,
    planned,
    pod,
    retired,
    running,
    silent_for,
    unusable,
    with_consent_for,
    with_secret,
    without_secret,
    without_stateful_set,
    worker,
)
from camera_api.assignment import Assignment, Credentials
from camera_api.camera import Lifecycle
from camera_operator.decide.model import CameraView, Observed, Plan, SecretProblem, WorkerWrite
from camera_operator.decide.plan import make_plan
from camera_operator.specs import names
from world import World


def planned_for(everything: Observed) -> Plan:
    return make_plan(everything, SETTINGS)


def only_write(plan: Plan) -> WorkerWrite:
    assert len(plan.writes) == 1
    return plan.writes[0]


def assignment_of(write: WorkerWrite) -> Assignment:
    assert write.assignment is not None
    return write.assignment


def camera_names(write: WorkerWrite) -> list[str]:
    return [entry.name for entry in assignment_of(write).cameras]


def settled(count: int = 3, *, max_cameras: int = 3) -> World:
    world = World(max_cameras=max_cameras)
    world.credentials = {"keys": KEYS}
    for view in cameras(count, with_secret("keys")):
        world.add(view)
    world.settle()
    return world


def test_a_first_camera_makes_a_worker_with_all_its_objects() -> None:
    write = only_write(planned_for(observed(camera("door", with_secret("keys")), credentials={"keys": KEYS})))

    assignment = assignment_of(write)
    assert (write.worker, assignment.worker, assignment.group) == ("lobby-ingest-0", "lobby-ingest-0", GROUP)
    assert assignment.revision == 1
    assert assignment.bearer_token.get_secret_value() == "fresh-token"
    assert assignment.cameras[0].credentials == KEYS
    assert write.secret_resource_version is None
    assert write.secret is not None
    assert write.service is not None
    assert write.stateful_set is not None


def test_what_the_category_says_goes_to_the_worker() -> None:
    strict = category(
        ingest={"decode": "KeyFrameEvery10s"},
        health={"offlineAfter": "1m30s", "minFramesPerSecondRatio": 0.25, "disabledFaults": ["Moved"]},
    )

    (entry,) = assignment_of(only_write(planned_for(observed(camera("door"), in_category=strict)))).cameras

    assert entry.decode == "KeyFrameEvery10s"
    assert entry.health.offline_after_seconds == 90
    assert entry.health.min_frames_per_second_ratio == 0.25
    assert entry.health.disabled_faults == ("Moved",)


@pytest.mark.parametrize(
    ("view", "until", "is_maintenance"),
    [
        (camera("door"), None, False),
        (camera("door", in_lifecycle(Lifecycle.MAINTENANCE)), None, True),
        (camera("door"), "2030-01-31T12:00:01Z", True),
        (camera("door"), "2030-01-31T12:00:00Z", False),
    ],
)
def test_planned_work_is_marked(view: CameraView, until: str | None, is_maintenance: bool) -> None:
    of = group() if until is None else group(maintenance={"until": until})

    (entry,) = assignment_of(only_write(planned_for(observed(view, of=of)))).cameras

    assert entry.maintenance is is_maintenance


def test_a_settled_group_needs_no_write_and_keeps_its_very_objects() -> None:
    world = settled()

    assert world.plan().is_empty


def test_a_restarted_operator_writes_nothing_before_and_after_it_hears_the_workers() -> None:
    world = settled(7)
    world.restart_operator()

    for seconds in (0, 5, 10):
        world.elapsed += seconds
        assert world.plan().is_empty
    world.report()
    assert world.plan().is_empty


def test_adding_a_camera_writes_one_secret_and_nudges_its_pod() -> None:
    world = settled(4)
    world.add(camera("yard"))

    write = only_write(world.plan())

    assert write.worker == "lobby-ingest-1"
    assert camera_names(write) == ["camera-0003", "yard"]
    assert assignment_of(write).revision == 2
    assert write.nudge_pods == ("lobby-ingest-1-pod-2",)
    assert write.service is None
    assert write.stateful_set is None
    assert write.reason == "1 camera added"


def test_removing_a_camera_writes_one_secret_and_records_the_release() -> None:
    world = settled(4)
    del world.cameras["camera-0001"]

    write = only_write(world.plan())

    assert camera_names(write) == ["camera-0000", "camera-0002"]
    assert write.secret is not None
    assert write.secret["metadata"]["annotations"] == {names.ANNOTATION_RELEASED: '{"camera-0001":2}'}
    assert (write.service, write.stateful_set) == (None, None)


def test_a_camera_that_is_deleted_and_created_again_stays_on_its_worker() -> None:
    world = settled(4)
    world.add(camera("camera-0003", with_secret("keys")))

    write = only_write(world.plan())

    assert write.worker == "lobby-ingest-1"
    assert write.reason == "1 camera changed"
    assert assignment_of(write).cameras[0].uid == world.cameras["camera-0003"].uid


def test_an_edited_camera_changes_its_entry_only() -> None:
    world = settled(3)
    before = world.observe().workers[0].assignment
    world.edit("camera-0001", at("rtsp://10.9.9.9/other"))

    after = assignment_of(only_write(world.plan()))

    assert before is not None
    assert [new == old for new, old in zip(after.cameras, before.cameras, strict=True)] == [True, False, True]


def test_a_new_password_reaches_every_camera_that_uses_the_secret() -> None:
    world = settled(4)
    world.credentials["keys"] = Credentials.model_validate({"username": "viewer", "password": "changed"})

    plan = world.plan()

    entries = [entry for write in plan.writes for entry in assignment_of(write).cameras]
    assert len(entries) == 4
    assert all(entry.credentials == world.credentials["keys"] for entry in entries)


@pytest.mark.parametrize("trait", [planned(), retired(), with_consent_for(0), deleting()])
def test_a_camera_whose_owner_does_not_want_it_watched_is_released(trait: object) -> None:
    world = settled(2)
    world.edit("camera-0000", trait)  # type: ignore[arg-type]

    assert camera_names(only_write(world.plan())) == ["camera-0001"]


@pytest.mark.parametrize("problem", [None, SecretProblem.INCOMPLETE])
def test_a_watched_camera_goes_on_when_its_secret_becomes_bad(problem: SecretProblem | None) -> None:
    world = settled(2)
    del world.credentials["keys"]
    if problem is not None:
        world.credentials["keys"] = problem

    plan = world.plan()

    assert not plan.writes
    assert len(plan.camera_statuses) == 2


def test_a_watched_camera_goes_on_when_its_spec_or_category_becomes_bad() -> None:
    world = settled(2)
    world.edit("camera-0000", unusable("spec.source.rtsp.url: not a URL"))
    world.category = None

    assert not world.plan().writes


def test_without_the_category_cameras_still_leave_but_none_comes() -> None:
    world = settled(2)
    world.category = None
    world.add(camera("yard"))
    del world.cameras["camera-0000"]

    write = only_write(world.plan())

    assert camera_names(write) == ["camera-0001"]
    assert write.stateful_set is None


def test_a_camera_that_cannot_be_used_does_not_affect_the_others() -> None:
    views = [camera("bad", with_secret("nothing")), camera("worse", unusable("spec")), camera("good")]

    assert camera_names(only_write(planned_for(observed(*views)))) == ["good"]


def test_a_paused_group_stays_as_it_is() -> None:
    world = settled(2)
    world.edit_group(paused=True, min_workers=3)
    world.add(camera("yard"))
    del world.cameras["camera-0000"]
    world.edit("camera-0001", at("rtsp://10.9.9.9/other"))
    world.category = category(1, ingest={"perCamera": {"cpu": "1"}})

    plan = world.plan()

    assert not plan.writes
    assert not plan.deletions


def test_even_a_paused_group_lets_a_camera_go_whose_consent_has_ended() -> None:
    world = settled(2)
    world.edit("camera-0000", with_consent_for(0))
    world.edit_group(paused=True)

    assert camera_names(only_write(world.plan())) == ["camera-0001"]


@pytest.mark.parametrize("how", ["gone", "deleting"])
def test_workers_of_a_group_that_goes_are_left_to_the_garbage_collector(how: str) -> None:
    world = settled(2)
    assert world.group is not None
    world.group = None if how == "gone" else replace(world.group, deleting=True)

    plan = world.plan()

    assert not plan.writes
    assert not plan.deletions
    assert len(plan.camera_statuses) == 2


def test_the_last_camera_takes_its_worker_with_it_in_two_steps() -> None:
    world = settled(1)
    world.cameras.clear()

    first = world.reconcile()
    assert camera_names(only_write(first)) == []
    assert not first.deletions
    assert world.plan().is_empty, "the worker has not let go yet"
    world.run_kubelet()
    world.report()

    assert world.reconcile().deletions == ("lobby-ingest-0",)
    world.run_kubelet()
    assert not world.workers


def test_an_empty_worker_without_pods_is_deleted_at_once() -> None:
    assert planned_for(observed(workers=(worker(0, holding(revision=3), having_released(door=3)),))).deletions == (
        "lobby-ingest-0",
    )


def test_the_service_that_a_cut_short_deletion_left_is_deleted() -> None:
    leftover = worker(0, without_secret(), without_stateful_set())

    plan = planned_for(observed(workers=(leftover,)))

    assert plan.deletions == ("lobby-ingest-0",)
    assert not plan.writes


def test_a_minimum_of_workers_is_kept_and_scaled_down_to() -> None:
    world = settled(1)
    world.edit_group(min_workers=3)
    world.settle()
    assert sorted(world.workers) == ["lobby-ingest-0", "lobby-ingest-1", "lobby-ingest-2"]

    world.edit_group(min_workers=2)
    world.settle()

    assert sorted(world.workers) == ["lobby-ingest-0", "lobby-ingest-1"]
    assert world.record() == {"camera-0000": ["lobby-ingest-0"]}


# Moves


def test_a_released_camera_goes_back_to_the_worker_that_has_not_let_go() -> None:
    releasing = worker(
        1, holding(camera("gate"), revision=4), having_released(door=4), running(), heard(acknowledged=3)
    )
    fuller = worker(0, holding(camera("hall"), camera("yard")), running(), heard())
    views = [camera(name) for name in ("door", "gate", "hall", "yard")]

    plan = planned_for(observed(*views, workers=(fuller, releasing)))

    changed = [write for write in plan.writes if write.assignment is not None]
    assert [(write.worker, camera_names(write)) for write in changed] == [("lobby-ingest-1", ["door", "gate"])]


def test_a_released_camera_goes_elsewhere_once_its_worker_has_let_go() -> None:
    released = worker(1, holding(camera("gate"), revision=4), having_released(door=4), running(), heard(acknowledged=4))
    fuller = worker(0, holding(camera("hall"), camera("yard")), running(), heard())
    views = [camera(name) for name in ("door", "gate", "hall", "yard")]

    plan = planned_for(observed(*views, workers=(fuller, released)))

    changed = [write for write in plan.writes if write.assignment is not None]
    assert [(write.worker, camera_names(write)) for write in changed] == [("lobby-ingest-0", ["door", "hall", "yard"])]


def test_a_camera_that_comes_from_another_group_waits_for_that_groups_worker() -> None:
    plan = planned_for(observed(camera("door"), held_elsewhere={"door": "hall-ingest-0"}))

    assert not plan.writes
    status = plan.camera_statuses["city", "door"]
    assert (status.state, status.reason, status.worker) == ("Pending", "AwaitingRelease", "hall-ingest-0")
    assert plan.look_again_after == 1.0


def test_a_lost_secret_is_written_anew_with_the_cameras_that_name_the_worker() -> None:
    world = settled(4)
    world.lose_secret("lobby-ingest-0", garbled=False)

    write = only_write(world.plan())

    assert camera_names(write) == ["camera-0000", "camera-0001", "camera-0002"]
    assert assignment_of(write).revision >= NOW.timestamp()
    assert write.secret_resource_version is None
    assert write.stateful_set is None


def test_a_garbled_secret_is_replaced_under_its_version() -> None:
    world = settled(2)
    world.lose_secret("lobby-ingest-0", garbled=True)

    write = only_write(world.plan())

    assert write.secret_resource_version == "1"
    assert camera_names(write) == ["camera-0000", "camera-0001"]


def test_while_a_record_is_lost_no_other_worker_gets_a_camera() -> None:
    opaque = worker(0, without_secret(), running(), heard(acknowledged=7))
    other = worker(1, holding(camera("gate")), running(), heard())

    plan = planned_for(observed(camera("door"), camera("gate"), workers=(opaque, other)))

    assert [camera_names(write) for write in plan.writes if write.assignment is not None] == [["door"]]
    assert plan.writes[0].worker == "lobby-ingest-0"


def test_the_revision_after_a_loss_is_above_all_that_was_acknowledged_or_asked_for() -> None:
    far = int(NOW.timestamp()) + 1000
    opaque = worker(0, without_secret(), running(pod(nudged_for=str(far + 5))), heard(acknowledged=far))

    write = only_write(planned_for(observed(camera("door"), workers=(opaque,))))

    assert assignment_of(write).revision == far + 6


def test_new_cameras_wait_for_the_pods_of_a_worker_whose_objects_are_gone() -> None:
    leftover = worker(0, without_secret(), without_stateful_set(), running(pod(terminating=True)))

    plan = planned_for(observed(camera("door"), workers=(leftover,)))

    assert not plan.writes
    assert plan.camera_statuses["city", "door"].reason == "AwaitingRelease"
    assert plan.camera_statuses["city", "door"].worker == "lobby-ingest-0"


def test_a_camera_in_two_secrets_stays_with_the_first() -> None:
    door = camera("door")
    twice = (worker(0, holding(door), running(), heard()), worker(1, holding(door, camera("gate")), running(), heard()))

    plan = planned_for(observed(door, camera("gate"), workers=twice))

    written = {write.worker: camera_names(write) for write in plan.writes if write.assignment is not None}
    assert written == {"lobby-ingest-1": ["gate"]}


# Nudges


def test_a_pod_that_missed_a_revision_is_nudged_again() -> None:
    world = settled(1)
    world.add(camera("yard"))
    write = only_write(world.plan())
    world.write(replace(write, nudge_pods=()))
    world.report()

    again = only_write(world.plan())

    assert again.nudge_pods == ("lobby-ingest-0-pod-1",)
    assert again.secret is None


def test_a_pod_that_has_not_reported_is_not_nudged() -> None:
    silent = worker(0, holding(camera("door"), revision=5), running(), silent_for(1))
    plan = planned_for(observed(camera("door"), workers=(silent,)))

    assert [write.nudge_pods for write in plan.writes] == [()]


def test_terminating_pods_and_those_that_were_told_are_not_nudged() -> None:
    pods = running(pod("old", terminating=True), pod("told", nudged_for="6"), pod("new"))
    lagging = worker(0, holding(camera("door"), revision=5), pods, heard(acknowledged=4))

    write = only_write(planned_for(observed(camera("door"), camera("gate"), workers=(lagging,))))

    assert assignment_of(write).revision == 6
    assert write.nudge_pods == ("new",)


# Templates


def test_the_number_of_cameras_does_not_touch_a_running_pod() -> None:
    world = settled(1)
    for view in cameras(3):
        world.cameras.setdefault(view.name, view)

    write = only_write(world.plan())

    assert len(camera_names(write)) == 3
    assert write.stateful_set is None


def test_a_worker_without_a_pod_is_sized_for_the_cameras_that_it_has() -> None:
    world = settled(1)
    world.kill_pod("lobby-ingest-0")
    world.add(camera("yard"))

    write = only_write(world.plan())

    assert write.stateful_set is not None
    assert write.stateful_set["metadata"]["annotations"][names.ANNOTATION_SIZED_FOR] == "2"


def test_a_changed_category_rolls_the_worker_out_and_sizes_it_anew() -> None:
    world = settled(1)
    world.add(camera("yard"))
    world.settle()
    world.category = category(3, ingest={"perCamera": {"cpu": "40m"}})

    write = only_write(world.plan())

    assert write.secret is None
    assert write.stateful_set is not None
    assert write.stateful_set["metadata"]["annotations"][names.ANNOTATION_SIZED_FOR] == "2"
    assert write.reason == "its specification changed"


def test_no_password_shows_in_the_text_of_a_plan() -> None:
    plan = planned_for(observed(camera("door", with_secret("keys")), credentials={"keys": KEYS}))

    assert KEYS.password.get_secret_value() not in repr(plan)
    assert "fresh-token" not in repr(plan)
