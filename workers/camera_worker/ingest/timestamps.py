"""A camera's clock against ours. Pure."""

from collections import deque
from dataclasses import dataclass, field

#: Seconds by which time stamps may go back, or run ahead of the time that has passed. B-frames and RTCP corrections
#: stay well below.
JUMP_S = 2.0
#: The first seconds of a session are left out: stamps start over there and are corrected by the first RTCP report.
SETTLE_S = 3.0
#: One jump is a clock that was set. This many within the window are a fault, until there is none for as long.
JUMPS, WINDOW_S = 2, 60.0
#: Seconds per second by which a camera's clock may be slow without its lag adding up for ever.
_DRIFT = 0.001


@dataclass(slots=True)
class ClockWatch:
    """Finds jumps of a stream's time stamps.

    A stream may be late, when packets wait somewhere on their way, but never early. So each stamp is held against the
    earliest packet, not against the one before: after a hold-up, packets come in a burst whose stamps run far ahead of
    the time that passes meanwhile, and nothing has jumped.
    """

    #: Arrival minus stamp of the earliest packet; None: not known yet.
    _lead: float | None = None
    _last_stamp: float = 0.0
    _last_arrival: float = 0.0
    _began: float = 0.0
    _jumps: deque[float] = field(default_factory=lambda: deque(maxlen=JUMPS))
    #: Seconds of the latest jump, for people.
    latest_s: float = 0.0

    def restart(self) -> None:
        """A new session: its stamps have nothing to do with the last one's."""
        self._lead = None

    def packet(self, stamp: float, now: float) -> None:
        """Takes one packet's presentation time and its arrival, both in seconds."""
        offset = now - stamp
        if self._lead is None:
            self._lead, self._began = offset, now
        elif now - self._began >= SETTLE_S:
            ahead, back = self._lead - offset, self._last_stamp - stamp
            if ahead > JUMP_S or back > JUMP_S:
                self.latest_s = stamp - self._last_stamp
                self._jumps.append(now)
                self._lead = offset
        # Earlier than ever: that is the new measure. Later: believed slowly.
        step = _DRIFT * (now - self._last_arrival)
        self._lead = min(offset, self._lead + step)
        self._last_stamp, self._last_arrival = stamp, now

    def jumping_since(self, now: float) -> float | None:
        """Since when the clock jumps; None: it does not."""
        if len(self._jumps) < JUMPS or now - self._jumps[-1] > WINDOW_S:
            return None
        first = self._jumps[0]
        return first if self._jumps[-1] - first <= WINDOW_S else None
