import pytest

from camera_worker.ingest.rtsp.sdp import VideoMedia, control_url, parse_video

H264 = """v=0\r
o=- 1 1 IN IP4 192.0.2.7\r
s=Media\r
a=control:*\r
m=audio 0 RTP/AVP 0\r
a=control:track1\r
m=video 0 RTP/AVP 96\r
a=rtpmap:97 H265/90000\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1; profile-level-id=4D0029;sprop-parameter-sets=Z00AKQ==,aO48gA==\r
a=control:trackID=2\r
m=video 0 RTP/AVP 98\r
a=control:track3\r
"""
H265 = """v=0
m=video 0 RTP/AVP 97
a=rtpmap:97 H265/90000
a=fmtp:97 sprop-vps=QAE;sprop-sps=QgE=; sprop-pps=RAE=
"""


def media(text: str) -> VideoMedia:
    found = parse_video(text)
    assert found is not None
    return found


def test_the_first_video_is_taken() -> None:
    found = media(H264)

    assert (found.codec, found.payload_type, found.clock_rate) == ("h264", 96, 90_000)
    assert (found.control, found.session_control) == ("trackID=2", "*")
    assert found.is_plain


def test_parameter_sets_have_start_codes() -> None:
    assert media(H264).extradata == b"\0\0\0\1\x67\x4d\x00\x29\0\0\0\1\x68\xee\x3c\x80"
    assert media(H265).extradata == b"\0\0\0\1\x40\x01\0\0\0\1\x42\x01\0\0\0\1\x44\x01"


def test_what_is_no_parameter_set_is_left_out() -> None:
    text = H264.replace("Z00AKQ==", "!").replace("aO48gA==", "")

    assert media(text).extradata == b""


def test_without_video_there_is_none() -> None:
    assert parse_video("v=0\r\nm=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n") is None
    assert parse_video("") is None


def test_other_codecs_have_no_name() -> None:
    assert media("m=video 0 RTP/AVP 26\r\n").codec == ""
    assert media("m=video 0 RTP/AVP 96\r\na=rtpmap:96 JPEG/90000\r\n").codec == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RTP/AVP 96", "RTP/SAVP 96"),
        ("packetization-mode=1", "packetization-mode=2"),
        ("packetization-mode=1", "sprop-max-don-diff=2"),
        ("packetization-mode=1", "tx-mode=MRST"),
    ],
)
def test_what_has_to_be_deciphered_or_sorted_is_told(old: str, new: str) -> None:
    assert not media(H264.replace(old, new)).is_plain


@pytest.mark.parametrize("rate", ["0", "x", "99999999999", ""])
def test_clock_rates_that_make_no_sense_are_those_of_video(rate: str) -> None:
    assert media(H264.replace("H264/90000", f"H264/{rate}")).clock_rate == 90_000


@pytest.mark.parametrize("line", ["m=video", "m=video 0 RTP/AVP", "m=video 0 RTP/AVP x", "m=video 0 RTP/AVP ²"])
def test_broken_media_lines_have_no_codec(line: str) -> None:
    assert media(line + "\r\na=rtpmap\r\na=fmtp:\r\n").codec == ""


@pytest.mark.parametrize(
    ("control", "url"),
    [
        ("", "rtsp://a/b?c=1"),
        ("*", "rtsp://a/b?c=1"),
        ("trackID=1", "rtsp://a/b?c=1/trackID=1"),
        ("/trackID=1", "rtsp://a/b?c=1/trackID=1"),
        ("rtsp://d/e", "rtsp://d/e"),
    ],
)
def test_control_urls(control: str, url: str) -> None:
    assert control_url("rtsp://a/b?c=1", control) == url


def test_a_slash_at_the_end_is_not_doubled() -> None:
    assert control_url("rtsp://a/b/", "track") == "rtsp://a/b/track"
