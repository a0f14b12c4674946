"""Whether a camera works, from what its connection delivers. Pure; times are seconds of the caller's monotonic clock.

A camera works from its first key frame on. When a working camera's stream is lost, the verdict stands until nothing has
come for ``offline_after_s``: a camera that is back by then was only reconnected. Nothing is waited for where waiting
cannot change anything: at the first try the camera has said what is wrong, and when no further try is due in time.
"""

from dataclasses import dataclass

from camera_api.faults import Fault, diagnosis_order
from camera_api.health import Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.connection import Phase

#: A try that is older than this when the camera's time is up counts as unanswered: a connection, for which the kernel
#: has asked twice, the second time after 1.02 s (routers limit how often they say that there is no way, so the first
#: answer may be missing), and a session.
UNCONNECTED_AFTER_S, UNANSWERED_AFTER_S = 1.5, 2.0
#: Faults that the camera itself has stated in an answer.
_ANSWERED = frozenset({Fault.AUTH_FAILED, Fault.STREAM_NOT_FOUND, Fault.UNSUPPORTED_TRANSPORT, Fault.UNSUPPORTED_CODEC})


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault that a camera has."""

    fault: Fault
    since: float  #: the last good moment, or when a second fault was seen
    message: str


@dataclass(slots=True)
class Judgement:
    """Verdict on one camera's connection.

    Args:
        offline_after_s: how long a working camera may deliver nothing.
        began: when the camera was taken over.
    """

    offline_after_s: float
    began: float
    verdict: Verdict = Verdict.CONNECTING
    working_since: float | None = None  #: the key frame that made it work; None: it does not
    trouble: Trouble | None = None  #: why it is faulty
    last_packet: float | None = None
    pending: StreamError | None = None  #: the latest failure, which becomes the fault when the camera's time is up
    _candidate: Fault | None = None

    def packet(self, now: float) -> None:
        """A packet has arrived."""
        self.last_packet = now

    def key_frame(self, now: float) -> None:
        """A key frame has arrived: the camera works."""
        self.last_packet = now
        if self.working_since is None:
            self.working_since = now
        self.verdict = Verdict.WORKING
        self.trouble = self.pending = self._candidate = None

    def fail(self, error: StreamError, now: float, *, retry_at: float) -> None:
        """A try or the stream has failed, and the next try is due at ``retry_at``."""
        self.pending = error.without_frames()
        if self.trouble is not None:
            self._reconsider(self.trouble, error, now)
        elif self.verdict is not Verdict.WORKING or max(now, retry_at) >= self._deadline:
            self._condemn(error.fault, error.message)

    def tick(self, phase: Phase, phase_since: float, now: float) -> None:
        """Time has passed: a camera that has delivered nothing for ``offline_after_s`` is faulty."""
        if self.trouble is not None or now < self._deadline:
            return
        in_phase = now - phase_since
        stalled = self.pending is not None and self.pending.fault is Fault.STALLED
        if phase in {Phase.QUEUED, Phase.STREAMING} and not stalled and in_phase < UNANSWERED_AFTER_S:
            # It accepts connections, and that others of its site are asked first is not its fault; or its session has
            # just been set up, and the first packet is due.
            return
        if phase is Phase.CONNECTING or (phase is Phase.OPENING and not stalled):
            # A stream that stands still may have lost its camera: a connection tells that within moments.
            if in_phase >= (UNCONNECTED_AFTER_S if phase is Phase.CONNECTING else UNANSWERED_AFTER_S):
                self._condemn(Fault.TIMED_OUT, f"no answer for {in_phase:.0f} s")
        elif stalled or (self.pending is None and phase is Phase.STREAMING):
            self._condemn(Fault.STALLED, f"connected, but no video for {now - self._last_good:.0f} s")
        elif self.pending is not None:
            self._condemn(self.pending.fault, self.pending.message)

    @property
    def _last_good(self) -> float:
        return self.last_packet if self.last_packet is not None else self.began

    @property
    def _deadline(self) -> float:
        return self._last_good + self.offline_after_s

    def _condemn(self, fault: Fault, message: str) -> None:
        self.verdict = Verdict.FAULTY
        self.working_since = None
        self.trouble = Trouble(fault, self._last_good, message)

    def _reconsider(self, trouble: Trouble, error: StreamError, now: float) -> None:
        """Another failure of a faulty camera: the reason shown follows it, but does not flicker between guesses."""
        if error.fault is trouble.fault:
            self._candidate = None
            return
        explains_more = diagnosis_order(error.fault) < diagnosis_order(trouble.fault)
        if error.fault in _ANSWERED or explains_more or error.fault is self._candidate:
            self.trouble = Trouble(error.fault, now, error.message)
            self._candidate = None
        else:
            self._candidate = error.fault
