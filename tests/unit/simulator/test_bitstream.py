"""Elementary streams are cut into pictures exactly where the encoder began one."""

import pytest

from camera_simulator.bitstream import AccessUnit, Codec, parameter_sets, split_access_units

H264_DELIMITER = b"\x00\x00\x00\x01\x09\xf0"
H264_SETS = b"\x00\x00\x00\x01\x67sps\x00\x00\x00\x01\x68pps"
H264_IDR = b"\x00\x00\x01\x65idr slice"
H264_SLICE = b"\x00\x00\x01\x41slice"
H265_DELIMITER = b"\x00\x00\x00\x01\x46\x01\x50"
H265_SETS = b"\x00\x00\x00\x01\x40\x01vps\x00\x00\x00\x01\x42\x01sps\x00\x00\x00\x01\x44\x01pps"
H265_IDR = b"\x00\x00\x01\x26\x01idr slice"
H265_SLICE = b"\x00\x00\x01\x02\x01slice"
JPEG = b"\xff\xd8\xff\xdb tables \xff\xda picture \xff\x00 stuffed \xff\xd9"


@pytest.mark.parametrize(
    ("codec", "delimiter", "sets", "key", "other"),
    [
        (Codec.H264, H264_DELIMITER, H264_SETS, H264_IDR, H264_SLICE),
        (Codec.H265, H265_DELIMITER, H265_SETS, H265_IDR, H265_SLICE),
    ],
)
def test_delimiters_separate_pictures_and_are_left_out(
    codec: Codec, delimiter: bytes, sets: bytes, key: bytes, other: bytes
) -> None:
    # A picture may have several slices, and a delimiter may have the shorter start code.
    stream = delimiter + sets + key + key + delimiter + other + delimiter[1:] + other + delimiter + sets + key

    assert split_access_units(codec, stream) == [
        AccessUnit(sets + key + key, is_key=True),
        AccessUnit(other, is_key=False),
        AccessUnit(other, is_key=False),
        AccessUnit(sets + key, is_key=True),
    ]


def test_every_jpeg_is_a_key_frame() -> None:
    assert split_access_units(Codec.MJPEG, JPEG + JPEG) == [AccessUnit(JPEG, is_key=True)] * 2


@pytest.mark.parametrize("codec", Codec)
def test_foreign_bytes_are_refused(codec: Codec) -> None:
    with pytest.raises(ValueError, match=f"no {codec.value} access unit found in 11 bytes"):
        split_access_units(codec, b"not a video")


def test_stream_that_starts_in_the_middle_of_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="does not start with a key frame"):
        split_access_units(Codec.H264, H264_DELIMITER + H264_SLICE)


@pytest.mark.parametrize(
    ("codec", "sets", "key"), [(Codec.H264, H264_SETS, H264_IDR), (Codec.H265, H265_SETS, H265_IDR)]
)
def test_parameter_sets_are_what_comes_before_the_first_slice(codec: Codec, sets: bytes, key: bytes) -> None:
    assert parameter_sets(codec, sets + key) == sets
    assert parameter_sets(codec, sets + b"\x00" + key) == sets


def test_jpeg_has_no_parameter_sets_of_its_own() -> None:
    assert parameter_sets(Codec.MJPEG, JPEG) == JPEG
