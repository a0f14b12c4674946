"""A camera's time stamps on a clock of ours: anchored to the wall, strictly rising. Pure.

A camera's own stamps start over with each session, jump when its clock is set, and run up to 100 ppm fast or slow: 9 s
a day. Readers that stay for weeks want one time line.
"""

from dataclasses import dataclass

from camera_worker.relay.framing import TICKS_PER_S

#: Seconds by which stamps may be ahead of the time that has passed, or go back, before they are anchored anew.
#: Corrections by RTCP and reordered frames stay well below.
JUMP_S = 2.0
#: Seconds by which the time line is moved per key frame, at most, while the camera's clock drifts away: 200 ppm with a
#: key frame every 10 s, and too little to be seen.
SLEW_S = 0.002
#: The first tick lies this far behind the start: where there are B-frames, the first dts is before the first pts, and
#: negative ticks are no good in MPEG-TS.
_LEAD_S = 1.0


@dataclass(slots=True)
class StreamClock:
    """The time line of one stream.

    Late packets prove nothing: they wait somewhere on their way and then come in a burst. Early ones cannot be; so of
    all packets between two key frames the earliest is held against the wall.

    Args:
        began: monotonic seconds; tick 0 is one second before.
    """

    began: float
    #: Ticks to add to the camera's stamps; None: the next key frame sets it.
    _offset: int | None = None
    _last_dts: int = 0
    #: Ticks by which the earliest packet since the last key frame was late.
    _least_late: int | None = None

    def epoch_s(self, wall: float, now: float) -> float:
        """Seconds since 1970 at tick 0, by two clocks read at the same moment."""
        return wall - (now - self.began) - _LEAD_S

    def restart(self) -> None:
        """A new session: stamps start over, and the next key frame is the anchor."""
        self._offset = None

    def map(self, pts_s: float | None, dts_s: float | None, now: float, *, is_key: bool) -> tuple[int, int]:
        """Ticks of a packet: pts, at least dts; dts, higher than that of the packet before.

        Args:
            pts_s: presentation time by the camera's clock; None: it has none.
            dts_s: decoding time likewise.
            now: monotonic seconds of the arrival.
            is_key: whether this is a key frame.
        """
        here = round((now - self.began + _LEAD_S) * TICKS_PER_S)
        if pts_s is None:
            pts_s = dts_s
        if pts_s is None:
            dts = max(here, self._last_dts + 1)
            self._last_dts = dts
            return dts, dts
        raw_pts = round(pts_s * TICKS_PER_S)
        raw_dts = raw_pts if dts_s is None else min(raw_pts, round(dts_s * TICKS_PER_S))
        if raw_pts - raw_dts > JUMP_S * TICKS_PER_S:
            # Not reordered, but a stamp that means nothing.
            raw_dts = raw_pts
        offset = self._offset
        limit = JUMP_S * TICKS_PER_S
        if offset is None or raw_pts + offset - here > limit or self._last_dts - (raw_dts + offset) > limit:
            # What comes now follows what was before, even if the wall says otherwise by a little.
            offset = max(here - raw_pts, self._last_dts + 1 - raw_dts)
            self._least_late = None
        elif is_key and self._least_late is not None:
            step = round(SLEW_S * TICKS_PER_S)
            offset += max(-step, min(step, self._least_late))
            self._least_late = None
        self._offset = offset
        late = here - (raw_pts + offset)
        if self._least_late is None or late < self._least_late:
            self._least_late = late
        dts = max(raw_dts + offset, self._last_dts + 1)
        self._last_dts = dts
        return max(raw_pts + offset, dts), dts
