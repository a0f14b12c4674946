"""Stream health from packets alone: rates, time stamps, loss and corruption. Pure; times are arguments."""

from collections import deque
from dataclasses import dataclass, field

from camera_api.faults import Fault
from camera_worker.ingest.connection import Trouble

#: Length of the window over which rates are measured: five key-frame intervals of a usual camera.
WINDOW_S = 5.0
#: A measured fault is raised after this many bad windows in a row and cleared after this many good ones.
RAISE_AFTER, CLEAR_AFTER = 2, 2
#: Windows that the usual frame rate is learned from.
_LEARN_FROM = 12
#: Lost part of all packets that is visible in the picture: H.265 decodes half of its frames at 2 %.
MAX_LOSS_RATIO = 0.005
#: Corrupt part of the decoded key frames.
MAX_CORRUPT_RATIO = 0.5
#: Seconds by which time stamps may go back, or run ahead of the time that has passed, from one packet to the next.
#: Falling behind is no jump: a stream that stood still for a while goes on where it stopped.
CLOCK_JUMP_S = 2.0
#: How long a jump of the clock stays a fault.
CLOCK_JUMP_HOLDS_S = 30.0
#: RTP packets hold at most this many bytes of video on an Ethernet.
_RTP_PAYLOAD = 1400


@dataclass(slots=True)
class _Gauge:
    """Raises a fault after some bad windows and clears it after some good ones."""

    fault: Fault
    bad: int = 0
    good: int = 0
    active: Trouble | None = None
    bad_since: float = 0.0

    def judge(self, is_bad: bool, began: float, message: str) -> None:
        """Takes the verdict over one window that began at a time."""
        if is_bad:
            if self.bad == 0:
                self.bad_since = began
            self.bad, self.good = self.bad + 1, 0
            if self.active is None and self.bad >= RAISE_AFTER:
                self.active = Trouble(self.fault, self.bad_since, message)
            return
        self.good, self.bad = self.good + 1, 0
        if self.good >= CLEAR_AFTER:
            self.active = None


@dataclass(slots=True)
class StreamStatistics:
    """Rates and measured faults of one camera."""

    min_rate_ratio: float
    frames_per_second: float = 0.0
    bits_per_second: float = 0.0
    _window_began: float | None = None
    _frames: int = 0
    _bytes: int = 0
    _lost: int = 0
    _pictures: int = 0
    _corrupt: int = 0
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=_LEARN_FROM))
    _last: tuple[float, float] | None = None
    _jumped_at: float | None = None
    _jump: float = 0.0
    _low_rate: _Gauge = field(default_factory=lambda: _Gauge(Fault.LOW_FRAME_RATE))
    _loss: _Gauge = field(default_factory=lambda: _Gauge(Fault.PACKET_LOSS))
    _corruption: _Gauge = field(default_factory=lambda: _Gauge(Fault.CORRUPT_FRAMES))

    def restart(self) -> None:
        """A new session begins: its time stamps have nothing to do with the last one's."""
        self._last = None
        self._window_began = None

    def packet(self, size: int, seconds: float | None, now: float) -> bool:
        """Counts a packet; true when a window has ended.

        Args:
            size: bytes.
            seconds: presentation time by the camera's clock.
            now: monotonic time of arrival.
        """
        if seconds is not None:
            if self._last is not None:
                step = seconds - self._last[0]
                ahead = step - (now - self._last[1])
                if ahead > CLOCK_JUMP_S or step < -CLOCK_JUMP_S:
                    self._jumped_at, self._jump = now, step
            self._last = (seconds, now)
        if self._window_began is None:
            self._begin(now)
        self._frames += 1
        self._bytes += size
        if now - (self._window_began or now) < WINDOW_S:
            return False
        self._end_window(now)
        return True

    def picture(self, *, corrupt: bool) -> None:
        """Counts a decoded key frame."""
        self._pictures += 1
        self._corrupt += corrupt

    def lost(self, packets: int) -> None:
        """Counts RTP packets that are missing."""
        self._lost += packets

    def troubles(self, now: float) -> list[Trouble]:
        """Measured faults that are active."""
        active = [gauge.active for gauge in (self._low_rate, self._loss, self._corruption) if gauge.active is not None]
        if self._jumped_at is not None and now - self._jumped_at < CLOCK_JUMP_HOLDS_S:
            message = f"time stamps jumped by {self._jump:+.0f} s, more than {CLOCK_JUMP_S:.0f} s"
            active.append(Trouble(Fault.CLOCK_JUMP, self._jumped_at, message))
        return active

    @property
    def usual_rate(self) -> float | None:
        """Frames per second that the camera usually delivers; None: not yet learned."""
        if len(self._rates) < _LEARN_FROM // 2:
            return None
        return sorted(self._rates)[len(self._rates) // 2]

    def _begin(self, now: float) -> None:
        self._window_began = now
        self._frames = self._bytes = self._lost = self._pictures = self._corrupt = 0

    def _end_window(self, now: float) -> None:
        began = self._window_began if self._window_began is not None else now
        seconds = now - began
        self.frames_per_second = self._frames / seconds
        self.bits_per_second = 8 * self._bytes / seconds
        self._judge_rate(began)
        packets = self._bytes / _RTP_PAYLOAD
        loss = self._lost / (packets + self._lost) if self._lost else 0.0
        self._loss.judge(
            loss > MAX_LOSS_RATIO, began, f"{loss:.1%} of the packets lost, at most {MAX_LOSS_RATIO:.1%} is usual"
        )
        corrupt = self._corrupt / self._pictures if self._pictures else 0.0
        self._corruption.judge(corrupt >= MAX_CORRUPT_RATIO, began, f"{corrupt:.0%} of the key frames are damaged")
        self._begin(now)

    def _judge_rate(self, began: float) -> None:
        usual = self.usual_rate
        is_low = usual is not None and self.frames_per_second < self.min_rate_ratio * usual
        if not is_low:
            # Learned from good windows only, or a slow camera would become the usual one.
            self._rates.append(self.frames_per_second)
        self._low_rate.judge(
            is_low,
            began,
            f"{self.frames_per_second:.1f} frames per second, usually {usual or 0.0:.1f}, "
            f"at least {self.min_rate_ratio:.0%} of that is asked for",
        )
