"""What another assignment does to cameras, and when it is acknowledged."""

from typing import Any

import pytest

from camera_api.assignment import AssignedCamera
from camera_api.health import CameraHealth, Verdict
from camera_worker.health import HealthStore
from camera_worker.supervisor import Supervisor


class FakeCamera:
    """Lets go when the test says so."""

    def __init__(self, assigned: AssignedCamera, diary: list[str]) -> None:
        self.assigned = assigned
        self.is_alive = False
        self.diary = diary
        self.verdict = Verdict.CONNECTING

    def start(self) -> None:
        self.is_alive = True
        self.diary.append(f"start {self.assigned.name}")

    def stop(self) -> None:
        self.diary.append(f"stop {self.assigned.name}")

    def update(self, assigned: AssignedCamera) -> None:
        self.assigned = assigned
        self.diary.append(f"update {assigned.name}")

    def tick(self) -> None:
        pass

    def health(self) -> CameraHealth:
        return CameraHealth(
            namespace="city",
            name=self.assigned.name,
            uid=self.assigned.uid,
            verdict=self.verdict,
            since="2030-01-31T12:00:00Z",
        )


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def supervisor(diary: list[str]) -> Supervisor[FakeCamera]:
    return Supervisor(lambda assigned: FakeCamera(assigned, diary), HealthStore("this-process"))


def test_cameras_of_the_first_assignment_are_started_and_acknowledged(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("a"), assigned("b"), revision=4))

    assert diary == ["start a", "start b"]
    assert supervisor.store.acknowledged_revision == 4
    assert supervisor.news.is_set()


def test_cameras_that_stay_are_not_touched(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("a"), assigned("b")))
    before = dict(supervisor.cameras)
    diary.clear()

    supervisor.take_over(make_assignment(assigned("a"), assigned("b"), assigned("c"), revision=2))
    supervisor.take_over(make_assignment(assigned("a"), assigned("c"), revision=3))

    assert diary == ["start c", "stop b"]
    assert supervisor.cameras["uid-a"] is before["uid-a"]


def test_a_changed_camera_is_told(supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any) -> None:
    supervisor.take_over(make_assignment(assigned("a"), assigned("b")))
    diary.clear()

    supervisor.take_over(make_assignment(assigned("a", maintenance=True), assigned("b"), revision=2))

    assert diary == ["update a"]


def test_a_revision_is_acknowledged_only_when_removed_cameras_have_let_go(
    supervisor: Any, assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("a"), assigned("b")))
    leaving = supervisor.cameras["uid-b"]

    supervisor.take_over(make_assignment(assigned("a"), revision=2))
    supervisor.tick()
    assert supervisor.store.acknowledged_revision == 1

    leaving.is_alive = False
    supervisor.tick()
    assert supervisor.store.acknowledged_revision == 2
    assert supervisor.store.report("w", "this-process", 1).removed == ("uid-b",)


def test_one_camera_that_does_not_let_go_holds_nothing_else_up(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("stuck")))
    supervisor.take_over(make_assignment(revision=2))

    supervisor.take_over(make_assignment(assigned("new"), revision=3))

    assert diary[-1] == "start new"
    assert supervisor.store.acknowledged_revision == 1


def test_a_camera_that_comes_back_is_not_pulled_twice(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("a")))
    old = supervisor.cameras["uid-a"]
    supervisor.take_over(make_assignment(revision=2))
    supervisor.take_over(make_assignment(assigned("a"), revision=3))
    supervisor.take_over(make_assignment(assigned("a", maintenance=True), revision=4))
    assert diary == ["start a", "stop a"]

    old.is_alive = False
    supervisor.tick()

    assert diary == ["start a", "stop a", "start a"]
    assert supervisor.cameras["uid-a"].assigned.maintenance
    assert supervisor.store.acknowledged_revision == 4


def test_a_camera_that_comes_and_goes_before_it_had_let_go_stays_away(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("a")))
    old = supervisor.cameras["uid-a"]
    supervisor.take_over(make_assignment(revision=2))
    supervisor.take_over(make_assignment(assigned("a"), revision=3))
    supervisor.take_over(make_assignment(revision=4))

    old.is_alive = False
    supervisor.tick()

    assert diary == ["start a", "stop a"]
    assert supervisor.store.acknowledged_revision == 4


def test_a_camera_made_anew_under_the_same_name_is_another_one(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(assigned("a", uid="first")))

    supervisor.take_over(make_assignment(assigned("a", uid="second"), revision=2))

    assert diary == ["start a", "stop a", "start a"]
    assert set(supervisor.cameras) == {"second"}


async def test_all_cameras_are_stopped_at_once_and_the_slow_ones_counted(
    supervisor: Any, diary: list[str], assigned: Any, make_assignment: Any
) -> None:
    supervisor.take_over(make_assignment(*(assigned(name) for name in "abc")))
    for name in "ab":
        supervisor.cameras[f"uid-{name}"].is_alive = False
    diary.clear()

    assert await supervisor.stop(0.0) == 1
    assert diary == ["stop a", "stop b", "stop c"]
