"""How much is decoded, and the ladder that an overloaded worker goes down. Pure; times are arguments.

Decoding and looking at pictures is two thirds of a worker's CPU, packets are the rest. A worker that is short of CPU
falls behind its streams until cameras hang up, and then reports faults that are its own. So it gives up pictures first,
of all cameras alike and step by step, and says so.
"""

from dataclasses import dataclass

from camera_api.category import DecodePolicy

#: From all there is to see to nothing but packets.
LADDER = (DecodePolicy.EVERY_KEY_FRAME, DecodePolicy.KEY_FRAME_EVERY_10S, DecodePolicy.NONE)
#: Windows in a row that must be bad before a step down.
STEP_DOWN_AFTER = 2
#: Windows in a row that must be calm before a step back: for that long the lower step has shown what it spares.
STEP_BACK_AFTER = 12
#: A step back that was wrong shows within this time, and then the next one has to wait twice as long, at most so many
#: windows: a worker that is too small for its cameras tries four times an hour.
RELAPSE_S = 300.0
MAX_STEP_BACK_AFTER = 192


def stricter(first: DecodePolicy, second: DecodePolicy) -> DecodePolicy:
    """The one that decodes less."""
    return LADDER[max(LADDER.index(first), LADDER.index(second))]


@dataclass(frozen=True, slots=True)
class Limit:
    """When a measurement means that CPU is short, and when it means that there is enough."""

    text: str  #: what was measured, with a place for the figure
    figure: str  #: format of a value
    bad: float
    calm: float

    def exceeded_by(self, value: float) -> str:
        """For people: what was measured, and what may be."""
        return f"{self.text.format(self.figure.format(value))}, at most {self.figure.format(self.bad)} may be"


#: Seconds that a thread waits for a CPU each time it wants one. With another busy process on the node it is a slice or
#: two of the scheduler's, 3 ms each; a queue of all cameras' threads is 50 ms and grows.
QUEUEING = Limit("threads wait {} for a CPU each time they want one", "{:.3f} s", 0.05, 0.02)
#: Share of the cgroup's periods (100 ms) in which its quota was used up; a burst of key frames uses one up at times.
THROTTLING = Limit("the container's CPU quota is used up in {} of the time", "{:.0%}", 0.5, 0.2)
#: Seconds by which timers of the event loop are late, all but a tenth of them; sees waits for the interpreter lock too.
LATENESS = Limit("timers are {} late", "{:.2f} s", 0.2, 0.08)


@dataclass(frozen=True, slots=True)
class Strain:
    """What a window of some seconds showed of the CPU; None: it cannot be measured here."""

    late_s: float
    queueing_s: float | None = None
    throttled_share: float | None = None

    @property
    def shortage(self) -> str:
        """What says that CPU is short, with figures; empty: nothing does."""
        return "; ".join(limit.exceeded_by(value) for limit, value in self._measured() if value >= limit.bad)

    @property
    def is_calm(self) -> bool:
        """Whether everything says that there is enough CPU."""
        return all(value < limit.calm for limit, value in self._measured())

    def _measured(self) -> list[tuple[Limit, float]]:
        pairs = ((QUEUEING, self.queueing_s), (THROTTLING, self.throttled_share), (LATENESS, self.late_s))
        return [(limit, value) for limit, value in pairs if value is not None]


@dataclass(slots=True)
class DecodeLadder:
    """What a worker decodes at most."""

    level: int = 0  #: index in ``LADDER``; 0: nothing is reduced
    _bad: int = 0
    _calm: int = 0
    _step_back_after: int = STEP_BACK_AFTER
    _stepped_back_at: float = float("-inf")

    @property
    def limit(self) -> DecodePolicy:
        """What is decoded at most."""
        return LADDER[self.level]

    @property
    def reduced_to(self) -> DecodePolicy | None:
        """The same, for reports; None: nothing is reduced."""
        return self.limit if self.level else None

    def judge(self, strain: Strain, asked: DecodePolicy, now: float) -> bool:
        """Takes a window's measurements.

        Args:
            strain: what was measured.
            asked: what the assignment wants decoded of the camera that it wants most of.
            now: monotonic seconds.

        Returns:
            Whether the limit is another one now.
        """
        wanted = LADDER.index(asked)
        if strain.shortage:
            self._bad, self._calm = self._bad + 1, 0
            if self._bad >= STEP_DOWN_AFTER:
                return self._step_down(wanted, now)
        else:
            self._bad = 0
            self._calm = self._calm + 1 if strain.is_calm else 0
            # An assignment that asks for no more than the limit allows is not reduced.
            if self.level and (self._calm >= self._step_back_after or self.level <= wanted):
                return self._step_back(wanted, now)
        return False

    def _step_down(self, wanted: int, now: float) -> bool:
        self._bad = 0
        lower = max(self.level, wanted) + 1
        if lower >= len(LADDER):
            return False
        if now - self._stepped_back_at <= RELAPSE_S:
            self._step_back_after = min(2 * self._step_back_after, MAX_STEP_BACK_AFTER)
        elif self.level == 0:
            self._step_back_after = STEP_BACK_AFTER
        self.level = lower
        return True

    def _step_back(self, wanted: int, now: float) -> bool:
        self._calm = 0
        self._stepped_back_at = now
        self.level = self.level - 1 if self.level - 1 > wanted else 0
        return True
