"""The packets since the last key frame, for readers that come late. Pure."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

#: Bytes of one stream that are kept, at most: 2 s of 8 Mbit/s, or 4 s of 4 Mbit/s.
MAX_GOP_BYTES = 2 * 1024 * 1024


class Sized(Protocol):
    """What is kept."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def is_key(self) -> bool:
        """Whether decoding can begin here."""


P = TypeVar("P", bound=Sized)


@dataclass(slots=True)
class GopKeeper(Generic[P]):
    """Keeps a group of pictures.

    Args:
        max_bytes: a longer group is dropped as a whole, and nothing is kept until the next key frame: without its
            beginning it cannot be decoded.
    """

    max_bytes: int = MAX_GOP_BYTES
    packets: list[P] = field(default_factory=list)  #: empty: there is nothing that a reader could begin with
    size: int = 0

    def add(self, packet: P) -> None:
        """Takes the stream's next packet."""
        if packet.is_key:
            self.clear()
        elif not self.packets:
            return
        self.size += packet.size
        if self.size > self.max_bytes:
            self.clear()
            return
        self.packets.append(packet)

    def clear(self) -> None:
        """Forgets: a gap follows, or nobody reads."""
        # Not emptied in place: readers may go through the old list.
        self.packets = []
        self.size = 0
