"""The frames of the ``packets`` route: what the worker writes and analytics workers read. Pure, without I/O.

A body is a sequence of frames; integers are big-endian::

    frame   length  uint32  bytes that follow this field
            kind    uint8   ASCII letter
            body    length - 1 bytes

    "H"  header, first and once: JSON object
            version    1; another one cannot be read
            codec      FFmpeg's name of the decoder, for example h264, hevc, mjpeg
            extradata  base64; for the decoder, may be empty (then the key frames hold all it needs)
            timeBase   [1, 90000]: numerator and denominator of the seconds in a tick
            epoch      seconds since 1970 at tick 0: epoch + pts / 90000 is when a picture was taken, as far as the
                       worker can tell: an anchor is the arrival of a key frame, held against its pts (dts is earlier
                       where there are B-frames)
            width, height   pixels; 0: not known before a picture is decoded
    "P"  packet: one access unit
            flags   uint8   bit 0: key frame; the others are 0
            pts     int64   ticks
            dts     int64   ticks; strictly rising, over reconnects of the camera too
            data    the rest
    "G"  gap, without a body: packets are missing here, since the camera was away or the reader was too slow
    "E"  end, last: JSON object; nothing follows, and the connection is closed
            reason   Released, ParametersChanged or Failed (``EndReason``)
            message  for people

The first packet, and the first one after a gap, is a key frame. A reader skips kinds that it does not know. A body that
ends without "E" was cut off: the worker has gone, or did not reach the reader any more.
"""

import base64
import binascii
import json
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

VERSION = 1
CONTENT_TYPE = "application/vnd.camera-operator.packets"
#: Ticks per second of pts and dts, as of RTP and MPEG-TS.
TICKS_PER_S = 90_000
#: Longer frames are refused: no access unit of a camera comes near it.
MAX_FRAME_BYTES = 32 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_PACKET = struct.Struct(">IcBqq")
#: Bytes of a packet's frame in front of its data.
PACKET_PREFIX_BYTES = _PACKET.size
_KEY = 1
_HEADER_KIND, _PACKET_KIND, _GAP_KIND, _END_KIND = b"H", b"P", b"G", b"E"
#: The frame of a gap.
GAP = _LENGTH.pack(1) + _GAP_KIND


class FramingError(ValueError):
    """The bytes are not frames as described above, or of a version that cannot be read."""


class EndReason(StrEnum):
    """Why the worker ended a body."""

    RELEASED = "Released"  #: the camera is no longer this worker's, or its pull was ended
    PARAMETERS_CHANGED = "ParametersChanged"  #: the camera sends another codec or size: connect again
    FAILED = "Failed"  #: the worker failed on the stream


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a decoder has to know. Equal parameters mean that a decoder can go on over a reconnect."""

    codec: str  #: FFmpeg's name
    extradata: bytes = field(repr=False)
    width: int  #: pixels; 0: not known
    height: int  #: pixels; 0: not known


@dataclass(frozen=True, slots=True)
class Header:
    """The first frame."""

    parameters: Parameters
    epoch_s: float  #: seconds since 1970 at tick 0


@dataclass(frozen=True, slots=True)
class Packet:
    """One access unit."""

    pts: int  #: ticks
    dts: int  #: ticks
    is_key: bool
    after_gap: bool  #: packets between the one before and this one are missing
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class End:
    """The last frame."""

    reason: str  #: an ``EndReason``, or one of a later release
    message: str


Frame = Header | Packet | End


def encode_header(header: Header) -> bytes:
    """The frame of a header."""
    parameters = header.parameters
    return _json_frame(
        _HEADER_KIND,
        {
            "version": VERSION,
            "codec": parameters.codec,
            "extradata": base64.b64encode(parameters.extradata).decode(),
            "timeBase": [1, TICKS_PER_S],
            "epoch": header.epoch_s,
            "width": parameters.width,
            "height": parameters.height,
        },
    )


def encode_packet_prefix(size: int, pts: int, dts: int, *, is_key: bool) -> bytes:
    """What stands in front of a packet's data, so that the data itself need not be copied.

    Args:
        size: bytes of the data.
        pts: ticks.
        dts: ticks.
        is_key: whether decoding can begin here.
    """
    return _PACKET.pack(PACKET_PREFIX_BYTES - _LENGTH.size + size, _PACKET_KIND, _KEY * is_key, pts, dts)


def encode_end(end: End) -> bytes:
    """The frame of an end."""
    return _json_frame(_END_KIND, {"reason": str(end.reason), "message": end.message})


class FrameParser:
    """Takes a body apart as its bytes come, in whatever pieces.

    Args:
        max_frame_bytes: longer frames are refused, so that a broken sender cannot fill the memory.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray()
        self._has_header = False
        self._has_ended = False
        self._has_gap = False

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are complete with these bytes, in order.

        Raises:
            FramingError: the bytes are no frames; the parser is of no further use.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if not 1 <= length <= self._max:
                raise FramingError(f"a frame of {length} bytes: from 1 to {self._max} are allowed")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            frame = self._frame(start, end)
            if frame is not None:
                frames.append(frame)
            start = end
        del buffer[:start]
        return frames

    def _frame(self, start: int, end: int) -> Frame | None:
        kind = self._buffer[start + _LENGTH.size : start + _LENGTH.size + 1]
        if self._has_ended:
            raise FramingError("a frame after the end")
        if self._has_header == (kind == _HEADER_KIND):
            raise FramingError("the header comes first and once")
        if kind == _PACKET_KIND:
            return self._packet(start, end)
        if kind == _GAP_KIND:
            self._has_gap = True
            return None
        body = bytes(self._buffer[start + _LENGTH.size + 1 : end])
        if kind == _HEADER_KIND:
            self._has_header = True
            return _header(_object(body))
        if kind == _END_KIND:
            self._has_ended = True
            value = _object(body)
            return End(str(value.get("reason", "")), str(value.get("message", "")))
        return None

    def _packet(self, start: int, end: int) -> Packet:
        if end - start < PACKET_PREFIX_BYTES:
            raise FramingError(f"a packet's frame of {end - start} bytes")
        _, _, flags, pts, dts = _PACKET.unpack_from(self._buffer, start)
        with memoryview(self._buffer) as view:
            data = bytes(view[start + PACKET_PREFIX_BYTES : end])
        after_gap, self._has_gap = self._has_gap, False
        return Packet(pts, dts, bool(flags & _KEY), after_gap, data)


def _json_frame(kind: bytes, value: dict[str, Any]) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    return _LENGTH.pack(1 + len(body)) + kind + body


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        raise FramingError("a frame that should be JSON is not") from None
    if not isinstance(value, dict):
        raise FramingError("a frame that should be a JSON object is not")
    return value


def _header(value: dict[str, Any]) -> Header:
    if value.get("version") != VERSION:
        raise FramingError(f"version {value.get('version')!r}: only {VERSION} can be read")
    if value.get("timeBase") != [1, TICKS_PER_S]:
        raise FramingError(f"a time base of {value.get('timeBase')!r}: version {VERSION} has 1/{TICKS_PER_S}")
    try:
        parameters = Parameters(
            codec=str(value["codec"]),
            extradata=base64.b64decode(value["extradata"], validate=True),
            width=int(value["width"]),
            height=int(value["height"]),
        )
        return Header(parameters, float(value["epoch"]))
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise FramingError(f"a header without what it needs: {type(error).__name__}") from None
