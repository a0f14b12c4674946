"""What of a plan is worth an event, and how many cameras become one line."""

from builders import camera, cameras, with_secret
from camera_api.faults import Fault
from camera_operator.decide.events import MAX_NOTE_LENGTH, EventReason, Occurrence, note, occurrences
from world import World


def settled(count: int = 3, *, max_cameras: int = 3) -> World:
    world = World(max_cameras=max_cameras)
    for view in cameras(count):
        world.add(view)
    world.settle()
    return world


def happened(world: World) -> set[tuple[str, str, str]]:
    """Reason, subject and detail of what the next pass makes happen."""
    return {(each.reason.value, each.subject, each.detail) for each in occurrences(world.observe(), world.plan())}


def test_a_first_camera_makes_a_worker() -> None:
    world = World()
    world.add(camera("door"))

    assert happened(world) == {("WorkersCreated", "lobby-ingest-0", "")}


def test_a_write_that_failed_has_not_happened() -> None:
    world = World()
    world.add(camera("door"))

    assert not list(occurrences(world.observe(), world.plan(), failed=["lobby-ingest-0"]))


def test_nothing_happens_in_a_settled_group() -> None:
    assert not happened(settled())


def test_a_fault_and_its_end_are_told_with_the_fault() -> None:
    world = settled()
    world.faults["camera-0001"] = (Fault.STALLED,)
    world.report()
    assert happened(world) == {("CamerasFaulty", "camera-0001", "Stalled")}
    world.settle()

    world.faults.clear()
    world.report()

    assert happened(world) == {("CamerasRecovered", "camera-0001", "Stalled")}


def test_cameras_of_a_lost_worker_are_told_once() -> None:
    world = settled()
    world.kill_pod("lobby-ingest-0")

    assert happened(world) == {("CamerasLost", f"camera-000{number}", "WorkerLost") for number in range(3)}
    world.reconcile()
    assert not happened(world)


def test_a_camera_that_cannot_be_used_is_told_with_the_reason() -> None:
    world = settled()
    world.add(camera("bad", with_secret("nothing")))

    assert happened(world) == {("CamerasRejected", "bad", "SecretNotFound")}


def test_many_cameras_become_one_line() -> None:
    names = [f"camera-{number}" for number in range(8)]

    assert note(EventReason.CAMERAS_FAULTY, {"AuthFailed": ["gate"], "Stalled": names}) == (
        "9 cameras became faulty: Stalled 8 (camera-0, camera-1, camera-2 and 5 more), AuthFailed 1 (gate)."
    )
    assert note(EventReason.CAMERAS_RECOVERED, {"Stalled": ["gate"]}) == "1 camera works again: Stalled 1 (gate)."
    assert note(EventReason.WORKERS_CREATED, {"": ["a", "b"]}) == "2 workers were created: a, b."


def test_a_note_stays_within_what_the_api_server_takes() -> None:
    many = {f"Reason{number}": [f"camera-{'x' * 50}-{number}"] for number in range(60)}

    assert len(note(EventReason.CAMERAS_REJECTED, many)) <= MAX_NOTE_LENGTH
    assert len(note(EventReason.ROLLOUT_PAUSED, {"x" * 3000: [""]})) <= MAX_NOTE_LENGTH


def test_occurrences_are_values() -> None:
    assert Occurrence(EventReason.CAMERAS_LOST, "a", "b") == Occurrence(EventReason.CAMERAS_LOST, "a", "b")
