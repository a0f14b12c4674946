"""Picture health of one camera: what its key frames show, since when, and the pictures that prove it."""

import logging
from dataclasses import dataclass

from camera_api.assignment import AssignedCamera
from camera_api.faults import Fault
from camera_worker.ingest.evidence import Evidence, Still
from camera_worker.ingest.judgement import Trouble
from camera_worker.ingest.picture_store import PictureStore, Remembered
from camera_worker.ingest.source import KeyFrame, Picture
from camera_worker.picture.monitor import KeyFrameFacts, PictureFinding, PictureMonitor
from camera_worker.picture.thumbnail import thumbnail

logger = logging.getLogger(__name__)

#: Seconds between two times that what was learned is kept for the next process: 5 ms of work each.
SAVE_EVERY_S = 300.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A key frame that was decoded whole."""

    picture: Picture
    key_frame: KeyFrame  #: the same, compressed
    at: float  #: monotonic seconds
    inter_bytes: float | None  #: see ``KeyFrameFacts``
    is_variable_rate: bool | None  #: see ``KeyFrameFacts``


class PictureHealth:
    """Watches one camera's picture, as long as it comes from the same source.

    For the camera's thread, but for ``troubles`` and ``evidence``, which any thread may ask.

    Args:
        store: where what was learned outlives the process; None: nowhere.
    """

    def __init__(self, store: PictureStore | None) -> None:
        self._store = store
        self._monitor = PictureMonitor()
        self._size: tuple[int, int] | None = None
        self._acknowledged: str | None = None
        self._saved_at = float("-inf")
        self._good: Still | None = None
        #: Replaced as a whole: other threads read them.
        self._findings: tuple[PictureFinding, ...] = ()
        self._evidence: Evidence | None = None

    @property
    def troubles(self) -> list[Trouble]:
        """Faults of the picture that is there at present."""
        return [Trouble(finding.fault, finding.since, finding.message) for finding in self._findings]

    def evidence(self, trouble: Trouble | None) -> Evidence | None:
        """The pictures that go with a fault.

        Args:
            trouble: of the camera; None: the latest fault of its picture, which may have ended.
        """
        evidence = self._evidence
        if trouble is None or (evidence is not None and (evidence.fault, evidence.since) == _key(trouble)):
            return evidence
        return Evidence(trouble.fault, trouble.since, trouble.message, self._good, None)

    def interrupted(self) -> None:
        """No picture was seen for a while: nothing is known until the next one, but what was learned stays."""
        self._findings = ()
        self._monitor.interrupted()

    def see(self, seen: Seen, assigned: AssignedCamera) -> bool:
        """Takes the next picture.

        Args:
            seen: a whole one.
            assigned: settings in force.

        Returns:
            Whether the faults have changed.
        """
        self._follow(seen, assigned)
        facts = KeyFrameFacts(seen.at, seen.inter_bytes, seen.is_variable_rate, seen.picture.is_grey())
        findings = self._monitor.observe(thumbnail(seen.picture.luma()), facts)
        if not self._monitor.is_suspicious:
            self._good = Still(seen.at, seen.key_frame)
        disabled = assigned.health.disabled_faults
        before, self._findings = self._findings, findings
        shown = next((finding for finding in findings if finding.fault not in disabled), None)
        if shown is not None and (
            self._evidence is None or (self._evidence.fault, self._evidence.since) != _key(shown)
        ):
            self._prove(shown, seen)
        if seen.at - self._saved_at >= SAVE_EVERY_S:
            self.save(assigned, seen.at)
        return findings != before

    def save(self, assigned: AssignedCamera, now: float) -> None:
        """Keeps what was learned for the next process."""
        if self._store is None or self._size is None or not self._monitor.knows_view:
            return
        self._saved_at = now
        self._store.save(self._remembered(assigned, self._size), self._monitor.export_memory())

    def _follow(self, seen: Seen, assigned: AssignedCamera) -> None:
        """Starts over where the settings or the stream say so."""
        size = seen.picture.width, seen.picture.height
        acknowledged = assigned.acknowledged_view
        if size != self._size:
            # Somebody has set the camera up anew: another crop and sharpness, and frames of other sizes.
            self._monitor = PictureMonitor()
            self._size = size
            self._acknowledged = acknowledged
            self._saved_at = seen.at
            self._restore(assigned, size)
            return
        if acknowledged is not None and acknowledged != self._acknowledged:
            self._acknowledged = acknowledged
            self._acknowledge(assigned, "as asked for")
            return
        after_s = assigned.health.relearn_view_after_seconds
        moved = next((finding for finding in self._findings if finding.fault is Fault.MOVED), None)
        if after_s is not None and moved is not None and seen.at - moved.since >= after_s:
            self._acknowledge(assigned, f"{after_s:.0f} s after it has moved")

    def _acknowledge(self, assigned: AssignedCamera, why: str) -> None:
        self._monitor.acknowledge_view()
        logger.info("camera %s/%s: its present view counts as right, %s", assigned.namespace, assigned.name, why)

    def _restore(self, assigned: AssignedCamera, size: tuple[int, int]) -> None:
        memory = self._store.load(self._remembered(assigned, size)) if self._store is not None else None
        if memory is None:
            return
        try:
            self._monitor.restore_memory(memory)
        except ValueError as error:
            logger.info("camera %s/%s: its picture is learned anew: %s", assigned.namespace, assigned.name, error)

    def _remembered(self, assigned: AssignedCamera, size: tuple[int, int]) -> Remembered:
        return Remembered(assigned.uid, assigned.source.main_url, *size, self._acknowledged)

    def _prove(self, finding: PictureFinding, seen: Seen) -> None:
        # Encoded once and here: what is kept is small whatever the stream is, and most faults are looked at.
        if self._good is not None:
            self._good = self._good.small()
        faulty = Still(seen.at, seen.key_frame).small()
        self._evidence = Evidence(finding.fault, finding.since, finding.message, self._good, faulty)


def _key(found: Trouble | PictureFinding) -> tuple[Fault, float]:
    return found.fault, found.since
