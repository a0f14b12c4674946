"""One camera: the thread that pulls its stream, and what is known of it."""

import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from camera_api.assignment import AssignedCamera
from camera_api.category import DecodePolicy
from camera_api.faults import Fault, diagnosis_order
from camera_api.health import ActiveFault, CameraHealth, StreamFacts, Verdict
from camera_worker.decoding import stricter
from camera_worker.errors import StreamError
from camera_worker.ingest.connection import FLAPPING_LOSSES, FLAPPING_WINDOW_S, Connection, Phase
from camera_worker.ingest.evidence import Evidence
from camera_worker.ingest.judgement import Judgement, Trouble
from camera_worker.ingest.picture_store import PictureStore
from camera_worker.ingest.session import Session
from camera_worker.ingest.slots import OpenSlots
from camera_worker.ingest.source import KeyFrame, Packet, Picture, Stream, StreamInfo, StreamOpener, Timeouts
from camera_worker.ingest.statistics import StreamStatistics
from camera_worker.ingest.sub_stream import RELEASED, SubStream
from camera_worker.ingest.uptime import Uptime
from camera_worker.relay.feed import Feed, Kind
from camera_worker.relay.framing import EndReason

if TYPE_CHECKING:
    from camera_worker.ingest.pictures import PictureHealth

logger = logging.getLogger(__name__)

#: Seconds between two decoded key frames, at least: a little less than is meant, since key frames come not to the
#: millisecond. Motion JPEG has key frames only, and is decoded about once a second.
_DECODE_EVERY_S = {DecodePolicy.EVERY_KEY_FRAME: 0.9, DecodePolicy.KEY_FRAME_EVERY_10S: 9.5}
#: Seconds between two key frames that are kept for snapshots.
_KEEP_EVERY_S = 0.9
#: Rates are reported anew when they differ by more than this part, or every report would differ.
_RATE_STEP = 0.25
#: Seconds after which a thread that should be at work counts as stuck: far over every time-out, the resolver's too.
STUCK_AFTER_S = 120.0
#: Ends of a stream that count towards Flapping.
_LOSSES = frozenset({Fault.STALLED, Fault.DISCONNECTED})
#: Why a stream is opened anew when the camera is not to blame.
RECONFIGURED = "Reconfigured"


@dataclass(slots=True)
class Counters:
    """What only grows, as long as the camera is assigned."""

    frames: int = 0
    key_frames: int = 0
    received_bytes: int = 0
    decode_seconds: float = 0.0
    #: Streams that were lost and stand again, by the reason of the loss.
    reconnects: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all cameras of a worker share."""

    opener: StreamOpener
    clock: Callable[[], float]  #: monotonic seconds
    wall_clock: Callable[[], float]  #: seconds since 1970
    slots: OpenSlots  #: sessions that may be set up at the same time
    changed: Callable[[], None]  #: called from the camera's thread when its health may have changed
    #: What may be decoded at most, by the CPU that there is.
    decode_limit: Callable[[], DecodePolicy] = lambda: DecodePolicy.EVERY_KEY_FRAME
    store: PictureStore | None = None  #: where learned pictures outlive the process; None: nowhere


@dataclass(frozen=True, slots=True)
class View:
    """A camera at one moment, for metrics."""

    is_up: bool
    faults: tuple[Fault, ...]
    last_frame_at: float | None  #: seconds since 1970
    stream: StreamInfo | None
    up_seconds: float
    observed_seconds: float
    fault_seconds: dict[Fault, float]


class Camera:
    """A camera that is watched, by a thread of its own.

    Transitions come from the thread, time from the event loop; a lock holds them apart. Packets between two key frames
    take no lock: they only move numbers that nobody decides on meanwhile.

    Args:
        assigned: what to watch.
        surroundings: clock, opener and limits.
    """

    def __init__(self, assigned: AssignedCamera, surroundings: Surroundings) -> None:
        self.assigned = assigned
        self.counters = Counters()
        self._around = surroundings
        now = surroundings.clock()
        rng = random.Random(assigned.uid)  # noqa: S311 - spreads retries, no secret
        self._connection = Connection(assigned.source.transport, now, rng)
        self._judgement = Judgement(assigned.health.offline_after_seconds, now)
        self._statistics = StreamStatistics(assigned.health.min_frames_per_second_ratio)
        #: None before the first picture of this source.
        self._pictures: PictureHealth | None = None
        self._uptime = Uptime(now)
        self._lock = threading.Condition()
        around = surroundings
        self._session = Session(
            around.opener, around.slots, around.clock, self._lock, lambda: self._interrupted, self._progress
        )
        #: The main stream's way to readers.
        self.feed = Feed(around.clock, around.wall_clock)
        self._sub_stream = SubStream(assigned, around.opener, around.slots, around.clock, around.wall_clock)
        #: Read for each packet: the thread is to stop, or to open the stream anew.
        self._interrupted = False
        self._stopping = False
        self._lost_by: str | None = None
        self._info: StreamInfo | None = None
        self._facts: StreamFacts | None = None
        self._key_frame: KeyFrame | None = None
        self._kept_at = self._decoded_at = float("-inf")
        self._progress_at = now
        self._told: tuple[Verdict, tuple[Trouble, ...]] | None = None
        self._told_since = now
        self._health: CameraHealth | None = None
        self._health_of: tuple[object, ...] = ()
        self._wall: dict[float, str] = {}
        self._thread = threading.Thread(
            target=self._run, name=f"camera {assigned.namespace}/{assigned.name}", daemon=True
        )

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to let go of the camera; it has when ``is_alive`` is false."""
        with self._lock:
            self._stopping = self._interrupted = True
            self._lock.notify_all()
        self.feed.end(EndReason.RELEASED, RELEASED)
        self._sub_stream.stop()

    def update(self, assigned: AssignedCamera) -> None:
        """Takes other settings over. A new connection is made only if they are about the way to the camera."""
        self._sub_stream.update(assigned)
        with self._lock:
            old, self.assigned = self.assigned, assigned
            self._judgement.offline_after_s = assigned.health.offline_after_seconds
            self._statistics.min_rate_ratio = assigned.health.min_frames_per_second_ratio
            if (old.source, old.credentials) == (assigned.source, assigned.credentials):
                return
            now = self._around.clock()
            if old.source != assigned.source:
                # Another stream: nothing that is known of the old one holds.
                self._uptime.skip(now)
                self._judgement = Judgement(assigned.health.offline_after_seconds, now)
                self._statistics = StreamStatistics(assigned.health.min_frames_per_second_ratio)
                self._info = self._facts = self._key_frame = None
            if old.source.main_url != assigned.source.main_url:
                self._pictures = None
            self._interrupted = True
            self._lock.notify_all()

    @property
    def is_alive(self) -> bool:
        """Whether a thread runs, and so may hold a connection to the camera."""
        return self._thread.is_alive() or self._sub_stream.is_alive

    @property
    def sub_stream(self) -> SubStream | None:
        """The sub stream; None: the camera declares none."""
        return None if self.assigned.source.sub_url is None else self._sub_stream

    @property
    def is_stuck(self) -> bool:
        """Whether the thread has done nothing for longer than anything may take."""
        waits = self._connection.phase in {Phase.IDLE, Phase.BACKING_OFF, Phase.QUEUED}
        return not waits and self._around.clock() - self._progress_at > STUCK_AFTER_S

    def feeds(self) -> dict[Kind, Feed]:
        """The ways to readers, of the streams that the camera declares."""
        sub_stream = self.sub_stream
        return {Kind.MAIN: self.feed} if sub_stream is None else {Kind.MAIN: self.feed, Kind.SUB: sub_stream.feed}

    @property
    def key_frame(self) -> KeyFrame | None:
        """The latest key frame; None: none has come yet."""
        return self._key_frame

    def evidence(self) -> Evidence | None:
        """What its first fault looks like, or its picture's latest one if it has none; None: there is nothing."""
        with self._lock:
            troubles = self._active(self._around.clock())
        trouble = troubles[0] if troubles else None
        pictures = self._pictures
        if pictures is not None:
            return pictures.evidence(trouble)
        return None if trouble is None else Evidence(trouble.fault, trouble.since, trouble.message, None, None)

    def date(self, moment: float) -> str:
        """A monotonic time as a report tells it."""
        return self._date(moment, self._around.clock())

    def tick(self) -> None:
        """Lets time pass: overdue cameras become faulty, seconds are counted."""
        now = self._around.clock()
        with self._lock:
            self._judgement.tick(self._connection.phase, self._connection.phase_since, now)
            self._account(now)

    def view(self) -> View:
        """What metrics tell."""
        now = self._around.clock()
        with self._lock:
            self._account(now)
            troubles = self._active(now)
            last = self._judgement.last_packet
            return View(
                is_up=self._judgement.verdict is Verdict.WORKING and not troubles,
                faults=tuple(trouble.fault for trouble in troubles),
                last_frame_at=None if last is None else self._around.wall_clock() - (now - last),
                stream=self._info,
                up_seconds=self._uptime.up,
                observed_seconds=self._uptime.observed,
                fault_seconds=dict(self._uptime.by_fault),
            )

    def health(self) -> CameraHealth:
        """What is to be reported. The same object as long as nothing has changed."""
        now = self._around.clock()
        with self._lock:
            troubles = tuple(self._active(now))
            verdict = Verdict.FAULTY if troubles else self._judgement.verdict
            if self._told is None or (verdict, _first(troubles)) != (self._told[0], _first(self._told[1])):
                self._told_since = self._since(troubles, now)
                self._log_edge(verdict, troubles)
            self._told = (verdict, troubles)
            silent_since = self._judgement.last_packet if self._judgement.trouble is not None else None
            basis = (self._told, self._told_since, self._facts, silent_since)
            if self._health is None or basis != self._health_of:
                self._health = self._report(verdict, troubles, silent_since, now)
                self._health_of = basis
            return self._health

    def _since(self, troubles: tuple[Trouble, ...], now: float) -> float:
        if troubles:
            return troubles[0].since
        if self._told is None or self._told[1]:
            began = self._judgement.working_since or self._judgement.began
            # The end of a measured fault leaves no trace in the judgement.
            return began if began > self._told_since or self._told is None else now
        return self._judgement.working_since or now

    def _report(
        self, verdict: Verdict, troubles: tuple[Trouble, ...], silent_since: float | None, now: float
    ) -> CameraHealth:
        # Each moment is turned into a date once: the two clocks drift, and another rounding would be another report.
        known, self._wall = self._wall, {}

        def date(moment: float) -> str:
            if moment not in self._wall:
                self._wall[moment] = known.get(moment) or self._date(moment, now)
            return self._wall[moment]

        return CameraHealth(
            namespace=self.assigned.namespace,
            name=self.assigned.name,
            uid=self.assigned.uid,
            verdict=verdict,
            since=date(self._told_since),
            faults=tuple(
                ActiveFault(fault=trouble.fault, since=date(trouble.since), message=trouble.message)
                for trouble in troubles
            ),
            stream=self._facts,
            last_frame_at=date(silent_since) if silent_since is not None else None,
        )

    def _date(self, moment: float, now: float) -> str:
        wall = datetime.fromtimestamp(self._around.wall_clock(), UTC) - timedelta(seconds=now - moment)
        return (wall + timedelta(milliseconds=500)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _active(self, now: float) -> list[Trouble]:
        # Also before it works: a stream without a key frame never will.
        troubles = self._statistics.troubles(now) if self._judgement.verdict is not Verdict.FAULTY else []
        seen = self._pictures.troubles if self._pictures is not None else ()
        if seen and self._sees(troubles):
            troubles += seen
        if self._judgement.trouble is not None:
            troubles.append(self._judgement.trouble)
        flapping_since = self._connection.flapping_since(now)
        if flapping_since is not None:
            # Each single loss is part of it, and would show for moments only.
            troubles = [trouble for trouble in troubles if trouble.fault not in _LOSSES]
            message = f"the stream was lost {FLAPPING_LOSSES} times within {FLAPPING_WINDOW_S / 60:.0f} minutes"
            troubles.append(Trouble(Fault.FLAPPING, flapping_since, message))
        disabled = self.assigned.health.disabled_faults
        active = [trouble for trouble in troubles if trouble.fault not in disabled]
        return sorted(active, key=lambda trouble: diagnosis_order(trouble.fault))

    def _sees(self, measured: list[Trouble]) -> bool:
        """Whether the picture is known at present, by what was measured of the stream."""
        is_whole = not any(trouble.fault is Fault.CORRUPT_FRAMES for trouble in measured)
        return is_whole and self._judgement.verdict is Verdict.WORKING and self._decoding is not DecodePolicy.NONE

    @property
    def _decoding(self) -> DecodePolicy:
        """What is decoded: what the assignment asks for, or less."""
        return stricter(self.assigned.decode, self._around.decode_limit())

    def _account(self, now: float) -> None:
        troubles = self._active(now)
        last = self._judgement.last_packet
        if self.assigned.maintenance:
            self._uptime.skip(now)
        elif troubles:
            self._uptime.has_faults((trouble.fault for trouble in troubles), now)
        elif self._judgement.verdict is Verdict.WORKING and last is not None:
            self._uptime.is_up(last)
        else:
            self._uptime.skip(now)

    def _log_edge(self, verdict: Verdict, troubles: tuple[Trouble, ...]) -> None:
        name = f"{self.assigned.namespace}/{self.assigned.name}"
        if troubles:
            logger.warning("camera %s: %s: %s", name, troubles[0].fault.value, troubles[0].message)
        elif verdict is Verdict.WORKING:
            is_blind = self._decoding is DecodePolicy.NONE is not self.assigned.decode
            logger.info("camera %s: working%s", name, ", as far as is known without its picture" if is_blind else "")

    def _progress(self, now: float) -> None:
        self._progress_at = now

    # The thread.

    def _run(self) -> None:
        while self._wait_for_turn():
            try:
                self._watch()
            except StreamError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001
                # Whatever one camera's bytes provoke must not end its thread for good, nor touch the others. Only type
                # and place are told: the text may hold the URL.
                self._failed(StreamError(Fault.DISCONNECTED, f"the worker failed on the stream: {_place(error)}"))
                logger.error("camera %s/%s: %s", self.assigned.namespace, self.assigned.name, _place(error))  # noqa: TRY400
        with self._lock:
            self._connection.stop(self._around.clock())
        pictures = self._pictures
        if pictures is not None:
            pictures.save(self.assigned, self._around.clock())
        self._around.changed()

    def _wait_for_turn(self) -> bool:
        """Waits until the next try is due, or settings change; false: the thread is to end."""
        with self._lock:
            while not self._stopping:
                now = self._around.clock()
                if self._interrupted:
                    self._interrupted = False
                    if self._connection.phase is Phase.STREAMING:
                        self._lost_by = RECONFIGURED
                    self._connection.reset(now, self.assigned.source.transport)
                wait = self._connection.wait_s(now)
                if wait <= 0:
                    return True
                self._lock.wait(wait)
        return False

    def _watch(self) -> None:
        assigned = self.assigned
        timeouts = Timeouts.for_camera(assigned.health.offline_after_seconds)
        stream = self._session.open(self._connection, assigned.source, assigned.credentials, timeouts)
        if stream is None:
            return
        with closing(stream):
            with self._lock:
                now = self._around.clock()
                self._connection.opened(now)
                self._statistics.restart(now)
                self._info = stream.info
                if self._lost_by is not None:
                    self.counters.reconnects[self._lost_by] += 1
                    self._lost_by = None
            self.feed.opened(stream.info.parameters)
            try:
                for packet in stream.packets():
                    if self._interrupted:
                        return
                    self._take(packet, stream)
            finally:
                self.feed.lost()

    def _failed(self, error: StreamError) -> None:
        with self._lock:
            if self._interrupted:
                # What failed is not what is to be watched now.
                return
            now = self._around.clock()
            self._account(now)
            if self._connection.phase is Phase.STREAMING:
                self._lost_by = error.fault.value
            if self._connection.fail(error, now):
                self._judgement.fail(error, now, retry_at=self._connection.retry_at)
        logger.debug("camera %s/%s: %s", self.assigned.namespace, self.assigned.name, error)
        self._around.changed()

    def _take(self, packet: Packet, stream: Stream) -> None:
        """The path of every packet: keep it short."""
        now = self._around.clock()
        counters = self.counters
        counters.frames += 1
        counters.received_bytes += packet.size
        self._judgement.last_packet = self._progress_at = now
        relayed = self.feed.take(packet, now) if self.feed.wanted else None
        if packet.is_key:
            counters.key_frames += 1
            self._take_key_frame(packet, relayed, stream, now)
        if self._statistics.packet(packet.size, packet.seconds, now):
            with self._lock:
                self._statistics.look(stream.lost_packets(), now)
                self._update_facts()

    def _take_key_frame(self, packet: Packet, relayed: memoryview | None, stream: Stream, now: float) -> None:
        with self._lock:
            if self._interrupted:
                return
            self._account(now)
            was_working = self._judgement.verdict is Verdict.WORKING
            if self._pictures is not None and not self._sees(self._statistics.troubles(now)):
                self._pictures.interrupted()
            self._connection.key_frame(now)
            self._judgement.key_frame(now)
            self._statistics.key_frame(now)
        if now - self._kept_at >= _KEEP_EVERY_S:
            # What readers share is kept anyway: one copy for all.
            self._key_frame, self._kept_at = packet.key_frame(relayed), now
        every_s = _DECODE_EVERY_S.get(self._decoding)
        unknown_size = self._info is not None and not self._info.width
        if unknown_size or (every_s is not None and now - self._decoded_at >= every_s):
            was_working = not self._look(packet, stream, now) and was_working
        if not was_working:
            self._around.changed()

    def _look(self, packet: Packet, stream: Stream, now: float) -> bool:
        """Decodes a key frame and looks at its picture; whether faults have come or gone."""
        # Loaded by the first picture, with OpenCV: 27 MB that a worker which decodes nothing does without.
        from camera_worker.ingest.pictures import PictureHealth, Seen  # noqa: PLC0415

        self._decoded_at = now
        picture = packet.decode()
        with self._lock:
            self._statistics.lost(stream.lost_packets())
            self._statistics.picture(corrupt=picture is None or picture.is_corrupt, now=now)
            if picture is not None and self._info is not None:
                self._info = _with_size(self._info, picture)
                self.feed.sized(picture.width, picture.height)
            # Together: the next picture may be another source's.
            sizes, assigned = self._statistics.sizes, self.assigned
            is_wanted = self._decoding is not DecodePolicy.NONE and not self._interrupted
            if self._pictures is None:
                self._pictures = PictureHealth(self._around.store)
            pictures = self._pictures
        changed = False
        if is_wanted and picture is not None and not picture.is_corrupt:
            kept = self._key_frame if self._kept_at == now else None
            seen = Seen(picture, kept or packet.key_frame(), now, sizes.inter_bytes, sizes.is_variable_rate(now))
            changed = pictures.see(seen, assigned)
        self.counters.decode_seconds += self._around.clock() - now
        return changed

    def _update_facts(self) -> None:
        info, facts, statistics = self._info, self._facts, self._statistics
        if info is None:
            return
        same = facts is not None and (facts.codec, facts.width, facts.height, facts.transport) == (
            *(info.codec, info.width, info.height),
            info.transport,
        )
        if facts is not None and same:
            rates = (
                (statistics.frames_per_second, facts.frames_per_second),
                (statistics.bits_per_second, facts.bits_per_second),
            )
            if all(abs(value - told) <= _RATE_STEP * told for value, told in rates):
                return
        self._facts = StreamFacts(
            codec=info.codec,
            width=info.width,
            height=info.height,
            frames_per_second=round(statistics.frames_per_second, 1),
            bits_per_second=round(statistics.bits_per_second, -4),
            transport=info.transport,
        )


def _first(troubles: tuple[Trouble, ...]) -> Fault | None:
    return troubles[0].fault if troubles else None


def _with_size(info: StreamInfo, picture: Picture) -> StreamInfo:
    if (info.width, info.height) == (picture.width, picture.height):
        return info
    return replace(info, width=picture.width, height=picture.height)


def _place(error: Exception) -> str:
    traceback = sys.exc_info()[2]
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    where = f" in {traceback.tb_frame.f_code.co_name}, line {traceback.tb_lineno}" if traceback is not None else ""
    return f"{type(error).__name__}{where}"
