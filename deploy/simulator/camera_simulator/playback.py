"""When which picture is sent: the pacing of one session, as pure state over a monotonic clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from camera_simulator.footage import KEY_FRAME_SECONDS, Clip, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Payload = TypeVar("Payload")

#: A pacer this far behind (a suspended machine, a starved process) starts over with a key frame instead of rushing.
MAX_LAG_SECONDS: Final = 1.0

#: Of a group's time: what floating point may have lost.
_ROUNDING: Final = 1e-6


class Playback(Generic[Payload]):
    """Plays a clip for ever, with rising timestamps, switching between its variants at key frames.

    It starts with a key frame, as most cameras start a session. What the scene shows depends on the time alone: a
    viewer who comes later sees what goes on then, and the main and sub stream of one camera show the same moment.

    Args:
        clips: gives the clip of a variant.
        now: monotonic seconds; timestamps count from here.
        phase: seconds the scene is ahead, so that cameras with the same clip differ.
    """

    def __init__(self, clips: Callable[[Variant], Clip[Payload]], now: float, phase: float = 0.0) -> None:
        self._clips = clips
        self._origin = now
        self._phase = phase
        #: When the present group began or, before the first one, is to begin.
        self._began = now
        self._variant = Variant.NORMAL
        self._group: tuple[Payload, ...] = ()
        self._index = 0
        self._frame_seconds = 0.0
        self._held_at: float | None = None
        self._stalled = False

    def show(self, variant: Variant, held_at: float | None = None) -> None:
        """Switch to another variant at the next key frame.

        Args:
            variant: what to show.
            held_at: keep to the group of this moment (monotonic seconds) instead of going on with the scene.
        """
        self._variant = variant
        self._held_at = held_at

    def stall(self) -> None:
        """Send nothing from now on."""
        self._stalled = True

    def resume(self, now: float) -> None:
        """Go on after `stall`, with a key frame."""
        if self._stalled:
            self._stalled = False
            self._restart(now)

    @property
    def next_due(self) -> float:
        """When `due` has something to give again, monotonic seconds; infinite while stalled."""
        return math.inf if self._stalled else self._due

    @property
    def _due(self) -> float:
        return self._began + self._index * self._frame_seconds

    def due(self, now: float) -> Iterator[tuple[Payload, float]]:
        """The pictures to send by now, oldest first, each with its timestamp in seconds."""
        if self._stalled:
            return
        if now - self._due > MAX_LAG_SECONDS:
            self._restart(now)
        while self._due <= now:
            if self._index >= len(self._group):
                self._next_group()
            payload = self._group[self._index]
            timestamp = self._due - self._origin
            self._index += 1
            yield payload, timestamp

    def _restart(self, now: float) -> None:
        self._group = ()
        self._index = 0
        self._began = now

    def _next_group(self) -> None:
        clip = self._clips(self._variant)
        if self._group:
            # Not a sum of many frame times, which would drift.
            self._began += KEY_FRAME_SECONDS
        moment = self._began if self._held_at is None else self._held_at
        number = math.floor((moment + self._phase) / KEY_FRAME_SECONDS + _ROUNDING)
        self._group = clip.groups[number % len(clip.groups)]
        self._index = 0
        self._frame_seconds = clip.frame_seconds
