"""An event loop whose waiting takes no time: when nothing is left to do, the clock jumps to the next timer.

Everything that asks the loop for the time (``asyncio.sleep``, ``asyncio.timeout``, ``loop.time``) lives in virtual
seconds, so minutes of leases, polls and back-offs pass in milliseconds, and in the same order each time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


#: Virtual seconds that a turn of the loop takes at least. Time flows on a real machine too, and code may wait for a
#: moment that a sum of fractions misses by a hair.
_TURN = 1e-9
#: Turns within a virtual second that are no work any more, but a loop that waits for nothing.
_TOO_MANY_TURNS = 50_000


class StandstillError(Exception):
    """Everything waits for something that no timer brings, or runs in circles in the meantime."""


class _JumpingSelector(selectors.DefaultSelector):
    """Says what is ready without waiting for it, and lets the time pass that it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._second, self._turns = 0, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise StandstillError("nothing is due, and nothing ever will be")
        self.now += _TURN + (max(timeout or 0.0, 0.0) if not ready else 0.0)
        self._turns = self._turns + 1 if int(self.now) == self._second else 0
        self._second = int(self.now)
        if self._turns > _TOO_MANY_TURNS:
            raise StandstillError(f"busy for ever at {self.now:.3f} s")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. Its clock starts at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(story: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine in virtual time.

    Raises:
        StandstillError: it waits for something that never comes.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)
