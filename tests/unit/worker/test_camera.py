"""A camera from its first try to its health report; see conftest.py for what is real."""

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from camera_api.assignment import AssignedSource, Credentials, HealthThresholds, SourceKind
from camera_api.camera import Transport
from camera_api.category import DecodePolicy
from camera_api.faults import Fault
from camera_api.health import Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.camera import RECONFIGURED, STUCK_AFTER_S
from camera_worker.ingest.source import Timeouts

REFUSED = StreamError(Fault.CONNECTION_REFUSED, "192.0.2.7:554 refused the connection", connected=False)
CLOSED = StreamError(Fault.DISCONNECTED, "rtsp://192.0.2.7:554/door closed the connection")
LOCKED_OUT = StreamError(Fault.AUTH_FAILED, "rtsp://192.0.2.7:554/door answered DESCRIBE with 401")
WRONG_TRANSPORT = StreamError(Fault.UNSUPPORTED_TRANSPORT, "461")


def test_a_camera_that_delivers_works_since_its_first_key_frame(bench: Any, video: Any) -> None:
    camera = bench.camera()
    assert camera.health().verdict is Verdict.CONNECTING

    bench.run(camera, video(12.0))

    health = camera.health()
    assert (health.verdict, health.faults) == (Verdict.WORKING, ())
    assert health.stream is not None
    assert (health.stream.codec, health.stream.width, health.stream.transport) == ("h264", 1280, "TCP")
    assert health.stream.frames_per_second == pytest.approx(25, abs=0.5)
    assert health.stream.bits_per_second == pytest.approx(200_000, rel=0.05)
    assert (camera.counters.frames, camera.counters.key_frames) == (301, 6)


def test_the_thread_tells_of_the_first_key_frame_and_of_no_other(bench: Any, video: Any) -> None:
    camera = bench.camera()

    bench.run(camera, video(12.0))

    # The first key frame, the end of the script, the end of the thread.
    assert bench.changes == 3


def test_a_refused_first_try_is_reported_at_once(bench: Any) -> None:
    camera = bench.camera()

    bench.run(camera, REFUSED)

    health = camera.health()
    assert (health.verdict, health.since) == (Verdict.FAULTY, "2030-01-31T12:00:00Z")
    assert [(fault.fault, fault.message) for fault in health.faults] == [(Fault.CONNECTION_REFUSED, REFUSED.message)]


def test_a_kick_is_a_reconnect_and_no_fault(bench: Any, video: Any) -> None:
    camera = bench.camera()
    verdicts = []
    bench.on_wait = lambda _: verdicts.append(camera.health().verdict)

    bench.run(camera, video(20.0, CLOSED), video(20.0))

    assert set(verdicts) == {Verdict.WORKING}
    assert camera.health().verdict is Verdict.WORKING
    assert camera.counters.reconnects == {"Disconnected": 1}


def test_a_lost_camera_is_faulty_since_its_last_frame_and_tells_when_that_was(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(20.0, CLOSED), REFUSED, REFUSED, REFUSED, REFUSED)

    bench.clock.now = 1020.0 + 10.0
    camera.tick()

    health = camera.health()
    assert [fault.fault for fault in health.faults] == [Fault.CONNECTION_REFUSED]
    assert health.since == health.last_frame_at == "2030-01-31T12:00:20Z"
    assert health.stream is None or health.stream.codec == "h264"


def test_a_report_does_not_change_while_nothing_happens(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(20.0, CLOSED), REFUSED, REFUSED, REFUSED, REFUSED, REFUSED)
    bench.clock.now += 30.0
    camera.tick()
    first = camera.health()

    for drift in (0.0, 0.3, 0.6, 3600.0):
        bench.clock.now += 1.0
        wall = bench.clock.wall() + drift
        object.__setattr__(bench.surroundings, "wall_clock", lambda wall=wall: wall)
        camera.tick()
        assert camera.health() is first


def test_edges_are_logged_and_levels_are_not(bench: Any, video: Any, caplog: pytest.LogCaptureFixture) -> None:
    camera = bench.camera()
    with caplog.at_level(logging.INFO):
        bench.on_wait = lambda _: camera.health()
        bench.run(camera, REFUSED, REFUSED, REFUSED, video(5.0))
        camera.health()

    assert [record.getMessage() for record in caplog.records] == [
        "camera city/door: ConnectionRefused: 192.0.2.7:554 refused the connection",
        "camera city/door: working",
    ]


def test_auto_falls_back_to_udp_without_waiting_and_reports_no_fault(bench: Any, video: Any) -> None:
    camera = bench.camera()

    bench.run(camera, WRONG_TRANSPORT, video(5.0))

    assert [transport for _, transport, _ in bench.opener.tries] == ["TCP", "UDP"]
    assert bench.opener.tries[0][0] == bench.opener.tries[1][0]
    assert camera.health().verdict is Verdict.WORKING


def test_http_sources_are_opened_as_such(bench: Any, video: Any) -> None:
    camera = bench.camera(source=AssignedSource(kind=SourceKind.HTTP, main_url="http://192.0.2.7/video"))

    bench.run(camera, video(1.0))

    assert bench.opener.tries[0][1] == "HTTP"


def test_other_credentials_end_the_wait_and_spare_the_judgement(bench: Any, video: Any, assigned: Any) -> None:
    camera = bench.camera()
    right = Credentials(username="viewer", password=SecretStr("right"))

    def mend(seconds: float) -> None:
        if seconds >= 60:
            camera.update(assigned(credentials=right))
            bench.clock.now -= seconds  # the wait has ended at once

    bench.on_wait = mend
    bench.run(camera, LOCKED_OUT, video(5.0))

    assert bench.opener.tries[1][0] == bench.opener.tries[0][0]
    assert bench.opener.tries[1][2] == right
    assert camera.health().verdict is Verdict.WORKING


def test_new_credentials_of_a_working_camera_are_tried_while_it_counts_as_working(
    bench: Any, video: Any, assigned: Any
) -> None:
    camera = bench.camera()
    other = assigned(credentials=Credentials(username="viewer", password=SecretStr("new")))
    first = video(5.0, lambda: camera.update(other))

    bench.run(camera, first, video(5.0))

    assert first.closed
    assert bench.opener.tries[1][0] == pytest.approx(bench.opener.tries[0][0] + 5.0)
    assert camera.counters.reconnects == {RECONFIGURED: 1}
    assert camera.health().since == "2030-01-31T12:00:00Z"


def test_another_url_makes_it_another_stream(bench: Any, video: Any, assigned: Any) -> None:
    camera = bench.camera()
    elsewhere = AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.8/door")

    def move() -> None:
        camera.update(assigned(source=elsewhere))
        assert camera.health().verdict is Verdict.CONNECTING
        assert camera.key_frame is None

    bench.run(camera, video(5.0, move), REFUSED)

    assert camera.health().verdict is Verdict.FAULTY


@pytest.mark.parametrize(
    "settings",
    [
        {"maintenance": True},
        {"decode": DecodePolicy.NONE},
        {"health": HealthThresholds(offline_after_seconds=30)},
    ],
)
def test_settings_that_are_not_about_the_way_to_it_leave_the_stream_alone(
    bench: Any, video: Any, assigned: Any, settings: dict[str, Any]
) -> None:
    camera = bench.camera()

    bench.run(camera, video(5.0, lambda: camera.update(assigned(**settings))))

    assert camera.counters.frames == 126
    assert len(bench.opener.tries) == 1


def test_a_stopped_camera_closes_its_stream(bench: Any, video: Any) -> None:
    camera = bench.camera()
    stream = video(5.0, camera.stop)

    bench.run(camera, stream, video(5.0))

    assert stream.closed
    assert len(bench.opener.tries) == 1


def test_whatever_a_stream_provokes_is_that_cameras_fault_only_and_shows_no_text(
    bench: Any, video: Any, caplog: pytest.LogCaptureFixture
) -> None:
    camera = bench.camera()

    bench.run(camera, KeyError("rtsp://viewer:hunter2@192.0.2.7"), video(5.0))

    assert camera.health().verdict is Verdict.WORKING
    assert "KeyError" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [(DecodePolicy.EVERY_KEY_FRAME, 2.0), (DecodePolicy.KEY_FRAME_EVERY_10S, 10.0)],
)
def test_key_frames_are_decoded_by_policy(bench: Any, video: Any, policy: DecodePolicy, seconds: float) -> None:
    stream = video(41.0)
    bench.run(bench.camera(decode=policy), stream)

    assert stream.decoded == pytest.approx([number * seconds for number in range(int(40 / seconds) + 1)])


def test_nothing_is_decoded_when_the_policy_says_so(bench: Any, video: Any) -> None:
    stream = video(40.0)
    camera = bench.camera(decode=DecodePolicy.NONE)
    bench.run(camera, stream)

    assert stream.decoded == []
    assert camera.key_frame is not None


def test_streams_of_key_frames_only_are_decoded_about_once_a_second(bench: Any, video: Any) -> None:
    stream = video(10.0, key_every=1)
    bench.run(bench.camera(), stream)

    assert 9 <= len(stream.decoded) <= 12


def test_disabled_faults_do_not_show(bench: Any, video: Any) -> None:
    camera = bench.camera(health=HealthThresholds(disabled_faults=(Fault.FLAPPING,)))
    bench.run(camera, *(video(2.0, CLOSED) for _ in range(4)), video(5.0, camera.stop))
    assert camera.health().verdict is Verdict.WORKING

    camera.update(camera.assigned.model_copy(update={"health": HealthThresholds()}))
    assert [fault.fault for fault in camera.health().faults] == [Fault.FLAPPING]


def test_uptime_and_the_time_of_faults_add_up_to_the_observed_time(bench: Any, video: Any) -> None:
    camera = bench.camera()
    bench.run(camera, video(30.0, CLOSED), REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED)
    bench.clock.now = 1090.0
    camera.tick()

    view = camera.view()

    assert view.up_seconds == pytest.approx(30.0, abs=0.1)
    assert view.observed_seconds == pytest.approx(90.0, abs=0.1)
    assert view.fault_seconds[Fault.CONNECTION_REFUSED] == pytest.approx(60.0, abs=0.1)


def test_maintenance_counts_nowhere(bench: Any, video: Any) -> None:
    camera = bench.camera(maintenance=True)
    bench.run(camera, video(30.0))
    camera.tick()

    assert (camera.view().up_seconds, camera.view().observed_seconds, camera.view().is_up) == (0.0, 0.0, True)


def test_a_thread_that_does_nothing_for_minutes_is_stuck_but_not_while_it_waits(bench: Any, video: Any) -> None:
    camera = bench.camera()
    seen = []

    def look() -> None:
        seen.append(camera.is_stuck)
        bench.clock.now += STUCK_AFTER_S + 1
        seen.append(camera.is_stuck)
        camera.stop()

    bench.run(camera, video(1.0, look))
    assert seen == [False, True]

    waiting = bench.camera()
    bench.on_wait = lambda _: seen.append(waiting.is_stuck)
    bench.run(waiting, LOCKED_OUT)
    assert seen[2:] == [False] * len(seen[2:])
    assert len(seen) > 2


def test_an_unknown_size_is_learned_from_the_first_picture(bench: Any, video: Any) -> None:
    stream = video(6.0)
    stream.info = type(stream.info)("h264", 0, 0, "UDP")
    camera = bench.camera(decode=DecodePolicy.NONE)

    bench.run(camera, stream)

    info = camera.view().stream
    assert info is not None
    assert (info.width, info.height, info.transport) == (1280, 720, "UDP")
    assert len(stream.decoded) == 1


@pytest.mark.parametrize("offline_after_s", [1.0, 10.0, 3600.0])
def test_time_outs_bound_how_long_a_thread_cannot_be_stopped(offline_after_s: float) -> None:
    timeouts = Timeouts.for_camera(offline_after_s)

    assert timeouts.connect_s + 2 * timeouts.open_s <= 13
    assert 1.0 <= timeouts.read_s <= 30.0


def test_a_transport_that_is_asked_for_is_used(bench: Any, video: Any) -> None:
    source = AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.7/door", transport=Transport.UDP)

    bench.run(bench.camera(source=source), video(1.0))

    assert [transport for _, transport, _ in bench.opener.tries] == ["UDP"]
