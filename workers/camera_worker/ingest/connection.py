"""A camera's connection as pure transitions: which phase it is in, when to try again and over which transport.

                                  ┌───────────────── connect ────────────────┐
                                  v                                          │
    Idle ──connect──> Connecting ──queue──> Queued ──open──> Opening ──┬──> BackingOff
      ^                   └────────────────── fail ────────────────────┤      ^
      │                                                                │      │ fail
      └── reset (from everywhere)                                      └──> Streaming
                                                                    opened

Connecting resolves the name and makes a TCP connection, which costs next to nothing; Queued waits for one of the places
of those that set up a session at the same time. No thread, no clock, no I/O: times are seconds of the caller's
monotonic clock.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_worker.errors import IllegalTransitionError, StreamError

#: Seconds of good stream after which the next failure starts from the first delay again.
GOOD_AFTER_S = 60.0
#: This many lost streams within this time are a fault of their own, until none is lost for as long.
FLAPPING_LOSSES, FLAPPING_WINDOW_S = 4, 300.0


class Phase(StrEnum):
    """What the camera's thread does."""

    IDLE = "Idle"
    CONNECTING = "Connecting"
    QUEUED = "Queued"
    OPENING = "Opening"
    STREAMING = "Streaming"
    BACKING_OFF = "BackingOff"
    STOPPED = "Stopped"


class Event(StrEnum):
    """What can happen to a connection."""

    CONNECT = "connect"
    QUEUE = "queue"
    OPEN = "open"
    OPENED = "opened"
    FAIL = "fail"
    RESET = "reset"
    STOP = "stop"


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.IDLE, Event.CONNECT): Phase.CONNECTING,
    (Phase.BACKING_OFF, Event.CONNECT): Phase.CONNECTING,
    (Phase.CONNECTING, Event.QUEUE): Phase.QUEUED,
    (Phase.QUEUED, Event.OPEN): Phase.OPENING,
    (Phase.OPENING, Event.OPENED): Phase.STREAMING,
    (Phase.CONNECTING, Event.FAIL): Phase.BACKING_OFF,
    (Phase.QUEUED, Event.FAIL): Phase.BACKING_OFF,
    (Phase.OPENING, Event.FAIL): Phase.BACKING_OFF,
    (Phase.STREAMING, Event.FAIL): Phase.BACKING_OFF,
    **{(phase, Event.RESET): Phase.IDLE for phase in Phase if phase is not Phase.STOPPED},
    **{(phase, Event.STOP): Phase.STOPPED for phase in Phase},
}


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double with each failure, within bounds, spread so that cameras behind one uplink fall out of step."""

    first_s: float
    longest_s: float
    lowest: float = 0.7  #: the shortest wait is this part of the nominal one
    highest: float = 1.3

    def delay(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after so many failures in a row, of which the last is not counted."""
        # The exponent is bounded: a camera may be gone for years.
        nominal = min(self.first_s * 2.0 ** min(failures, 16), self.longest_s)
        return nominal * rng.uniform(self.lowest, self.highest)


#: The longest wait decides how late the end of an outage is noticed; up to it, the wait is at most as long as the
#: outage was. A session that fails costs the camera a handful of requests.
SESSION_BACKOFF = Backoff(1.0, 30.0)
#: A try that does not get as far as a connection is one packet: a camera that is back is seen within seconds.
CONNECT_BACKOFF = Backoff(1.0, 3.0)
#: A name that does not resolve is asked for under each of the cluster's search domains.
NAME_BACKOFF = Backoff(1.0, 10.0)
#: A stream that stood well and stands still: only another try tells whether its camera is still there. Spread, so that
#: cameras behind one uplink do not all ask at the same moment.
STALL_BACKOFF = Backoff(0.2, 0.2, lowest=0.0)
#: Wrong passwords lock the accounts of many cameras. Never sooner than a minute, so spread upwards only.
AUTH_BACKOFF = Backoff(60.0, 600.0, lowest=1.0)


def backoff_after(error: StreamError) -> Backoff:
    """The waits that follow a failure."""
    if error.fault is Fault.AUTH_FAILED:
        return AUTH_BACKOFF
    if error.fault is Fault.DNS_FAILED:
        return NAME_BACKOFF
    return SESSION_BACKOFF if error.connected else CONNECT_BACKOFF


@dataclass(slots=True)
class Connection:
    """State of one camera's connection.

    Args:
        wanted: transport as configured; Auto tries TCP, then UDP, and remembers what worked.
        now: monotonic seconds.
        rng: spreads the waits.
    """

    wanted: Transport
    now: float
    rng: random.Random = field(default_factory=random.Random)
    phase: Phase = Phase.IDLE
    phase_since: float = 0.0
    retry_at: float = 0.0  #: when to try again, while backing off
    failures: int = 0  #: in a row
    transport: Transport = Transport.TCP  #: of the next try: TCP or UDP
    _good_since: float | None = None
    _fell_back: bool = False
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=FLAPPING_LOSSES))

    def __post_init__(self) -> None:
        self.phase_since = self.retry_at = self.now
        self.transport = Transport.UDP if self.wanted is Transport.UDP else Transport.TCP

    def connect(self, now: float) -> None:
        """A try begins."""
        self._enter(Event.CONNECT, now)

    def queue(self, now: float) -> None:
        """The camera's port accepts connections; a place to set up the session is asked for."""
        self._enter(Event.QUEUE, now)

    def open(self, now: float) -> None:
        """The session is being set up."""
        self._enter(Event.OPEN, now)

    def opened(self, now: float) -> None:
        """The session stands; whether pictures come is not yet known."""
        self._enter(Event.OPENED, now)
        self._fell_back = False
        self._good_since = None

    def key_frame(self, now: float) -> None:
        """A key frame has arrived: the stream is good."""
        if self._good_since is None:
            self._good_since = now
        elif self.failures and now - self._good_since >= GOOD_AFTER_S:
            self.failures = 0

    def fail(self, error: StreamError, now: float) -> bool:
        """The try or the stream has failed; ``retry_at`` says when to try again.

        Returns:
            Whether it counts: a refused transport does not while there is another one to try at once.
        """
        was_good = self._good_since is not None
        if was_good:
            self._losses.append(now)
            if now - (self._good_since or now) >= GOOD_AFTER_S:
                self.failures = 0
        self._enter(Event.FAIL, now)
        self._good_since = None
        if error.fault is Fault.UNSUPPORTED_TRANSPORT and self.wanted is Transport.AUTO:
            self.transport = Transport.TCP if self.transport is Transport.UDP else Transport.UDP
            self._fell_back = not self._fell_back
            if self._fell_back:
                self.retry_at = now
                return False
        first_stall = error.fault is Fault.STALLED and was_good and self.failures == 0
        backoff = STALL_BACKOFF if first_stall else backoff_after(error)
        self.retry_at = now + backoff.delay(self.failures, self.rng)
        self.failures += 1
        return True

    def reset(self, now: float, wanted: Transport) -> None:
        """What the camera is reached by has changed: the next try is due, and earlier failures mean nothing."""
        self._enter(Event.RESET, now)
        self.wanted = wanted
        self.transport = Transport.UDP if wanted is Transport.UDP else Transport.TCP
        self.retry_at = now
        self.failures = 0
        self._good_since = None
        self._fell_back = False

    def stop(self, now: float) -> None:
        """The camera is released for good."""
        self._enter(Event.STOP, now)

    def wait_s(self, now: float) -> float:
        """Seconds until the next try is due; 0: it is."""
        return max(0.0, self.retry_at - now)

    def flapping_since(self, now: float) -> float | None:
        """Since when the camera comes and goes; None: it does not."""
        if len(self._losses) < FLAPPING_LOSSES:
            return None
        first, last = self._losses[0], self._losses[-1]
        if last - first > FLAPPING_WINDOW_S or now - last > FLAPPING_WINDOW_S:
            return None
        return first

    def _enter(self, event: Event, now: float) -> None:
        try:
            self.phase = TRANSITIONS[self.phase, event]
        except KeyError:
            raise IllegalTransitionError(f"{event.value} while {self.phase.value}") from None
        self.phase_since = now
