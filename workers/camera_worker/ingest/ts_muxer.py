"""Packets as MPEG-TS, by FFmpeg's muxer."""

import contextlib
from fractions import Fraction
from typing import Any

import av
import av.error

from camera_worker.errors import MuxError
from camera_worker.relay.framing import TICKS_PER_S, Parameters
from camera_worker.relay.transport_stream import CODECS

_TIME_BASE = Fraction(1, TICKS_PER_S)


class TsMuxer:
    """Turns one stream's packets into a transport stream, each as soon as it comes. For one thread.

    Args:
        parameters: of the stream; its extradata is not used, see ``relay.parameter_sets``.

    Raises:
        MuxError: the codec has no place in a transport stream.
    """

    def __init__(self, parameters: Parameters) -> None:
        if parameters.codec not in CODECS:
            raise MuxError(f"{parameters.codec} has no place in MPEG-TS")
        self._pieces: list[bytes] = []
        # Each packet is flushed, or it would wait until FFmpeg's buffer is full.
        self._container: Any = av.open(self, "w", format="mpegts", options={"flush_packets": "1"})
        try:
            self._stream = self._container.add_mux_stream(
                parameters.codec, width=parameters.width, height=parameters.height, time_base=_TIME_BASE
            )
        except ValueError:
            self._container.close()
            raise MuxError(f"FFmpeg has no place for {parameters.codec} in MPEG-TS") from None

    def write(self, data: bytes) -> int:
        """For FFmpeg: takes what it has written."""
        # A view of FFmpeg's buffer would be overwritten.
        self._pieces.append(bytes(data))
        return len(data)

    def mux(self, data: bytes, pts: int, dts: int, *, is_key: bool) -> bytes:
        """The transport packets of one access unit.

        Args:
            data: the access unit, with start codes.
            pts: ticks of 1/90000 s.
            dts: likewise; rises strictly.
            is_key: whether this is a key frame, which must hold its parameter sets.

        Raises:
            MuxError: FFmpeg cannot make anything of it.
        """
        packet: Any = av.Packet(data)
        packet.stream = self._stream
        packet.time_base = _TIME_BASE
        packet.pts, packet.dts, packet.is_keyframe = pts, dts, is_key
        try:
            self._container.mux_one(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise MuxError(f"FFmpeg cannot put the stream into MPEG-TS: {type(error).__name__}") from None
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def close(self) -> None:
        """Gives FFmpeg's memory back."""
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            self._container.close()
        self._pieces = []
