"""What a camera's thread needs of a stream: opened by a ``StreamOpener``, read packet by packet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from camera_api.assignment import AssignedSource, Credentials

Luma = npt.NDArray[np.uint8]  #: HxW, 0 is black; a view that is valid until the next packet is read


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a stream turned out to be."""

    codec: str  #: FFmpeg's name, for example h264
    width: int  #: pixels
    height: int  #: pixels
    transport: str  #: TCP, UDP or HTTP


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A compressed key frame with what is needed to decode it: a thirtieth of the picture's size."""

    codec: str
    extradata: bytes
    data: bytes = field(repr=False)


class Picture(Protocol):
    """A decoded key frame."""

    @property
    def is_corrupt(self) -> bool:
        """Whether the decoder had to guess parts of it."""

    def luma(self) -> Luma:
        """Brightness, without a copy."""


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

    def decode(self) -> Picture | None:
        """The picture of a key frame; None: the decoder could make none."""

    def key_frame(self) -> KeyFrame:
        """A copy that outlives the packet."""


class Stream(Protocol):
    """An open stream."""

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
    """How long a camera may be silent."""

    connect_s: float  #: for the TCP connection
    open_s: float  #: for the session, once connected
    read_s: float  #: between two packets


class StreamOpener(Protocol):
    """Opens streams."""

    def __call__(
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
