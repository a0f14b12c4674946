"""What a camera's thread needs of a stream: its way there, a ``StreamOpener``, and packets to read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from camera_api.assignment import AssignedSource, Credentials
from camera_worker.relay.framing import Parameters

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Luma = npt.NDArray[np.uint8]  #: HxW, 0 is black; a view that is valid until the next packet is read


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a stream turned out to be."""

    codec: str  #: FFmpeg's name, for example h264
    width: int  #: pixels; 0: not known before a frame is decoded
    height: int  #: pixels; 0: not known before a frame is decoded
    transport: str  #: TCP, UDP or HTTP
    extradata: bytes = field(default=b"", repr=False)  #: for the decoder; empty: the key frames hold all that it needs

    @property
    def parameters(self) -> Parameters:
        """What readers of the relay have to know."""
        return Parameters(self.codec, self.extradata, self.width, self.height)


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A compressed key frame with what is needed to decode it: a thirtieth of the picture's size."""

    codec: str
    extradata: bytes
    data: bytes | memoryview = field(repr=False)


class Picture(Protocol):
    """A decoded key frame."""

    @property
    def is_corrupt(self) -> bool:
        """Whether the decoder had to guess parts of it."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    def luma(self) -> "Luma":
        """Brightness; without a copy where a sample is a byte."""

    def is_grey(self) -> bool | None:
        """Whether it has no colour, as at night under the infra-red lamp; None: not known."""


class Packet(Protocol):
    """One access unit of the stream."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def is_key(self) -> bool:
        """Whether decoding can begin here."""

    @property
    def seconds(self) -> float | None:
        """Presentation time by the camera's clock; None: it has none."""

    @property
    def decode_seconds(self) -> float | None:
        """Decoding time by the camera's clock; None: it has none."""

    def data(self) -> bytes | memoryview:
        """The access unit; a view is valid until the next packet is read."""

    def decode(self) -> Picture | None:
        """The picture of a key frame; None: the decoder could make none."""

    def key_frame(self, kept: memoryview | None = None) -> KeyFrame:
        """The key frame, so that it outlives the packet.

        Args:
            kept: its bytes, where they are kept anyway; None: a copy is made.
        """


class Stream(Protocol):
    """An open stream. For the thread that opened it only."""

    info: StreamInfo

    def packets(self) -> Iterator[Packet]:
        """Packets as they come; never ends but by an error.

        Raises:
            StreamError: the stream has stalled or ended.
        """

    def lost_packets(self) -> int:
        """RTP packets that are missing since the last call."""

    def close(self) -> None:
        """Gives the connection up."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a camera may be silent, in seconds."""

    connect_s: float  #: for its name and the TCP connection
    open_s: float  #: for the session, once connected, and again for its first packet
    read_s: float  #: between two packets

    @classmethod
    def for_camera(cls, offline_after_s: float) -> "Timeouts":
        """Time-outs of a camera that is faulty after so long a silence.

        They also bound how long a thread cannot be stopped, which no camera may decide: an FFmpeg container cannot be
        interrupted from another thread. A stalled stream is given up after half the time, so that the verdict rests on
        a fresh connection as well; a stream with less than a frame in 30 s is no video.
        """
        return cls(
            connect_s=3.0,
            open_s=min(max(offline_after_s, 3.0), 5.0),
            read_s=min(max(offline_after_s / 2, 1.0), 30.0),
        )


class StreamOpener(Protocol):
    """The way to cameras; ``ingest.rtsp_source.RtspOpener`` is the real one."""

    def connect(self, source: AssignedSource, timeouts: Timeouts) -> None:
        """Makes sure that the camera's name resolves and its port accepts connections.

        Raises:
            StreamError: it does not; ``connected`` is false.
        """

    def open(
        self, source: AssignedSource, credentials: Credentials | None, *, transport: str, timeouts: Timeouts
    ) -> Stream:
        """Opens the main stream.

        Args:
            source: where it is.
            credentials: for the camera.
            transport: TCP, UDP or HTTP.
            timeouts: how long the camera may be silent.

        Raises:
            StreamError: it cannot be opened.
        """
