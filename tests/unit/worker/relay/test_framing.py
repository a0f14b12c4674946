"""Frames byte by byte; property/worker/test_relay_framing.py cuts them into any pieces."""

import json
import struct

import pytest

from camera_worker.relay.framing import (
    GAP,
    End,
    EndReason,
    FrameParser,
    FramingError,
    Header,
    Packet,
    Parameters,
    encode_end,
    encode_header,
    encode_packet_prefix,
)

HEADER = Header(Parameters("h264", b"\0\0\1\x67sps", 1920, 1080), 1_896_091_200.25)


def packet(data: bytes, pts: int = 9000, dts: int = 5400, *, is_key: bool = True) -> bytes:
    return encode_packet_prefix(len(data), pts, dts, is_key=is_key) + data


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 1 + len(body)) + kind + body


def header(**fields: object) -> bytes:
    value = json.loads(encode_header(HEADER)[5:])
    return frame(b"H", json.dumps(value | fields).encode())


def test_the_bytes_are_those_of_the_description() -> None:
    assert packet(b"abc", pts=1, dts=-2) == (
        b"\x00\x00\x00\x15P\x01\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xfeabc"
    )
    assert encode_header(HEADER)[4:5] == b"H"
    assert json.loads(encode_header(HEADER)[5:]) == {
        "version": 1,
        "codec": "h264",
        "extradata": "AAABZ3Nwcw==",
        "timeBase": [1, 90000],
        "epoch": 1896091200.25,
        "width": 1920,
        "height": 1080,
    }


def test_a_body_is_read_back() -> None:
    end = End(EndReason.PARAMETERS_CHANGED, "the camera sends hevc now")
    body = encode_header(HEADER) + packet(b"key") + GAP + packet(b"next", is_key=True) + packet(b"", is_key=False)

    frames = FrameParser().feed(body + encode_end(end))

    assert frames == [
        HEADER,
        Packet(9000, 5400, is_key=True, after_gap=False, data=b"key"),
        Packet(9000, 5400, is_key=True, after_gap=True, data=b"next"),
        Packet(9000, 5400, is_key=False, after_gap=False, data=b""),
        end,
    ]


def test_frames_of_later_releases_are_skipped() -> None:
    frames = FrameParser().feed(encode_header(HEADER) + frame(b"X", b"who knows") + packet(b"key"))

    assert [type(value) for value in frames] == [Header, Packet]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (packet(b"first"), "the header comes first"),
        (encode_header(HEADER) * 2, "the header comes first and once"),
        (encode_header(HEADER) + encode_end(End("Released", "")) + GAP, "after the end"),
        (b"\0\0\0\0", "a frame of 0 bytes"),
        (b"HTTP/1.1 200 OK", "a frame of 1213486160 bytes"),
        (encode_header(HEADER) + frame(b"P", b"\0"), "a packet's frame of 6 bytes"),
        (frame(b"H", b"{"), "should be JSON"),
        (frame(b"H", b"[]"), "should be a JSON object"),
        (header(version=2), "version 2: only 1"),
        (header(timeBase=[1, 1000]), r"a time base of \[1, 1000\]"),
        (header(extradata="?"), "a header without what it needs"),
        (header(width="wide"), "a header without what it needs"),
        (header(epoch=None), "a header without what it needs"),
    ],
)
def test_what_are_no_frames_is_refused(body: bytes, named: str) -> None:
    with pytest.raises(FramingError, match=named):
        FrameParser().feed(body)


def test_a_parser_may_allow_less() -> None:
    parser = FrameParser(max_frame_bytes=1000)
    parser.feed(encode_header(HEADER))

    with pytest.raises(FramingError, match="a frame of 1018 bytes: from 1 to 1000"):
        parser.feed(packet(bytes(1000)))
