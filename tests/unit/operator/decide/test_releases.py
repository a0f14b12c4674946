"""What a worker may still watch, and the record of it."""

from builders import camera, having_released, heard, holding, pod, running, without_secret, without_stateful_set, worker
from camera_operator.decide.releases import (
    ANY_CAMERA,
    in_force,
    may_have_had,
    may_hold,
    may_hold_any,
    next_record,
    vacated_by,
)

DOOR = camera("door")


def test_a_release_is_in_force_until_its_revision_is_acknowledged() -> None:
    traits = (holding(revision=7), having_released(door=7), running())

    assert in_force(worker(0, *traits, heard(acknowledged=6))) == {"door"}
    assert in_force(worker(0, *traits, heard(acknowledged=7))) == frozenset()


def test_after_a_restart_of_the_operator_a_release_is_in_force_until_the_worker_is_heard() -> None:
    assert in_force(worker(0, holding(revision=7), having_released(door=5), running())) == {"door"}


def test_without_pods_nothing_is_watched() -> None:
    assert in_force(worker(0, holding(revision=7), having_released(door=7))) == frozenset()
    assert in_force(worker(0, without_secret())) == frozenset()


def test_what_a_worker_without_pods_was_to_let_go_is_vacated_not_acknowledged() -> None:
    traits = (holding(revision=7), having_released(door=7, gate=5), heard(acknowledged=5))

    assert vacated_by(worker(0, *traits)) == {"door"}
    assert vacated_by(worker(0, *traits, running())) == frozenset()


def test_a_terminating_pod_may_watch_on_whatever_its_successor_acknowledges() -> None:
    pods = running(pod("old", terminating=True), pod("new"))

    assert in_force(worker(0, holding(revision=7), having_released(door=7), pods, heard(acknowledged=7))) == {"door"}


def test_an_acknowledgement_from_the_future_is_of_another_assignment() -> None:
    view = worker(0, holding(revision=2), having_released(door=2), running(), heard(acknowledged=9))

    assert in_force(view) == {"door"}


def test_a_running_worker_without_a_record_may_watch_any_camera() -> None:
    assert in_force(worker(0, without_secret(), running())) == {ANY_CAMERA}
    assert in_force(worker(0, without_secret(invalid=True), without_stateful_set(), running())) == {ANY_CAMERA}


def test_pods_that_a_deleted_worker_left_behind_may_watch_any_camera() -> None:
    view = worker(0, without_secret(), without_stateful_set(), running(pod(terminating=True)))

    assert in_force(view) == {ANY_CAMERA}


def test_a_worker_may_hold_what_it_has_and_what_it_has_not_let_go() -> None:
    view = worker(
        0, holding(camera("gate"), revision=7), having_released(door=7, yard=3), running(), heard(acknowledged=5)
    )

    assert may_hold(view, {"gate", "door", "yard", "hall"}) == {"gate", "door"}
    assert may_hold_any(view)


def test_a_worker_without_a_record_may_hold_any_camera_while_it_runs() -> None:
    assert may_hold(worker(0, without_secret(), running()), {"gate", "hall"}) == {"gate", "hall"}
    assert may_hold(worker(0, without_secret()), {"gate", "hall"}) == frozenset()
    assert not may_hold_any(worker(0, without_secret()))


def test_a_worker_without_a_record_and_without_pods_may_have_had_any_camera() -> None:
    assert may_have_had(worker(0, without_secret()), {"gate", "hall"}) == {"gate", "hall"}
    lost = worker(0, holding(revision=900), having_released(**{ANY_CAMERA: 900}))
    assert may_have_had(lost, {"gate", "hall"}) == {"gate", "hall"}
    assert may_have_had(worker(0, holding(revision=7), having_released(door=7)), {"door", "hall"}) == {"door"}


def test_the_record_is_kept_while_no_pod_is_seen() -> None:
    view = worker(0, holding(DOOR, revision=7), having_released(gate=7), heard(acknowledged=5))

    assert next_record(view, released=["door"], staying=[], revision=8) == {"door": 8, "gate": 7}


def test_the_record_keeps_what_is_in_force_and_drops_what_is_not() -> None:
    view = worker(0, holding(DOOR, revision=7), having_released(gate=7, yard=3), running(), heard(acknowledged=5))

    assert next_record(view, released=["door"], staying=[], revision=8) == {"door": 8, "gate": 7}


def test_a_camera_that_comes_back_is_no_longer_released() -> None:
    view = worker(0, holding(revision=7), having_released(door=7), running(), heard(acknowledged=5))

    assert next_record(view, released=[], staying=["door"], revision=8) == {}


def test_a_record_that_was_lost_stays_lost_until_the_new_revision_is_acknowledged() -> None:
    view = worker(0, without_secret(), running())

    assert next_record(view, released=[], staying=["door"], revision=900) == {ANY_CAMERA: 900}
