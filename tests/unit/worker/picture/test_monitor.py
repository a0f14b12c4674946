import itertools

import cv2
import numpy as np
import pytest

from bench.picture import effects
from bench.picture.effects import FAULT_KINDS, NUISANCES
from camera_api.faults import Fault
from camera_worker.picture.monitor import KeyFrameFacts, PictureFinding, PictureMonitor
from camera_worker.picture.thumbnail import thumbnail
from unit.worker.picture.scenes import Camera, Scene, street


def _first(findings: list[tuple[PictureFinding, ...]]) -> tuple[int, PictureFinding]:
    """After how many key frames the first finding came, and the finding."""
    return next((number, found[0]) for number, found in enumerate(findings, start=1) if found)


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_is_named_within_three_key_frames_and_cleared_after_six_good_ones(camera: Camera, kind: str) -> None:
    last_good = camera.now - 2.0
    after, finding = _first(camera.show(5, FAULT_KINDS[kind].effect))
    assert finding.fault in {FAULT_KINDS[kind].name, *FAULT_KINDS[kind].also}
    assert after <= 3
    assert last_good <= finding.since <= last_good + 2.0
    recovery = camera.show(8)
    assert recovery[4]
    assert not recovery[6]


@pytest.mark.parametrize("kind", NUISANCES)
def test_a_nuisance_is_no_fault(camera: Camera, kind: str) -> None:
    assert not any(camera.show(12, NUISANCES[kind]))


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_faults_of_a_real_scene_are_named(vtest: Scene, kind: str) -> None:
    camera = Camera(vtest)
    assert not any(camera.show(12))
    _, finding = _first(camera.show(3, FAULT_KINDS[kind].effect))
    assert finding.fault in {FAULT_KINDS[kind].name, *FAULT_KINDS[kind].also}


@pytest.mark.parametrize("kind", NUISANCES)
def test_nuisances_of_a_real_scene_are_no_fault(vtest: Scene, kind: str) -> None:
    camera = Camera(vtest)
    assert not any(camera.show(12))
    assert not any(camera.show(6, NUISANCES[kind], severity=2))


def test_two_bad_key_frames_are_not_enough(camera: Camera) -> None:
    for _ in range(3):
        assert not any(camera.show(2, effects.black))
        assert not any(camera.show(1))


def _tape(share: float, *, seed: int = 3) -> effects.Effect:
    """Translucent tape over a part of the picture: over 0.6 the street is covered, over 0.5 not quite."""

    def over(frame: effects.Frame, _: effects.Moment) -> effects.Frame:
        through = 0.5 * effects._blur(frame, 0.03) + 70
        return effects._clip(effects._lay(frame, through, effects._mask(frame.shape, seed, share)))

    return over


def _lorry_in_a_crowd(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
    """No fault, though less than half of the usual view is left."""
    lorry = effects.vehicle(frame, effects.Moment(12, 3, moment.seed, 0, moment.frozen))
    return effects.crowd(lorry, effects.Moment(0, 0, 2, 1, moment.frozen))


def _half_washed_out(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
    """The same, and a quarter of it clipped."""
    return effects._clip(effects._tone(_lorry_in_a_crowd(frame, moment), gain=1.7))


def test_a_washed_out_camera_that_closes_its_iris_for_a_lorry_is_still_overexposed(camera: Camera) -> None:
    began = camera.now - 2.0
    assert not any(camera.show(2, effects.washed_out))
    ((finding,),) = camera.show(1, _half_washed_out)
    assert (finding.fault, finding.since) == (Fault.OVEREXPOSED, began)


@pytest.mark.parametrize("effect", [effects.black, effects.washed_out, effects.overexposed])
def test_what_is_over_is_not_left_open_by_something_else_before_the_lens(
    camera: Camera, effect: effects.Effect
) -> None:
    assert not any(camera.show(2, effect))
    assert not any(camera.show(1, _lorry_in_a_crowd))


def test_one_of_three_pictures_may_leave_it_open_and_not_two(camera: Camera) -> None:
    assert not any(camera.show(1, effects.washed_out))
    assert not any(camera.show(2, _half_washed_out))
    assert not any(camera.show(2, effects.washed_out))
    assert camera.show(1, effects.washed_out)[-1]


@pytest.mark.parametrize("effect", [_tape(0.5), _lorry_in_a_crowd, _half_washed_out])
def test_what_is_never_worse_than_open_is_no_fault(camera: Camera, effect: effects.Effect) -> None:
    assert not any(camera.show(12, effect))


def test_a_cover_is_left_open_only_by_what_is_at_its_place(camera: Camera) -> None:
    assert not any(camera.show(1, _tape(0.6)))
    assert not any(camera.show(1, _lorry_in_a_crowd))
    assert not any(camera.show(1, _tape(0.6)))
    camera.show(3)
    assert not any(camera.show(1, _tape(0.6)))
    assert not any(camera.show(1, _tape(0.5)))
    assert [finding.fault for finding in camera.show(1, _tape(0.6))[-1]] == [Fault.COVERED]


def test_a_cover_that_slips_a_little_is_still_there(camera: Camera) -> None:
    standing = camera.show(3, _tape(0.6))[-1]
    assert standing
    assert camera.show(12, _tape(0.5)) == [standing] * 12
    assert not camera.show(8)[-1]


def test_what_stays_and_is_no_fault_does_not_stop_the_learning(camera: Camera) -> None:
    def van(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
        return effects.vehicle(frame, effects.Moment(12, 3, moment.seed, 0, moment.frozen))

    before = camera.monitor._views[False].reference
    camera._seconds = 10.0
    assert not any(camera.show(80, van))
    assert camera.monitor._views[False].reference is not before
    assert not any(camera.show(20)), "nor is it missed when it drives on"


def test_a_mast_that_has_settled_a_little_aside_does_not_stop_the_learning(camera: Camera) -> None:
    def settled(frame: effects.Frame, _: effects.Moment) -> effects.Frame:
        return effects._warp(frame, right=0.016)

    before = camera.monitor._views[False].reference
    camera._seconds = 10.0
    assert not any(camera.show(57, settled))
    assert camera.monitor._views[False].reference is before, "ten minutes it may come back"
    assert not any(camera.show(33, settled))
    usual = camera.monitor._views[False].reference.luma.astype(int)
    aside, before_it = thumbnail(settled(street(0), effects.Moment(0, 0, 0, 0, street(0)))), thumbnail(street(0))
    assert float(np.abs(usual - aside).mean()) < 0.5 * float(np.abs(usual - before_it).mean())


def test_the_message_stands_while_the_fault_does(camera: Camera) -> None:
    found = camera.show(10, effects.hand)
    messages = {finding.message for findings in found for finding in findings}
    assert len(messages) == 1
    assert "of the usual view is gone; at most 45% may be" in messages.pop()


def test_a_camera_that_is_black_from_the_start_is_black() -> None:
    camera = Camera(street)
    after, finding = _first(camera.show(4, effects.black))
    assert (after, finding.fault, finding.since) == (3, Fault.BLACK, 0.0)


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_after_a_gap_a_fault_that_still_stands_is_there_at_once_since_when_it_was(camera: Camera, kind: str) -> None:
    effect = FAULT_KINDS[kind].effect
    before = camera.number - 1
    found = camera.show(5, effect)[-1]
    camera.monitor.interrupted()
    camera.now += 3600.0
    # The same picture as before, where it is a frozen one.
    frame = effect(street(camera.number), effects.Moment(16, 4, 3, 1, street(before)))
    assert camera.monitor.observe(thumbnail(frame), KeyFrameFacts(camera.now)) == found


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_after_a_gap_one_good_picture_ends_a_fault(camera: Camera, kind: str) -> None:
    camera.show(5, FAULT_KINDS[kind].effect)
    camera.monitor.interrupted()
    camera.now += 3600.0
    assert camera.show(8) == [()] * 8


def test_what_was_suspected_before_a_gap_has_to_show_anew(camera: Camera) -> None:
    for _ in range(3):
        assert not any(camera.show(2, effects.black))
        camera.monitor.interrupted()
        camera.now += 60.0
    began = camera.now
    _, finding = _first(camera.show(3, effects.black))
    assert finding.since == began, "what was before the gap is not known to have lasted"


def test_how_much_changes_over_a_gap_is_no_measure_of_life(camera: Camera) -> None:
    calm = camera.monitor._motion.blocks
    for _ in range(5):
        camera.monitor.interrupted()
        camera.now += 40_000.0
        camera.number += 1000
        camera.show(1)
    assert camera.monitor._motion.blocks == calm


@pytest.mark.parametrize("is_restored", [False, True])
def test_clouds_that_were_seen_every_ten_seconds_stand_not_still_every_two(*, is_restored: bool) -> None:
    still = np.mean([street.__wrapped__(number).astype(np.float32) for number in range(60)], axis=0)
    air = np.random.default_rng(5).standard_normal((360, 2000)).astype(np.float32)
    clouds = np.asarray(cv2.GaussianBlur(air, (0, 0), 60), np.float32)
    clouds *= 6 / clouds.std()

    def sky(number: int) -> effects.Frame:
        """One pixel a second; the number is the second."""
        noise = np.random.default_rng(number).normal(0, 0.5, still.shape)
        return np.asarray(np.clip(np.rint(still + clouds[:, number : number + 640] + noise), 0, 255), np.uint8)

    monitor = PictureMonitor()
    for second in range(0, 400, 10):
        assert not monitor.observe(thumbnail(sky(second)), KeyFrameFacts(float(second)))
    if is_restored:
        memory = monitor.export_memory()
        monitor = PictureMonitor()
        monitor.restore_memory(memory)
    for second in range(400, 440, 2):
        assert not monitor.observe(thumbnail(sky(second)), KeyFrameFacts(float(second)))
    frozen = thumbnail(sky(440))
    found = [monitor.observe(frozen, KeyFrameFacts(440.0 + second)) for second in range(0, 8, 2)]
    assert [finding.fault for finding in found[-1]] == [Fault.FROZEN]


def test_a_picture_in_good_order_is_told_from_a_suspected_one(camera: Camera) -> None:
    told = [camera.monitor.is_suspicious]
    for effect in (effects.black, None):
        camera.show(1, effect)
        told.append(camera.monitor.is_suspicious)
    assert told == [False, True, False]
    assert camera.monitor.knows_view


def test_a_worse_fault_takes_the_place_of_the_first_and_keeps_its_beginning(camera: Camera) -> None:
    _, covered = _first(camera.show(4, effects.hand))
    black = camera.show(4, effects.black)[-1]
    assert [finding.fault for finding in black] == [Fault.BLACK]
    assert black[0].since == covered.since


def test_a_covered_lens_is_not_called_frozen_as_well(camera: Camera) -> None:
    def paint(_: effects.Frame, moment: effects.Moment) -> effects.Frame:
        return effects.paint(moment.frozen, moment)

    found = camera.show(10, paint, severity=2)
    assert {finding.fault for findings in found for finding in findings} == {Fault.COVERED}


def test_a_turned_camera_stays_moved_until_its_view_is_acknowledged(camera: Camera) -> None:
    assert [finding.fault for finding in camera.show(40, effects.pan)[-1]] == [Fault.MOVED]
    camera.monitor.acknowledge_view()
    assert not any(camera.show(20, effects.pan))
    # The old view is another one now.
    assert [finding.fault for finding in camera.show(4)[-1]] == [Fault.MOVED]


def test_the_message_of_a_turned_camera_says_how_far(camera: Camera) -> None:
    _, finding = _first(camera.show(4, effects.pan, severity=1))
    assert "displaced by 20.0% of its width; at most 2.5% may be" in finding.message


def test_a_mast_in_a_gale_is_not_a_turned_camera(camera: Camera) -> None:
    def gale(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
        angle = 2.4 * moment.key
        return effects._warp(frame, right=0.035 * float(np.cos(angle)), down=0.035 * float(np.sin(angle)))

    assert not any(camera.show(20, gale))


def test_a_bus_that_drives_through_is_not_a_cover_but_one_that_stops_is(camera: Camera) -> None:
    assert not any(camera.show(10, effects.vehicle, severity=2))
    camera.show(6)

    def parked(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
        stopped = effects.Moment(12, 3, moment.seed, 2, moment.frozen)
        return effects.vehicle(frame, stopped)

    assert camera.show(4, parked)[-1][0].fault in {Fault.COVERED, Fault.MOVED}


def test_infrared_gets_a_reference_of_its_own(camera: Camera) -> None:
    assert not any(camera.show(3, infrared=False))
    assert not any(camera.show(20, effects.infrared, infrared=True))
    views = camera.monitor._views
    assert set(views) == {False, True}
    assert not views[True].is_borrowed
    day = views[False].reference
    assert not any(camera.show(12, infrared=False))
    assert camera.monitor._views[False].reference is day
    _, finding = _first(camera.show(5, effects.pan, infrared=False))
    assert finding.fault is Fault.MOVED


def test_one_grey_key_frame_is_not_the_night(camera: Camera) -> None:
    camera.show(2, infrared=False)
    camera.show(1, infrared=True)
    camera.show(2, infrared=False)
    assert set(camera.monitor._views) == {False}


def test_dusk_of_an_hour_is_followed(camera: Camera) -> None:
    before = camera.monitor._views[False].reference.tones.mean
    level = itertools.count(step=4)

    def dusk(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
        gain = max(0.2, 1 - next(level) / 400)
        return effects._clip(effects._tone(frame, gain=gain) + effects._noise(frame, moment, 3))

    camera._seconds = 40.0
    assert not any(camera.show(90, dusk))
    assert camera.monitor._views[False].reference.tones.mean < 0.6 * before


def test_a_fault_does_not_become_the_reference(camera: Camera) -> None:
    reference = camera.monitor._views[False].reference
    camera._seconds = 30.0
    assert camera.show(40, effects.defocus_light)[-1]
    assert camera.monitor._views[False].reference is reference


def test_frozen_needs_small_frames_on_variable_rate(camera: Camera) -> None:
    camera.show(10, inter_bytes=9000, is_variable_rate=True)
    assert not any(camera.show(6, effects.frozen, inter_bytes=9000, is_variable_rate=True))
    camera.show(3, inter_bytes=9000, is_variable_rate=True)
    after, finding = _first(camera.show(6, effects.frozen, inter_bytes=120, is_variable_rate=True))
    assert finding.fault is Fault.FROZEN
    assert after <= 3
    assert "120 bytes" in finding.message


def test_a_restarted_worker_need_not_learn_again(camera: Camera) -> None:
    memory = camera.monitor.export_memory()
    assert len(memory) < 100_000
    restarted = Camera(street)
    restarted.monitor.restore_memory(memory)
    assert not any(restarted.show(2))
    _, finding = _first(restarted.show(4, effects.tilt))
    assert finding.fault is Fault.MOVED


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "pickle"])
def test_damaged_memory_is_refused_and_changes_nothing(camera: Camera, damage: str) -> None:
    memory = camera.monitor.export_memory()
    data = {
        "empty": b"",
        "cut": memory[: len(memory) // 2],
        "other": b"PK\x05\x06" + bytes(18),
        "pickle": b"\x80\x04]\x94.",
    }[damage]
    with pytest.raises(ValueError, match="memory of a camera's picture"):
        camera.monitor.restore_memory(data)
    assert set(camera.monitor._views) == {False}


def test_two_cameras_share_nothing() -> None:
    first, second = PictureMonitor(), PictureMonitor()
    black = thumbnail(np.full((360, 640), 16, np.uint8))
    for number in range(4):
        first.observe(black, KeyFrameFacts(float(number)))
    assert not second.observe(thumbnail(street(0)), KeyFrameFacts(0.0))


def test_a_turned_camera_is_moved_though_a_lorry_hides_where_the_view_went(camera: Camera) -> None:
    def behind_lorry(frame: effects.Frame, moment: effects.Moment) -> effects.Frame:
        turned = effects.pan(frame, moment)
        if moment.key > 0:
            turned[30:, 30:] = 140
        return turned

    _, finding = _first(camera.show(3, behind_lorry))
    assert finding.fault is Fault.MOVED
