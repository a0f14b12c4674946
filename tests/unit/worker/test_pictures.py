"""Picture faults of a camera from its decoded key frames to its health report; see conftest.py for what is real."""

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from bench.picture import effects
from bench.picture.effects import Effect
from camera_api.assignment import AssignedCamera, AssignedSource, HealthThresholds, SourceKind
from camera_api.category import DecodePolicy
from camera_api.faults import Fault
from camera_api.health import CameraHealth, Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.evidence import FIT, MAX_JPEG_BYTES, Evidence, Still
from camera_worker.ingest.pictures import PictureHealth, Seen

CLOSED = StreamError(Fault.DISCONNECTED, "rtsp://192.0.2.7:554/door closed the connection")
UNANSWERED = [StreamError(Fault.TIMED_OUT, "no answer", connected=False)] * 6
#: Key frames come every 2 s; a view is learned from nine.
LEARNED_S = 20.0


def _after(seconds: float, effect: Effect | None, until: float = float("inf")) -> Callable[[float], Effect | None]:
    return lambda moment: effect if seconds <= moment < until else None


def shown(evidence: Evidence | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    assert evidence is not None

    def pixels(still: Still | None) -> np.ndarray | None:
        jpeg = still.jpeg() if still is not None else None
        if jpeg is None:
            return None
        assert len(jpeg) <= MAX_JPEG_BYTES
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert max(picture.shape) == FIT
        return picture

    return pixels(evidence.good), pixels(evidence.faulty)


@pytest.mark.parametrize(
    ("effect", "fault"),
    [
        (effects.black, Fault.BLACK),
        (effects.overexposed, Fault.OVEREXPOSED),
        (effects.hand, Fault.COVERED),
        (effects.pan, Fault.MOVED),
        (effects.defocus_strong, Fault.DEFOCUSED),
        (effects.frozen, Fault.FROZEN),
    ],
)
def test_a_picture_fault_is_reported_since_the_last_good_key_frame_with_what_was_measured(
    bench: Any, video: Any, effect: Effect, fault: Fault
) -> None:
    camera = bench.camera()
    bench.run(camera, video(30.0, effect=_after(LEARNED_S, effect)))

    health = camera.health()
    assert (health.verdict, [active.fault for active in health.faults]) == (Verdict.FAULTY, [fault])
    # Frozen: the first picture that comes again and again is a good one.
    since = {"2030-01-31T12:00:18Z", "2030-01-31T12:00:20Z"} if fault is Fault.FROZEN else {"2030-01-31T12:00:18Z"}
    assert health.since in since
    assert any(digit in health.faults[0].message for digit in "0123456789")
    view = camera.view()
    assert (view.is_up, view.faults) == (False, (fault,))
    assert view.fault_seconds[fault] > 0


def test_the_report_stands_while_the_fault_does_and_its_end_is_told(bench: Any, video: Any) -> None:
    camera = bench.camera()
    stream = video(60.0, effect=_after(LEARNED_S, effects.black, 40.0))
    reports = []
    stream.effect = _spied(stream.effect, lambda: reports.append(camera.health()))
    bench.run(camera, stream)

    verdicts = [report.verdict for report in reports]
    faulty = [report for report in reports if report.verdict is Verdict.FAULTY]
    assert len({(report.since, report.faults) for report in faulty}) == 1
    assert verdicts.count(Verdict.FAULTY) > 5
    assert camera.health().verdict is Verdict.WORKING
    # Six good key frames after it has ended; the test asks right before the next one.
    assert camera.health().since == "2030-01-31T12:00:52Z"


def test_its_change_is_told_at_once(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(60.0, effect=_after(LEARNED_S, effects.black, 40.0)))

    # The first key frame, the fault, its end, the end of the script, the end of the thread.
    assert bench.changes == 5


def test_a_disabled_fault_does_not_show(bench: Any, video: Any) -> None:
    camera = bench.camera(health=HealthThresholds(disabled_faults=(Fault.BLACK,)))
    bench.run(camera, video(30.0, effect=_after(LEARNED_S, effects.black)))

    assert camera.health().verdict is Verdict.WORKING
    assert camera.evidence() is None


def test_a_lost_stream_ends_what_is_known_of_the_picture_but_not_what_was_learned(bench: Any, video: Any) -> None:
    camera = bench.camera()
    during: list[list[Fault]] = []
    after: list[CameraHealth] = []

    def wait(_: float) -> None:
        camera.tick()
        during.append([active.fault for active in camera.health().faults])

    bench.on_wait = wait
    bench.run(
        camera,
        video(30.0, CLOSED, effect=_after(LEARNED_S, effects.pan)),
        *UNANSWERED,
        video(8.0, lambda: after.append(camera.health()), effect=lambda _: effects.pan),
    )

    assert [Fault.TIMED_OUT] in during
    # A view that was not known would have to be learned, and the present one would be right.
    assert [active.fault for active in after[0].faults] == [Fault.MOVED]
    assert after[0].since == "2030-01-31T12:00:18Z", "it has stood all the time"


def test_a_fault_that_was_mended_while_the_stream_was_lost_ends_with_the_first_picture(bench: Any, video: Any) -> None:
    camera = bench.camera()
    after: list[CameraHealth] = []
    bench.on_wait = lambda _: camera.tick()
    lost = video(30.0, CLOSED, effect=_after(LEARNED_S, effects.pan))
    bench.run(camera, lost, *UNANSWERED, video(1.0, lambda: after.append(camera.health())))

    assert [health.verdict for health in after] == [Verdict.WORKING]


def test_a_short_reconnect_changes_nothing(bench: Any, video: Any) -> None:
    camera = bench.camera()
    reports = []
    bench.on_wait = lambda _: reports.append(camera.health())
    bench.run(
        camera,
        video(30.0, CLOSED, effect=_after(LEARNED_S, effects.black)),
        video(4.0, effect=lambda _: effects.black),
    )

    assert [active.fault for active in reports[0].faults] == [Fault.BLACK]
    assert camera.health().since == reports[0].since


def test_damaged_key_frames_say_nothing_about_the_picture(bench: Any, video: Any) -> None:
    camera = bench.camera()
    stream = video(30.0, effect=_after(LEARNED_S, effects.black), corrupt=lambda moment: moment >= LEARNED_S)
    bench.run(camera, stream)

    assert [active.fault for active in camera.health().faults] == [Fault.CORRUPT_FRAMES]


def test_a_picture_fault_is_not_claimed_while_no_picture_is_whole(bench: Any, video: Any) -> None:
    camera = bench.camera()
    stream = video(50.0, effect=_after(LEARNED_S, effects.black), corrupt=lambda moment: moment >= 40.0)
    bench.run(camera, stream)

    assert [active.fault for active in camera.health().faults] == [Fault.CORRUPT_FRAMES]


def test_another_source_is_another_picture(bench: Any, video: Any, assigned: Any) -> None:
    camera = bench.camera()
    elsewhere = AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.8:554/yard")
    stream = video(24.0, lambda: camera.update(assigned(source=elsewhere)))
    bench.run(camera, stream, video(24.0, effect=lambda _: effects.pan))

    assert camera.health().verdict is Verdict.WORKING


def test_another_resolution_is_another_picture(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(24.0, CLOSED), video(24.0, effect=lambda _: effects.pan, height=1080))

    assert camera.health().verdict is Verdict.WORKING


def test_settings_that_are_not_about_the_picture_leave_what_was_learned(bench: Any, video: Any, assigned: Any) -> None:
    camera = bench.camera()
    source = camera.assigned.source.model_copy(update={"sub_url": "rtsp://192.0.2.7:554/sub"})
    changed = assigned(source=source, health=HealthThresholds(offline_after_seconds=20.0))
    bench.run(camera, video(24.0, lambda: camera.update(changed)), video(8.0, effect=lambda _: effects.pan))

    assert [active.fault for active in camera.health().faults] == [Fault.MOVED]


def test_an_acknowledged_view_is_the_right_one_from_the_next_key_frame_on(
    bench: Any, video: Any, assigned: Any
) -> None:
    camera = bench.camera(acknowledged_view="2030-01-01")
    stream = video(80.0, effect=_after(LEARNED_S, effects.pan))
    acknowledged = assigned(acknowledged_view="2030-01-31")
    verdicts = {}

    def look(moment: float) -> None:
        verdicts[moment] = camera.health().verdict
        if moment == 30.0:
            camera.update(acknowledged)

    stream.effect = _spied_at(stream.effect, look)
    bench.run(camera, stream)

    assert verdicts[30.0] is Verdict.FAULTY
    assert {verdict for moment, verdict in verdicts.items() if moment > 32.0} == {Verdict.WORKING}


def test_a_moved_camera_is_learned_anew_after_the_time_set_in_its_category(bench: Any, video: Any) -> None:
    camera = bench.camera(health=HealthThresholds(relearn_view_after_seconds=60.0))
    stream = video(140.0, effect=_after(LEARNED_S, effects.pan))
    verdicts = {}
    stream.effect = _spied_at(stream.effect, lambda moment: verdicts.update({moment: camera.health().verdict}))
    bench.run(camera, stream)

    assert {verdict for moment, verdict in verdicts.items() if 28.0 <= moment <= 78.0} == {Verdict.FAULTY}
    assert {verdict for moment, verdict in verdicts.items() if moment >= 82.0} == {Verdict.WORKING}


def test_without_decoding_there_are_no_picture_faults(bench: Any, video: Any) -> None:
    camera = bench.camera(decode=DecodePolicy.NONE)
    bench.run(camera, video(30.0, effect=_after(LEARNED_S, effects.black)))

    assert camera.health().verdict is Verdict.WORKING
    assert camera.counters.decode_seconds == 0


def test_the_detectors_are_told_what_packets_say(bench: Any, video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Seen] = []
    original = PictureHealth.see

    def spied(self: PictureHealth, each: Seen, assigned: AssignedCamera) -> bool:
        seen.append(each)
        return original(self, each, assigned)

    monkeypatch.setattr(PictureHealth, "see", spied)
    bench.run(bench.camera(), video(70.0))

    assert [each.inter_bytes for each in seen] == [None] + [1000.0] * 34
    assert (seen[0].is_variable_rate, seen[-1].is_variable_rate) == (None, False)
    assert [round(later.at - each.at, 3) for each, later in itertools.pairwise(seen)] == [2.0] * 34


def test_the_detectors_are_part_of_the_time_spent_on_decoding(
    bench: Any, video: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PictureHealth.see

    def slow(self: PictureHealth, each: Seen, assigned: AssignedCamera) -> bool:
        bench.clock.now += 0.001
        return original(self, each, assigned)

    monkeypatch.setattr(PictureHealth, "see", slow)
    camera = bench.camera()
    bench.run(camera, video(20.0))

    assert camera.counters.decode_seconds == pytest.approx(0.010)


def test_evidence_shows_the_last_good_and_the_faulty_picture(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(60.0, effect=_after(LEARNED_S, effects.black)))

    evidence = camera.evidence()
    good, faulty = shown(evidence)

    assert evidence is not None
    assert evidence.fault is Fault.BLACK
    assert evidence.message == camera.health().faults[0].message
    assert good is not None
    assert good.std() > 20
    assert faulty is not None
    assert faulty.mean() < 45
    assert evidence.good is not None
    assert evidence.faulty is not None
    assert evidence.since == evidence.good.at < evidence.faulty.at


def test_evidence_of_a_lost_stream_is_the_last_good_picture(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(21.0, CLOSED), *UNANSWERED)
    bench.clock.now += 30.0
    camera.tick()

    evidence = camera.evidence()
    good, faulty = shown(evidence)

    assert evidence is not None
    assert evidence.fault is Fault.TIMED_OUT
    assert good is not None
    assert faulty is None


def test_evidence_outlives_its_fault(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(60.0, effect=_after(LEARNED_S, effects.black, 30.0)))

    assert camera.health().verdict is Verdict.WORKING
    evidence = camera.evidence()
    assert evidence is not None
    assert evidence.fault is Fault.BLACK


def _spied(effect: Callable[[float], Effect | None], look: Callable[[], Any]) -> Callable[[float], Effect | None]:
    return _spied_at(effect, lambda _: look())


def _spied_at(
    effect: Callable[[float], Effect | None], look: Callable[[float], Any]
) -> Callable[[float], Effect | None]:
    """Looks once for each key frame's moment, before the picture is decoded."""
    last: list[float] = []

    def spied(moment: float) -> Effect | None:
        if last[-1:] != [moment]:
            last.append(moment)
            look(moment)
        return effect(moment)

    return spied
