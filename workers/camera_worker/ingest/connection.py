"""A camera's connection as pure transitions: what is known of it, and when to try again. No thread, no clock, no I/O.

    Idle ──opening──> Opening ──opened──> Streaming
                        │  ^                 │
                     failed └──opening── BackingOff <──failed

A camera is Working from its first key frame on. When a working camera's connection is lost, the verdict stands until
nothing has come for ``offline_after``: a camera that is back by then was only reconnected. A camera that is not working
gets its fault at the first failure: it has said what is wrong, and waiting would not change it.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from camera_api.faults import Fault
from camera_api.health import Verdict
from camera_worker.errors import StreamError

#: Seconds before the first retry, doubled with each failure up to the longest; +-30 % so that cameras behind one
#: uplink do not come back in step. The longest is how late the end of an outage is noticed, so it is short.
RETRY_FIRST_S, RETRY_LONGEST_S = 1.0, 15.0
#: Where a try is but one packet that is refused, or a question to the resolver, it may come more often.
CHEAP_RETRY_LONGEST_S = 5.0
_CHEAP = frozenset({Fault.DNS_FAILED, Fault.CONNECTION_REFUSED, Fault.UNREACHABLE})
#: After a refused password: wrong passwords lock the accounts of many cameras, so first a minute, then up to ten.
AUTH_RETRY_FIRST_S, AUTH_RETRY_LONGEST_S = 60.0, 600.0
JITTER = 0.3
#: Seconds of good stream after which the next failure starts from the first delay again.
GOOD_AFTER_S = 60.0
#: An attempt that is older than this when the camera's time is up counts as unanswered.
UNANSWERED_AFTER_S = 2.0
#: This many lost connections within this time are one fault of their own, until none is lost for as long.
FLAPPING_LOSSES, FLAPPING_WINDOW_S = 4, 300.0


class Phase(StrEnum):
    """What the camera's thread does."""

    IDLE = "Idle"
    OPENING = "Opening"
    STREAMING = "Streaming"
    BACKING_OFF = "BackingOff"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the connection."""

    fault: Fault
    since: float  #: monotonic seconds: the last good moment, or the first try
    message: str


@dataclass(slots=True)
class Connection:
    """State of one camera's connection. All times are monotonic seconds of the caller's clock."""

    offline_after_s: float
    began: float
    rng: random.Random = field(default_factory=random.Random)
    phase: Phase = Phase.IDLE
    verdict: Verdict = Verdict.CONNECTING
    verdict_since: float = 0.0
    trouble: Trouble | None = None
    #: The latest failure, which becomes the fault when the camera's time is up.
    pending: StreamError | None = None
    last_packet: float | None = None
    retry_at: float = 0.0
    failures: int = 0
    _phase_since: float = 0.0
    _streaming_since: float | None = None
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=FLAPPING_LOSSES))

    def __post_init__(self) -> None:
        self.verdict_since = self._phase_since = self.began

    # What happens to the connection.

    def opening(self, now: float) -> None:
        """A try begins."""
        self._enter(Phase.OPENING, now)

    def opened(self, now: float) -> None:
        """The session stands; whether pictures come is not yet known."""
        self._enter(Phase.STREAMING, now)
        self._streaming_since = None

    def key_frame(self, now: float) -> None:
        """A key frame has arrived: the camera works."""
        self.last_packet = now
        if self._streaming_since is None:
            self._streaming_since = now
        if self.verdict is not Verdict.WORKING:
            self.verdict, self.verdict_since = Verdict.WORKING, now
        self.trouble = self.pending = None
        if self.failures and now - self._streaming_since >= GOOD_AFTER_S:
            self.failures = 0

    def packet(self, now: float) -> None:
        """Any packet has arrived."""
        self.last_packet = now

    def failed(self, error: StreamError, now: float) -> None:
        """The try or the stream has failed; ``retry_at`` says when to try again."""
        was_streaming = self._streaming_since is not None
        if was_streaming:
            self._losses.append(now)
            if now - (self._streaming_since or now) >= GOOD_AFTER_S:
                self.failures = 0
        self._streaming_since = None
        self._enter(Phase.BACKING_OFF, now)
        self.retry_at = now + self._delay(error.fault)
        self.failures += 1
        self.pending = error
        # A stall is known by its time-out, and refused credentials are not tried again for a minute: for neither can
        # anything change before the camera's time is up.
        certain = error.fault in {Fault.STALLED, Fault.AUTH_FAILED}
        if self.verdict is not Verdict.WORKING or certain or self._is_overdue(now):
            self._condemn(error.fault, error.message, now)

    def tick(self, now: float) -> None:
        """Time has passed: a camera that has delivered nothing for ``offline_after_s`` is faulty."""
        if not self._is_overdue(now):
            return
        if self.phase is Phase.STREAMING and now - self._phase_since >= self.offline_after_s:
            self._condemn(Fault.STALLED, f"no packet for {self.offline_after_s:.0f} s", now)
        elif self.phase is Phase.OPENING and self.trouble is None and now - self._phase_since >= UNANSWERED_AFTER_S:
            self._condemn(Fault.TIMED_OUT, f"no answer for {now - self._phase_since:.0f} s", now)
        elif self.phase is Phase.BACKING_OFF and self.pending is not None:
            self._condemn(self.pending.fault, self.pending.message, now)

    def retry_now(self, now: float) -> None:
        """What stood in the way may be gone: the next try is due."""
        self.retry_at = now

    # What is known of it.

    def flapping_since(self, now: float) -> float | None:
        """Since when the camera comes and goes; None: it does not."""
        if len(self._losses) < FLAPPING_LOSSES:
            return None
        first, last = self._losses[0], self._losses[-1]
        if last - first > FLAPPING_WINDOW_S or now - last > FLAPPING_WINDOW_S:
            return None
        return first

    def _is_overdue(self, now: float) -> bool:
        last_good = self.last_packet if self.last_packet is not None else self.began
        return now - last_good >= self.offline_after_s

    def _condemn(self, fault: Fault, message: str, now: float) -> None:
        if self.trouble is not None and self.trouble.fault is fault:
            return
        last_good = self.last_packet if self.last_packet is not None else self.began
        if fault is Fault.STALLED and self.trouble is None:
            # The last packet may be one that was held back until the time-out.
            last_good = min(last_good, now - self.offline_after_s)
        # A second fault begins when it is seen; the first one when the camera was last good.
        since = last_good if self.trouble is None else now
        self.trouble = Trouble(fault, since, message)
        if self.verdict is not Verdict.FAULTY:
            self.verdict, self.verdict_since = Verdict.FAULTY, since

    def _delay(self, fault: Fault) -> float:
        gentle = fault is Fault.AUTH_FAILED
        first, longest = (AUTH_RETRY_FIRST_S, AUTH_RETRY_LONGEST_S) if gentle else (RETRY_FIRST_S, RETRY_LONGEST_S)
        if fault in _CHEAP:
            longest = CHEAP_RETRY_LONGEST_S
        delay = min(first * 2.0 ** min(self.failures, 16), longest)
        # Upwards only for refused passwords: never sooner than a minute.
        return delay * (1 + self.rng.uniform(0.0 if gentle else -JITTER, JITTER))

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self._phase_since = now
