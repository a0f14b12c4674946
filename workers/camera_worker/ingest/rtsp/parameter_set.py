"""What sequence parameter sets of H.264 (ITU-T H.264, 7.3.2.1.1) and H.265 (ITU-T H.265, 7.3.2.2) tell. Pure."""

import re
from dataclasses import dataclass

#: profile_idc of H.264 with chroma format and scaling matrices.
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
#: Luma samples per chroma sample, horizontally and vertically, by chroma_format_idc.
_SUBSAMPLING = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}
_START_CODE = re.compile(rb"\x00\x00\x01")
_H264_SPS, _H265_SPS = 7, 33
#: Pixels of a side, at most; what is more is damaged.
_MAX_SIDE = 16_384
_MAX_EXP_GOLOMB_ZEROS = 31


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size of the pictures."""

    width: int  #: pixels
    height: int  #: pixels


def geometry(codec: str, extradata: bytes) -> Geometry | None:
    """Size of the pictures, by the first sequence parameter set; None: there is none that can be read.

    Args:
        codec: h264 or hevc.
        extradata: NAL units with start codes.
    """
    for unit in _START_CODE.split(extradata):
        is_set = unit and (unit[0] & 0x1F == _H264_SPS if codec == "h264" else unit[0] >> 1 & 0x3F == _H265_SPS)
        if is_set:
            bits = _Bits(unit.replace(b"\0\0\3", b"\0\0"))
            try:
                found = _h264(bits) if codec == "h264" else _h265(bits)
            except ValueError:
                return None
            return found if 0 < found.width <= _MAX_SIDE and 0 < found.height <= _MAX_SIDE else None
    return None


class _Bits:
    """Bits of a unit, first one first.

    Raises:
        ValueError: by each method, when they come to their end.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """An unsigned integer of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the unit has ended")
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (ITU-T H.264, 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _MAX_EXP_GOLOMB_ZEROS:
                raise ValueError("no Exp-Golomb code")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed one."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _h264(bits: _Bits) -> Geometry:
    bits.u(8)
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    chroma = 1
    is_separate = 0
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        is_separate = bits.u(1) if chroma == 3 else 0  # noqa: PLR2004
        bits.ue()
        bits.ue()
        bits.u(1)
        if bits.u(1):
            for number in range(12 if chroma == 3 else 8):  # noqa: PLR2004
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)  # noqa: PLR2004
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue()
    bits.u(1)
    width = 16 * (bits.ue() + 1)
    rows = bits.ue() + 1
    is_frames_only = bits.u(1)
    height = 16 * rows * (2 - is_frames_only)
    if not is_frames_only:
        bits.u(1)
    bits.u(1)
    across, down = _crop(bits, 0 if is_separate else chroma)
    return Geometry(width - across, height - down * (2 - is_frames_only))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _h265(bits: _Bits) -> Geometry:
    bits.u(16)
    bits.u(4)
    layers = bits.u(3)
    bits.u(1)
    bits.u(88)
    bits.u(8)
    if layers:
        present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
        bits.u(2 * (8 - layers))
        for has_profile, has_level in present:
            bits.u(88 * has_profile + 8 * has_level)
    bits.ue()
    chroma = bits.ue()
    is_separate = bits.u(1) if chroma == 3 else 0  # noqa: PLR2004
    width, height = bits.ue(), bits.ue()
    across, down = _crop(bits, 0 if is_separate else chroma)
    return Geometry(width - across, height - down)


def _crop(bits: _Bits, chroma: int) -> tuple[int, int]:
    """Luma samples that are not shown, of a row and of a column of a frame."""
    if not bits.u(1):
        return 0, 0
    left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    across, down = _SUBSAMPLING.get(chroma, (1, 1))
    return across * (left + right), down * (top + bottom)
