"""From single measurements to a fault that comes and goes slowly enough to be believed. Pure."""

from dataclasses import dataclass

from camera_api.faults import Fault
from camera_worker.ingest.judgement import Trouble


@dataclass(slots=True)
class Gauge:
    """Raises a fault after some bad measurements in a row and clears it after some good ones."""

    fault: Fault
    raise_after: int
    clear_after: int
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
