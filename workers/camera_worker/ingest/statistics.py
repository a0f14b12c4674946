"""Stream health from packets alone: rates, loss, corruption and time stamps. Pure; times are arguments."""

from collections import deque
from dataclasses import dataclass, field

from camera_api.faults import Fault
from camera_worker.ingest.judgement import Trouble
from camera_worker.ingest.timestamps import WINDOW_S as JUMP_WINDOW_S
from camera_worker.ingest.timestamps import ClockWatch

#: Length of the window over which rates are measured: several key-frame intervals of a usual camera.
WINDOW_S = 5.0
#: A rate is bad after this many bad windows in a row and good again after this many good ones.
RAISE_AFTER, CLEAR_AFTER = 2, 2
#: Good windows that the usual frame rate is the median of, and how many must be there before it is used.
LEARN_FROM, LEARNED_AFTER = 12, 4
#: Part of the packets whose loss shows in the picture: H.265 decodes half of its frames at 2 %.
MAX_LOSS_RATIO = 0.005
#: Damaged key frames in a row that are a fault, and good ones in a row that end it.
CORRUPT_RAISE_AFTER, CORRUPT_CLEAR_AFTER = 3, 6
#: Seconds of packets without a single key frame after which nobody can decode the stream. Encoders that save space by
#: rare key frames send one in 20 s.
MAX_KEY_FRAME_GAP_S = 60.0
#: RTP packets hold at most this many bytes of video on an Ethernet.
_RTP_PAYLOAD = 1400


@dataclass(slots=True)
class Gauge:
    """Raises a fault after some bad measurements in a row and clears it after some good ones."""

    fault: Fault
    raise_after: int = RAISE_AFTER
    clear_after: int = CLEAR_AFTER
    active: Trouble | None = None
    _bad: int = 0
    _good: int = 0
    _bad_since: float = 0.0

    def judge(self, is_bad: bool, began: float, message: str) -> None:
        """Takes the verdict over one measurement that began at a time; the message stands as long as the fault."""
        if not is_bad:
            self._good, self._bad = self._good + 1, 0
            if self._good >= self.clear_after:
                self.active = None
            return
        if self._bad == 0:
            self._bad_since = began
        self._bad, self._good = self._bad + 1, 0
        if self.active is None and self._bad >= self.raise_after:
            self.active = Trouble(self.fault, self._bad_since, message)


@dataclass(slots=True)
class StreamStatistics:
    """Rates and measured faults of one camera. Outlives its connections.

    Args:
        min_rate_ratio: part of the usual frame rate below which the camera has the fault LowFrameRate.
    """

    min_rate_ratio: float
    frames_per_second: float = 0.0  #: of the latest window
    bits_per_second: float = 0.0  #: of the latest window
    _window_began: float | None = None
    _key_frame_at: float = 0.0
    _frames: int = 0
    _bytes: int = 0
    _lost: int = 0
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=LEARN_FROM))
    _clock: ClockWatch = field(default_factory=ClockWatch)
    _low_rate: Gauge = field(default_factory=lambda: Gauge(Fault.LOW_FRAME_RATE))
    _loss: Gauge = field(default_factory=lambda: Gauge(Fault.PACKET_LOSS))
    _corruption: Gauge = field(
        default_factory=lambda: Gauge(Fault.CORRUPT_FRAMES, CORRUPT_RAISE_AFTER, CORRUPT_CLEAR_AFTER)
    )
    _no_key_frame: Trouble | None = None

    def restart(self, now: float) -> None:
        """A new session begins: its time stamps have nothing to do with the last one's."""
        self._clock.restart()
        self._window_began = None
        self._key_frame_at = now

    def packet(self, size: int, stamp: float | None, now: float) -> bool:
        """Counts a packet; true when a window has ended.

        Args:
            size: bytes.
            stamp: presentation time by the camera's clock, seconds.
            now: monotonic time of arrival.
        """
        if stamp is not None:
            self._clock.packet(stamp, now)
        began = self._window_began
        if began is None:
            # The first packet opens the window and is not in it: n packets span n - 1 intervals.
            self._begin(now)
            return False
        self._frames += 1
        self._bytes += size
        if now - began < WINDOW_S:
            return False
        self._end_window(began, now)
        return True

    def key_frame(self, now: float) -> None:
        """A key frame has arrived."""
        self._key_frame_at = now
        self._no_key_frame = None

    def picture(self, *, corrupt: bool, now: float) -> None:
        """A key frame was decoded."""
        self._corruption.judge(corrupt, now, f"{CORRUPT_RAISE_AFTER} key frames in a row could not be decoded whole")

    def lost(self, packets: int) -> None:
        """Counts RTP packets that are missing."""
        self._lost += packets

    def troubles(self, now: float) -> list[Trouble]:
        """Measured faults that are active."""
        troubles = [gauge.active for gauge in (self._low_rate, self._loss, self._corruption) if gauge.active]
        if self._no_key_frame is not None and self._corruption.active is None:
            troubles.append(self._no_key_frame)
        jumping_since = self._clock.jumping_since(now)
        if jumping_since is not None:
            message = f"time stamps jumped twice within {JUMP_WINDOW_S:.0f} s"
            troubles.append(Trouble(Fault.CLOCK_JUMP, jumping_since, message))
        return troubles

    @property
    def usual_rate(self) -> float | None:
        """Frames per second that the camera usually delivers; None: not yet learned."""
        if len(self._rates) < LEARNED_AFTER:
            return None
        return sorted(self._rates)[len(self._rates) // 2]

    def _begin(self, now: float) -> None:
        self._window_began = now
        self._frames = self._bytes = self._lost = 0

    def _end_window(self, began: float, now: float) -> None:
        seconds = now - began
        self.frames_per_second = self._frames / seconds
        self.bits_per_second = 8 * self._bytes / seconds
        self._judge_rate(began)
        loss = self._lost / (self._bytes / _RTP_PAYLOAD + self._lost) if self._lost else 0.0
        self._loss.judge(
            loss > MAX_LOSS_RATIO, began, f"{loss:.1%} of the packets are lost, at most {MAX_LOSS_RATIO:.1%} may be"
        )
        gap = now - self._key_frame_at
        if gap >= MAX_KEY_FRAME_GAP_S and self._no_key_frame is None:
            message = f"no key frame for {gap:.0f} s: the stream cannot be decoded"
            self._no_key_frame = Trouble(Fault.CORRUPT_FRAMES, self._key_frame_at, message)
        self._begin(now)

    def _judge_rate(self, began: float) -> None:
        usual = self.usual_rate
        least = self.min_rate_ratio * usual if usual is not None else 0.0
        is_low = self.frames_per_second < least
        if not is_low:
            # Learned from good windows only, or a slow camera would become the usual one.
            self._rates.append(self.frames_per_second)
        self._low_rate.judge(
            is_low,
            began,
            f"{self.frames_per_second:.1f} frames per second, usually {usual or 0.0:.1f}; at least {least:.1f} are due",
        )
