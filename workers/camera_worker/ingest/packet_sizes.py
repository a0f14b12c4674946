"""What the sizes of a stream's packets tell about its encoder and its picture. Pure; times are arguments."""

from collections import deque
from dataclasses import dataclass, field

#: Intervals between key frames that the rate mode is read from, and how many must be there before it is.
RATE_INTERVALS, RATE_KNOWN_AFTER = 32, 24
#: Bit rates of the intervals: the 90th percentile is at least so many times the 10th where the rate follows the
#: picture. Real clips, x264: 1.04-1.32 at a constant bit rate (buffer of 1-2 s), 1.55-1.73 at a constant quality with
#: traffic or people coming and going; of an even scene, constant quality looks like a constant rate.
VARIABLE_SPREAD = 1.5
#: A camera's rate mode is a setting: a quiet night does not make a variable rate constant.
VARIABLE_FOR_S = 86_400.0
#: An interval between two key frames is not longer, or the camera's clock was set.
_MAX_INTERVAL_S = 60.0
#: Frames between two key frames whose sizes are looked at, at most.
_MAX_INTER_FRAMES = 1024


@dataclass(slots=True)
class PacketSizes:
    """What the sizes of packets tell: how much changes between key frames, and whether the bit rate follows that."""

    #: Median size of the frames between the latest two key frames, bytes; None: there are none, or it is not known.
    inter_bytes: float | None = None
    _inter: list[int] = field(default_factory=list)
    _interval_bytes: int = 0
    _interval_began: float | None = None  #: by the camera's clock
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_INTERVALS))
    _variable_at: float | None = None

    def restart(self) -> None:
        """A new session, or a gap in this one: the interval at hand is not whole."""
        self.inter_bytes = self._interval_began = None
        self._inter.clear()

    def lost(self) -> None:
        """Packets are missing: the sizes of late are not those of the encoder."""
        self.restart()
        self._rates.clear()

    def end_interval(self) -> None:
        """The next packet is a key frame."""
        inter = sorted(self._inter)
        self.inter_bytes = float(inter[len(inter) // 2]) if inter else None
        self._inter.clear()

    def key_frame(self, size: int, stamp: float | None, now: float) -> None:
        """Takes a key frame, after ``end_interval``: bytes, time by the camera's clock, monotonic time of arrival."""
        began, self._interval_began = self._interval_began, stamp
        # Without time stamps, or with a clock that was set, there is no rate.
        if began is not None and stamp is not None and 0 < stamp - began <= _MAX_INTERVAL_S:
            self._rates.append(self._interval_bytes / (stamp - began))
            if len(self._rates) >= RATE_KNOWN_AFTER and self._spread() >= VARIABLE_SPREAD:
                self._variable_at = now
        self._interval_bytes = size

    def inter_frame(self, size: int) -> None:
        """Takes a frame between two key frames."""
        self._interval_bytes += size
        if len(self._inter) < _MAX_INTER_FRAMES:
            self._inter.append(size)

    def is_variable_rate(self, now: float) -> bool | None:
        """Whether the encoder spends fewer bytes on a calm picture; None: not known yet."""
        if self._variable_at is not None and now - self._variable_at <= VARIABLE_FOR_S:
            return True
        return False if len(self._rates) >= RATE_KNOWN_AFTER else None

    def _spread(self) -> float:
        rates = sorted(self._rates)
        tenth = len(rates) // 10
        return rates[-1 - tenth] / rates[tenth]
