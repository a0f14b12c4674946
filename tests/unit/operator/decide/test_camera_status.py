"""What is said about a camera: truth first, then calm."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from builders import (
    KEYS,
    MONOTONIC_NOW,
    NOW,
    SETTINGS,
    camera,
    category,
    group,
    health,
    heard,
    holding,
    in_generation,
    in_lifecycle,
    observed,
    planned,
    pod,
    retired,
    running,
    silent_for,
    under_maintenance,
    with_consent_for,
    with_secret,
    with_status,
    without_secret,
    worker,
)
from camera_api.camera import Lifecycle
from camera_api.category import DecodePolicy
from camera_api.faults import FAULTS, Fault, FaultLayer
from camera_api.health import CameraHealth
from camera_operator.decide.model import CameraStatusView, CameraView, ConditionView, GroupView, WorkerView
from camera_operator.decide.plan import make_plan
from world import World

DOOR = camera("door")
WATCHER = worker(0, holding(DOOR), running(), heard())
EARLIER = "2030-01-31T11:00:00Z"


def status_of(
    view: CameraView,
    *reports: CameraHealth,
    on: WorkerView | None = WATCHER,
    of: GroupView | None = None,
    after: float = 0.0,
) -> CameraStatusView:
    """The status that the camera is to have, whether or not it differs."""
    workers = () if on is None else (on,)
    everything = observed(view, workers=workers, reports=reports, of=of, after=after)
    return make_plan(everything, SETTINGS).camera_statuses.get(view.key, view.status)


def standing(*reports: CameraHealth, at: float = -3600) -> CameraView:
    """The door with the status that reports an hour ago gave it."""
    return camera("door", with_status(status_of(DOOR, *reports, after=at)))


def conditions(status: CameraStatusView) -> dict[str, str]:
    return {condition.type: condition.status.value for condition in status.conditions}


def condition(status: CameraStatusView, kind: str) -> ConditionView:
    return next(each for each in status.conditions if each.type == kind)


def verdict(status: CameraStatusView) -> str:
    return f"{status.state}/{status.reason}"


WORKING = health(DOOR)
REFUSED = health(DOOR, Fault.CONNECTION_REFUSED)


# States


def test_a_camera_with_a_good_picture_is_working() -> None:
    status = status_of(DOOR, health(DOOR, since=NOW - timedelta(seconds=30)))

    assert verdict(status) == "Working/Working"
    assert set(conditions(status).values()) == {"True"}
    assert status.since == "2030-01-31T11:59:30Z"
    assert (status.worker, status.category, status.observed_generation) == ("lobby-ingest-0", "shops", 1)


@pytest.mark.parametrize(
    ("view", "expected", "is_ready"),
    [
        (camera("door", planned()), "Planned/Planned", True),
        (camera("door", retired()), "Retired/Retired", True),
        (camera("door", with_secret("nothing")), "Pending/SecretNotFound", False),
        (camera("door", with_consent_for(-1)), "Pending/ConsentExpired", False),
        (camera("door"), "Pending/WaitingForWorker", False),
        (camera("door", under_maintenance()), "Maintenance/Maintenance", False),
    ],
)
def test_a_camera_that_nobody_watches_yet_says_why(view: CameraView, expected: str, is_ready: bool) -> None:
    status = status_of(view, on=None)

    assert verdict(status) == expected
    assert condition(status, "Ready").status == str(is_ready)
    assert conditions(status)["Reachable"] == "Unknown"


def test_only_a_camera_that_nothing_but_another_declaration_helps_is_stalled() -> None:
    assert "Stalled" not in conditions(status_of(DOOR, on=None))
    refused = status_of(camera("door", with_secret("nothing")), on=None)
    assert condition(refused, "Stalled").reason == "SecretNotFound"

    mended = camera("door", with_status(refused))

    assert "Stalled" not in conditions(status_of(mended, on=None))


def test_a_camera_of_a_paused_group_that_no_worker_has_says_so() -> None:
    status = status_of(DOOR, on=None, of=group(paused=True))

    assert verdict(status) == "Pending/GroupPaused"
    assert conditions(status)["Accepted"] == "True"
    assert conditions(status)["Assigned"] == "False"


def test_cameras_that_are_watched_go_on_being_described_while_the_group_is_paused() -> None:
    assert verdict(status_of(DOOR, REFUSED, of=group(paused=True))) == "Faulty/ConnectionRefused"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.layer is not FaultLayer.OBSERVER])
def test_each_fault_makes_its_condition_false_and_hides_what_lies_behind(fault: Fault) -> None:
    status = status_of(DOOR, health(DOOR, fault, message="measured 3, allowed 2"))

    layers = ["Reachable", "Authenticated", "Streaming", "PictureHealthy"]
    index = [FaultLayer.NETWORK, FaultLayer.AUTHENTICATION, FaultLayer.STREAM, FaultLayer.PICTURE].index(fault.layer)
    assert verdict(status) == f"Faulty/{fault}"
    assert [conditions(status)[layer] for layer in layers] == (
        ["True"] * index + ["False"] + ["Unknown"] * (len(layers) - index - 1)
    )
    told = condition(status, layers[index])
    assert told.reason == fault
    assert (condition(status, "Ready").status, condition(status, "Ready").reason) == ("True", "Watched")
    assert told.message.startswith("measured 3, allowed 2")
    assert FAULTS[fault].check_first in told.message


def test_of_two_faults_the_first_in_the_order_of_diagnosis_is_the_reason() -> None:
    status = status_of(DOOR, health(DOOR, Fault.FROZEN, Fault.LOW_FRAME_RATE))

    assert verdict(status) == "Faulty/LowFrameRate"
    assert condition(status, "PictureHealthy").reason == "Frozen"


def test_a_very_long_measurement_does_not_cut_the_advice_off() -> None:
    status = status_of(DOOR, health(DOOR, Fault.STALLED, message="x" * 2000))

    message = condition(status, "Streaming").message
    assert len(message) <= 1024
    assert FAULTS[Fault.STALLED].check_first in message


def test_a_picture_that_is_not_decoded_is_not_called_healthy() -> None:
    blind = category(ingest={"decode": "None"})
    made = make_plan(observed(DOOR, in_category=blind), SETTINGS).writes[0].assignment
    everything = observed(DOOR, in_category=blind, workers=(replace(WATCHER, assignment=made),), reports=(WORKING,))

    status = make_plan(everything, SETTINGS).camera_statuses[DOOR.key]

    assert verdict(status) == "Working/Working"
    assert conditions(status)["PictureHealthy"] == "Unknown"
    assert condition(status, "PictureHealthy").reason == "NotChecked"


def test_a_picture_that_an_overloaded_worker_leaves_out_is_not_called_healthy() -> None:
    overloaded = replace(WATCHER, decode_reduced_to=DecodePolicy.NONE)

    status = status_of(standing(WORKING), WORKING, on=overloaded)

    assert verdict(status) == "Working/Working"
    assert condition(status, "PictureHealthy").reason == "NotChecked"


def test_planned_work_covers_the_state_and_not_the_conditions() -> None:
    status = status_of(camera("door", under_maintenance()), REFUSED)

    assert verdict(status) == "Maintenance/Maintenance"
    assert conditions(status)["Reachable"] == "False"
    assert condition(status, "Ready").reason == "Maintenance"


def test_planned_work_on_the_group_shows_its_note_until_it_ends() -> None:
    of = group(maintenance={"until": "2030-01-31T12:00:10Z", "note": "new switch"})

    assert "new switch" in condition(status_of(DOOR, WORKING, of=of), "Ready").message
    assert verdict(status_of(DOOR, WORKING, of=of, after=10)) == "Working/Working"


def test_after_planned_work_a_camera_is_what_it_was_seen_to_be() -> None:
    covered = camera("door", with_status(status_of(camera("door", under_maintenance()), REFUSED)))
    silent = worker(0, holding(DOOR), running(), silent_for(1))

    assert verdict(status_of(covered, on=silent)) == "Faulty/ConnectionRefused"


def test_a_camera_that_works_with_settings_that_are_no_longer_valid_is_not_ready() -> None:
    view = camera("door", with_secret("nothing"), with_status(standing(WORKING).status), in_generation(2))

    status = status_of(view, WORKING)

    assert verdict(status) == "Working/Working"
    assert conditions(status) == {**dict.fromkeys(conditions(status), "True"), "Accepted": "False", "Ready": "False"}
    assert condition(status, "Ready").reason == "SecretNotFound"


# Who watches the watchers


def test_a_camera_is_unknown_at_once_when_its_worker_has_no_pod() -> None:
    status = status_of(standing(WORKING), WORKING, on=worker(0, holding(DOOR), heard(0)))

    assert verdict(status) == "Unknown/WorkerLost"
    assert {conditions(status)[kind] for kind in ("Reachable", "Streaming", "Ready")} == {"Unknown"}
    assert conditions(status)["Assigned"] == "True"


def test_a_camera_is_unknown_at_once_when_another_pod_has_taken_the_place_of_the_one_that_reported() -> None:
    successor = worker(0, holding(DOOR), running(pod("new", ready=False)), heard(1, acknowledged=0))

    assert verdict(status_of(standing(WORKING), WORKING, on=successor)) == "Unknown/WorkerLost"


def test_a_terminating_pod_counts_as_none() -> None:
    ending = worker(0, holding(DOOR), running(pod(terminating=True)), heard(0))

    assert verdict(status_of(standing(WORKING), WORKING, on=ending)) == "Unknown/WorkerLost"


@pytest.mark.parametrize(
    ("ready", "seconds", "expected"),
    [
        (True, 19.9, "Working/Working"),
        (True, 20.0, "Unknown/ReportStale"),
        (False, 19.9, "Working/Working"),
        (False, 20.0, "Unknown/WorkerLost"),
    ],
)
def test_reports_are_believed_for_20_s(ready: bool, seconds: float, expected: str) -> None:
    on = worker(0, holding(DOOR), running(pod(ready=ready)), heard(seconds))

    assert verdict(status_of(standing(WORKING), WORKING, on=on)) == expected


@pytest.mark.parametrize(
    ("ready", "seconds", "expected"),
    [
        (True, 19.9, "Working/Working"),
        (True, 20.0, "Unknown/ReportStale"),
        (False, 29.9, "Working/Working"),
        (False, 30.0, "Unknown/WorkerLost"),
    ],
)
def test_an_operator_that_has_just_started_waits_for_the_first_report(
    ready: bool, seconds: float, expected: str
) -> None:
    on = worker(0, holding(DOOR), running(pod(ready=ready)), silent_for(seconds))

    assert verdict(status_of(standing(WORKING), on=on)) == expected


def test_a_worker_that_never_came_up_leaves_a_new_camera_pending() -> None:
    starting = worker(0, holding(DOOR), running(pod(ready=False)), silent_for(500))

    assert verdict(status_of(DOOR, on=starting)) == "Pending/WaitingForWorker"


def test_a_running_worker_that_cannot_be_reached_makes_a_new_camera_unknown() -> None:
    unheard = worker(0, holding(DOOR), running(), silent_for(25))

    assert verdict(status_of(DOOR, on=unheard)) == "Unknown/ReportStale"


def test_a_retired_camera_that_comes_back_waits_rather_than_being_lost() -> None:
    back = camera("door", with_status(status_of(camera("door", retired()), on=None)))

    assert verdict(status_of(back, on=worker(0, holding(DOOR)))) == "Pending/WaitingForWorker"


def test_a_lost_camera_stays_unknown_until_its_new_pod_has_a_verdict() -> None:
    lost = camera("door", with_status(status_of(standing(WORKING), WORKING, on=worker(0, holding(DOOR), heard(0)))))
    silent = worker(0, holding(DOOR), running(), heard(5, acknowledged=0))

    assert verdict(status_of(lost, on=silent)) == "Unknown/WorkerLost"
    assert verdict(status_of(lost, health(DOOR, connecting=True))) == "Unknown/WorkerLost"
    assert verdict(status_of(lost, WORKING)) == "Working/Working"


def test_a_camera_that_is_connected_anew_keeps_its_state_for_30_s() -> None:
    began = health(DOOR, connecting=True)

    assert verdict(status_of(standing(WORKING), began, after=0)) == "Working/Working"
    assert verdict(status_of(standing(REFUSED), began, after=0)) == "Faulty/ConnectionRefused"
    reporting = worker(0, holding(DOOR), running(), heard(-30))
    assert verdict(status_of(standing(WORKING), began, on=reporting, after=30)) == "Pending/WaitingForWorker"


def test_a_camera_that_its_worker_does_not_know_is_not_called_working() -> None:
    assert verdict(status_of(standing(WORKING))) == "Pending/WaitingForWorker"


# Calm


def test_ten_reports_with_jittering_figures_write_nothing() -> None:
    view = standing(health(DOOR, Fault.LOW_FRAME_RATE, message="12.1 of 25 frames per second"))

    for figure in range(10):
        report = health(DOOR, Fault.LOW_FRAME_RATE, message=f"12.{figure} of 25 frames per second", since=NOW)
        assert status_of(view, report, after=figure) is view.status


def test_a_status_that_stands_is_the_very_same_object() -> None:
    for view, report in (
        (standing(WORKING), WORKING),
        (standing(REFUSED), REFUSED),
    ):
        assert status_of(view, report) is view.status


def test_another_reason_brings_another_message_and_since() -> None:
    view = standing(health(DOOR, Fault.STALLED, message="nothing for 11 s"))

    status = status_of(view, health(DOOR, Fault.DISCONNECTED, message="closed"))

    streaming = condition(status, "Streaming")
    assert streaming.reason == "Disconnected"
    assert streaming.message.startswith("closed")
    assert streaming.last_transition_time == condition(view.status, "Streaming").last_transition_time
    assert status.since == "2030-01-31T12:00:00Z"


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    view = standing(WORKING)
    status = status_of(view, health(DOOR, Fault.BLACK))

    assert condition(status, "Reachable").last_transition_time == EARLIER
    assert condition(status, "PictureHealthy").last_transition_time == "2030-01-31T12:00:00Z"


def test_since_stays_while_state_and_reason_do_even_if_the_worker_says_otherwise() -> None:
    view = standing(health(DOOR, Fault.STALLED, since=NOW - timedelta(hours=2)))

    assert status_of(view, health(DOOR, Fault.STALLED, since=NOW)).since == "2030-01-31T10:00:00Z"


def test_a_new_generation_is_acknowledged_in_every_condition_with_no_transition() -> None:
    view = camera("door", with_status(standing(WORKING).status), in_generation(2))

    status = status_of(view, WORKING)

    assert status.observed_generation == 2
    assert {each.observed_generation for each in status.conditions} == {2}
    assert {each.last_transition_time for each in status.conditions} == {EARLIER}
    assert status.since == view.status.since


def test_conditions_of_others_in_the_same_list_are_no_reason_to_write() -> None:
    view = standing(WORKING)
    foreign = replace(view.status.conditions[0], type="example.org/Audited")
    shared = replace(view.status, conditions=(*view.status.conditions, foreign))

    assert status_of(camera("door", with_status(shared)), WORKING) is shared


def test_a_since_that_cannot_be_read_becomes_now() -> None:
    garbled = WORKING.model_copy(update={"since": "yesterday"})

    assert status_of(DOOR, garbled).since == "2030-01-31T12:00:00Z"


def test_fractions_of_a_second_and_other_zones_are_brought_to_whole_seconds_of_utc() -> None:
    odd = WORKING.model_copy(update={"since": "2030-01-31T13:30:15.75+02:00"})

    assert status_of(DOOR, odd).since == "2030-01-31T11:30:15Z"


# A life


def _fault(world: World, *faults: Fault) -> None:
    world.faults["door"] = faults
    world.report()


def _come_back(world: World) -> None:
    world.run_kubelet()
    world.report()


STORY: list[tuple[str, Callable[[World], None], str]] = [
    ("the device refuses", lambda world: _fault(world, Fault.CONNECTION_REFUSED), "Faulty/ConnectionRefused"),
    ("it is mended", _fault, "Working/Working"),
    ("its pod is killed", lambda world: world.kill_pod("lobby-ingest-0"), "Unknown/WorkerLost"),
    ("a new pod reports", _come_back, "Working/Working"),
    ("work is planned", lambda world: world.edit("door", under_maintenance()), "Maintenance/Maintenance"),
    ("work is done", lambda world: world.edit("door", in_lifecycle(Lifecycle.ACTIVE)), "Working/Working"),
    ("it is retired", lambda world: world.edit("door", retired()), "Retired/Retired"),
]


def test_the_life_of_a_camera() -> None:
    world = World()
    world.credentials = {"keys": KEYS}
    world.add(camera("door", with_secret("keys")))
    world.reconcile()
    assert verdict(world.cameras["door"].status) == "Pending/WaitingForWorker"
    world.settle()
    assert verdict(world.cameras["door"].status) == "Working/Working"

    for what, happens, expected in STORY:
        world.elapsed += 5
        happens(world)
        world.reconcile()
        assert verdict(world.cameras["door"].status) == expected, what


def test_a_camera_whose_worker_has_no_secret_is_described_as_it_was() -> None:
    view = camera("door", with_status(replace(standing(WORKING).status, worker="lobby-ingest-0")))

    assert verdict(status_of(view, on=worker(0, without_secret(), running(), heard(1)))) == "Working/Working"


def test_a_worker_that_does_not_take_its_assignment_over_is_not_trusted_for_long() -> None:
    def told(seconds: float) -> str:
        late = replace(worker(0, holding(DOOR, revision=2), running(), heard(1)), behind_since=MONOTONIC_NOW - seconds)
        return verdict(status_of(standing(WORKING), on=late))

    assert told(29) == "Working/Working"
    assert told(30) == "Pending/WaitingForWorker"
