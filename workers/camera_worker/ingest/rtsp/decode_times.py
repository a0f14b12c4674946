"""Decoding times of a stream whose RTP stamps are presentation times only. Pure."""

from dataclasses import dataclass, field

#: Pictures that a decoder holds back, at most (ITU-T H.264, A.3.1; H.265, A.4.2).
MAX_REORDERED = 16


@dataclass(slots=True)
class DecodeTimes:
    """Gives each picture the smallest presentation time that is still to be shown, which is FFmpeg's way as well.

    Where pictures are not reordered, both times are the same. How far they are is learned from the stream: by how many
    earlier ones a picture overtakes.

    Args:
        delay: pictures that are known to be reordered, for example by the sequence parameter set.
        jump: ticks between two pictures from which on the clock was set, and nothing reordered.
    """

    delay: int = 0
    jump: int = 180_000
    _window: list[int] = field(default_factory=list)
    _latest: int | None = None

    def next(self, ticks: int) -> int | None:
        """Decoding time of the next picture; None: not known, since it is one of the first ones.

        Args:
            ticks: its presentation time.
        """
        latest, self._latest = self._latest, ticks
        if latest is not None and abs(ticks - latest) >= self.jump:
            self._window.clear()
            latest = None
        if not self.delay and (latest is None or ticks > latest):
            self._window = [ticks]
            return ticks
        window = self._window
        overtaken = sum(earlier > ticks for earlier in window)
        if overtaken > self.delay:
            self.delay = min(overtaken, MAX_REORDERED)
        window.append(ticks)
        window.sort()
        if len(window) > self.delay + 1:
            del window[: len(window) - self.delay - 1]
        return window[0] if len(window) > self.delay else None
