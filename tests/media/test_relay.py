"""The relay with real cameras and real readers: PyAV, ffmpeg, sockets that read slowly or not at all."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import av
import pytest

from camera_api.health import Verdict
from camera_worker.ingest.sub_stream import LINGER_S
from camera_worker.relay.framing import CONTENT_TYPE, TICKS_PER_S, End, FrameParser, Header, Packet
from simulator_process import SimulatorProcess
from worker_process import TOKEN, Worker, camera, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from camera_api.assignment import AssignedCamera

pytestmark = pytest.mark.media

PASSWORD: Final = "s3cret pass/word@1"
FPS: Final = 10
KEY_FRAME_S: Final = 2.0
#: Cameras by name, as the simulator has them.
CAMERAS: Final[dict[str, dict[str, Any]]] = {
    "steady": {},
    "kicked": {},
    "changing": {},
    "leaving": {"auth": "digest", "username": "viewer", "password": PASSWORD},
    "h265": {"codec": "h265"},
    "mjpeg": {"codec": "mjpeg"},
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess([{"name": name, **camera} for name, camera in CAMERAS.items()]) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, simulator: SimulatorProcess) -> Iterator[Worker]:
    with Worker(tmp_path_factory.mktemp("worker")) as worker:
        worker.assign(*(assigned(simulator, name) for name in CAMERAS))
        for name in CAMERAS:
            worker.wait_for(name, Verdict.WORKING, within_s=10)
        yield worker


def assigned(simulator: SimulatorProcess, name: str) -> AssignedCamera:
    """A camera with a sub stream, unless it is steady."""
    main = camera(name, simulator.url(name), CAMERAS[name].get("password"))
    sub = None if name == "steady" else simulator.url(name, "sub")
    return main.model_copy(update={"source": main.source.model_copy(update={"sub_url": sub})})


class RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status


class Reader:
    """An analytics worker's end of the ``packets`` route."""

    def __init__(self, worker: Worker, name: str, query: str = "", *, token: str = TOKEN, buffer: int = 0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", worker._port, timeout=15)
        if buffer:
            # Before the connection is made, or the window is agreed upon already.
            self._connection._create_connection = small_window(buffer)  # type: ignore[attr-defined]
        path = f"/v1/cameras/city/{name}/packets{query}"
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            with closing(self._connection):
                raise RefusedError(self._response.status, json.load(self._response)["error"])
        assert self._response.headers["Content-Type"] == CONTENT_TYPE
        self._parser = FrameParser()
        self.header: Header | None = None
        self.packets: list[Packet] = []
        self.end: End | None = None
        #: Seconds from each packet's time on the worker's time line to its arrival.
        self.lags: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def read(self, until: Callable[[], bool], within_s: float = 10.0) -> Self:
        """Reads on until something is true; the end of the body ends it too."""
        deadline = time.monotonic() + within_s
        while not until() and self.end is None:
            assert time.monotonic() < deadline, f"after {len(self.packets)} packets"
            data = self._response.read1(65_536)
            assert data, "cut off without an end"
            for frame in self._parser.feed(data):
                if isinstance(frame, Header):
                    self.header = frame
                elif isinstance(frame, End):
                    self.end = frame
                    assert self._response.read() == b"", "the end is the end"
                else:
                    assert self.header is not None
                    self.packets.append(frame)
                    self.lags.append(time.time() - self.header.epoch_s - frame.pts / TICKS_PER_S)
        return self

    def read_packets(self, number: int, within_s: float = 10.0) -> Self:
        return self.read(lambda: len(self.packets) >= number, within_s)

    def read_for(self, seconds: float) -> Self:
        until = time.monotonic() + seconds
        return self.read(lambda: time.monotonic() >= until, seconds + 5)

    def decoded(self) -> list[Any]:
        """Pictures, by a decoder that knows what the header says and nothing else."""
        assert self.header is not None
        parameters = self.header.parameters
        decoder: Any = av.CodecContext.create(parameters.codec, "r")
        if parameters.extradata:
            decoder.extradata = parameters.extradata
        pictures = []
        for packet in self.packets:
            compressed: Any = av.Packet(packet.data)
            compressed.pts, compressed.dts = packet.pts, packet.dts
            pictures += decoder.decode(compressed)
        return [*pictures, *decoder.decode(None)]


def small_window(size: int) -> Callable[..., socket.socket]:
    def connect(address: tuple[str, int], timeout: float, *_: object) -> socket.socket:
        connection = socket.socket()
        connection.settimeout(timeout)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        connection.connect(address)
        return connection

    return connect


def ts_url(worker: Worker, name: str, query: str = "") -> str:
    return f"http://127.0.0.1:{worker._port}/v1/cameras/city/{name}/stream.ts{query}"


@contextmanager
def opened_ts(worker: Worker, name: str, query: str = "") -> Iterator[Any]:
    """A viewer's end of the ``stream.ts`` route."""
    options = {"headers": f"Authorization: Bearer {TOKEN}\r\n", "analyzeduration": "500000"}
    with av.open(ts_url(worker, name, query), options=options, timeout=10) as container:
        yield container


def is_unbroken(packets: list[Packet]) -> bool:
    steps = {after.dts - before.dts for before, after in itertools.pairwise(packets)}
    return all(abs(step - TICKS_PER_S / FPS) <= 0.01 * TICKS_PER_S for step in steps)


@pytest.mark.parametrize(
    ("name", "codec", "size"),
    [("steady", "h264", (1280, 720)), ("h265", "hevc", (1280, 720)), ("mjpeg", "mjpeg", (640, 480))],
)
def test_packets_hold_all_that_a_decoder_needs(worker: Worker, name: str, codec: str, size: tuple[int, int]) -> None:
    with Reader(worker, name) as reader:
        reader.read_packets(15)

    assert reader.header is not None
    parameters = reader.header.parameters
    assert (parameters.codec, parameters.width, parameters.height) == (codec, *size)
    assert reader.packets[0].is_key
    assert is_unbroken(reader.packets)
    pictures = reader.decoded()
    assert len(pictures) == len(reader.packets)
    assert {(picture.width, picture.height, picture.is_corrupt) for picture in pictures} == {(*size, False)}
    assert [picture.pts for picture in pictures] == [packet.pts for packet in reader.packets]
    # The first ones may come from a group that was kept.
    assert -0.05 < min(reader.lags) <= reader.lags[-1] < 0.3


def test_who_comes_late_begins_with_the_last_key_frame_at_once(worker: Worker) -> None:
    with Reader(worker, "steady") as first:
        first.read(lambda: any(packet.is_key for packet in first.packets))
        # In the middle of the group.
        first.read_packets(len(first.packets) + 8)
        began = time.monotonic()
        with Reader(worker, "steady") as late:
            late.read_packets(8)
            assert time.monotonic() - began < 0.3

    keys = [packet for packet in first.packets if packet.is_key]
    assert late.packets[0] == keys[-1]
    assert is_unbroken(late.packets)


@pytest.mark.parametrize(("name", "codec"), [("steady", "h264"), ("h265", "hevc")])
def test_a_transport_stream_opens_and_decodes(worker: Worker, name: str, codec: str) -> None:
    with opened_ts(worker, name) as first, opened_ts(worker, name) as late:
        for container in (first, late):
            video = container.streams.video[0]
            assert (video.codec_context.name, video.width, video.height) == (codec, 1280, 720)
            pictures = list(itertools.islice(container.decode(video), 12))
            assert not any(picture.is_corrupt for picture in pictures)
        assert worker.metric("camera_relay_readers", name, stream="main") == 2


def test_ffmpeg_plays_a_transport_stream_without_complaint(worker: Worker) -> None:
    headers = ["-headers", f"Authorization: Bearer {TOKEN}\r\n"]
    limits = ["-analyzeduration", "500000"]
    with opened_ts(worker, "steady") as first:
        next(first.decode(video=0))
        # Joins late, in the middle of a group.
        command = ["ffmpeg", "-hide_banner", "-loglevel", "warning", *limits, *headers, "-i", ts_url(worker, "steady")]
        ran = subprocess.run(
            [*command, "-t", "2", "-f", "null", "-"], check=False, capture_output=True, text=True, timeout=20
        )

    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_player_sends_the_token_as_a_password(worker: Worker) -> None:
    url = ts_url(worker, "steady").replace("//", f"//viewer:{TOKEN}@")

    with av.open(url, options={"analyzeduration": "500000"}, timeout=10) as container:
        assert container.streams.video[0].width == 1280


def test_motion_jpeg_has_no_transport_stream(worker: Worker) -> None:
    status, error = refusal(worker, "/v1/cameras/city/mjpeg/stream.ts")

    assert (status, error) == (406, "the camera sends mjpeg, which has no place in MPEG-TS; its packets can be read")


@pytest.mark.parametrize(
    ("path", "token", "status", "named"),
    [
        ("steady/packets", "wrong", 401, "bearer token"),
        ("steady/stream.ts", "wrong", 401, "bearer token"),
        ("nobody/packets", TOKEN, 404, "city/nobody is not assigned"),
        ("steady/packets?stream=sub", TOKEN, 404, "declares no sub stream"),
        ("steady/stream.ts?stream=third", TOKEN, 400, "main or sub"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    worker: Worker, path: str, token: str, status: int, named: str
) -> None:
    refused, error = refusal(worker, f"/v1/cameras/city/{path}", token)

    assert refused == status
    assert named in error


def refusal(worker: Worker, path: str, token: str = TOKEN) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", worker._port, timeout=15)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.load(response)["error"]


def test_a_slow_reader_misses_what_it_cannot_take_and_nobody_else_does(worker: Worker) -> None:
    drops = worker.metric("camera_relay_drops_total", "steady", stream="main") or 0
    with Reader(worker, "steady") as fast, Reader(worker, "steady", buffer=16_384) as slow:
        # Reads nothing meanwhile, for longer than queue and buffers last.
        fast.read_for(2.5 * KEY_FRAME_S)
        slow.read(lambda: any(packet.after_gap for packet in slow.packets))
        slow.read_packets(len(slow.packets) + FPS)

    assert is_unbroken(fast.packets)
    # The first ones may come from a group that was kept.
    assert max(fast.lags[-2 * FPS :]) < 0.5
    gaps = [packet for packet in slow.packets if packet.after_gap]
    assert len(gaps) == 1
    assert gaps[0].is_key
    assert slow.lags[-1] < 2.5
    assert (worker.metric("camera_relay_drops_total", "steady", stream="main") or 0) > drops


def test_a_reader_outlives_a_kick_on_a_time_line_that_goes_on(worker: Worker, simulator: SimulatorProcess) -> None:
    with Reader(worker, "kicked") as reader:
        reader.read_packets(15)
        simulator.set_fault("kicked", "kick")
        reader.read(lambda: any(packet.after_gap for packet in reader.packets))
        reader.read_packets(len(reader.packets) + 15)

    assert reader.end is None
    gap = next(number for number, packet in enumerate(reader.packets) if packet.after_gap)
    assert reader.packets[gap].is_key
    assert all(before.dts < after.dts for before, after in itertools.pairwise(reader.packets))
    # The camera's own stamps have started over.
    assert abs(reader.lags[-1] - reader.lags[gap - 1]) < 0.3
    decodable = [picture.is_corrupt for picture in reader.decoded()]
    assert decodable == [False] * len(reader.packets)


def test_other_parameters_end_a_reader_with_the_reason(worker: Worker, simulator: SimulatorProcess) -> None:
    with Reader(worker, "changing") as reader, opened_ts(worker, "changing") as viewer:
        reader.read_packets(5)
        simulator.add_camera({"name": "changing", "clip": "h264-360p"})
        reader.read(lambda: reader.end is not None)
        assert reader.end == End("ParametersChanged", "the camera sends h264 640x360 now, and sent h264 1280x720")
        # A viewer sees the end of the file.
        assert sum(1 for _ in viewer.demux(video=0)) > 0

        with Reader(worker, "changing") as again:
            again.read_packets(5)
        assert again.header is not None
        assert again.header.parameters.width == 640


def test_a_sub_stream_is_pulled_while_it_is_read(worker: Worker, simulator: SimulatorProcess) -> None:
    sessions = simulator.camera("leaving")["clients"]
    with ExitStack() as readers:
        first = readers.enter_context(Reader(worker, "leaving", "?stream=sub"))
        second = readers.enter_context(Reader(worker, "leaving", "?stream=sub"))
        container = readers.enter_context(opened_ts(worker, "leaving", "?stream=sub"))
        first.read_packets(15)
        second.read_packets(15)
        assert container.streams.video[0].width == 640
        assert first.header is not None
        assert (first.header.parameters.width, first.header.parameters.height) == (640, 360)
        assert len(first.decoded()) == len(first.packets)
        assert simulator.camera("leaving")["clients"] == sessions + 1, "one pull for all readers"
        assert worker.metric("camera_relay_readers", "leaving", stream="sub") == 3

    assert simulator.camera("leaving")["clients"] == sessions + 1, "a reader that comes back finds it there"
    eventually(lambda: simulator.camera("leaving")["clients"] == sessions, LINGER_S + 3, "the end of the pull")
    assert worker.health("leaving").verdict is Verdict.WORKING
    sent = worker.metric("camera_relay_sent_bytes_total", "leaving", stream="sub")
    assert sent is not None
    assert sent > 30_000


def test_a_sub_stream_that_does_not_come_is_no_fault_of_the_camera(worker: Worker, simulator: SimulatorProcess) -> None:
    right = assigned(simulator, "h265")
    url = f"{simulator.url('h265')}/nothing-here"
    worker.assign(right.model_copy(update={"source": right.source.model_copy(update={"sub_url": url})}))
    worker.wait_for("h265", Verdict.WORKING, within_s=5)

    status, error = refusal(worker, "/v1/cameras/city/h265/packets?stream=sub")

    assert status == 503
    assert "the sub stream does not come" in error
    assert "404" in error
    health = worker.health("h265")
    assert (health.verdict, health.faults) == (Verdict.WORKING, ())
    assert worker.metric("camera_reconnects_total", "h265", reason="Disconnected") is None


def test_readers_of_a_camera_that_is_released_are_told(worker: Worker, simulator: SimulatorProcess) -> None:
    with Reader(worker, "leaving") as main, Reader(worker, "leaving", "?stream=sub") as sub:
        main.read_packets(3)
        sub.read_packets(3)
        worker.assign(removed=("leaving",))
        for reader in (main, sub):
            reader.read(lambda reader=reader: reader.end is not None)  # type: ignore[misc]
            assert reader.end is not None
            assert reader.end.reason == "Released"

    assert simulator.camera("leaving")["clients"] == 0
    assert worker.metric("camera_relay_readers", "leaving") is None
    assert refusal(worker, "/v1/cameras/city/leaving/packets")[0] == 404


def test_a_camera_that_is_away_has_nothing_to_read(worker: Worker, simulator: SimulatorProcess) -> None:
    simulator.set_fault("kicked", "refused")
    eventually(
        lambda: refusal_or_none(worker, "kicked") == (503, "the camera does not stream at present"), 5, "the refusal"
    )
    simulator.clear_fault("kicked")


def refusal_or_none(worker: Worker, name: str) -> tuple[int, str] | None:
    try:
        with Reader(worker, name):
            return None
    except RefusedError as refused:
        return refused.status, str(refused).partition(": ")[2]


def test_the_worker_ends_in_time_and_tells_its_readers(worker: Worker) -> None:
    with Reader(worker, "steady") as reader:
        reader.read_packets(3)
        code, seconds = worker.terminate()
        reader.read(lambda: reader.end is not None)

    assert reader.end is not None
    assert reader.end.reason == "Released"
    assert code == 0
    assert seconds < 5
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log
