"""Each check on one picture, without the monitor around it."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bench.picture import effects
from camera_api.faults import Fault
from camera_worker.picture.black import black
from camera_worker.picture.covered import covered
from camera_worker.picture.defocused import defocused
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.features import Features, measure
from camera_worker.picture.monitor import VIEW_CHECKS
from camera_worker.picture.moved import moved
from camera_worker.picture.overexposed import overexposed
from camera_worker.picture.reference import View
from camera_worker.picture.thumbnail import Gray, thumbnail
from unit.worker.picture.scenes import street

Check = Callable[[Evidence], Suspicion | None]


@pytest.fixture(scope="module")
def view() -> View:
    return View(measure(thumbnail(street(1))), np.ones((9, 16), np.float32))


def shown(effect: effects.Effect, severity: int = 1) -> Features:
    frame = street(2)
    return measure(thumbnail(effect(frame, effects.Moment(0, 0, 3, severity, street(1)))))


def flat(level: int) -> Gray:
    return np.full((180, 320), level, np.uint8)


@pytest.mark.parametrize(
    ("check", "effect", "fault"),
    [
        (black, effects.dim, Fault.BLACK),
        (black, effects.lens_cap, Fault.BLACK),
        (overexposed, effects.washed_out, Fault.OVEREXPOSED),
        (moved, effects.pan, Fault.MOVED),
        (moved, effects.rotate, Fault.MOVED),
        (moved, effects.flipped, Fault.MOVED),
        (defocused, effects.defocus_light, Fault.DEFOCUSED),
        (defocused, effects.defocus_strong, Fault.DEFOCUSED),
        (covered, effects.cloth, Fault.COVERED),
        (covered, effects.paint, Fault.COVERED),
        (covered, effects.drops, Fault.COVERED),
    ],
)
def test_a_check_finds_its_fault(view: View, check: Check, effect: effects.Effect, fault: Fault) -> None:
    suspicion = check(Evidence(shown(effect), view))
    assert suspicion is not None
    assert suspicion.fault is fault
    assert any(figure.isdigit() for figure in suspicion.message)


@pytest.mark.parametrize("check", VIEW_CHECKS)
def test_no_check_finds_anything_in_a_good_picture(view: View, check: Check) -> None:
    assert check(Evidence(measure(thumbnail(street(3))), view)) is None


@pytest.mark.parametrize("check", [moved, defocused, covered])
def test_nothing_is_said_about_the_layout_before_a_view_is_learned(check: Check) -> None:
    assert check(Evidence(shown(effects.cloth), None)) is None


@pytest.mark.parametrize(("level", "is_black"), [(44, True), (45, False)])
def test_black_is_below_the_limit(level: int, *, is_black: bool) -> None:
    assert (black(Evidence(measure(flat(level)), None)) is not None) is is_black


@pytest.mark.parametrize(("level", "is_white"), [(216, True), (215, False)])
def test_white_is_above_the_limit(level: int, *, is_white: bool) -> None:
    assert (overexposed(Evidence(measure(flat(level)), None)) is not None) is is_white


def test_a_white_scene_is_not_overexposed(view: View) -> None:
    snow = np.maximum(thumbnail(street(1)), 216)
    snow[:20] = 120
    usual = View(measure(snow), view.reliability)
    assert overexposed(Evidence(measure(snow), usual)) is None


def test_sharpness_is_not_judged_by_another_light_s_reference(view: View) -> None:
    borrowed = replace(view, is_borrowed=True)
    assert defocused(Evidence(shown(effects.defocus_light), view)) is not None
    assert defocused(Evidence(shown(effects.defocus_light), borrowed)) is None


def test_a_small_displacement_is_undone_before_anything_is_lost(view: View) -> None:
    frame = effects._warp(street(2), right=0.018, down=-0.012)
    evidence = Evidence(measure(thumbnail(frame)), view)
    assert evidence.at_rest is not None
    assert evidence.at_rest.lost_share > 0.45
    assert evidence.lost_share < 0.2
    assert all(check(evidence) is None for check in VIEW_CHECKS)


def test_blur_under_fog_is_still_blur_and_fog_alone_is_not(view: View) -> None:
    assert defocused(Evidence(shown(effects.fogged, 0), view)) is not None
    assert all(check(Evidence(shown(effects.fog, 2), view)) is None for check in VIEW_CHECKS)


@pytest.mark.parametrize("severity", [0, 1, 2])
def test_blur_leaves_the_coarse_picture_and_paint_does_not(view: View, severity: int) -> None:
    assert Evidence(shown(effects.defocus_strong, severity), view).coarse_share > 0.65
    assert Evidence(shown(effects.paint, severity), view).coarse_share < 0.5
    assert defocused(Evidence(shown(effects.paint, severity), view)) is None


def test_detail_and_outlines_gone_together_are_a_cover_before_half_of_the_view_is_lost(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = Evidence(shown(effects.drops, 1), view)
    monkeypatch.setattr(Evidence, "is_lost", False)
    suspicion = covered(evidence)
    assert suspicion is not None
    assert "of its outlines is left; at least 40% is expected" in suspicion.message
    # The same by another light's reference means nothing: a lamp draws other outlines.
    assert covered(Evidence(shown(effects.drops, 1), replace(view, is_borrowed=True))) is None


def test_what_takes_sharp_detail_and_brings_none_is_a_cover_before_half_of_the_view_is_lost(view: View) -> None:
    frame = street(2)
    through = 0.5 * effects._blur(frame, 0.03) + 70
    tape = effects._clip(effects._lay(frame, through, effects._mask(frame.shape, 3, 0.55)))
    evidence = Evidence(measure(thumbnail(tape)), view)
    assert not evidence.is_lost
    suspicion = covered(evidence)
    assert suspicion is not None
    assert "of its sharp detail is left; at least 55% is expected" in suspicion.message
    assert covered(Evidence(measure(thumbnail(tape)), replace(view, is_borrowed=True))) is None
    bus = effects.vehicle(frame, effects.Moment(12, 3, 3, 0, frame))
    evidence = Evidence(measure(thumbnail(bus)), view)
    assert evidence.lost_share > 0.3
    assert covered(evidence) is None


def test_a_turned_view_is_found_again_by_a_few_marks_of_which_half_are_still_in_their_blocks() -> None:
    grain = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, (360, 640)), (0, 0), 2) * 4
    road = np.asarray(np.rint(110 + grain), np.uint8)
    marks = np.random.default_rng(9)
    for _ in range(12):
        x, y, angle = int(marks.integers(20, 600)), int(marks.integers(20, 340)), marks.uniform(0, 3.14)
        cv2.line(road, (x, y), (int(x + 40 * np.cos(angle)), int(y + 40 * np.sin(angle))), 220, 4)
    view = View(measure(thumbnail(road)), np.ones((9, 16), np.float32))
    evidence = Evidence(measure(thumbnail(effects._warp(road, degrees=3))), view)
    assert not evidence.is_lost
    suspicion = moved(evidence)
    assert suspicion is not None
    assert "turned by 3°" in suspicion.message


def test_another_view_has_no_place_that_it_could_leave_and_a_cover_has(view: View) -> None:
    boards = []
    for part in (np.s_[:, :340], np.s_[:, 300:]):
        frame = street(2).copy()
        frame[part] = 100
        boards.append(covered(Evidence(measure(thumbnail(frame)), view)))
    left, right = boards
    elsewhere = moved(Evidence(shown(effects.flipped), view))
    assert left is not None
    assert right is not None
    assert elsewhere is not None
    assert elsewhere.message.startswith("only")
    assert not right.continues(left)
    assert elsewhere.continues(left)


def test_what_was_found_elsewhere_is_certain_and_what_is_only_missing_is_not(view: View) -> None:
    for effect in (effects.pan, effects.rotate):
        suspicion = moved(Evidence(shown(effect), view))
        assert suspicion is not None
        assert suspicion.is_certain
    suspicion = covered(Evidence(shown(effects.cloth), view))
    assert suspicion is not None
    assert not suspicion.is_certain


def test_the_message_of_a_turned_camera_says_by_how_much(view: View) -> None:
    suspicion = moved(Evidence(shown(effects.rotate), view))
    assert suspicion is not None
    assert "turned by 12° and 1.00 times as large" in suspicion.message
