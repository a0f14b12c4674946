"""H.264 and H.265 parameter sets in front of key frames. Pure.

Many cameras send them in the session description only. A reader of the ``packets`` route has them from the header, but
MPEG-TS knows no such place: who joins there needs them in the stream, before each key frame.
"""

from collections.abc import Callable

from camera_worker.relay.framing import Parameters

_START_CODE = b"\0\0\1"


def _h264(header: int) -> int:
    return header & 0x1F


def _h265(header: int) -> int:
    return header >> 1 & 0x3F


#: By codec: type of a NAL unit by its first byte, type of the sequence parameter set, of the access unit delimiter, and
#: the types of slices (ITU-T H.264, table 7-1; H.265, table 7-1).
_SYNTAX: dict[str, tuple[Callable[[int], int], int, int, range]] = {
    "h264": (_h264, 7, 9, range(1, 6)),
    "hevc": (_h265, 33, 35, range(32)),
}


def with_parameter_sets(parameters: Parameters, key_frame: bytes | memoryview) -> bytes:
    """A key frame that can be decoded without knowing the stream's extradata.

    Args:
        parameters: of the stream.
        key_frame: in Annex B form, with start codes, as RTP delivers it.
    """
    data = bytes(key_frame)
    syntax = _SYNTAX.get(parameters.codec)
    # Extradata in another form (ISO/IEC 14496-15) does not go into a byte stream.
    if syntax is None or _START_CODE not in parameters.extradata[:4]:
        return data
    type_of, parameter_set, delimiter, slices = syntax
    insert_at = 0
    at = data.find(_START_CODE)
    while 0 <= at < len(data) - len(_START_CODE):
        kind = type_of(data[at + len(_START_CODE)])
        if kind == parameter_set:
            return data
        if kind in slices:
            break
        following = data.find(_START_CODE, at + len(_START_CODE))
        if kind == delimiter and following > 0:
            # Nothing may stand before a delimiter. The zero byte of a longer start code belongs to what follows.
            insert_at = following - (data[following - 1] == 0)
        at = following
    return data[:insert_at] + parameters.extradata + data[insert_at:]
