import pytest

from camera_worker.relay.framing import Parameters
from camera_worker.relay.parameter_sets import with_parameter_sets

LONG, SHORT = b"\0\0\0\1", b"\0\0\1"
SPS, PPS, IDR, SEI, AUD = b"\x67sps", b"\x68pps", b"\x65slice", b"\x06sei", b"\x09\xf0"
VPS_265, SPS_265, IDR_265, AUD_265 = b"\x40\x01vps", b"\x42\x01sps", b"\x26\x01slice", b"\x46\x01\x50"
SETS = LONG + SPS + LONG + PPS
SETS_265 = LONG + VPS_265 + LONG + SPS_265


@pytest.mark.parametrize(
    ("codec", "extradata", "key_frame", "expected"),
    [
        ("h264", SETS, LONG + IDR, SETS + LONG + IDR),
        ("h264", SETS, LONG + SEI + SHORT + IDR, SETS + LONG + SEI + SHORT + IDR),
        ("h264", SETS, LONG + AUD + LONG + IDR, LONG + AUD + SETS + LONG + IDR),
        ("h264", SETS, LONG + AUD + SHORT + IDR, LONG + AUD + SETS + SHORT + IDR),
        ("h264", SETS, LONG + SPS + LONG + PPS + LONG + IDR, LONG + SPS + LONG + PPS + LONG + IDR),
        ("h264", b"", LONG + IDR, LONG + IDR),
        ("h264", b"\1\x64\0\x1f\xff", LONG + IDR, LONG + IDR),
        ("h264", SETS, b"", SETS),
        ("hevc", SETS_265, LONG + IDR_265, SETS_265 + LONG + IDR_265),
        ("hevc", SETS_265, LONG + AUD_265 + LONG + IDR_265, LONG + AUD_265 + SETS_265 + LONG + IDR_265),
        ("hevc", SETS_265, SETS_265 + LONG + IDR_265, SETS_265 + LONG + IDR_265),
        ("mjpeg", b"", b"\xff\xd8", b"\xff\xd8"),
    ],
)
def test_a_key_frame_that_lacks_them_gets_parameter_sets(
    codec: str, extradata: bytes, key_frame: bytes, expected: bytes
) -> None:
    assert with_parameter_sets(Parameters(codec, extradata, 0, 0), memoryview(key_frame)) == expected
