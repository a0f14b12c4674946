"""Cutting an elementary stream into the access units a camera sends, by byte patterns alone."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final


class Codec(enum.Enum):
    """Video codecs a camera can speak; the value is the name used in clips and messages."""

    H264 = "h264"
    H265 = "h265"
    MJPEG = "mjpeg"


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """All bytes of one picture, and whether decoding can start with it."""

    data: bytes
    is_key: bool


# An access unit delimiter opens every access unit (the encoders are told to write them). Emulation prevention keeps
# the pattern out of the payload (ITU-T H.264 7.4.1, H.265 7.4.2). Cameras rarely send delimiters: they are cut off.
_H264_DELIMITER: Final = re.compile(rb"\x00?\x00\x00\x01\x09.", re.DOTALL)
_H265_DELIMITER: Final = re.compile(rb"\x00?\x00\x00\x01\x46\x01.", re.DOTALL)
_START_CODE: Final = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_H264_IDR: Final = 5
#: IDR_W_RADL, IDR_N_LP and CRA_NUT (H.265 table 7-1).
_H265_RANDOM_ACCESS: Final = frozenset({19, 20, 21})
# Start of image followed by any marker; byte stuffing keeps it out of the entropy-coded data (ITU-T T.81 B.1.1.5).
_JPEG_START: Final = re.compile(rb"\xff\xd8(?=\xff)")


def split_access_units(codec: Codec, stream: bytes) -> list[AccessUnit]:
    """Cut a raw H.264 or H.265 byte stream with access unit delimiters, or concatenated JPEGs, into pictures.

    Raises:
        ValueError: nothing in the bytes looks like the codec, or the first picture cannot be decoded by itself.
    """
    if codec is Codec.MJPEG:
        units = [AccessUnit(stream[start:end], is_key=True) for start, end in _spans(_JPEG_START, stream, keep=True)]
    else:
        pattern = _H264_DELIMITER if codec is Codec.H264 else _H265_DELIMITER
        pieces = [stream[start:end] for start, end in _spans(pattern, stream, keep=False)]
        units = [AccessUnit(piece, is_key=_is_key(codec, piece)) for piece in pieces]
    if not units:
        raise ValueError(f"no {codec.value} access unit found in {len(stream)} bytes")
    if not units[0].is_key:
        raise ValueError(f"the {codec.value} stream does not start with a key frame")
    return units


def parameter_sets(codec: Codec, unit: bytes) -> bytes:
    """The part of a key frame's access unit before its first slice: parameter sets, no picture.

    Motion JPEG has none, so the whole picture is returned.
    """
    if codec is Codec.MJPEG:
        return unit
    for match in _START_CODE.finditer(unit):
        if _is_slice(codec, match[1][0]):
            end = match.start()
            # A four-byte start code begins with one more zero.
            return unit[: end - 1] if end and unit[end - 1] == 0 else unit[:end]
    return unit


def _spans(pattern: re.Pattern[bytes], stream: bytes, *, keep: bool) -> list[tuple[int, int]]:
    """Ranges between matches; `keep` leaves the matched bytes at the start of each range."""
    matches = list(pattern.finditer(stream))
    if not matches:
        return []
    starts = [match.start() if keep else match.end() for match in matches]
    ends = [match.start() for match in matches[1:]] + [len(stream)]
    return list(zip(starts, ends, strict=True))


def _is_slice(codec: Codec, header: int) -> bool:
    if codec is Codec.H264:
        return 1 <= header & 0x1F <= _H264_IDR
    return (header >> 1) & 0x3F < 32  # noqa: PLR2004 - VCL types end at 31 (H.265 table 7-1)


def _is_key(codec: Codec, unit: bytes) -> bool:
    for match in _START_CODE.finditer(unit):
        header = match[1][0]
        if _is_slice(codec, header):
            if codec is Codec.H264:
                return header & 0x1F == _H264_IDR
            return (header >> 1) & 0x3F in _H265_RANDOM_ACCESS
    return False
