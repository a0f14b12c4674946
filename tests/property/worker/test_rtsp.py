"""RTSP's pure parts under any input and any cut of it."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from camera_worker.ingest.rtsp.depacketizer import AccessUnit, Depacketizer
from camera_worker.ingest.rtsp.messages import Message, ProtocolError, format_request, parse_message
from camera_worker.ingest.rtsp.parameter_set import geometry
from camera_worker.ingest.rtsp.sdp import parse_video
from camera_worker.ingest.rtsp.transport import Interleaving, is_goodbye
from rtp import Codec, Packetizer, annex_b, interleaved

CODECS: st.SearchStrategy[Codec] = st.sampled_from(["h264", "hevc"])
#: Slices only: what makes a picture a key frame is in the unit tests.
SLICES = {"h264": (b"\x41", b"\x65"), "hevc": (b"\x02\x01", b"\x26\x01")}


@st.composite
def pictures(draw: st.DrawFn, codec: Codec) -> list[tuple[list[bytes], bool]]:
    heads = SLICES[codec]
    found = []
    for is_key in draw(st.lists(st.booleans(), min_size=1, max_size=5)):
        bodies = draw(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=4))
        found.append(([heads[is_key] + body for body in bodies], is_key))
    return found


@settings(max_examples=100)
@given(
    data=st.data(), codec=CODECS, max_payload=st.integers(8, 200), aggregate=st.booleans(), first=st.integers(0, 65535)
)
def test_pictures_survive_packets_and_any_cut_of_them(
    data: st.DataObject, codec: Codec, max_payload: int, aggregate: bool, first: int
) -> None:
    sent = data.draw(pictures(codec))
    sender = Packetizer(codec, max_payload, first)
    stream = b"".join(
        interleaved(packet)
        for number, (units, _) in enumerate(sent)
        for packet in sender.picture(units, number * 3600, aggregate=aggregate)
    )
    depacketizer = Depacketizer(codec, 0, 96)
    buffer, at, end = bytearray(stream), 0, 0
    while end < len(stream):
        end = min(len(stream), end + data.draw(st.integers(1, 500)))
        at = depacketizer.take(buffer, at, end)

    assert at == len(stream)
    expected = [AccessUnit(annex_b(units), key, number * 3600) for number, (units, key) in enumerate(sent)]
    assert list(depacketizer.units) == expected
    assert depacketizer.lost_packets() == 0


@settings(max_examples=100)
@given(data=st.data(), codec=CODECS)
def test_whatever_is_missing_is_counted(data: st.DataObject, codec: Codec) -> None:
    sender = Packetizer(codec, 50)
    packets = [p for n, (units, _) in enumerate(data.draw(pictures(codec))) for p in sender.picture(units, n * 3600)]
    inner = range(1, len(packets) - 1)
    dropped = data.draw(st.sets(st.sampled_from(inner))) if inner else set()
    stream = bytearray(b"".join(interleaved(p) for n, p in enumerate(packets) if n not in dropped))
    depacketizer = Depacketizer(codec, 0, 96)

    assert depacketizer.take(stream, 0, len(stream)) == len(stream)
    assert depacketizer.lost_packets() == len(dropped)


@settings(max_examples=200)
@given(payloads=st.lists(st.binary(max_size=60), max_size=12), codec=CODECS, valid=st.booleans())
def test_no_packet_breaks_the_depacketizer(payloads: list[bytes], codec: Codec, valid: bool) -> None:
    sender = Packetizer(codec)
    packets = [sender.packet(payload, n // 3) if valid else payload for n, payload in enumerate(payloads)]
    stream = bytearray(b"".join(map(interleaved, packets)))
    depacketizer = Depacketizer(codec, 0, 96)

    assert depacketizer.take(stream, 0, len(stream)) == len(stream)


@settings(max_examples=200)
@given(stream=st.binary(max_size=200))
def test_no_bytes_break_the_parsers(stream: bytes) -> None:
    data = bytearray(stream)
    assert 0 <= Depacketizer("h264", 0).take(data, 0, len(data)) <= len(data)
    is_goodbye(data, 0, len(data), 1)
    geometry("h264", b"\0\0\1\x67" + stream)
    geometry("hevc", b"\0\0\1\x42\x01" + stream)
    with contextlib.suppress(ProtocolError):
        parse_message(data, 0, len(data))


@settings(max_examples=200)
@given(
    text=st.text(max_size=200), lines=st.lists(st.sampled_from(["m=video 0 RTP/AVP 96", "a=rtpmap:96 ", "a=fmtp:96 "]))
)
def test_no_text_breaks_the_parsers(text: str, lines: list[str]) -> None:
    parse_video("\n".join(line + text for line in lines))
    Interleaving.parse(text)


@given(
    headers=st.dictionaries(
        st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True).filter(
            lambda name: name.lower() not in {"cseq", "content-length"}
        ),
        st.text(max_size=30),
        max_size=4,
    )
)
def test_no_header_adds_another_one(headers: dict[str, str]) -> None:
    request = format_request("OPTIONS", "*", 1, headers)

    found = parse_message(request, 0, len(request))
    assert found is not None
    message, end = found
    assert end == len(request)
    assert isinstance(message, Message)
    assert len(message.headers) == 1 + len(headers)
