"""Whether RTP packets are missing: much within seconds, or little for longer. Pure; times are arguments."""

from collections import deque
from dataclasses import dataclass, field

from camera_api.faults import Fault
from camera_worker.ingest.judgement import Trouble

#: Part of the packets that may be lost: of a key frame of 100 packets, 0.2 % already damages every fifth one.
MAX_RATIO = 0.002
#: Seconds that are looked at, and the packets that must be missing in them. Chance alone (Poisson) takes a line that
#: loses 0.05 % of a stream of 1.5 Mbit/s over these numbers less than once in ten days, and one that loses 1 % within
#: five seconds.
WINDOWS = ((5, 6), (30, 12))
#: In so many different seconds: a single gap, however long, is none.
MIN_SECONDS = 3
#: Seconds in a row below the limit that end the fault.
CLEAR_AFTER = 10
#: RTP packets hold at most this many bytes of video on an Ethernet.
RTP_PAYLOAD = 1400


@dataclass(slots=True)
class LossWatch:
    """Finds that a camera's packets get lost, by the second."""

    trouble: Trouble | None = None
    #: Packets lost and received, and when, of the latest seconds.
    _seconds: deque[tuple[int, float, float]] = field(
        default_factory=lambda: deque(maxlen=max(length for length, _ in WINDOWS))
    )
    _good: int = 0

    def second(self, lost: int, received_bytes: int, now: float) -> None:
        """Takes what was lost and received in about one second that ends now."""
        received = received_bytes / RTP_PAYLOAD
        self._seconds.append((lost, received, now))
        if self.trouble is not None:
            self._good = self._good + 1 if lost <= MAX_RATIO * (received + lost) else 0
            if self._good >= CLEAR_AFTER:
                self.trouble = None
                self._seconds.clear()
            return
        for length, least in WINDOWS:
            window = list(self._seconds)[-length:]
            missing, due = sum(lost for lost, _, _ in window), sum(lost + received for lost, received, _ in window)
            bad = [at for lost, _, at in window if lost]
            if missing >= least and missing > MAX_RATIO * due and len(bad) >= MIN_SECONDS:
                message = f"{missing / due:.1%} of the packets are lost, at most {MAX_RATIO:.1%} may be"
                self.trouble, self._good = Trouble(Fault.PACKET_LOSS, bad[0], message), 0
                return
