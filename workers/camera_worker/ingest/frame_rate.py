"""Whether a camera delivers as many frames as it usually does. Pure; times are arguments."""

from collections import deque
from dataclasses import dataclass, field

from camera_api.faults import Fault
from camera_worker.ingest.gauge import Gauge
from camera_worker.ingest.judgement import Trouble

#: Seconds in a row that are slow until the rate is, and that are not until it is good again. A hold-up of the network
#: is one slow second, however long, and ends in a burst.
RAISE_AFTER, CLEAR_AFTER = 3, 5
#: Good seconds that the usual frame rate is the median of, and how many must be there before it is used.
LEARN_FROM, LEARNED_AFTER = 60, 15


@dataclass(slots=True)
class FrameRateWatch:
    """Finds that a camera has become slow. Outlives its connections.

    Args:
        min_ratio: part of the usual frame rate below which a second is slow.
    """

    min_ratio: float
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=LEARN_FROM))
    _gauge: Gauge = field(default_factory=lambda: Gauge(Fault.LOW_FRAME_RATE, RAISE_AFTER, CLEAR_AFTER))

    @property
    def usual(self) -> float | None:
        """Frames per second that the camera usually delivers; None: not yet learned."""
        if len(self._rates) < LEARNED_AFTER:
            return None
        return sorted(self._rates)[len(self._rates) // 2]

    @property
    def trouble(self) -> Trouble | None:
        """LowFrameRate, if the camera has it."""
        return self._gauge.active

    def second(self, frames: int, began: float, now: float) -> None:
        """Takes one second, or what it took the next frame to come.

        Args:
            frames: how many came after the one that ``began`` it.
            began: when a frame came, monotonic seconds.
            now: when the last of them came.
        """
        rate = frames / (now - began)
        usual = self.usual
        least = self.min_ratio * usual if usual is not None else 0.0
        is_low = rate < least
        if not is_low:
            # Learned from good seconds only, or a slow camera would become the usual one.
            self._rates.append(rate)
        self._gauge.judge(
            is_low,
            began,
            f"{rate:.1f} frames per second, usually {usual or 0.0:.1f}; at least {least:.1f} are due",
        )
