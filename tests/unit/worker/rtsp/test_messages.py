import pytest

from camera_worker.ingest.rtsp.messages import (
    MAX_HEAD,
    Message,
    ProtocolError,
    Session,
    format_request,
    format_response,
    parse_message,
)

ANSWER = b'RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest a="b"\r\nwww-authenticate:Basic\r\n\r\n'


def parsed(data: bytes) -> Message:
    found = parse_message(bytearray(data), 0, len(data))
    assert found is not None
    message, end = found
    assert end == len(data)
    return message


def test_a_request_has_its_number_and_headers() -> None:
    assert format_request("SETUP", "rtsp://a/b", 3, {"Session": "7"}) == (
        b"SETUP rtsp://a/b RTSP/1.0\r\nCSeq: 3\r\nSession: 7\r\n\r\n"
    )


def test_what_a_server_has_written_adds_no_lines_to_a_request() -> None:
    request = format_request("SETUP", "rtsp://a/b\r\nX: 1", 3, {"Session": "7\r\nY: 2"})

    assert request.count(b"\r\n") == 4
    assert b"\r\n" not in format_response(501, "Not Implemented", "1\r\n").split(b"CSeq: ")[1].removesuffix(b"\r\n\r\n")


def test_headers_may_come_twice_and_in_any_case() -> None:
    message = parsed(ANSWER)

    assert message.status == 401
    assert message.all("www-authenticate") == ['Digest a="b"', "Basic"]
    assert message.header("cseq") == "2"
    assert message.header("session", "none") == "none"


def test_a_message_is_taken_when_its_body_is_whole() -> None:
    data = b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nv=0\r\n$more"

    for end in range(len(data) - 5):
        assert parse_message(data, 0, end) is None
    found = parse_message(data, 0, len(data))
    assert found is not None
    assert (found[0].body, data[found[1] :]) == (b"v=0\r\n", b"$more")


def test_a_message_may_begin_anywhere() -> None:
    found = parse_message(b"...." + ANSWER, 4, 4 + len(ANSWER))

    assert found is not None
    assert found[0].status == 401


def test_requests_of_the_server_have_no_status() -> None:
    assert parsed(b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n").status == 0


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RTSP/1.0 20x OK\r\n\r\n",
        b"RTSP/1.0\r\n\r\n",
        b"\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
        "RTSP/1.0 ²00 OK\r\n\r\n".encode(),
        b"a" * (MAX_HEAD + 1),
    ],
)
def test_what_is_no_rtsp_is_told(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_message(data, 0, len(data))


@pytest.mark.parametrize(("status", "is_redirect"), [(200, False), (301, True), (302, True), (400, False)])
def test_redirections(status: int, is_redirect: bool) -> None:
    assert Message(status, ()).is_redirect is is_redirect


@pytest.mark.parametrize(
    ("value", "session"),
    [
        ("1a2b", Session("1a2b", 60.0)),
        ("1a2b;timeout=30", Session("1a2b", 30.0)),
        ("1a2b ; Timeout = 90", Session("1a2b", 90.0)),
        ("1a2b;timeout=0", Session("1a2b", 60.0)),
        ("1a2b;timeout=soon;x", Session("1a2b", 60.0)),
        ("1a2b;timeout=" + 5000 * "9", Session("1a2b", 60.0)),
        ("1a2b;timeout=\u0663\u0660", Session("1a2b", 60.0)),
    ],
)
def test_sessions(value: str, session: Session) -> None:
    assert Session.parse(value) == session
