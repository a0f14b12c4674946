"""Logging in by Digest where FFmpeg does not, against a server that checks the answer on its own."""

import hashlib
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from camera_api.assignment import Credentials
from camera_worker.ingest.http_digest import digest_header

RIGHT = Credentials(username="viewer", password=SecretStr("s3cret pass:word"))
WRONG = Credentials(username="viewer", password=SecretStr("another"))
PATH = "/video?channel=1"
Server = Callable[..., tuple[str, list[dict[str, str]]]]


@pytest.fixture
def server() -> Iterator[Server]:
    """Starts cameras with a challenge; gives their URL and the answers they have received."""
    started: list[ThreadingHTTPServer] = []

    def start(challenge: str, hash_name: str = "md5") -> tuple[str, list[dict[str, str]]]:
        answers: list[dict[str, str]] = []

        def expected(fields: dict[str, str]) -> str:
            def digest(text: str) -> str:
                return hashlib.new(hash_name, text.encode()).hexdigest()

            secret = digest(f"viewer:Camera:{RIGHT.password.get_secret_value()}")
            counted = f":{fields['nc']}:{fields['cnonce']}:{fields['qop']}" if "qop" in fields else ""
            return digest(f"{secret}:n0nce{counted}:{digest(f'GET:{PATH}')}")

        class Camera(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
                fields = urllib.request.parse_keqv_list(urllib.request.parse_http_list(rest))
                if scheme:
                    answers.append(fields)
                is_right = scheme == "Digest" and fields["response"] == expected(fields)
                self.send_response(200 if is_right else 401)
                if not is_right:
                    self.send_header("WWW-Authenticate", challenge)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        camera = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        camera.daemon_threads = True
        threading.Thread(target=camera.serve_forever, args=(0.02,), daemon=True).start()
        started.append(camera)
        return f"http://127.0.0.1:{camera.server_port}{PATH}", answers

    yield start
    for camera in started:
        camera.shutdown()
        camera.server_close()


@pytest.mark.parametrize(
    ("challenge", "hash_name"),
    [
        ('Digest realm="Camera",qop="auth",nonce="n0nce",opaque="0p",algorithm=md5', "md5"),
        ('Digest realm="Camera", nonce="n0nce", algorithm=md5', "md5"),
        ('Digest realm="Camera", qop="auth-int, auth", nonce="n0nce", algorithm=SHA-256', "sha256"),
    ],
)
def test_the_header_lets_in_and_can_be_sent_once_more(server: Server, challenge: str, hash_name: str) -> None:
    url, answers = server(challenge, hash_name)

    header = digest_header(url, RIGHT, 2.0)

    assert header is not None
    assert header.endswith("\r\n")
    name, _, value = header.strip().partition(": ")
    with urllib.request.urlopen(urllib.request.Request(url, headers={name: value}), timeout=2) as answer:
        assert answer.status == 200
    assert [fields.get("nc", "") for fields in answers] in (["00000001", "00000002"], ["", ""])


def test_a_wrong_password_is_sent_once(server: Server) -> None:
    url, answers = server('Digest realm="Camera",qop="auth",nonce="n0nce",algorithm=md5')

    assert digest_header(url, WRONG, 2.0) is None
    assert len(answers) == 1


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="Camera", nonce="n0nce", algorithm=MD5',
        'Digest realm="Camera", nonce="n0nce"',
        'Digest realm="Camera", nonce="n0nce", algorithm=SHA-512-256',
        'Digest realm="Camera", nonce="n0nce", algorithm=md5, qop="auth-int"',
        "Digest nonsense, algorithm=md5",
        'Basic realm="Camera"',
    ],
)
def test_what_ffmpeg_answers_or_nobody_can_is_left_alone(server: Server, challenge: str) -> None:
    url, answers = server(challenge)

    assert digest_header(url, RIGHT, 2.0) is None
    assert answers == []


def test_who_cannot_be_reached_gets_nothing() -> None:
    assert digest_header("http://127.0.0.1:9/video", RIGHT, 0.5) is None


def test_a_challenge_cannot_add_lines_to_the_request(server: Server) -> None:
    url, answers = server('Digest realm="Camera", nonce="n0nce", opaque="a\tb", algorithm=md5')

    assert digest_header(url, RIGHT, 2.0) is not None
    assert answers[0]["opaque"] == "ab"
