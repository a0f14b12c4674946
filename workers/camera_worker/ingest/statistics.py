"""Stream health from packets alone: rates, loss, corruption and time stamps. Pure; times are arguments."""

from dataclasses import dataclass, field

from camera_api.faults import Fault
from camera_worker.ingest.frame_rate import FrameRateWatch
from camera_worker.ingest.gauge import Gauge
from camera_worker.ingest.judgement import Trouble
from camera_worker.ingest.loss import LossWatch
from camera_worker.ingest.packet_sizes import PacketSizes
from camera_worker.ingest.timestamps import WINDOW_S as JUMP_WINDOW_S
from camera_worker.ingest.timestamps import ClockWatch

#: Length of the window over which rates are measured: several key-frame intervals of a usual camera.
WINDOW_S = 5.0
#: Seconds between two looks at frame rate and losses, at least.
LOOK_EVERY_S = 1.0
#: Damaged key frames in a row that are a fault, and good ones in a row that end it.
CORRUPT_RAISE_AFTER, CORRUPT_CLEAR_AFTER = 3, 6
#: Seconds of packets without a single key frame after which nobody can decode the stream. Encoders that save space by
#: rare key frames send one in 20 s.
MAX_KEY_FRAME_GAP_S = 60.0


@dataclass(slots=True)
class StreamStatistics:
    """Rates and measured faults of one camera. Outlives its connections.

    Args:
        min_rate_ratio: part of the usual frame rate below which the camera has the fault LowFrameRate.
    """

    min_rate_ratio: float
    frames_per_second: float = 0.0  #: of the latest window
    bits_per_second: float = 0.0  #: of the latest window
    sizes: PacketSizes = field(default_factory=PacketSizes)
    _next_is_key: bool = False
    _window_began: float | None = None
    _key_frame_at: float = 0.0
    _frames: int = 0
    _bytes: int = 0
    _look_began: float = 0.0
    _look_frames: int = 0
    _look_bytes: int = 0
    _clock: ClockWatch = field(default_factory=ClockWatch)
    _frame_rate: FrameRateWatch = field(init=False)
    _loss: LossWatch = field(default_factory=LossWatch)
    _corruption: Gauge = field(
        default_factory=lambda: Gauge(Fault.CORRUPT_FRAMES, CORRUPT_RAISE_AFTER, CORRUPT_CLEAR_AFTER)
    )
    _no_key_frame: Trouble | None = None
    _lost: int = 0  #: packets since the last look
    #: Whether packets are missing since the last picture or look.
    _is_incomplete: bool = False

    def __post_init__(self) -> None:
        self._frame_rate = FrameRateWatch(self.min_rate_ratio)

    def restart(self, now: float) -> None:
        """A new session begins: its time stamps have nothing to do with the last one's."""
        self._clock.restart()
        self.sizes.restart()
        self._window_began = None
        self._key_frame_at = now
        self._lost = 0
        self._is_incomplete = False

    def packet(self, size: int, stamp: float | None, now: float) -> bool:
        """Counts a packet; true about once a second, when ``look`` is due.

        Args:
            size: bytes.
            stamp: presentation time by the camera's clock, seconds.
            now: monotonic time of arrival.
        """
        if stamp is not None:
            self._clock.packet(stamp, now)
        if self._next_is_key:
            self._next_is_key = False
            self.sizes.key_frame(size, stamp, now)
        else:
            self.sizes.inter_frame(size)
        began = self._window_began
        if began is None:
            # The first packet opens the window and is not in it: n packets span n - 1 intervals.
            self._begin(now)
            self._begin_look(now)
            return False
        self._frames += 1
        self._bytes += size
        self._look_frames += 1
        self._look_bytes += size
        if now - began >= WINDOW_S:
            self._end_window(began, now)
        return now - self._look_began >= LOOK_EVERY_S

    def key_frame(self, now: float) -> None:
        """A key frame has arrived; ``packet`` is told its size next."""
        self._next_is_key = True
        self.sizes.end_interval()
        self._key_frame_at = now
        self._no_key_frame = None

    def lost(self, packets: int) -> None:
        """RTP packets are missing since the last call of this or ``look``."""
        if packets:
            self._lost += packets
            self._is_incomplete = True

    def picture(self, *, corrupt: bool, now: float) -> None:
        """A key frame was decoded."""
        was_incomplete, self._is_incomplete = self._is_incomplete, False
        if corrupt and was_incomplete:
            # It was damaged on its way. Whether that happens too often is for the loss to tell.
            return
        self._corruption.judge(corrupt, now, f"{CORRUPT_RAISE_AFTER} key frames in a row could not be decoded whole")

    def look(self, lost: int, now: float) -> None:
        """Judges the time since the last look, which ends with the latest packet.

        Args:
            lost: RTP packets that are missing since, but for those that ``lost`` was told of.
            now: monotonic time of the latest packet's arrival.
        """
        self.lost(lost)
        lost, self._lost, self._is_incomplete = self._lost, 0, False
        self._frame_rate.min_ratio = self.min_rate_ratio
        self._frame_rate.second(self._look_frames, self._look_began, now)
        self._loss.second(lost, self._look_bytes, now)
        self._begin_look(now)
        if lost:
            self.sizes.lost()

    def troubles(self, now: float) -> list[Trouble]:
        """Measured faults that are active."""
        # Frames of which a packet is missing are missing themselves.
        low_rate = self._frame_rate.trouble if self._loss.trouble is None else None
        measured = (low_rate, self._loss.trouble, self._corruption.active)
        troubles = [trouble for trouble in measured if trouble is not None]
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
        return self._frame_rate.usual

    def _begin(self, now: float) -> None:
        self._window_began = now
        self._frames = self._bytes = 0

    def _begin_look(self, now: float) -> None:
        self._look_began = now
        self._look_frames = self._look_bytes = 0

    def _end_window(self, began: float, now: float) -> None:
        seconds = now - began
        self.frames_per_second = self._frames / seconds
        self.bits_per_second = 8 * self._bytes / seconds
        gap = now - self._key_frame_at
        if gap >= MAX_KEY_FRAME_GAP_S and self._no_key_frame is None:
            message = f"no key frame for {gap:.0f} s: the stream cannot be decoded"
            self._no_key_frame = Trouble(Fault.CORRUPT_FRAMES, self._key_frame_at, message)
        self._begin(now)
