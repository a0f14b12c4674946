"""What is written for workers, and what is left alone."""

from collections import Counter
from dataclasses import replace

import pytest

from builders import (
    GROUP,
    KEYS,
    NOW,
    SETTINGS,
    USUAL_STREAM,
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
    with_status,
    without_secret,
    without_stateful_set,
    worker,
)
from camera_api.assignment import Assignment, Credentials
from camera_api.camera import Lifecycle
from camera_api.faults import Fault
from camera_api.group import FailoverPolicy
from camera_operator.decide.model import (
    CameraStatusView,
    CameraView,
    Observed,
    Plan,
    Resources,
    SecretProblem,
    WorkerWrite,
)
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
    assert write.nudges == {"lobby-ingest-1-pod-2": "2"}
    assert write.service is None
    assert write.replacements == ()
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

    plan = planned_for(observed(*views, in_category=category(4), workers=(fuller, releasing)))

    changed = [write for write in plan.writes if write.assignment is not None]
    assert [(write.worker, camera_names(write)) for write in changed] == [("lobby-ingest-1", ["door", "gate"])]


def test_a_released_camera_goes_elsewhere_once_its_worker_has_let_go() -> None:
    released = worker(1, holding(camera("gate"), revision=4), having_released(door=4), running(), heard(acknowledged=4))
    fuller = worker(0, holding(camera("hall"), camera("yard")), running(), heard())
    views = [camera(name) for name in ("door", "gate", "hall", "yard")]

    plan = planned_for(observed(*views, workers=(fuller, released)))

    changed = [write for write in plan.writes if write.assignment is not None]
    assert [(write.worker, camera_names(write)) for write in changed] == [("lobby-ingest-0", ["door", "hall", "yard"])]


def test_the_api_server_is_asked_for_the_pods_of_the_workers_that_had_a_camera_before() -> None:
    watched_before = with_status(CameraStatusView(worker="hall-ingest-0"))
    world = World()
    world.add(camera("door", watched_before))
    world.add(camera("gate"))

    def vacated(unseen: dict[str, frozenset[str]]) -> frozenset[str]:
        plan = make_plan(replace(world.observe(), unseen=unseen), SETTINGS)
        return plan.writes[0].vacated

    unseen = {"door": frozenset({"hall-ingest-0"}), "yard": frozenset({"hall-ingest-1"})}
    assert vacated(unseen) == {"hall-ingest-0"}
    # Its pod is seen: it has let go, or the camera would be held elsewhere.
    assert vacated({}) == frozenset()


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
    world.write(replace(write, nudges={}))
    world.report()

    again = only_write(world.plan())

    assert again.nudges == {"lobby-ingest-0-pod-1": "2"}
    assert again.secret is None


def test_a_pod_that_has_not_reported_is_not_nudged() -> None:
    silent = worker(0, holding(camera("door"), revision=5), running(), silent_for(1))
    plan = planned_for(observed(camera("door"), workers=(silent,)))

    assert [write.nudges for write in plan.writes] == [{}]


def test_terminating_pods_and_those_that_were_told_are_not_nudged() -> None:
    pods = running(pod("old", terminating=True), pod("told", nudged_for="6"), pod("new"))
    lagging = worker(0, holding(camera("door"), revision=5), pods, heard(acknowledged=4))

    write = only_write(planned_for(observed(camera("door"), camera("gate"), workers=(lagging,))))

    assert assignment_of(write).revision == 6
    assert write.nudges == {"new": "6"}


def test_a_pod_that_kubelet_gave_the_old_secret_is_nudged_again_ever_more_rarely() -> None:
    """As after a restart of the API server, when kubelet hears of Secrets only later."""
    world = settled(1)
    world.add(camera("yard"))
    told = [only_write(world.reconcile()).nudges["lobby-ingest-0-pod-1"]]

    moments = []
    for second in range(120):
        world.elapsed += 1
        world.report()
        plan = world.reconcile()
        if plan.writes:
            moments.append(second)
            told.append(only_write(plan).nudges["lobby-ingest-0-pod-1"])

    assert told == ["2", "2+1", "2+2", "2+3"]
    assert moments == pytest.approx([5, 15, 35], abs=1)
    world.run_kubelet()
    world.report()
    world.settle()
    assert world.plan().is_empty


def test_time_is_asked_for_to_nudge_a_pod_again() -> None:
    world = settled(1)
    world.add(camera("yard"))
    world.reconcile()
    world.report()
    world.reconcile()

    assert world.plan().look_again_after == 5.0


# Sizes


def requests_of(world: World, name: str) -> tuple[int, int]:
    """Millicores and MiB that the worker's pod requests."""
    (process,) = world.workers[name].processes
    assert process.pod.requests is not None
    return process.pod.requests.cpu, process.pod.requests.memory // 2**20


def test_requests_follow_the_cameras_of_a_pod_that_goes_on_running() -> None:
    world = settled(1, max_cameras=50)
    pods = {process.pod.uid for process in world.workers["lobby-ingest-0"].processes}
    assert requests_of(world, "lobby-ingest-0") == (50 + 20, 128 + 16)

    for view in cameras(5):
        world.cameras.setdefault(view.name, view)
    world.settle()

    assert requests_of(world, "lobby-ingest-0") == (50 + 5 * 20, 128 + 5 * 16)
    assert {process.pod.uid for process in world.workers["lobby-ingest-0"].processes} == pods
    world.cameras = dict(list(world.cameras.items())[:2])
    world.settle()
    assert requests_of(world, "lobby-ingest-0") == (50 + 2 * 20, 128 + 2 * 16)
    assert {process.pod.uid for process in world.workers["lobby-ingest-0"].processes} == pods


def test_a_pod_that_is_replaced_starts_large_enough() -> None:
    world = settled(5, max_cameras=50)
    world.kill_pod("lobby-ingest-0")
    world.start_pod("lobby-ingest-0")

    cpu, memory = requests_of(world, "lobby-ingest-0")

    assert cpu >= 50 + 5 * 20
    assert memory >= 128 + 5 * 16


def test_one_camera_less_is_worth_no_resize_of_a_large_worker() -> None:
    world = settled(50, max_cameras=50)
    del world.cameras["camera-0000"]

    assert only_write(world.plan()).resizes == ()


def test_a_worker_that_has_not_told_what_its_cameras_send_is_not_made_smaller() -> None:
    world = settled(5, max_cameras=50)
    world.kill_pod("lobby-ingest-0")
    world.start_pod("lobby-ingest-0")
    world.deliver("lobby-ingest-0")

    assert all(write.resizes == () for write in world.plan().writes)


@pytest.mark.parametrize(("width", "units"), [(3840, 4.0), (640, 0.25)])
def test_what_a_camera_sends_decides_what_is_requested_for_it_and_a_restart_changes_nothing(
    width: int, units: float
) -> None:
    world = World(max_cameras=50)
    size = {"width": width, "height": width * 9 // 16, "bits_per_second": int(4_000_000 * units)}
    world.stream = USUAL_STREAM.model_copy(update=size)
    for view in cameras(8):
        world.add(view)
    world.settle()
    assert requests_of(world, "lobby-ingest-0")[0] == 50 + 8 * units * 20

    world.restart_operator()

    assert world.plan().is_empty
    world.report()
    assert world.plan().is_empty


def test_large_cameras_take_the_place_of_several() -> None:
    world = World(max_cameras=16)
    size = {"width": 3840, "height": 2160, "bits_per_second": 16_000_000}
    world.stream = USUAL_STREAM.model_copy(update=size)
    for view in cameras(4):
        world.add(view)
    world.settle()
    world.add(camera("yard"))
    world.settle()

    assert world.record()["yard"] == ["lobby-ingest-1"]


def test_an_api_server_that_cannot_resize_pods_is_not_asked_to() -> None:
    world = settled(1, max_cameras=50)
    world.settings = replace(SETTINGS, resizes_pods=False)
    for view in cameras(5):
        world.cameras.setdefault(view.name, view)

    world.settle()

    assert requests_of(world, "lobby-ingest-0") == (50 + 20, 128 + 16)


def test_cameras_that_a_node_has_no_room_for_go_to_another_worker() -> None:
    world = settled(5, max_cameras=50)
    world.node_room = Resources(cpu=50 + 8 * 20, memory=2**40)
    world.moves_allowed = 8
    for view in cameras(12):
        world.cameras.setdefault(view.name, view)

    world.settle()

    assert requests_of(world, "lobby-ingest-0")[0] <= 50 + 8 * 20
    assert len(world.watchers()) == 12
    assert sorted(Counter(workers[0] for workers in world.record().values()).values()) == [5, 7]
    world.add(camera("yard"))
    world.settle()
    assert world.record()["yard"] == ["lobby-ingest-1"]


# Templates


def image(world: World, tag: str) -> str:
    """A new worker image is asked for."""
    name = f"registry.example/camera-worker:{tag}"
    world.settings = replace(SETTINGS, worker_image=name)
    return name


def images(world: World) -> list[str]:
    return [stored.image.rpartition(":")[2] for _, stored in sorted(world.workers.items())]


def step(world: World) -> Plan:
    """One pass, and what nodes and workers make of it."""
    plan = world.reconcile()
    world.run_kubelet()
    world.report()
    return plan


def test_a_changed_category_writes_the_template_anew() -> None:
    world = settled(1)
    world.category = category(3, scheduling={"nodeSelector": {"disk": "fast"}})

    write = only_write(world.plan())

    assert write.secret is None
    assert write.stateful_set is not None
    assert [replacement.pod for replacement in write.replacements] == ["lobby-ingest-0-pod-1"]
    assert write.reason == "its specification changed"


def test_other_sizes_in_the_category_resize_the_pod_in_place() -> None:
    world = settled(2)
    world.category = category(3, ingest={"perCamera": {"cpu": "40m"}})

    world.settle()

    assert requests_of(world, "lobby-ingest-0")[0] == 50 + 2 * 40
    assert [process.pod.name for process in world.workers["lobby-ingest-0"].processes] == ["lobby-ingest-0-pod-1"]


def test_a_new_image_replaces_one_worker_at_a_time() -> None:
    world = settled(9)
    image(world, "2")

    replaced = []
    for _ in range(12):
        plan = world.reconcile()
        replaced += [write.worker for write in plan.writes if write.replacements]
        assert sum(len(write.replacements) for write in plan.writes) <= 1
        assert sum(not process.pod.ready for stored in world.workers.values() for process in stored.processes) <= 1
        world.run_kubelet()
        world.report()

    assert replaced == ["lobby-ingest-0", "lobby-ingest-1", "lobby-ingest-2"]
    assert images(world) == ["2", "2", "2"]
    assert world.group is not None
    assert world.group.status.worker_image.endswith(":2")


def test_a_rollout_stops_when_cameras_do_not_come_back_and_goes_on_with_a_better_image() -> None:
    world = settled(9)
    world.broken_images.add(image(world, "broken"))

    for _ in range(6):
        step(world)

    assert images(world) == ["broken", "1", "1"]
    assert world.group is not None
    told = {each.type: each for each in world.group.status.conditions}
    assert told["UpToDate"].reason == "RolloutPaused"
    assert "lobby-ingest-0" in told["UpToDate"].message
    image(world, "3")
    for _ in range(12):
        step(world)
    assert images(world) == ["3", "3", "3"]
    assert {each.type: each.status for each in world.group.status.conditions}["UpToDate"] == "True"


def test_a_rollout_waits_for_cameras_that_worked_before() -> None:
    world = settled(9)
    image(world, "2")
    world.reconcile()
    for number in range(3):
        world.faults[f"camera-{number:04}"] = (Fault.STALLED,)
    world.run_kubelet()
    world.report()
    for _ in range(4):
        step(world)
    assert images(world) == ["2", "1", "1"]

    world.faults.clear()
    for _ in range(8):
        step(world)

    assert images(world) == ["2", "2", "2"]


def test_a_new_image_waits_for_the_canary_groups() -> None:
    world = settled(3)
    image(world, "2")
    world.canaries_waiting = ("city/pilot",)

    assert not step(world).writes
    assert world.group is not None
    told = {each.type: each for each in world.group.status.conditions}
    assert (told["UpToDate"].reason, "city/pilot" in told["UpToDate"].message) == ("AwaitingCanary", True)
    world.canaries_waiting = ()
    world.settle()

    assert images(world) == ["2"]


def test_a_new_worker_does_not_wait_for_the_canary_groups() -> None:
    world = World()
    world.add(camera("door"))
    world.canaries_waiting = ("city/pilot",)

    world.settle()

    assert list(world.watchers()) == ["door"]


# Moves that nothing forces


def spread_out(*counts: int, capacity: int = 10) -> World:
    """Workers with so many cameras each."""
    world = World(max_cameras=capacity)
    for view in cameras(len(counts) * capacity):
        world.add(view)
    world.settle()
    for number, count in enumerate(counts):
        mine = sorted(name for name, (name_of_worker,) in world.record().items() if name_of_worker[-1] == str(number))
        for name in mine[count:]:
            del world.cameras[name]
    world.settle()
    return world


def test_few_cameras_leave_their_worker_for_the_others() -> None:
    world = spread_out(8, 2, 7)
    world.moves_allowed = 1

    moved = 0
    for _ in range(20):
        moved += step(world).moves
    world.settle()

    assert moved == 2
    assert sorted(world.workers) == ["lobby-ingest-0", "lobby-ingest-2"]
    assert len(world.watchers()) == 17


def test_no_camera_moves_where_the_rest_would_be_too_full() -> None:
    world = spread_out(9, 3, 8)
    world.moves_allowed = 8

    assert world.plan().is_empty
    assert not world.plan().wants_moves


def test_without_budget_nothing_moves_but_no_camera_comes_to_the_worker_that_is_to_go() -> None:
    world = spread_out(8, 2, 7)
    assert world.plan().wants_moves
    world.add(camera("yard"))

    assert only_write(world.plan()).worker == "lobby-ingest-0"


def test_a_camera_keeps_its_status_while_it_moves() -> None:
    world = spread_out(8, 2, 7)
    world.moves_allowed = 1
    plan = world.reconcile()

    assert plan.moves == 1
    assert not plan.camera_statuses
    world.run_kubelet()
    world.report()
    (status,) = world.reconcile().camera_statuses.values()
    assert (status.state, status.worker) == ("Working", "lobby-ingest-0")


def test_new_workers_that_are_asked_for_share_the_load() -> None:
    world = settled(9, max_cameras=9)
    world.moves_allowed = 2
    world.edit_group(min_workers=3)

    for _ in range(20):
        step(world)

    assert sorted(Counter(workers[0] for workers in world.record().values()).values()) == [3, 3, 3]
    assert not world.plan().wants_moves


# Lost workers


def lose_node(world: World, name: str) -> None:
    """The worker's node is cut off: its pod is not ready, and nobody hears it."""
    for process in world.workers[name].processes:
        process.pod = replace(process.pod, ready=False)
    others = [worker for worker in world.workers if worker != name]
    for _ in range(8):
        world.elapsed += 10
        world.report(others)


def test_cameras_of_a_lost_worker_stay_with_it_under_strict() -> None:
    world = settled(6)
    before = world.record()
    lose_node(world, "lobby-ingest-0")

    world.reconcile()

    assert world.record() == before


def test_cameras_of_a_lost_worker_go_to_others_under_fast() -> None:
    world = settled(6)
    world.edit_group(failover=FailoverPolicy.FAST)
    lose_node(world, "lobby-ingest-0")

    world.reconcile()
    world.run_kubelet()
    world.report([name for name in world.workers if name != "lobby-ingest-0"])

    record = world.record()
    assert len(record) == 6
    assert all(workers != ["lobby-ingest-0"] for workers in record.values())
    epochs = {view.name: view.assignment.epoch for view in world.observe().workers if view.assignment is not None}
    assert epochs["lobby-ingest-0"] < epochs["lobby-ingest-2"]


def test_when_all_workers_are_lost_at_once_none_is_given_up() -> None:
    world = settled(6)
    world.edit_group(failover=FailoverPolicy.FAST)
    before = world.record()
    for stored in world.workers.values():
        stored.processes[0].pod = replace(stored.processes[0].pod, ready=False)
    world.elapsed += 100

    world.reconcile()

    assert world.record() == before


def test_a_worker_that_no_node_has_room_for_gives_its_cameras_to_those_with_room() -> None:
    world = settled(3)
    world.unschedulable.add("lobby-ingest-1")
    world.add(camera("yard"))
    world.settle()
    assert world.record()["yard"] == ["lobby-ingest-1"]
    assert "yard" not in world.watchers()
    del world.cameras["camera-0000"]
    world.elapsed += 30
    world.settle()
    assert world.record()["yard"] == ["lobby-ingest-1"]

    world.elapsed += 40
    world.report()
    world.settle()

    assert world.record()["yard"] == ["lobby-ingest-0"]
    assert "yard" in world.watchers()


def test_a_disruption_budget_is_made_with_the_first_worker() -> None:
    world = World()
    assert world.plan().budgets == ()
    world.add(camera("door"))

    (budget,) = world.plan().budgets

    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    world.settle()
    assert world.plan().budgets == ()


def test_no_password_shows_in_the_text_of_a_plan() -> None:
    plan = planned_for(observed(camera("door", with_secret("keys")), credentials={"keys": KEYS}))

    assert KEYS.password.get_secret_value() not in repr(plan)
    assert "fresh-token" not in repr(plan)
