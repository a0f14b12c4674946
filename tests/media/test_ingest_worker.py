"""The ingest worker as a process, watching real RTSP and HTTP cameras; each test is one thing that happens to a city.

The worker logs at debug level throughout, and the last test reads all it has said for passwords.
"""

import contextlib
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest

from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_api.health import Verdict
from simulator_process import SimulatorProcess
from worker_process import OFFLINE_AFTER_S, TOKEN, Worker, camera, eventually

pytestmark = pytest.mark.media

PASSWORD: Final = "s3cret pass/word@1"
WRONG_PASSWORD: Final = "n0t the:pass/word"
#: A fault must be named this long after it began, at the latest.
NAMED_WITHIN_S: Final = OFFLINE_AFTER_S + 3.0
WIRE_FAULTS: Final = {
    "refused": Fault.CONNECTION_REFUSED,
    "unknownpath": Fault.STREAM_NOT_FOUND,
    "silent": Fault.TIMED_OUT,
    "stall": Fault.STALLED,
    "unavailable": Fault.DISCONNECTED,
    "wrongpassword": Fault.AUTH_FAILED,
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    protected = {"username": "viewer", "password": PASSWORD}
    cameras: list[dict[str, Any]] = [
        *({"name": name} for name in ("steady-1", "steady-2", "guest", "kicked", "udp", "slow", "jumping", "flapping")),
        *({"name": name} for name in WIRE_FAULTS if name != "wrongpassword"),
        {"name": "wrongpassword", "auth": "digest", **protected},
        {"name": "basic", "auth": "basic", **protected},
        {"name": "digest", "auth": "digest", **protected},
        {"name": "h265", "codec": "h265"},
        {"name": "mjpeg", "codec": "mjpeg"},
    ]
    with SimulatorProcess(cameras) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, simulator: SimulatorProcess) -> Iterator[Worker]:
    """A worker with two cameras in good order, and three whose usual frame rate it learns meanwhile."""
    with Worker(tmp_path_factory.mktemp("worker")) as worker:
        names = ("steady-1", "steady-2", "slow", "jumping", "flapping")
        worker.assign(*(camera(name, simulator.url(name)) for name in names))
        for name in names:
            worker.wait_for(name, Verdict.WORKING, within_s=10)
        yield worker


@pytest.fixture
def _neighbours_untouched(worker: Worker) -> Iterator[None]:
    """Two cameras in good order go on receiving, over the same connection, while the story is told."""
    steady = ("steady-1", "steady-2")
    frames = {name: worker.frames(name) for name in steady}
    began = time.monotonic()
    yield
    elapsed = time.monotonic() - began
    for name in steady:
        # 10 frames per second, minus what is on its way.
        assert worker.frames(name) - frames[name] >= 10 * elapsed - 10
        assert worker.health(name).verdict is Verdict.WORKING
        assert worker.metric("camera_reconnects_total", name) is None


neighbours_untouched = pytest.mark.usefixtures("_neighbours_untouched")


@neighbours_untouched
@pytest.mark.parametrize(
    ("name", "codec", "password"),
    [
        ("guest", "h264", None),
        ("h265", "hevc", None),
        ("mjpeg", "mjpeg", None),
        ("basic", "h264", PASSWORD),
        ("digest", "h264", PASSWORD),
    ],
)
def test_a_camera_in_good_order_works_and_tells_what_it_is(
    worker: Worker, simulator: SimulatorProcess, name: str, codec: str, password: str | None
) -> None:
    worker.assign(camera(name, simulator.url(name), password))

    worker.wait_for(name, Verdict.WORKING, within_s=3)

    assert worker.metric("camera_info", name, codec=codec, transport="TCP") == 1
    assert worker.metric("camera_up", name) == 1
    worker.assign(removed=(name,))
    assert worker.metric("camera_info", name) is None


@neighbours_untouched
def test_each_wire_fault_is_named_in_time_and_its_end_noticed(worker: Worker, simulator: SimulatorProcess) -> None:
    worker.assign(
        *(camera(name, simulator.url(name), PASSWORD if name == "wrongpassword" else None) for name in WIRE_FAULTS)
    )
    for name in WIRE_FAULTS:
        worker.wait_for(name, Verdict.WORKING, within_s=5)

    began = time.time()
    for name in WIRE_FAULTS:
        simulator.set_fault(name, name)
    deadline = time.monotonic() + NAMED_WITHIN_S
    for name, fault in WIRE_FAULTS.items():
        health = worker.wait_for(name, Verdict.FAULTY, fault, within_s=deadline - time.monotonic())
        since = datetime.fromisoformat(health.since).timestamp()
        assert abs(since - began) <= 2, "the fault began with the last frame"
        assert health.last_frame_at is not None
        assert worker.metric("camera_fault_active", name, fault=fault.value) == 1

    for name in WIRE_FAULTS:
        simulator.clear_fault(name)
    for name in WIRE_FAULTS.keys() - {"wrongpassword"}:
        worker.wait_for(name, Verdict.WORKING, within_s=15)
    # A refused password waits for a minute, or for another one.
    assert worker.health("wrongpassword").verdict is Verdict.FAULTY
    worker.assign(removed=tuple(WIRE_FAULTS))


@neighbours_untouched
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("refused", Fault.CONNECTION_REFUSED),
        ("unknownpath", Fault.STREAM_NOT_FOUND),
        ("basic", Fault.AUTH_FAILED),
        ("nowhere", Fault.DNS_FAILED),
    ],
)
def test_a_camera_that_says_no_at_the_first_try_is_reported_at_once(
    worker: Worker, simulator: SimulatorProcess, name: str, fault: Fault
) -> None:
    if name in WIRE_FAULTS:
        simulator.set_fault(name, name)
    url = "rtsp://no-such-host.invalid/main" if name == "nowhere" else simulator.url(name)
    worker.assign(camera(name, url, WRONG_PASSWORD))

    worker.wait_for(name, Verdict.FAULTY, fault, within_s=2)

    worker.assign(removed=(name,))
    if name in WIRE_FAULTS:
        simulator.clear_fault(name)


@neighbours_untouched
def test_a_network_without_a_way_to_the_camera_is_named(worker: Worker) -> None:
    # No route of any machine leads a TCP connection to the broadcast address.
    worker.assign(camera("far", "rtsp://255.255.255.255/main"))

    worker.wait_for("far", Verdict.FAULTY, Fault.UNREACHABLE, within_s=2)

    worker.assign(removed=("far",))


@neighbours_untouched
def test_a_kick_is_a_reconnect_and_no_fault(worker: Worker, simulator: SimulatorProcess) -> None:
    worker.assign(camera("kicked", simulator.url("kicked")))
    worker.wait_for("kicked", Verdict.WORKING, within_s=5)
    before = worker.report()
    frames = worker.frames("kicked")

    simulator.set_fault("kicked", "kick")
    eventually(lambda: worker.metric("camera_reconnects_total", "kicked", reason="Disconnected") == 1, 5, "reconnect")
    eventually(lambda: worker.frames("kicked") > frames + 10, 5, "frames go on")

    changes = worker.report(f"?after={before.cursor}&instance={before.instance}").cameras
    assert {health.verdict for health in changes if health.name == "kicked"} <= {Verdict.WORKING}
    worker.assign(removed=("kicked",))


@neighbours_untouched
def test_a_camera_that_only_speaks_udp_is_watched_over_udp(worker: Worker, simulator: SimulatorProcess) -> None:
    simulator.set_fault("udp", "udponly")
    worker.assign(camera("udp", simulator.url("udp")))

    worker.wait_for("udp", Verdict.WORKING, within_s=5)

    assert worker.metric("camera_info", "udp", transport="UDP") == 1
    worker.assign(camera("udp", simulator.url("udp"), transport=Transport.TCP))
    health = worker.wait_for("udp", Verdict.FAULTY, Fault.UNSUPPORTED_TRANSPORT, within_s=3)
    assert health.faults[0].message.endswith("answered SETUP over TCP with 461")
    worker.assign(removed=("udp",))


@neighbours_untouched
def test_the_right_password_brings_a_locked_out_camera_back_at_once(
    worker: Worker, simulator: SimulatorProcess
) -> None:
    worker.assign(camera("digest", simulator.url("digest"), WRONG_PASSWORD))
    worker.wait_for("digest", Verdict.FAULTY, Fault.AUTH_FAILED, within_s=2)

    worker.assign(camera("digest", simulator.url("digest"), PASSWORD))

    worker.wait_for("digest", Verdict.WORKING, within_s=3)
    worker.assign(removed=("digest",))


def test_what_a_stream_does_wrong_is_named_too(worker: Worker, simulator: SimulatorProcess) -> None:
    eventually(lambda: worker.frames("slow") > 260, 30, "the usual frame rate is learned")
    simulator.set_fault("slow", "slow")
    simulator.set_fault("jumping", "clockjump", everySeconds=4)
    simulator.set_fault("flapping", "kick", everySeconds=2)

    worker.wait_for("jumping", Verdict.FAULTY, Fault.CLOCK_JUMP, within_s=20)
    worker.wait_for("slow", Verdict.FAULTY, Fault.LOW_FRAME_RATE, within_s=20)

    def flaps() -> bool:
        return Fault.FLAPPING in {active.fault for active in worker.health("flapping").faults}

    eventually(flaps, 20, "flapping")
    simulator.clear_fault("slow")
    worker.wait_for("slow", Verdict.WORKING, within_s=20)
    worker.assign(removed=("slow", "jumping", "flapping"))


@neighbours_untouched
def test_a_snapshot_shows_what_the_camera_sees(worker: Worker) -> None:
    picture = cv2.imdecode(
        np.frombuffer(worker.get("/v1/cameras/city/steady-1/snapshot.jpg"), np.uint8), cv2.IMREAD_COLOR
    )

    assert picture is not None
    assert picture.shape == (720, 1280, 3)
    assert picture.std() > 10


@neighbours_untouched
def test_motion_jpeg_over_http_is_watched(worker: Worker) -> None:
    with http_camera() as url:
        worker.assign(camera("web", url, PASSWORD))
        worker.wait_for("web", Verdict.WORKING, within_s=5)
        assert worker.metric("camera_info", "web", codec="mjpeg", transport="HTTP") == 1

        worker.assign(camera("web", url, WRONG_PASSWORD))
        worker.wait_for("web", Verdict.FAULTY, Fault.AUTH_FAILED, within_s=5)

        worker.assign(camera("web", f"{url}/elsewhere", PASSWORD))
        worker.wait_for("web", Verdict.FAULTY, Fault.STREAM_NOT_FOUND, within_s=5)
    worker.assign(removed=("web",))


def test_no_password_shows_anywhere(worker: Worker) -> None:
    assert worker.process is not None
    threads = [path.read_text() for path in Path(f"/proc/{worker.process.pid}/task").glob("*/comm")]
    arguments = Path(f"/proc/{worker.process.pid}/cmdline").read_text()
    said = "\n".join(
        [
            worker.log.read_text(),
            worker.report().model_dump_json(),
            worker.get("/metrics").decode(),
            arguments,
            *threads,
        ]
    )

    assert "AuthFailed" in said
    for secret in (PASSWORD, WRONG_PASSWORD, TOKEN):
        for text in (secret, urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), secret.split("/")[0]):
            assert text not in said


def test_the_worker_ends_in_time_even_if_a_camera_says_nothing(worker: Worker, simulator: SimulatorProcess) -> None:
    simulator.set_fault("silent", "silent")
    worker.assign(camera("silent", simulator.url("silent")))
    eventually(lambda: simulator.camera("silent")["fault"] == "silent", 5, "the fault")

    code, seconds = worker.terminate()

    assert code == 0
    assert seconds < 5
    assert "Traceback" not in worker.log.read_text()


@contextlib.contextmanager
def http_camera() -> Iterator[str]:
    """A camera that serves Motion JPEG to who knows the password; yields its URL."""
    encoded, picture = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))
    assert encoded
    expected = "Basic " + b64encode(f"viewer:{PASSWORD}".encode()).decode()
    ended = threading.Event()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
            if self.path != "/video":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"
            with contextlib.suppress(ConnectionError):
                while not ended.wait(0.1):
                    self.wfile.write(part % (picture.nbytes, picture.tobytes()))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
