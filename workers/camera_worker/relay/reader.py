"""One reader's connection. For the event loop only."""

import asyncio
import socket

from camera_worker.relay.queue import ReaderQueue
from camera_worker.relay.shared import Shared

#: Bytes of a reader's send buffer in the kernel. By default it grows to megabytes, which a slow reader of a slim stream
#: takes a minute to work off.
SEND_BUFFER_BYTES = 128 * 1024
#: Bytes in that buffer that have not been sent yet: the rest of it is for what is on its way.
UNSENT_BYTES = 32 * 1024
#: Bytes that are handed over at a time, at most, unless a single packet is larger: to a connection that takes all at
#: once, and to one that does not. What is handed over cannot be dropped any more, however late it gets.
BATCH_BYTES, SMALL_BATCH_BYTES = 256 * 1024, 16 * 1024
#: Seconds that a reader has to take the last bytes.
LINGER_S = 2.0
#: Seconds after which a reader that takes nothing is cut off: it may be there for days otherwise, and holds a place.
STUCK_AFTER_S = 30.0


class Reader:
    """Writes what waits for one reader, whenever its connection has taken what was written before.

    Bytes go to the transport as they are: the response's body is made of ready HTTP chunks, the same for all readers.

    Args:
        transport: of the HTTP connection, whose response's header has been sent.
        gap: chunk that tells of a drop; empty: the format has none.
    """

    def __init__(self, transport: asyncio.Transport, gap: bytes = b"") -> None:
        self.queue = ReaderQueue[Shared]()
        #: Done when nothing more will be written: true if the reader has all of it.
        self.finished: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._transport = transport
        self._gap = gap
        self._head: list[bytes] = []
        self._tail = b""
        self._batch_bytes = BATCH_BYTES
        self._give_up_at: float | None = None
        #: Bytes that the transport could not hand over yet, and when that number was seen first.
        self._left = 0
        self._left_since = 0.0
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def begin(self, head: bytes) -> None:
        """Bytes that go first and are never dropped."""
        self._head.append(head)

    def end(self, tail: bytes, now: float) -> None:
        """Nothing comes any more: what waits is forgotten, and the last bytes are written.

        Args:
            tail: a chunk; may be empty.
            now: monotonic seconds.
        """
        if self._give_up_at is None:
            self.queue = ReaderQueue[Shared]()
            self._tail = tail
            self._give_up_at = now + LINGER_S

    @property
    def is_gone(self) -> bool:
        """Whether nobody is there any more."""
        return self._transport.is_closing() or self.finished.done()

    def flush(self, now: float) -> int:
        """Writes what the connection takes. Never waits.

        Returns:
            Bytes that were handed over.
        """
        if self._transport.is_closing():
            self._finish(complete=False)
            return 0
        # What is left of the last batch; more behind it would be out of the queue's control.
        left = self._transport.get_write_buffer_size()
        if left:
            if left != self._left:
                self._left, self._left_since = left, now
            is_overdue = self._give_up_at is not None and now >= self._give_up_at
            if is_overdue or now - self._left_since >= STUCK_AFTER_S:
                self._transport.abort()
                self._finish(complete=False)
            return 0
        self._left = 0
        if self._give_up_at is not None and not self._head and not self._tail:
            self._finish(complete=True)
            return 0
        batch = self._batch(now)
        if not batch:
            return 0
        # A single packet, the usual case, is not copied.
        data = batch[0] if len(batch) == 1 else b"".join(batch)
        self._transport.write(data)
        self._batch_bytes = SMALL_BATCH_BYTES if self._transport.get_write_buffer_size() else BATCH_BYTES
        return len(data)

    def _batch(self, now: float) -> list[bytes]:
        batch, self._head = self._head, []
        packets = self.queue.take(self._batch_bytes, now) if len(self.queue) else []
        if packets and self.queue.has_gap:
            self.queue.has_gap = False
            if self._gap:
                batch.append(self._gap)
        batch += [packet.chunk for packet in packets]
        if self._tail:
            batch.append(self._tail)
            self._tail = b""
        return batch

    def _finish(self, *, complete: bool) -> None:
        if not self.finished.done():
            self.finished.set_result(complete)
