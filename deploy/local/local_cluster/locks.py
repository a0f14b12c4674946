"""Locks between commands, shown while one waits for another."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_cluster.progress import Reporter


@contextmanager
def exclusive(path: Path, reporter: Reporter, waiting_for: str) -> Iterator[None]:
    """Hold a lock file; the kernel releases it when the process ends, however it ends.

    Args:
        path: the lock file, created when it is missing.
        reporter: shows that the command waits.
        waiting_for: what holds the lock, for people.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.say(f"Waiting for {waiting_for} to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
