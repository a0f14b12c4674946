"""What is handed to FFmpeg; media/test_ingest_worker.py opens real streams."""

import contextlib
import traceback
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import av
import av.error
import av.logging
import pytest
from pydantic import SecretStr

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.ffmpeg_log import quieten_ffmpeg
from camera_worker.ingest.pyav_source import PyAvOpener, PyAvStream
from camera_worker.ingest.source import Timeouts

TIMEOUTS = Timeouts(connect_s=3.0, open_s=5.0, read_s=6.0)
RTSP = AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.7:8554/main?channel=1")
HTTP = AssignedSource(kind=SourceKind.HTTP, main_url="http://192.0.2.7/video.mjpg")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Calls of ``av.open``, each of which fails as a refused password does."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def fail(url: str, **options: Any) -> None:
        calls.append((url, options))
        raise av.error.HTTPUnauthorizedError(1, "Server returned 401 Unauthorized", url)

    monkeypatch.setattr(av, "open", fail)
    return calls


def refused(source: AssignedSource, credentials: Credentials | None, transport: str = "TCP") -> StreamError:
    with pytest.raises(StreamError) as failure:
        PyAvOpener().open(source, credentials, transport=transport, timeouts=TIMEOUTS)
    return failure.value


@pytest.mark.parametrize("password", ["plain", "p@ss:w/rd", "100%", "a b#c?d", "päss", "$&'()*+,;=!"])
def test_credentials_survive_the_url(opened: Any, password: str) -> None:
    refused(RTSP, Credentials(username="view:er", password=SecretStr(password)))

    parts = urlsplit(opened[0][0])
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("view:er", password)
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("192.0.2.7", 8554, "/main", "channel=1")


def test_nothing_of_an_error_shows_the_password_not_even_its_chain(opened: Any) -> None:
    error = refused(RTSP, Credentials(username="viewer", password=SecretStr("hunter2@home")))

    shown = "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert "hunter2" not in shown
    assert len(opened) == 1


def test_a_password_that_ffmpeg_would_cut_off_is_never_sent(opened: Any) -> None:
    error = refused(RTSP, Credentials(username="viewer", password=SecretStr("@" * 41)))

    assert (error.fault, opened) == (Fault.AUTH_FAILED, [])
    assert "longer than 126 bytes" in error.message


def test_long_passwords_of_http_cameras_are_sent(opened: Any) -> None:
    refused(HTTP, Credentials(username="viewer", password=SecretStr("@" * 41)), "HTTP")

    assert len(opened) == 1


def test_a_missing_password_is_told_from_a_wrong_one(opened: Any) -> None:
    assert "none is set" in refused(RTSP, None).message
    assert "none is set" not in refused(RTSP, Credentials(username="a", password=SecretStr("b"))).message
    assert len(opened) == 2


def test_a_camera_cannot_make_the_worker_open_files(opened: Any) -> None:
    refused(RTSP, None)
    refused(HTTP, None, "HTTP")

    for _, call in opened:
        assert "file" not in call["options"]["protocol_whitelist"].split(",")
    assert "hls" not in opened[1][1]["options"]["format_whitelist"]


def test_options_are_those_of_the_transport_and_in_ffmpegs_units(opened: Any) -> None:
    for transport in ("TCP", "UDP"):
        refused(RTSP, None, transport)

    for (_, call), transport in zip(opened, ("tcp", "udp"), strict=True):
        assert call["options"]["rtsp_transport"] == transport
        assert call["options"]["timeout"] == "5000000"
        # Reads are timed by ourselves.
        assert call["timeout"] == (5.0, None)
    assert "buffer_size" in opened[1][1]["options"]


def test_certificates_are_not_checked_whatever_ffmpegs_default_is(opened: Any) -> None:
    refused(RTSP, None)
    refused(HTTP, None, "HTTP")

    assert [call["options"]["tls_verify"] for _, call in opened] == ["0", "0"]


def can_be_heard() -> bool:
    """Whether a line of FFmpeg's log reaches PyAV."""
    with av.logging.Capture(local=True) as lines:
        av.logging.log(av.logging.ERROR, "rtsp", "RTP: missed 2 packets")
    return bool(lines)


@pytest.mark.parametrize(("transport", "is_heard"), [("TCP", False), ("HTTP", False), ("UDP", True)])
def test_ffmpeg_is_listened_to_only_where_packets_can_be_missing(transport: str, is_heard: bool) -> None:
    quieten_ffmpeg()
    heard: list[bool] = []

    def demux(_: object) -> Iterator[Any]:
        heard.append(can_be_heard())
        return iter(())

    context = SimpleNamespace(name="h264", width=1920, height=1080, extradata=None)
    video = SimpleNamespace(codec_context=context, time_base=None)
    stream = PyAvStream(
        SimpleNamespace(demux=demux),
        video,
        transport,
        shown="rtsp://192.0.2.7",
        read_s=6.0,
        reads=None,
        owned=contextlib.ExitStack(),
    )

    with pytest.raises(StreamError, match="closed the connection"):
        next(stream.packets())

    assert heard == [is_heard]
    assert not can_be_heard()
    assert stream.lost_packets() == 0
