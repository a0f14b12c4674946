"""The opener against a scripted server on a real socket; media/ has real servers and real video."""

from __future__ import annotations

import re
import socket
import threading
import traceback
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.rtsp_source import RtspOpener, RtspStream
from camera_worker.ingest.source import Timeouts
from rtp import Packetizer, annex_b, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUTS = Timeouts(connect_s=2.0, open_s=0.6, read_s=0.6)
VIEWER = Credentials(username="viewer", password=SecretStr("hunter2"))
SDP = (
    "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n"
    "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z00AKQ==,aO48gA==\r\n"
)
KEY, INTER = [b"\x65" + b"\x88" * 3000], [b"\x41" + b"\x9a" * 300]
DIGEST = 'WWW-Authenticate: Digest realm="r", nonce="n{}"{}\r\n'


def answer(status: int = 200, headers: str = "", body: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 {status} Said\r\n{headers}{length}\r\n{body}".encode()


def video(pictures: int = 3, sender: Packetizer | None = None) -> bytes:
    sender = sender or Packetizer("h264")
    packets = [packet for n in range(pictures) for packet in sender.picture(INTER if n else KEY, n * 3600)]
    return b"".join(map(interleaved, packets))


class Server:
    """Answers requests by their method; a missing answer is none, and an empty one hangs up."""

    def __init__(self, **answers: bytes | Callable[[str], bytes]) -> None:
        self.answers: dict[str, Any] = {
            "OPTIONS": answer(headers="Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n"),
            "DESCRIBE": answer(body=SDP),
            "SETUP": answer(headers="Session: 77;timeout=1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
            "PLAY": answer() + video(),
            **answers,
        }
        self.requests: list[str] = []
        #: RTCP of the client, by channel.
        self.reports: list[tuple[int, bytes]] = []
        self.got = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/main"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def methods(self) -> list[str]:
        return [request.split()[0] for request in self.requests]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.got:
            assert self.got.wait_for(condition, 5), self.requests

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        pending = b""
        while True:
            pending = self._take_reports(pending)
            head, found, rest = pending.partition(b"\r\n\r\n")
            if not found:
                try:
                    received = client.recv(65_536)
                except ConnectionError:
                    return
                if not received:
                    return
                pending += received
                continue
            pending, request = rest, head.decode()
            with self.got:
                self.requests.append(request)
                self.got.notify_all()
            reply = self.answers.get(request.split()[0])
            reply = reply(request) if callable(reply) else reply
            if reply == b"":
                return
            if reply is not None:
                client.sendall(reply)

    def _take_reports(self, pending: bytes) -> bytes:
        while pending[:1] == b"$" and len(pending) >= 4:
            stop = 4 + int.from_bytes(pending[2:4], "big")
            if len(pending) < stop:
                break
            self.reports.append((pending[1], pending[4:stop]))
            pending = pending[stop:]
        return pending


class Other:
    """Stands for PyAV: what is handed on to it, which is opened by others' tests."""

    def __init__(self) -> None:
        self.transports: list[str] = []

    def open(
        self, _source: AssignedSource, _credentials: Credentials | None, *, transport: str, timeouts: Timeouts
    ) -> str:
        assert timeouts is TIMEOUTS
        self.transports.append(transport)
        return "PyAV's"


@contextmanager
def serving(**answers: Any) -> Iterator[Server]:
    with closing(Server(**answers)) as server:
        yield server


def opened(server: Server, credentials: Credentials | None = None, other: Any = None, transport: str = "TCP") -> Any:
    source = AssignedSource(kind=SourceKind.RTSP, main_url=server.url)
    pyav: Any = other or Other()
    return RtspOpener(pyav).open(source, credentials, transport=transport, timeouts=TIMEOUTS)


def refused(server: Server, credentials: Credentials | None = None) -> StreamError:
    with pytest.raises(StreamError) as failure:
        opened(server, credentials)
    assert failure.value.__cause__ is None
    assert "hunter2" not in "".join(traceback.format_exception(failure.value))
    return failure.value


def test_a_stream_is_set_up_played_and_torn_down() -> None:
    with serving() as server:
        with closing(opened(server)) as stream:
            assert isinstance(stream, RtspStream)
            packets = list(islice(stream.packets(), 3))
            assert stream.lost_packets() == 0
        server.wait_for(lambda: "TEARDOWN" in server.methods())

    assert [packet.is_key for packet in packets] == [True, False, False]
    assert [packet.seconds for packet in packets] == pytest.approx([0, 0.04, 0.08])
    assert [packet.decode_seconds for packet in packets] == pytest.approx([0, 0.04, 0.08])
    assert packets[0].data() == annex_b(KEY)
    assert packets[0].size == len(annex_b(KEY))
    assert packets[0].key_frame().extradata == b"\0\0\0\1\x67\x4d\x00\x29\0\0\0\1\x68\xee\x3c\x80"
    assert server.methods() == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    assert f"SETUP {server.url}/trackID=1 RTSP/1.0" in server.requests[2]
    assert "Session: 77" in server.requests[3]


def test_video_before_the_answer_to_play_is_not_lost() -> None:
    with serving(PLAY=video() + answer()) as server, closing(opened(server)) as stream:
        assert next(stream.packets()).is_key


def test_key_frames_that_are_no_video_give_no_picture() -> None:
    with serving() as server, closing(opened(server)) as stream:
        assert next(stream.packets()).decode() is None


def test_a_password_is_sent_when_it_is_asked_for() -> None:
    def describe(request: str) -> bytes:
        return answer(body=SDP) if 'username="viewer"' in request else answer(401, DIGEST.format(1, ""))

    with serving(DESCRIBE=describe) as server:
        opened(server, VIEWER).close()

    assert server.methods()[:4] == ["OPTIONS", "DESCRIBE", "DESCRIBE", "SETUP"]
    assert "Authorization" not in server.requests[1]
    assert "Authorization: Digest" in server.requests[4]
    assert "hunter2" not in "".join(server.requests)


def test_a_wrong_password_is_sent_once() -> None:
    with serving(DESCRIBE=answer(401, DIGEST.format(1, ""))) as server:
        error = refused(server, VIEWER)

    assert (error.fault, error.message) == (Fault.AUTH_FAILED, f"{server.url} answered DESCRIBE with 401")
    assert sum("Authorization" in request for request in server.requests) == 1


def test_a_nonce_that_is_always_too_old_is_given_up() -> None:
    with serving(DESCRIBE=answer(401, DIGEST.format(1, ", stale=true"))) as server:
        assert refused(server, VIEWER).fault is Fault.AUTH_FAILED

    assert server.methods().count("DESCRIBE") <= 3


def test_a_missing_password_is_told_from_a_wrong_one() -> None:
    with serving(OPTIONS=answer(401, DIGEST.format(1, ""))) as server:
        error = refused(server)

    assert error.fault is Fault.AUTH_FAILED
    assert error.message.endswith("answered OPTIONS with 401: it wants a user name, and none is set")


@pytest.mark.parametrize(
    ("answers", "fault", "message"),
    [
        ({"DESCRIBE": answer(404)}, Fault.STREAM_NOT_FOUND, "answered DESCRIBE with 404"),
        ({"DESCRIBE": answer(503)}, Fault.DISCONNECTED, "answered DESCRIBE with 503"),
        ({"DESCRIBE": answer(body="v=0\r\nm=audio 0 RTP/AVP 0\r\n")}, Fault.STREAM_NOT_FOUND, "has no video"),
        ({"SETUP": answer(461)}, Fault.UNSUPPORTED_TRANSPORT, "answered SETUP over TCP with 461"),
        (
            {"SETUP": answer(headers="Transport: RTP/AVP;unicast;client_port=1-2\r\n")},
            Fault.UNSUPPORTED_TRANSPORT,
            "refuses TCP",
        ),
        ({"OPTIONS": b""}, Fault.DISCONNECTED, "closed the connection while the stream was set up"),
        ({"OPTIONS": b"HTTP/1.1 400 Bad\r\n\r\n"}, Fault.STREAM_NOT_FOUND, "answered with what is no video stream"),
        ({"DESCRIBE": None}, Fault.TIMED_OUT, "accepted the connection, then gave no answer for 1 s"),
        ({"PLAY": answer()}, Fault.STALLED, "connected, but no video for 0.6 s"),
    ],
)
def test_refusals(answers: dict[str, bytes], fault: Fault, message: str) -> None:
    with serving(**answers) as server:
        error = refused(server)

    assert (error.fault, error.connected) == (fault, True)
    assert message in error.message
    assert server.url in error.message


def test_a_closed_port_refuses() -> None:
    with serving() as server:
        pass

    assert refused(server).fault is Fault.CONNECTION_REFUSED


@pytest.mark.parametrize(
    "describe",
    [
        answer(302, "Location: rtsp://192.0.2.7/\r\n"),
        answer(body="v=0\r\nm=video 0 RTP/AVP 26\r\n"),
        answer(body=SDP.replace("packetization-mode=1", "packetization-mode=2")),
    ],
)
def test_what_is_not_plain_h264_or_h265_is_pyavs(describe: bytes) -> None:
    other = Other()
    with serving(DESCRIBE=describe) as server:
        assert opened(server, other=other) == "PyAV's"

    assert other.transports == ["TCP"]
    assert "SETUP" not in server.methods()


def test_udp_is_pyavs() -> None:
    other = Other()
    with serving() as server:
        assert opened(server, other=other, transport="UDP") == "PyAV's"

    assert (other.transports, server.requests) == (["UDP"], [])


@pytest.mark.parametrize(
    ("play", "fault", "message"),
    [
        (answer() + video(), Fault.STALLED, "no video for 0.6 s"),
        (answer() + video() + interleaved(b"\x81\xcb\0\1\0\0\0\1", 1), Fault.DISCONNECTED, "closed the connection"),
        (answer() + video() + b"rubbish\r\n\r\n", Fault.DISCONNECTED, "closed the connection"),
    ],
)
def test_ends_of_a_stream(play: bytes, fault: Fault, message: str) -> None:
    with serving(PLAY=play) as server, closing(opened(server)) as stream:
        packets = stream.packets()
        assert len(list(islice(packets, 3))) == 3
        with pytest.raises(StreamError, match=message) as failure:
            next(packets)

    assert failure.value.fault is fault


def test_the_session_is_kept_with_a_nonce_that_is_fresh() -> None:
    sender = Packetizer("h264")

    def parameter(request: str) -> bytes:
        nonces = re.findall(r'nonce="(\w+)"', request)
        is_fresh = nonces == ["n2"]
        # Video goes on, or the stream would count as silent.
        return (answer() if is_fresh else answer(401, DIGEST.format(2, ", stale=true"))) + video(2, sender)

    describe = [answer(401, DIGEST.format(1, "")), answer(body=SDP)]
    with (
        serving(
            DESCRIBE=lambda _: describe.pop(0), GET_PARAMETER=parameter, PLAY=lambda _: answer() + video(3, sender)
        ) as server,
        closing(opened(server, VIEWER)) as stream,
    ):
        packets = list(islice(stream.packets(), 7))

    assert len(packets) == 7
    kept = [request for request in server.requests if request.startswith("GET_PARAMETER")]
    assert len(kept) == 2
    assert all("Session: 77" in request for request in kept)
    # Some cameras take only these for a sign of life.
    assert server.reports
    assert {(channel, report[1]) for channel, report in server.reports} == {(1, 201)}


def test_the_rest_of_a_picture_is_left_to_come_before_it_is_read() -> None:
    sender = Packetizer("h264")
    first, *rest = sender.picture(KEY, 0)
    pauses: list[float] = []
    later = b"".join(map(interleaved, rest)) + answer()
    with (
        serving(PLAY=answer() + interleaved(first), GET_PARAMETER=later) as server,
        closing(opened(server)) as stream,
    ):
        stream._pause = pauses.append
        assert next(stream.packets()).data() == annex_b(KEY)

    assert set(pauses) == {0.002}


def test_requests_of_the_server_are_declined() -> None:
    with serving(
        PLAY=answer() + video() + b"OPTIONS * RTSP/1.0\r\nCSeq: 5\r\n\r\n" + video(1, Packetizer("h264", 1400, 99))
    ) as server:
        with closing(opened(server)) as stream:
            assert len(list(islice(stream.packets(), 4))) == 4
        server.wait_for(lambda: any(request.startswith("RTSP/1.0 501") for request in server.requests))

    assert any("CSeq: 5" in request for request in server.requests)
