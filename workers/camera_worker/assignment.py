"""Follows the file with the assignment, as kubelet mounts the operator's Secret."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from camera_api.assignment import Assignment, Role
from camera_worker.errors import AssignmentError

logger = logging.getLogger(__name__)

#: Seconds between two looks at the file: kubelet swaps a symbolic link, which costs a stat to notice.
POLL_S = 0.1


def read_assignment(path: Path) -> Assignment:
    """The assignment in a file.

    Raises:
        AssignmentError: there is none, or it cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise AssignmentError(f"{path}: {error.strerror}") from None
    try:
        assignment = Assignment.from_secret_text(text)
    except ValueError as error:
        # Its text names fields and kinds of mistake, never content.
        raise AssignmentError(f"{path}: {error}") from None
    if assignment.role is not Role.INGEST:
        raise AssignmentError(f"{path}: role: this worker does {Role.INGEST.value}, not {assignment.role.value}")
    repeated = sorted(uid for uid, times in Counter(camera.uid for camera in assignment.cameras).items() if times > 1)
    if repeated:
        raise AssignmentError(f"{path}: cameras: uid {repeated[0]} is there more than once")
    return assignment


class AssignmentWatcher:
    """Calls ``taken`` with each new assignment.

    Args:
        path: of the file.
        taken: called with a new assignment.
        sleep: waits between two looks.
    """

    def __init__(
        self,
        path: Path,
        taken: Callable[[Assignment], None],
        sleep: Callable[[float], "asyncio.Future[None]"] | None = None,
    ) -> None:
        self._path = path
        self._taken = taken
        self._sleep = sleep or asyncio.sleep
        self._seen: tuple[int, int, int] | None = None
        self._missing_said = False
        #: Why the latest file could not be taken over; empty: it was.
        self.trouble = ""

    async def run(self) -> None:
        """Follows the file for ever."""
        while True:
            self.look()
            await self._sleep(POLL_S)

    def look(self) -> None:
        """Takes the file over if it is another than the last time."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError as error:
            # Between two files of a swap, or before the first one: what is in force goes on.
            self.trouble = f"{self._path}: {error.strerror}"
            if not self._missing_said:
                logger.info("waiting for the assignment: %s", self.trouble)
                self._missing_said = True
            return
        if seen == self._seen:
            return
        self._seen = seen
        try:
            assignment = read_assignment(self._path)
        except AssignmentError as error:
            self.trouble = str(error)
            logger.error("the assignment is not taken over, the one in force stands: %s", error)  # noqa: TRY400
            return
        self.trouble = ""
        self._taken(assignment)
