"""Seconds for which a camera was up, and for which it had which fault. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from camera_api.faults import Fault


@dataclass(slots=True)
class Uptime:
    """Attributes time once, up to a moment that only moves forward.

    A working camera's time counts up to its last packet: whether the silence since then is an outage shows later, and
    then counts as one from its beginning. So ``up`` and the time of faults always add up to ``observed``. Time in
    which nothing is known of the camera yet, and maintenance, count nowhere.

    Args:
        counted_to: monotonic seconds; what was before counts nowhere.
    """

    counted_to: float
    up: float = 0.0
    observed: float = 0.0
    by_fault: defaultdict[Fault, float] = field(default_factory=lambda: defaultdict(float))

    def skip(self, now: float) -> None:
        """Leaves the time until now out."""
        self.counted_to = max(self.counted_to, now)

    def is_up(self, last_packet: float) -> None:
        """The camera works and has delivered a packet at this moment."""
        self.up += self._advance(last_packet)

    def has_faults(self, faults: Iterable[Fault], now: float) -> None:
        """The camera has faults until now."""
        elapsed = self._advance(now)
        for fault in faults:
            self.by_fault[fault] += elapsed

    def _advance(self, to: float) -> float:
        elapsed = max(0.0, to - self.counted_to)
        self.counted_to += elapsed
        self.observed += elapsed
        return elapsed
