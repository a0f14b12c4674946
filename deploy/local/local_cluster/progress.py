"""Progress of long work on the terminal: what is being done, for how long, and what came of it."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Without a terminal (CI logs), a line now and then shows life without flooding the log.
_PLAIN_INTERVAL = 15.0
_TERMINAL_INTERVAL = 0.1
_LINE_WIDTH = 110


class Reporter:
    """Writes one line per step; the line of a running step is renewed in place on a terminal.

    Args:
        stream: where to write; standard error by default, so that standard output stays usable in scripts.
        quiet: write nothing at all (the API for tests).
        clock: monotonic seconds.
    """

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._last_write = 0.0
        self._line_open = False

    def say(self, text: str) -> None:
        """Write a line of its own."""
        if self._quiet:
            return
        self._clear_line()
        self._stream.write(text + "\n")
        self._stream.flush()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while the block runs, then its duration; on an exception the step is marked as failed."""
        step = Step(self, title, self._clock())
        step.update("", force=self._terminal)
        try:
            yield step
        except BaseException:  # of Ctrl-C, too, it has to be seen what it has cut short; raised again
            self.say(f"✗ {title} ({elapsed(self._clock() - step.started)})")
            raise
        outcome = f": {step.outcome}" if step.outcome else ""
        self.say(f"✓ {title}{outcome} ({elapsed(self._clock() - step.started)})")

    def show(self, text: str, *, force: bool = False) -> None:
        """Renew the line of the running step, not more often than is useful."""
        now = self._clock()
        interval = _TERMINAL_INTERVAL if self._terminal else _PLAIN_INTERVAL
        if self._quiet or (not force and now - self._last_write < interval):
            return
        self._last_write = now
        if self._terminal:
            self._stream.write("\r\x1b[K" + text[:_LINE_WIDTH])
            self._line_open = True
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def reset_interval(self) -> None:
        """Let the next plain line wait a whole interval."""
        self._last_write = self._clock()

    def elapsed_since(self, started: float) -> str:
        """Time since ``started`` (a reading of this reporter's clock), for people."""
        return elapsed(self._clock() - started)

    def _clear_line(self) -> None:
        if self._line_open:
            self._stream.write("\r\x1b[K")
            self._line_open = False


class Step:
    """A running step of a :class:`Reporter`.

    Attributes:
        title: what is being done.
        started: reading of the reporter's clock.
        outcome: set it to say more than "done" at the end.
    """

    def __init__(self, reporter: Reporter, title: str, started: float) -> None:
        self._reporter = reporter
        self.title = title
        self.started = started
        self.outcome = ""
        reporter.reset_interval()

    def update(self, detail: str, *, force: bool = False) -> None:
        """Show how far the step has come."""
        text = f"… {self.title} ({self._reporter.elapsed_since(self.started)})"
        self._reporter.show(f"{text}: {detail}" if detail else text, force=force)


def elapsed(seconds: float) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3 min 05 s``.

    >>> elapsed(0.42), elapsed(12.3), elapsed(185)
    ('0.4 s', '12 s', '3 min 05 s')
    """
    if seconds < 10:  # noqa: PLR2004 - below ten seconds, tenths matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
