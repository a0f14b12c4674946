"""What a camera does for its readers; see conftest.py for what is real."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_api.health import Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.source import KeyFrame
from camera_worker.relay.feed import Kind, RelayPacket
from camera_worker.relay.framing import End

CLOSED = StreamError(Fault.DISCONNECTED, "rtsp://192.0.2.7:554/door closed the connection")
WITH_SUB = AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.7/main", sub_url="rtsp://192.0.2.7/sub")


def packets(camera: Any) -> list[RelayPacket]:
    return [item for item in camera.feed.drain() if isinstance(item, RelayPacket)]


def test_readers_get_every_packet_from_a_key_frame_on(bench: Any, video: Any) -> None:
    camera = bench.camera()
    camera.feed.start()

    bench.run(camera, video(4.0))

    taken = packets(camera)
    assert len(taken) == camera.counters.frames
    assert [packet.is_key for packet in taken[:3]] == [True, False, False]
    assert [len(packet.data) for packet in taken[:2]] == [1000, 1000]


def test_who_comes_in_the_middle_waits_for_a_key_frame(bench: Any, video: Any) -> None:
    camera = bench.camera()
    clip = video(1.0, camera.feed.start)

    bench.run(camera, clip, video(4.0))

    assert packets(camera)[0].is_key
    assert len(packets(camera)) == 0


def test_without_readers_a_packet_costs_nothing(bench: Any, video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = bench.camera()
    monkeypatch.setattr(camera.feed, "take", lambda *_: pytest.fail("nobody reads"))

    bench.run(camera, video(4.0))

    assert camera.counters.frames > 100


def test_a_key_frame_that_readers_get_is_kept_once(bench: Any, video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = bench.camera()
    given: list[memoryview | None] = []

    def key_frame(_: Any, kept: memoryview | None = None) -> KeyFrame:
        given.append(kept)
        return KeyFrame("h264", b"", b"a copy" if kept is None else kept)

    monkeypatch.setattr(type(next(video(0.1).packets())), "key_frame", key_frame)
    bench.run(camera, video(1.0, camera.feed.start), video(1.0))

    key = packets(camera)[0]
    assert [kept is None for kept in given] == [True, False]
    assert given[1] == key.data
    # The bytes that readers are sent, not others that are equal.
    assert camera.key_frame.data.obj is key.chunk


def test_parameters_are_known_while_a_session_stands(bench: Any, video: Any) -> None:
    camera = bench.camera()
    seen: list[Any] = []
    bench.on_wait = lambda _: seen.append(camera.feed.parameters)

    bench.run(camera, video(2.0, lambda: seen.append(camera.feed.parameters)), video(2.0, CLOSED), video(1.0))

    assert (seen[0].codec, seen[0].width, seen[0].height) == ("h264", 1280, 720)
    assert seen[-1] is None


def test_a_released_camera_tells_its_readers(bench: Any, video: Any) -> None:
    camera = bench.camera(source=WITH_SUB)
    for feed in camera.feeds().values():
        feed.start()

    bench.run(camera, video(2.0, camera.stop))

    for feed in camera.feeds().values():
        end = feed.drain()[-1]
        assert isinstance(end, End)
        assert end.reason == "Released"
        assert feed.parameters is None


def test_streams_are_those_that_the_camera_declares(bench: Any, assigned: Any) -> None:
    camera = bench.camera()
    declared: list[Any] = [camera.sub_stream, list(camera.feeds())]

    camera.update(assigned(source=WITH_SUB))

    assert declared == [None, [Kind.MAIN]]
    assert camera.sub_stream is not None
    assert list(camera.feeds()) == [Kind.MAIN, Kind.SUB]


def test_a_camera_is_not_released_before_its_sub_stream_is(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    camera: Any = bench.camera(source=WITH_SUB)
    assert not camera.is_alive

    monkeypatch.setattr(type(camera._sub_stream), "is_alive", property(lambda _: True))

    assert camera.is_alive


def test_another_password_is_for_the_sub_stream_too(bench: Any, assigned: Any) -> None:
    camera = bench.camera(source=WITH_SUB)
    credentials = Credentials(username="viewer", password=SecretStr("another"))

    camera.update(assigned(source=WITH_SUB, credentials=credentials))

    assert camera._sub_stream._assigned.credentials == credentials


def test_a_defect_of_the_relay_is_no_fault_of_the_camera(bench: Any, video: Any) -> None:
    camera = bench.camera()
    camera.feed.start()
    camera.feed._time_line = SimpleNamespace(restart=lambda: None)

    bench.run(camera, video(4.0))

    assert camera.health().verdict is Verdict.WORKING
    assert End("Failed", "the worker failed on the stream: AttributeError") in camera.feed.drain()
    assert not camera.feed.wanted
