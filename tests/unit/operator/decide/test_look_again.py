"""When time alone changes something."""

import pytest

from builders import (
    SETTINGS,
    camera,
    group,
    health,
    heard,
    holding,
    observed,
    pod,
    running,
    silent_for,
    with_consent_for,
    worker,
)
from camera_operator.decide.model import Observed
from camera_operator.decide.plan import make_plan

DOOR = camera("door")


def wait(everything: Observed) -> float | None:
    return make_plan(everything, SETTINGS).look_again_after


def test_an_empty_group_need_not_be_looked_at_again() -> None:
    assert wait(observed()) is None


def test_consent_that_will_end() -> None:
    assert wait(observed(camera("door", with_consent_for(90)))) == 90


def test_consent_that_has_ended() -> None:
    assert wait(observed(camera("door", with_consent_for(-90)))) is None


def test_planned_work_that_will_end() -> None:
    assert wait(observed(of=group(maintenance={"until": "2030-01-31T12:01:00Z"}))) == 60


def test_a_far_moment_is_looked_at_every_hour_because_clocks_are_set() -> None:
    assert wait(observed(camera("door", with_consent_for(10**7)))) == 3600


def test_a_near_moment_is_not_asked_for_in_a_tight_loop() -> None:
    assert wait(observed(camera("door", with_consent_for(0.001)))) == 0.05


@pytest.mark.parametrize(
    ("traits", "seconds"),
    [
        ((running(), heard(5)), 15),
        ((running(), silent_for(5)), 15),
        ((running(pod(ready=False)), silent_for(5)), 25),
        ((running(), heard(21)), None),
        ((heard(5),), None),
    ],
)
def test_a_worker_that_may_become_lost(traits: tuple, seconds: float | None) -> None:  # type: ignore[type-arg]
    assert wait(observed(DOOR, workers=(worker(0, holding(DOOR), *traits),))) == seconds


def test_the_first_of_several_moments_counts() -> None:
    watcher = worker(0, holding(DOOR), running(), heard(5))

    assert wait(observed(camera("door", with_consent_for(3)), workers=(watcher,))) == 3


def test_a_camera_that_is_connecting_keeps_its_state_only_for_a_while() -> None:
    watcher = worker(0, holding(DOOR), running(), heard(-100))

    assert wait(observed(DOOR, workers=(watcher,), reports=(health(DOOR, connecting=True),))) == 30
