import pytest

from camera_worker.ingest.rtsp.depacketizer import MAX_ACCESS_UNIT, AccessUnit, Depacketizer
from rtp import Codec, Packetizer, annex_b, interleaved

H264_KEY = [b"\x67\x4d\x00\x29", b"\x68\xee\x3c\x80", b"\x65" + bytes(range(256)) * 20]
H264_INTER = [b"\x41" + b"\x9a" * 3000]
H265_KEY = [b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc0", b"\x26\x01" + bytes(range(256)) * 20]
H265_INTER = [b"\x02\x01" + b"\x9a" * 3000]
PICTURES: dict[Codec, tuple[list[bytes], list[bytes]]] = {
    "h264": (H264_KEY, H264_INTER),
    "hevc": (H265_KEY, H265_INTER),
}
RECOVERY_POINT = b"\x06\x05\x02\x01\x02\x06\x01\x84\x80"


def taken(packets: list[bytes], codec: Codec = "h264") -> tuple[list[AccessUnit], Depacketizer]:
    depacketizer = Depacketizer(codec, 0, 96)
    data = bytearray(b"".join(interleaved(packet) for packet in packets))
    assert depacketizer.take(data, 0, len(data)) == len(data)
    return list(depacketizer.units), depacketizer


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("aggregate", [False, True])
def test_pictures_come_out_as_they_went_in(codec: Codec, aggregate: bool) -> None:
    sender = Packetizer(codec)
    key, inter = PICTURES[codec]
    packets = sender.picture(key, 5000, aggregate=aggregate) + sender.picture(inter, 8600)

    units, depacketizer = taken(packets, codec)

    assert units == [AccessUnit(annex_b(key), True, 0), AccessUnit(annex_b(inter), False, 3600)]
    assert depacketizer.lost_packets() == 0
    assert depacketizer.has_packet


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_without_markers_a_picture_ends_when_the_next_begins(codec: Codec) -> None:
    sender = Packetizer(codec)
    key, inter = PICTURES[codec]
    packets = [packet for n in range(3) for packet in sender.picture(inter if n else key, n * 3600, marked=False)]

    units, _ = taken(packets, codec)

    assert [unit.ticks for unit in units] == [0, 3600]
    assert [unit.is_key for unit in units] == [True, False]


def test_markers_on_each_slice_are_seen_through() -> None:
    sender = Packetizer("h264")
    slices = [b"\x41" + bytes((n,)) * 50 for n in (1, 2)]
    packets = [
        packet for n in range(4) for piece in slices for packet in sender.picture([piece], n * 3600, marked=True)
    ]

    units, _ = taken(packets)

    assert units[-1].data == annex_b(slices)
    assert [unit.ticks for unit in units] == [0, 0, 3600, 7200]


@pytest.mark.parametrize("stamp", [1000, 4600])
def test_parameter_sets_on_their_own_belong_to_the_picture_that_follows(stamp: int) -> None:
    sender = Packetizer("h264")
    packets = sender.picture(H264_KEY[:2], stamp) + sender.picture(H264_KEY[2:], 4600)

    units, _ = taken(packets)

    assert units == [AccessUnit(annex_b(H264_KEY), True, 0)]


def test_a_recovery_point_is_a_key_frame_of_h264() -> None:
    sender = Packetizer("h264")
    other = b"\x06\x05\x02\x01\x02\x80"

    units, _ = taken(sender.picture([RECOVERY_POINT, *H264_INTER], 0) + sender.picture([other, *H264_INTER], 1))

    assert [unit.is_key for unit in units] == [True, False]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_missing_packets_are_counted_and_a_unit_is_cut_off_there(codec: Codec) -> None:
    sender = Packetizer(codec)
    key, inter = PICTURES[codec]
    packets = sender.picture(key, 0) + sender.picture(inter, 3600)
    del packets[-2]

    units, depacketizer = taken(packets, codec)

    assert depacketizer.lost_packets() == 1
    assert depacketizer.lost_packets() == 0
    assert len(units) == 2
    assert annex_b(inter).startswith(units[1].data)
    assert len(units[1].data) < len(annex_b(inter))


def test_fragments_without_a_beginning_are_left_out() -> None:
    sender = Packetizer("h264")
    packets = sender.picture(H264_INTER, 0)[1:] + sender.picture(H264_KEY, 3600)

    units, _ = taken(packets)

    assert [unit.data for unit in units] == [annex_b(H264_KEY)]


def test_old_packets_are_left_out_and_a_new_count_is_no_loss() -> None:
    sender = Packetizer("h264")
    first = sender.picture(H264_KEY, 0)
    sender.sequence += 20_000
    packets = [*first, first[0], *sender.picture(H264_INTER, 3600)]

    units, depacketizer = taken(packets)

    assert depacketizer.lost_packets() == 0
    assert [unit.data for unit in units] == [annex_b(H264_KEY), annex_b(H264_INTER)]


def test_sequence_numbers_and_stamps_wrap() -> None:
    sender = Packetizer("h264", sequence=0xFFFF)
    stamps = [0xFFFFFF00, 0xFFFFFF00 + 3600, 0xFFFFFF00 + 7200, 0xFFFFFF00 + 3601]

    units, depacketizer = taken([packet for stamp in stamps for packet in sender.picture(H264_INTER, stamp)])

    assert [unit.ticks for unit in units] == [0, 3600, 7200, 3601]
    assert depacketizer.lost_packets() == 0


def test_extensions_sources_and_padding_are_no_payload() -> None:
    unit = H264_INTER[0][:40]
    header = bytes((0x80 | 0x20 | 0x10 | 2, 0x80 | 96)) + bytes(10)
    packet = header + bytes(8) + b"\xbe\xde\0\1" + bytes(4) + unit + b"\0\0\3"

    units, _ = taken([packet])

    assert [found.data for found in units] == [annex_b([unit])]


def test_other_payload_types_do_not_count() -> None:
    units, depacketizer = taken(Packetizer("h264", payload_type=97).picture(H264_INTER, 0))

    assert units == []
    assert not depacketizer.has_packet


@pytest.mark.parametrize(
    "packet", [b"", bytes(4), b"\x80\x60" + bytes(10), b"\x00\xe0" + bytes(30), b"\xbf" + bytes(15)]
)
def test_what_is_no_packet_is_left_out(packet: bytes) -> None:
    units, _ = taken([packet, *Packetizer("h264", sequence=1).picture(H264_KEY, 7)])

    assert [unit.data for unit in units] == [annex_b(H264_KEY)]


@pytest.mark.parametrize("other", [interleaved(b"\x80\xc8" + bytes(26), 1), b"RTSP/1.0 200 OK\r\n\r\n"])
def test_it_stops_at_what_is_not_its_own(other: bytes) -> None:
    first = interleaved(Packetizer("h264").picture([b"\x41abc"], 0)[0])
    data = bytearray(first + other)
    depacketizer = Depacketizer("h264", 0, 96)

    assert depacketizer.take(data, 0, len(data)) == len(first)
    assert len(depacketizer.units) == 1


def test_a_picture_without_an_end_does_not_fill_the_memory() -> None:
    sender = Packetizer("h264", max_payload=60_000)
    depacketizer = Depacketizer("h264", 0, 96)
    start = bytearray(interleaved(sender.packet(b"\x7c\x85" + bytes(1000), 0)))
    depacketizer.take(start, 0, len(start))
    held = 0
    for _ in range(2 * MAX_ACCESS_UNIT // 60_000):
        piece = bytearray(interleaved(sender.packet(b"\x7c\x05" + bytes(60_000), 0)))
        depacketizer.take(piece, 0, len(piece))
        held = max(held, sum(map(len, depacketizer._parts)))

    assert held <= MAX_ACCESS_UNIT
    assert not depacketizer.units
