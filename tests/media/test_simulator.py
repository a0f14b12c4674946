"""The camera simulator seen by a client: each fault is what a real camera with that fault shows."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import av
import numpy as np
import numpy.typing as npt
import pytest

from simulator_process import SimulatorProcess

pytestmark = pytest.mark.media

PASSWORD: Final = "s3cret pass/word@1"
#: FFmpeg stops a read that takes longer than twice this.
READ_TIMEOUT: Final = 1.0
#: Pictures a fault can leave on the way: what is queued, and up to one key frame interval.
SWITCH_SECONDS: Final = 3.5

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    av.logging.set_level(None)
    cameras = [
        {"name": "open"},
        {"name": "basic", "auth": "basic", "username": "viewer", "password": PASSWORD},
        {"name": "digest", "auth": "digest", "username": "viewer", "password": PASSWORD},
        {"name": "full-hd", "clip": "h264-1080p"},
        {"name": "h265", "codec": "h265"},
        {"name": "mjpeg", "codec": "mjpeg"},
    ]
    with SimulatorProcess(cameras) as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(simulator: SimulatorProcess) -> Iterator[None]:
    yield
    for name, camera in simulator.cameras().items():
        if camera["fault"] != "none":
            simulator.clear_fault(name)


@contextlib.contextmanager
def opened(url: str, transport: str = "tcp", read_timeout: float = READ_TIMEOUT) -> Iterator[Any]:
    options = {"rtsp_transport": transport, "timeout": "2000000", "analyzeduration": "200000"}
    with av.open(url, options=options, timeout=(2.0, read_timeout)) as container:
        yield container


def packets(url: str, count: int, transport: str = "tcp") -> list[Any]:
    """The first packets of a new session."""
    with opened(url, transport) as container:
        return list(itertools.islice(container.demux(video=0), count))


def pictures(url: str, count: int) -> list[Picture]:
    """Luma of the first decoded pictures of a new session."""
    with opened(url) as container:
        return [luma(frame) for frame in itertools.islice(container.decode(video=0), count)]


def luma(frame: Any) -> Picture:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()


def sharpness(picture: Picture) -> float:
    """Mean energy of the Laplacian, relative to the contrast."""
    values = picture.astype(np.float64)
    edges = 4 * values[1:-1, 1:-1] - values[:-2, 1:-1] - values[2:, 1:-1] - values[1:-1, :-2] - values[1:-1, 2:]
    return float(np.mean(edges**2) / np.var(values))


def likeness(first: Picture, second: Picture) -> float:
    """Correlation of two pictures, 1 for the same scene."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


class Watcher:
    """Reads one session in a thread and notes when packets arrive and why it ended."""

    def __init__(self, url: str, read_timeout: float = 5.0) -> None:
        self.arrivals: list[tuple[float, Any]] = []
        self.ended = threading.Event()
        self._stop = threading.Event()
        self._arguments = (url, read_timeout)
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)
        assert not self._thread.is_alive()

    def wait_for(self, more: int, timeout: float = 6.0) -> list[Any]:
        """The next packets to arrive."""
        start = len(self.arrivals)
        deadline = time.monotonic() + timeout
        while len(self.arrivals) < start + more:
            assert time.monotonic() < deadline, f"{len(self.arrivals) - start} of {more} packets in {timeout} s"
            time.sleep(0.01)
        return [packet for _, packet in self.arrivals[start:]]

    def _read(self) -> None:
        url, read_timeout = self._arguments
        try:
            with opened(url, read_timeout=read_timeout) as container:
                for packet in container.demux(video=0):
                    if packet.size:
                        self.arrivals.append((time.monotonic(), packet))
                    if self._stop.is_set():
                        break
        except av.FFmpegError:
            pass
        self.ended.set()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("name", "stream", "expected"),
    [
        ("open", "main", ("h264", 1280, 720, 10)),
        ("open", "sub", ("h264", 640, 360, 10)),
        ("full-hd", "main", ("h264", 1920, 1080, 25)),
        ("h265", "main", ("hevc", 1280, 720, 10)),
        ("mjpeg", "main", ("mjpeg", 640, 480, 10)),
    ],
)
def test_stream_has_the_codec_size_and_rate_of_its_clip(
    simulator: SimulatorProcess, name: str, stream: str, expected: tuple[str, int, int, int], transport: str
) -> None:
    with opened(simulator.url(name, stream), transport) as container:
        video = container.streams.video[0]
        frames = list(itertools.islice(container.decode(video), 6))

    codec, width, height, rate = expected
    assert video.codec_context.name == codec
    assert (frames[0].width, frames[0].height) == (width, height)
    steps = np.diff([float(frame.pts * frame.time_base) for frame in frames[1:]])
    assert steps == pytest.approx(1 / rate, abs=0.002)


def test_session_starts_with_a_key_frame_and_has_one_every_two_seconds(simulator: SimulatorProcess) -> None:
    keys = [packet.is_keyframe for packet in packets(simulator.url("open"), 41)]

    assert [index for index, key in enumerate(keys) if key] == [0, 20, 40]


@pytest.mark.parametrize("name", ["basic", "digest"])
def test_camera_with_an_account_answers_only_its_password(simulator: SimulatorProcess, name: str) -> None:
    with_password = simulator.url(name, credentials=True)
    assert packets(with_password, 2)

    for url in (simulator.url(name), with_password.replace("s3cret", "other")):
        with pytest.raises(av.HTTPUnauthorizedError):
            packets(url, 1)
    assert PASSWORD not in simulator.log
    assert PASSWORD not in str(simulator.cameras())


@pytest.mark.parametrize("name", ["open", "digest"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("wrongpassword", av.HTTPUnauthorizedError),
        ("unknownpath", av.HTTPNotFoundError),
        ("unavailable", av.HTTPServerError),
        ("refused", av.ConnectionRefusedError),
    ],
)
def test_fault_that_refuses_clients_ends_sessions_and_names_itself(
    simulator: SimulatorProcess, name: str, fault: str, error: type[Exception]
) -> None:
    url = simulator.url(name, credentials=True)
    with Watcher(url) as watcher:
        simulator.set_fault(name, fault)
        assert watcher.ended.wait(3)
    with pytest.raises(error):
        packets(url, 1)

    simulator.clear_fault(name)
    assert packets(url, 2)


def test_udp_only_camera_answers_461_to_tcp_and_streams_by_udp(simulator: SimulatorProcess) -> None:
    url = simulator.url("open")
    simulator.set_fault("open", "udponly")

    request = f"SETUP {url}/stream=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
    with socket.create_connection((simulator.bind, simulator.port("open")), timeout=2) as connection:
        connection.sendall(request.encode())
        assert connection.recv(1000).startswith(b"RTSP/1.0 461 ")
    with pytest.raises(OSError):  # noqa: PT011 - which one differs between versions of FFmpeg
        packets(url, 1)
    assert len(packets(url, 3, "udp")) == 3


def test_silent_camera_accepts_connections_and_never_answers(simulator: SimulatorProcess) -> None:
    simulator.set_fault("open", "silent")
    with socket.create_connection((simulator.bind, simulator.port("open")), timeout=1) as connection:
        connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)

        simulator.clear_fault("open")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""  # closed either way, so that a client that waits notices
    assert packets(simulator.url("open"), 2)


@pytest.mark.parametrize("name", ["open", "h265", "mjpeg"])
def test_stalled_camera_keeps_the_session_without_pictures_and_goes_on_with_a_key_frame(
    simulator: SimulatorProcess, name: str
) -> None:
    with Watcher(simulator.url(name)) as watcher:
        simulator.set_fault(name, "stall")
        time.sleep(0.3)
        before = len(watcher.arrivals)
        time.sleep(1.5)

        assert len(watcher.arrivals) == before
        assert not watcher.ended.is_set()
        assert simulator.camera(name)["clients"] == 1

        simulator.clear_fault(name)
        # FFmpeg hands out a picture when the next one begins: the one from before the stall comes first.
        assert any(packet.is_keyframe for packet in watcher.wait_for(2))


@pytest.mark.parametrize("name", ["open", "mjpeg"])
def test_new_session_of_a_stalled_camera_is_set_up_but_gets_no_picture(simulator: SimulatorProcess, name: str) -> None:
    simulator.set_fault(name, "stall")
    with opened(simulator.url(name), read_timeout=0.5) as container, pytest.raises(av.ExitError):
        next(container.demux(video=0))

    with opened(simulator.url(name)) as container:
        assert container.streams.video[0].codec_context.name
        simulator.clear_fault(name)
        assert next(container.demux(video=0)).is_keyframe


def test_kick_disconnects_once_and_the_camera_is_in_good_order_right_after(simulator: SimulatorProcess) -> None:
    with Watcher(simulator.url("open")) as watcher:
        simulator.set_fault("open", "kick")
        assert watcher.ended.wait(3)

    assert simulator.camera("open")["fault"] == "none"
    assert packets(simulator.url("open"), 2)


def test_repeated_kick_disconnects_again_and_again(simulator: SimulatorProcess) -> None:
    simulator.set_fault("open", "kick", everySeconds=0.7)
    for _ in range(2):
        with Watcher(simulator.url("open")) as watcher:
            assert watcher.ended.wait(3)


def test_restart_refuses_connections_for_its_time_then_ends_by_itself(simulator: SimulatorProcess) -> None:
    simulator.set_fault("open", "restart", forSeconds=1.0)
    with pytest.raises(av.ConnectionRefusedError):
        packets(simulator.url("open"), 1)

    time.sleep(1.2)
    assert simulator.camera("open")["fault"] == "none"
    assert packets(simulator.url("open"), 2)


def test_clock_jumps_forward_and_back_in_one_session(simulator: SimulatorProcess) -> None:
    with Watcher(simulator.url("open")) as watcher:
        simulator.set_fault("open", "clockjump", everySeconds=0.5, offsetSeconds=1800)
        seconds = [float(packet.dts * packet.time_base) for packet in watcher.wait_for(15)[1:]]

    steps = np.diff(seconds)
    assert steps.max() == pytest.approx(1800, abs=1)
    assert steps.min() == pytest.approx(-1800, abs=1)


@pytest.mark.parametrize(("name", "usual_step"), [("open", 0.1), ("full-hd", 0.04), ("mjpeg", 0.1)])
def test_slow_camera_sends_two_fifths_of_the_pictures(
    simulator: SimulatorProcess, name: str, usual_step: float
) -> None:
    simulator.set_fault(name, "slow")
    with Watcher(simulator.url(name)) as watcher:
        watcher.wait_for(10)
        arrived = [moment for moment, _ in watcher.arrivals[-8:]]
        stamped = [float(packet.dts * packet.time_base) for _, packet in watcher.arrivals[-8:]]

    assert np.diff(stamped) == pytest.approx(2.5 * usual_step, abs=0.002)
    assert (arrived[-1] - arrived[0]) / 7 == pytest.approx(2.5 * usual_step, rel=0.2)


@pytest.mark.parametrize("name", ["open", "h265", "mjpeg"])
def test_frozen_camera_repeats_one_picture_to_the_last_bit_with_running_timestamps(
    simulator: SimulatorProcess, name: str
) -> None:
    simulator.set_fault(name, "freeze")
    with opened(simulator.url(name)) as container:
        # More than a key frame interval: the next key frame is the same picture, too.
        frames = list(itertools.islice(container.decode(video=0), 23))
    first = luma(frames[0])

    assert all(np.array_equal(first, luma(frame)) for frame in frames)
    assert np.diff([float(frame.pts * frame.time_base) for frame in frames[1:]]) == pytest.approx(0.1, abs=0.002)
    assert np.array_equal(first, pictures(simulator.url(name), 1)[0])  # for whoever comes later as well

    simulator.clear_fault(name)
    moving = pictures(simulator.url(name), 3)
    assert not np.array_equal(moving[0], moving[2])


@pytest.fixture(scope="module")
def good_picture(simulator: SimulatorProcess) -> Picture:
    return pictures(simulator.url("open"), 1)[0]


def test_black_camera_is_dark_everywhere(simulator: SimulatorProcess) -> None:
    simulator.set_fault("open", "black")
    picture = pictures(simulator.url("open"), 1)[0]

    assert np.percentile(picture, 99) < 45


def test_overexposed_camera_is_white_everywhere(simulator: SimulatorProcess) -> None:
    simulator.set_fault("open", "overexposed")
    picture = pictures(simulator.url("open"), 1)[0]

    assert np.percentile(picture, 1) > 215


def test_covered_camera_shows_next_to_nothing_of_the_scene(simulator: SimulatorProcess, good_picture: Picture) -> None:
    simulator.set_fault("open", "covered")
    picture = pictures(simulator.url("open"), 1)[0]

    visible = slice(0, int(picture.shape[1] * 0.9))
    assert picture[:, visible].std() < 5 < good_picture[:, visible].std()


def test_defocused_camera_shows_the_same_scene_without_edges(
    simulator: SimulatorProcess, good_picture: Picture
) -> None:
    simulator.set_fault("open", "defocused")
    picture = pictures(simulator.url("open"), 1)[0]

    assert sharpness(picture) < 0.3 * sharpness(good_picture)
    assert likeness(picture, good_picture) > 0.7


def test_moved_camera_shows_another_scene_as_sharp_as_before(
    simulator: SimulatorProcess, good_picture: Picture
) -> None:
    simulator.set_fault("open", "moved")
    picture = pictures(simulator.url("open"), 1)[0]

    assert likeness(picture, good_picture) < 0.3
    assert sharpness(picture) > 0.3 * sharpness(good_picture)


def test_picture_fault_comes_and_goes_within_one_session(simulator: SimulatorProcess) -> None:
    with opened(simulator.url("open")) as container:
        frames = container.decode(video=0)
        for fault, dark in (("black", True), ("none", False)):
            simulator.set_fault("open", fault)
            deadline = time.monotonic() + SWITCH_SECONDS
            while bool(np.percentile(luma(next(frames)), 99) < 45) is not dark:
                assert time.monotonic() < deadline


def test_main_and_sub_stream_show_the_same_moment(simulator: SimulatorProcess) -> None:
    simulator.set_fault("open", "freeze")
    main, sub = (pictures(simulator.url("open", stream), 1)[0] for stream in ("main", "sub"))

    assert likeness(main[::2, ::2], sub) > 0.98


def test_fault_of_one_camera_leaves_its_neighbours_alone(simulator: SimulatorProcess) -> None:
    with Watcher(simulator.url("open")) as neighbour:
        for fault in ("refused", "wrongpassword", "stall", "kick"):
            simulator.set_fault("digest", fault)
        neighbour.wait_for(5)
        steps = np.diff([moment for moment, _ in neighbour.arrivals])

        assert not neighbour.ended.is_set()
        assert steps.max() < 0.5


def test_cameras_are_added_replaced_and_removed_while_others_run(simulator: SimulatorProcess) -> None:
    with Watcher(simulator.url("open")) as neighbour:
        simulator.add_camera({"name": "late"})
        assert packets(simulator.url("late"), 1)
        simulator.add_camera({"name": "late", "auth": "digest", "username": "viewer", "password": "new"})
        with pytest.raises(av.HTTPUnauthorizedError):
            packets(simulator.url("late"), 1)
        assert packets(simulator.url("late", credentials=True), 1)

        url = simulator.url("late", credentials=True)
        simulator.remove_camera("late")
        with pytest.raises(av.ConnectionRefusedError):
            packets(url, 1)
        assert "late" not in simulator.cameras()
        assert not neighbour.ended.is_set()


def test_many_streams_run_at_their_rate_and_leave_nothing_behind(simulator: SimulatorProcess) -> None:
    for number in range(8):
        simulator.add_camera({"name": f"crowd-{number}"})
    descriptors = Path(f"/proc/{simulator.pid}/fd")
    before = len(list(descriptors.iterdir()))

    with contextlib.ExitStack() as stack:
        watchers = [stack.enter_context(Watcher(simulator.url(f"crowd-{number}"))) for number in range(8)]
        time.sleep(2)
        rates = [len(watcher.arrivals) / (watcher.arrivals[-1][0] - watcher.arrivals[0][0]) for watcher in watchers]
    assert min(rates) > 8

    deadline = time.monotonic() + 3
    while len(list(descriptors.iterdir())) > before + 4:
        assert time.monotonic() < deadline, "connections were left open"
        time.sleep(0.05)
    for number in range(8):
        simulator.remove_camera(f"crowd-{number}")


def test_simulator_ends_cleanly_on_request_with_clients_connected() -> None:
    with SimulatorProcess(1) as simulator:
        watcher = Watcher(simulator.url("camera-001"))
        watcher.__enter__()
        started = time.monotonic()
    watcher.__exit__()

    assert simulator.exit_code == 0
    assert time.monotonic() - started < 5
