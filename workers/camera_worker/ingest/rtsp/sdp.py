"""Session descriptions of cameras (RFC 8866; RFC 2326, C; RFC 6184, 8; RFC 7798, 7). Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_START_CODE = b"\0\0\0\1"
#: FFmpeg's names, by the encoding's name in capitals.
_CODECS = {"H264": "h264", "H265": "hevc"}
#: Attributes that hold parameter sets, in the order of the decoder.
_PARAMETER_SETS = {"h264": ("sprop-parameter-sets",), "hevc": ("sprop-vps", "sprop-sps", "sprop-pps")}
_VIDEO_CLOCK = 90_000
#: Of a media description: kind, port, protocol, format.
_MEDIA_WORDS = 4
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class VideoMedia:
    """The first video of a description."""

    codec: str  #: FFmpeg's name; empty: another one than H.264 and H.265
    protocol: str  #: RTP/AVP, for example
    payload_type: int
    clock_rate: int  #: ticks per second of the RTP time stamps
    control: str  #: as written; empty: none is
    session_control: str  #: likewise, of the whole session
    attributes: Mapping[str, str] = field(repr=False)  #: of the format, names in lower case

    @property
    def extradata(self) -> bytes:
        """Parameter sets with start codes; empty: they come in the stream."""
        units = []
        for name in _PARAMETER_SETS.get(self.codec, ()):
            for text in self.attributes.get(name, "").split(","):
                try:
                    unit = base64.b64decode(text.strip() + "==")
                except (binascii.Error, ValueError):
                    continue
                if unit:
                    units.append(_START_CODE + unit)
        return b"".join(units)

    @property
    def is_plain(self) -> bool:
        """Whether the packets come in decoding order over plain RTP: nothing to be sorted or deciphered."""
        orders = ("sprop-interleaving-depth", "sprop-max-don-diff", "sprop-depack-buf-nalus")
        is_sorted = all(self.attributes.get(name, "0") == "0" for name in orders)
        is_single_stream = self.attributes.get("tx-mode", "SRST").upper() == "SRST"
        is_known_mode = self.attributes.get("packetization-mode", "0") in {"0", "1"}
        return self.protocol.upper() in {"RTP/AVP", "RTP/AVP/TCP"} and is_sorted and is_single_stream and is_known_mode


def parse_video(description: str) -> VideoMedia | None:
    """The first video of a session description; None: it has none. What makes no sense is left out."""
    session, *sections = re.split(r"^m=", description.replace("\r", ""), flags=re.MULTILINE)
    section = next((section for section in sections if section.lower().startswith("video")), None)
    if section is None:
        return None
    media, *lines = section.split("\n")
    words = media.split()
    protocol, number = (words[2], words[3]) if len(words) >= _MEDIA_WORDS else ("", "")
    codec, clock_rate = "", _VIDEO_CLOCK
    attributes: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        payload_type, _, value = value.strip().partition(" ")
        if payload_type != number:
            continue
        if name == "a=rtpmap":
            encoding, _, rate = value.partition("/")
            codec = _CODECS.get(encoding.strip().upper(), "")
            clock_rate = _number(rate.partition("/")[0]) or _VIDEO_CLOCK
        elif name == "a=fmtp":
            pairs = (item.partition("=") for item in value.split(";"))
            attributes |= {key.strip().lower(): text.strip() for key, found, text in pairs if found}
    return VideoMedia(
        codec=codec,
        protocol=protocol,
        payload_type=-1 if (known := _number(number)) is None else known,
        clock_rate=clock_rate,
        control=_control(lines),
        session_control=_control(session.split("\n")),
        attributes=attributes,
    )


def _control(lines: list[str]) -> str:
    name = "a=control:"
    return next((line.removeprefix(name).strip() for line in lines if line.startswith(name)), "")


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def control_url(base: str, control: str) -> str:
    """Where a medium is controlled.

    Relative ones are appended, as every client does that cameras are tested with, not resolved by RFC 3986.

    Args:
        base: of the description.
        control: as the description says; empty or ``*``: the base itself.
    """
    if not control or control == "*":
        return base
    if control.lower().startswith(("rtsp://", "rtsps://")):
        return control
    return f"{base.rstrip('/')}/{control.lstrip('/')}"
