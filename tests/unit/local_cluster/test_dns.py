import socket
import struct
import threading

import pytest

from local_cluster import dns


def answer(identifier: int, *, code: int = 0, records: int = 1) -> bytes:
    return struct.pack("!6H", identifier, 0x8180 | code, 1, records, 0, 0)


def test_a_question_is_encoded_as_in_rfc_1035() -> None:
    assert dns.question(0x1234, "a.bc") == bytes.fromhex("1234 0100 0001 0000 0000 0000 01 61 02 6263 00 0001 0001")


@pytest.mark.parametrize(
    ("message", "good"),
    [
        (answer(7), True),
        (answer(8), False),
        (answer(7, code=3), False),
        (answer(7, records=0), False),
        (b"\x00\x07", False),
    ],
)
def test_only_an_answer_to_the_question_with_a_record_counts(message: bytes, good: bool) -> None:
    assert dns.has_answer(7, message) is good


def test_a_server_that_answers_resolves() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        def serve() -> None:
            question, client = server.recvfrom(512)
            server.sendto(answer(int.from_bytes(question[:2], "big")), client)

        thread = threading.Thread(target=serve)
        thread.start()
        assert dns.resolves("kubernetes.default", *server.getsockname())
        thread.join()


def test_a_port_where_nobody_listens_does_not_resolve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
    assert not dns.resolves("kubernetes.default", *address)
