"""One camera: the thread that pulls its stream, and what is known of it."""

import logging
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from camera_api.assignment import AssignedCamera, SourceKind
from camera_api.camera import Transport
from camera_api.category import DecodePolicy
from camera_api.faults import Fault, diagnosis_order
from camera_api.health import ActiveFault, CameraHealth, StreamFacts, Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.connection import Connection, Trouble
from camera_worker.ingest.source import KeyFrame, Packet, Stream, StreamInfo, StreamOpener, Timeouts
from camera_worker.ingest.statistics import StreamStatistics

logger = logging.getLogger(__name__)

_CONNECT_LONGEST_S = 3.0
_OPEN_LONGEST_S = 5.0
_KEY_FRAME_EVERY_S = {DecodePolicy.EVERY_KEY_FRAME: 0.0, DecodePolicy.KEY_FRAME_EVERY_10S: 10.0}
#: Rates are reported anew when they differ by more than this part, or every report would differ.
_RATE_STEP = 0.25


@dataclass(slots=True)
class Counters:
    """What only grows. Belongs to the camera, not to its thread, so that a change of settings takes nothing away."""

    frames: int = 0
    key_frames: int = 0
    received_bytes: int = 0
    reconnects: Counter[str] = field(default_factory=Counter)
    decode_seconds: float = 0.0
    up_seconds: float = 0.0
    observed_seconds: float = 0.0
    fault_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    last_frame_at: float | None = None  #: seconds since 1970


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all cameras of a worker share."""

    open_stream: StreamOpener
    clock: Callable[[], float]  #: monotonic seconds
    wall_clock: Callable[[], float]  #: seconds since 1970
    opens: threading.Semaphore  #: connections that may be set up at the same time
    changed: Callable[[], None]  #: called from the camera's thread when its health may have changed


class Camera:
    """A camera that is watched.

    Args:
        assigned: what to watch.
        surroundings: clock, opener and limits.
        counters: of an earlier thread of the same camera.
    """

    def __init__(self, assigned: AssignedCamera, surroundings: Surroundings, counters: Counters | None = None) -> None:
        self.assigned = assigned
        self.counters = counters or Counters()
        self._around = surroundings
        now = surroundings.clock()
        self._connection = Connection(assigned.health.offline_after_seconds, now, random.Random(assigned.uid))  # noqa: S311 - jitter
        self._statistics = StreamStatistics(assigned.health.min_frames_per_second_ratio)
        # Transitions come from the camera's thread, time from the event loop; packets take no lock.
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._use_udp = assigned.source.transport is Transport.UDP
        self._info: StreamInfo | None = None
        self._facts: StreamFacts | None = None
        self._key_frame: KeyFrame | None = None
        self._decoded_at: float | None = None
        self._ticked_at = now
        self._told: tuple[Verdict, Fault | None, float] = (Verdict.CONNECTING, None, now)
        self._thread = threading.Thread(
            target=self._run, name=f"camera {assigned.namespace}/{assigned.name}", daemon=True
        )

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to let go of the camera; it has when ``is_alive`` is false."""
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, and so may hold a connection to the camera."""
        return self._thread.is_alive()

    def update(self, assigned: AssignedCamera) -> None:
        """Takes over settings that need no new connection."""
        with self._lock:
            self.assigned = assigned
            self._connection.offline_after_s = assigned.health.offline_after_seconds
            self._statistics.min_rate_ratio = assigned.health.min_frames_per_second_ratio

    @staticmethod
    def needs_reconnect(old: AssignedCamera, new: AssignedCamera) -> bool:
        """Whether a change of settings means another connection."""
        return (old.source, old.credentials) != (new.source, new.credentials)

    @property
    def key_frame(self) -> KeyFrame | None:
        """The latest key frame; None: none has come yet."""
        return self._key_frame

    @property
    def stream_info(self) -> StreamInfo | None:
        """What the stream turned out to be; None: it has not been open yet."""
        return self._info

    def tick(self) -> None:
        """Lets time pass: overdue cameras become faulty, seconds are counted."""
        now = self._around.clock()
        with self._lock:
            self._connection.tick(now)
            faults = self._active(now)
            elapsed, self._ticked_at = now - self._ticked_at, now
            if self.assigned.maintenance:
                return
            self.counters.observed_seconds += elapsed
            if self._connection.verdict is Verdict.WORKING and not faults:
                self.counters.up_seconds += elapsed
            for trouble in faults:
                self.counters.fault_seconds[trouble.fault.value] += elapsed

    def active_faults(self) -> list[Fault]:
        """Faults at present, in the order of diagnosis."""
        with self._lock:
            return [trouble.fault for trouble in self._active(self._around.clock())]

    @property
    def is_up(self) -> bool:
        """Whether the camera delivers what it should."""
        with self._lock:
            return self._connection.verdict is Verdict.WORKING and not self._active(self._around.clock())

    def health(self) -> CameraHealth:
        """What is to be reported."""
        now = self._around.clock()
        with self._lock:
            faults = self._active(now)
            verdict = Verdict.FAULTY if faults else self._connection.verdict
            first = faults[0].fault if faults else None
            if (verdict, first) != self._told[:2]:
                since = faults[0].since if faults else now
                self._told = (verdict, first, since)
                self._log_edge(verdict, faults)
            last = self._connection.last_packet
            return CameraHealth(
                namespace=self.assigned.namespace,
                name=self.assigned.name,
                uid=self.assigned.uid,
                verdict=verdict,
                since=self._wall(self._told[2], now),
                faults=tuple(
                    ActiveFault(fault=trouble.fault, since=self._wall(trouble.since, now), message=trouble.message)
                    for trouble in faults
                ),
                stream=self._facts,
                last_frame_at=self._wall(last, now) if faults and last is not None and self._is_silent() else None,
            )

    def _is_silent(self) -> bool:
        return self._connection.verdict is Verdict.FAULTY

    def _active(self, now: float) -> list[Trouble]:
        troubles = self._statistics.troubles(now) if self._connection.verdict is Verdict.WORKING else []
        if self._connection.trouble is not None:
            troubles.append(self._connection.trouble)
        flapping_since = self._connection.flapping_since(now)
        if flapping_since is not None:
            troubles.append(Trouble(Fault.FLAPPING, flapping_since, "the connection was lost 4 times in 5 minutes"))
        disabled = self.assigned.health.disabled_faults
        active = [trouble for trouble in troubles if trouble.fault not in disabled]
        return sorted(active, key=lambda trouble: diagnosis_order(trouble.fault))

    def _wall(self, moment: float, now: float) -> str:
        # Whole seconds, so that rounding of the difference of two clocks changes no report.
        wall = datetime.fromtimestamp(self._around.wall_clock(), UTC) - timedelta(seconds=now - moment)
        return (wall + timedelta(milliseconds=500)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _log_edge(self, verdict: Verdict, faults: list[Trouble]) -> None:
        name = f"{self.assigned.namespace}/{self.assigned.name}"
        if faults:
            logger.warning("camera %s: %s: %s", name, faults[0].fault.value, faults[0].message)
        elif verdict is Verdict.WORKING:
            logger.info("camera %s: working", name)

    # The thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            wait = self._connection.retry_at - self._around.clock()
            if wait > 0 and self._stop.wait(wait):
                return
            try:
                self._watch()
            except StreamError as error:
                self._failed(error)

    def _watch(self) -> None:
        with closing(self._open()) as stream:
            with self._lock:
                self._connection.opened(self._around.clock())
                self._statistics.restart()
                self._info = stream.info
            for packet in stream.packets():
                if self._stop.is_set():
                    return
                self._take(packet, stream)

    def _open(self) -> Stream:
        """Opens the stream, by UDP if the camera refuses TCP; which of them worked is remembered."""
        while True:
            transport = self._transport()
            with self._around.opens:
                with self._lock:
                    self._connection.opening(self._around.clock())
                offline_after = self.assigned.health.offline_after_seconds
                timeouts = Timeouts(
                    connect_s=min(offline_after, _CONNECT_LONGEST_S),
                    open_s=min(offline_after, _OPEN_LONGEST_S),
                    read_s=offline_after,
                )
                try:
                    return self._around.open_stream(
                        self.assigned.source, self.assigned.credentials, transport=transport, timeouts=timeouts
                    )
                except StreamError as error:
                    may_fall_back = self.assigned.source.transport is Transport.AUTO and not self._use_udp
                    if not (error.try_udp and may_fall_back) or self._stop.is_set():
                        raise
                    self._use_udp = True

    def _transport(self) -> str:
        if self.assigned.source.kind is SourceKind.HTTP:
            return "HTTP"
        return "UDP" if self._use_udp else "TCP"

    def _failed(self, error: StreamError) -> None:
        if self._stop.is_set():
            return
        with self._lock:
            self._connection.failed(error, self._around.clock())
            self.counters.reconnects[error.fault.value] += 1
        logger.debug("camera %s/%s: %s", self.assigned.namespace, self.assigned.name, error)
        self._around.changed()

    def _take(self, packet: Packet, stream: Stream) -> None:
        """The path of every packet: keep it short."""
        now = self._around.clock()
        counters = self.counters
        counters.frames += 1
        counters.received_bytes += packet.size
        self._connection.packet(now)
        if packet.is_key:
            counters.key_frames += 1
            counters.last_frame_at = self._around.wall_clock()
            self._take_key_frame(packet, now)
        if self._statistics.packet(packet.size, packet.seconds, now):
            counters.last_frame_at = self._around.wall_clock()
            with self._lock:
                self._statistics.lost(stream.lost_packets())
                self._update_facts(stream.info)

    def _take_key_frame(self, packet: Packet, now: float) -> None:
        was_working = self._connection.verdict is Verdict.WORKING
        with self._lock:
            self._connection.key_frame(now)
        if not was_working:
            self._around.changed()
        self._key_frame = packet.key_frame()
        every_s = _KEY_FRAME_EVERY_S.get(self.assigned.decode)
        if every_s is None or (self._decoded_at is not None and now - self._decoded_at < every_s):
            return
        self._decoded_at = now
        picture = packet.decode()
        self.counters.decode_seconds += self._around.clock() - now
        self._statistics.picture(corrupt=picture is None or picture.is_corrupt)

    def _update_facts(self, info: StreamInfo) -> None:
        facts, statistics = self._facts, self._statistics
        if (
            facts is not None
            and (facts.codec, facts.width, facts.height, facts.transport)
            == (info.codec, info.width, info.height, info.transport)
            and _is_near(statistics.frames_per_second, facts.frames_per_second)
            and _is_near(statistics.bits_per_second, facts.bits_per_second)
        ):
            return
        self._facts = StreamFacts(
            codec=info.codec,
            width=info.width,
            height=info.height,
            frames_per_second=round(statistics.frames_per_second, 1),
            bits_per_second=round(statistics.bits_per_second, -4),
            transport=info.transport,
        )


def _is_near(value: float, reference: float) -> bool:
    return abs(value - reference) <= _RATE_STEP * max(reference, 1e-9)
