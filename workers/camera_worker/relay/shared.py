"""What all readers of a stream share: bytes that are ready to be sent."""

from dataclasses import dataclass, field

#: HTTP's transfer coding "chunked" (RFC 9112, 7.1): a hexadecimal length before the chunk, a line's end after it.
CHUNK_END = b"\r\n"


@dataclass(frozen=True, slots=True)
class Shared:
    """A chunk, and what queues have to know of it."""

    chunk: bytes = field(repr=False)
    is_key: bool  #: whether a reader can begin here

    @property
    def size(self) -> int:
        """Bytes of the chunk."""
        return len(self.chunk)


def chunk_start(size: int) -> bytes:
    """What stands in front of a chunk of so many bytes."""
    return b"%x\r\n" % size


def http_chunk(data: bytes) -> bytes:
    """Bytes as a chunk."""
    return b"".join((chunk_start(len(data)), data, CHUNK_END))
