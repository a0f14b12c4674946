"""Cameras that encrypt with a certificate of their own making, as nearly all of them do."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import SecretStr

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_worker.errors import StreamError
from camera_worker.ingest.http_digest import digest_header
from camera_worker.ingest.pyav_source import PyAvOpener
from camera_worker.ingest.reachability import answers_http
from camera_worker.ingest.source import Timeouts
from simulator_process import SimulatorProcess

pytestmark = pytest.mark.media

TIMEOUTS = Timeouts(connect_s=3.0, open_s=5.0, read_s=6.0)
PICTURES = 40


class JpegCamera(http.server.BaseHTTPRequestHandler):
    """Motion JPEG for everyone but /closed, which wants what nobody has."""

    def do_GET(self) -> None:
        if self.path == "/closed":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="camera", nonce="1", algorithm=SHA-256, qop="auth"')
            self.end_headers()
            return
        _, jpeg = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
        for _ in range(PICTURES):
            self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def https(tmp_path: Path) -> Iterator[str]:
    """Address of a camera that has signed its certificate itself, for another name."""
    both = tmp_path / "camera.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    options = ["-keyout", "-", "-out", "-", "-days", "1", "-subj", "/CN=factory.invalid"]
    both.write_bytes(subprocess.run([*command, *options], check=True, capture_output=True).stdout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), JpegCamera) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def pictures(url: str, kind: SourceKind, transport: str, number: int) -> int:
    source = AssignedSource(kind=kind, main_url=url)
    with closing(PyAvOpener().open(source, None, transport=transport, timeouts=TIMEOUTS)) as stream:
        return sum(1 for _ in zip(range(number), stream.packets(), strict=False))


def test_https_is_read_and_asked_whatever_its_certificate_says(https: str) -> None:
    account = Credentials(username="viewer", password=SecretStr("hunter2"))

    assert pictures(f"{https}/video", SourceKind.HTTP, "HTTP", 10) == 10
    assert answers_http(f"{https}/video", 3.0)
    # It was asked, and has refused.
    assert digest_header(f"{https}/closed", account, 3.0) is None


def test_a_port_without_tls_is_named_as_what_it_is() -> None:
    with SimulatorProcess(1) as simulator:
        url = simulator.url("camera-001").replace("rtsp://", "rtsps://")
        with pytest.raises(StreamError, match="no TLS connection came about"):
            pictures(url, SourceKind.RTSP, "TCP", 1)


def test_rtsps_is_read_whatever_its_certificate_says() -> None:
    with SimulatorProcess([{"name": "gate", "protocol": "rtsps"}]) as simulator:
        assert pictures(simulator.url("gate"), SourceKind.RTSP, "TCP", 10) == 10
