"""A camera's sub stream: pulled by a connection of its own, and only while a reader needs it."""

import logging
import random
import threading
from collections.abc import Callable
from contextlib import closing

from camera_api.assignment import AssignedCamera, AssignedSource
from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.connection import Connection, Phase
from camera_worker.ingest.session import Session
from camera_worker.ingest.slots import OpenSlots
from camera_worker.ingest.source import StreamOpener, Timeouts
from camera_worker.relay.feed import Feed
from camera_worker.relay.framing import EndReason

logger = logging.getLogger(__name__)

#: Seconds for which a stream is pulled on after its last reader has left: one that connects again finds it there.
LINGER_S = 3.0
#: What readers are told when the worker lets go of a camera.
RELEASED = "the camera is no longer assigned to this worker, or the worker ends"


class SubStream:
    """What ``Camera`` is for the main stream, without judgement: its faults are none of the camera.

    ``hold`` and ``release`` come from the event loop; the thread lives while the stream is held and a little longer.
    The connection's state outlives it, so that a refused password is not tried again with each reader.

    Args:
        assigned: a camera with a sub stream.
        opener: the way to cameras.
        slots: places of those that set up a session at the same time.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        assigned: AssignedCamera,
        opener: StreamOpener,
        slots: OpenSlots,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.feed = Feed(clock, wall_clock)
        self._assigned = assigned
        self._clock = clock
        self._lock = threading.Condition()
        self._session = Session(opener, slots, clock, self._lock, lambda: self._interrupted, lambda _: None)
        rng = random.Random(f"{assigned.uid} sub")  # noqa: S311 - spreads retries, no secret
        self._connection = Connection(assigned.source.transport, clock(), rng)
        self._holders = 0
        self._unheld_since = float("-inf")
        #: Read for each packet: the thread is to end, or to open the stream anew.
        self._interrupted = False
        self._stopping = False
        self._trouble = ""
        self._thread: threading.Thread | None = None

    @property
    def trouble(self) -> str:
        """Why the stream does not come, as of the last try; empty: nothing is known against it, or a try is on."""
        with self._lock:
            if self._stopping:
                return RELEASED
            return self._trouble if self._connection.phase is Phase.BACKING_OFF else ""

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, and so may hold a connection to the camera."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def hold(self) -> None:
        """A reader needs the stream."""
        with self._lock:
            self._holders += 1
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(
                    target=self._run, name=f"sub {self._assigned.namespace}/{self._assigned.name}", daemon=True
                )
                self._thread.start()

    def release(self) -> None:
        """A reader needs the stream no more."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._unheld_since = self._clock()
                self._lock.notify_all()

    def update(self, assigned: AssignedCamera) -> None:
        """Takes other settings over. A new connection is made only if they are about the way to the camera."""
        with self._lock:
            old, self._assigned = self._assigned, assigned
            if (old.source, old.credentials) != (assigned.source, assigned.credentials):
                self._interrupted = True
                self._lock.notify_all()
                if self._thread is None:
                    self._reset()
        if assigned.source.sub_url is None:
            self.feed.end(EndReason.RELEASED, "the camera declares no sub stream any more", for_good=False)

    def stop(self) -> None:
        """Lets go for good; it has when ``is_alive`` is false."""
        with self._lock:
            self._stopping = self._interrupted = True
            self._lock.notify_all()
        self.feed.end(EndReason.RELEASED, RELEASED)

    # The thread.

    def _run(self) -> None:
        while self._wait_for_turn():
            try:
                self._pull()
            except StreamError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001
                # What a camera's bytes provoke must not end the thread. Only the type is told: texts may hold the URL.
                self._failed(StreamError(Fault.DISCONNECTED, f"the worker failed on it: {type(error).__name__}"))
            finally:
                self.feed.lost()

    def _wait_for_turn(self) -> bool:
        """Waits until the next try is due; false: nobody needs the stream, and the thread is to end."""
        with self._lock:
            while self._is_needed():
                now = self._clock()
                if self._interrupted:
                    self._reset()
                wait = self._connection.wait_s(now)
                if wait <= 0:
                    return True
                self._lock.wait(min(wait, LINGER_S))
            if self._connection.phase is not Phase.BACKING_OFF:
                self._reset()
            # Under the lock: who holds the stream from now on starts another thread.
            self._thread = None
            return False

    def _pull(self) -> None:
        assigned = self._assigned
        source = _sub_source(assigned.source)
        if source is None:
            return
        timeouts = Timeouts.for_camera(assigned.health.offline_after_seconds)
        stream = self._session.open(self._connection, source, assigned.credentials, timeouts)
        if stream is None:
            return
        with closing(stream):
            with self._lock:
                self._connection.opened(self._clock())
            self.feed.opened(stream.info.parameters)
            feed = self.feed
            for packet in stream.packets():
                now = self._clock()
                if packet.is_key:
                    with self._lock:
                        self._connection.key_frame(now)
                if feed.wanted:
                    feed.take(packet, now)
                if self._interrupted or (not self._holders and not self._is_needed()):
                    return

    def _failed(self, error: StreamError) -> None:
        with self._lock:
            if self._interrupted:
                # What failed is not what is to be pulled now.
                return
            self._trouble = error.message
            self._connection.fail(error, self._clock())
        logger.debug("sub stream of camera %s/%s: %s", self._assigned.namespace, self._assigned.name, error)

    def _is_needed(self) -> bool:
        if self._stopping or self._assigned.source.sub_url is None:
            return False
        return self._holders > 0 or self._clock() - self._unheld_since < LINGER_S

    def _reset(self) -> None:
        self._interrupted = False
        self._trouble = ""
        self._connection.reset(self._clock(), self._assigned.source.transport)


def _sub_source(source: AssignedSource) -> AssignedSource | None:
    return None if source.sub_url is None else source.model_copy(update={"main_url": source.sub_url, "sub_url": None})
