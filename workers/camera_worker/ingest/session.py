"""How a stream is opened: one way for main and sub streams."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_worker.ingest.connection import Connection
from camera_worker.ingest.slots import OpenSlots, site_of
from camera_worker.ingest.source import Stream, StreamOpener, Timeouts


@dataclass(frozen=True, slots=True)
class Session:
    """What opening a stream needs, besides where it is.

    Args:
        opener: the way to cameras.
        slots: places of those that set up a session at the same time.
        clock: monotonic seconds.
        lock: guards the connection.
        interrupted: whether the thread has something else to do first.
        progress: told when something has been done, with the clock's time.
    """

    opener: StreamOpener
    slots: OpenSlots
    clock: Callable[[], float]
    lock: threading.Condition
    interrupted: Callable[[], bool]
    progress: Callable[[float], None]

    def open(
        self, connection: Connection, source: AssignedSource, credentials: Credentials | None, timeouts: Timeouts
    ) -> Stream | None:
        """Takes a connection from its wait to an open stream; ``connection.opened`` is left to the caller.

        Returns:
            The main stream of the source; None: interrupted.

        Raises:
            StreamError: it cannot be opened.
        """
        with self.lock:
            connection.connect(self.clock())
        self.progress(self.clock())
        self.opener.connect(source, timeouts)
        with self.lock:
            connection.queue(self.clock())
        with self.slots.taken(self.interrupted, site_of(source.main_url)) as taken:
            if not taken:
                return None
            with self.lock:
                connection.open(self.clock())
                transport = connection.transport.value
            self.progress(self.clock())
            if source.kind is SourceKind.HTTP:
                transport = "HTTP"
            return self.opener.open(source, credentials, transport=transport, timeouts=timeouts)
