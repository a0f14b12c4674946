import struct

import pytest

from camera_worker.ingest.rtsp.transport import Interleaving, is_goodbye, receiver_report

REPORT = b"\x80\xc8\x00\x06" + bytes(24)
GOODBYE = b"\x81\xcb\x00\x01\0\0\0\1"


def frame(payload: bytes, channel: int = 1) -> bytearray:
    return bytearray(b"$" + bytes((channel,)) + len(payload).to_bytes(2, "big") + payload)


@pytest.mark.parametrize(
    ("value", "channel"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1", 0),
        ("RTP/AVP/TCP; Interleaved=4-5 ;ssrc=1", 4),
        ("RTP/AVP/TCP;unicast", 0),
        ("RTP/AVP/TCP;interleaved=2", 2),
    ],
)
def test_channels(value: str, channel: int) -> None:
    assert Interleaving.parse(value) == Interleaving(channel)


@pytest.mark.parametrize("value", ["", "RTP/AVP;unicast;client_port=1-2", "RTP/AVP/TCP;interleaved=255-256"])
def test_what_is_not_interleaved_is_told(value: str) -> None:
    assert Interleaving.parse(value) is None


def test_a_goodbye_ends_the_stream_also_behind_a_report() -> None:
    for payload in (GOODBYE, REPORT + GOODBYE):
        data = frame(payload)
        assert is_goodbye(data, 0, len(data), 1)
        assert not is_goodbye(data, 0, len(data) - 1, 1)
        assert not is_goodbye(data, 0, len(data), 3)


@pytest.mark.parametrize("payload", [b"", REPORT, b"\x81\xcb", bytes(8)])
def test_other_reports_do_not(payload: bytes) -> None:
    data = frame(payload)

    assert not is_goodbye(data, 0, len(data), 1)


@pytest.mark.parametrize("source", [0, 0x1234ABCD, 0xFFFFFFFF])
def test_a_receiver_report_is_a_compound_packet_with_a_name(source: int) -> None:
    data = receiver_report(5, source)

    assert data[:2] == b"$\x05"
    packet = data[4:]
    assert len(packet) == int.from_bytes(data[2:4], "big")
    assert struct.unpack(">BBHI", packet[:8]) == (0x80, 201, 1, source)
    first, kind, words, described = struct.unpack(">BBHI", packet[8:16])
    assert (first, kind, described) == (0x81, 202, source)
    assert len(packet[8:]) == 4 * (words + 1)
    item, length = packet[16], packet[17]
    assert (item, packet[18 : 18 + length]) == (1, f"{source:08x}@camera-operator".encode())
    assert set(packet[18 + length :]) == {0}
    assert not is_goodbye(bytearray(data), 0, len(data), 5)
