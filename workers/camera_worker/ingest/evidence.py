"""What a fault looks like: the last good and the faulty picture of a camera.

A camera holds two small JPEGs at most (``MAX_JPEG_BYTES`` each, so 128 KiB) and, while it is in good order or something
is suspected, the compressed key frame of the last good picture: mostly the one that it holds for snapshots anyway.
"""

from dataclasses import dataclass

from camera_api.faults import Fault
from camera_worker.ingest.snapshot import encode
from camera_worker.ingest.source import KeyFrame

#: Pixels of the longer side: enough to see a hand before the lens, a tenth of a 1080p picture's bytes.
FIT = 480
#: Of one picture; noise at night takes most.
MAX_JPEG_BYTES = 64 * 1024
#: Quality of the JPEG, lowered until it fits. The last one fits whatever it shows: 53 KiB of black and white noise.
_QUALITIES = (80, 50, 10)


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of one moment, compressed one way or the other."""

    at: float  #: monotonic seconds
    content: KeyFrame | bytes  #: a key frame of the stream, or a small JPEG

    def small(self) -> "Still | None":
        """The same as a small JPEG, which takes some 10 ms where it is none yet; None: it is damaged."""
        jpeg = self.jpeg()
        return None if jpeg is None else Still(self.at, jpeg)

    def jpeg(self) -> bytes | None:
        """The small JPEG; None: the picture is damaged."""
        if isinstance(self.content, bytes):
            return self.content
        for quality in _QUALITIES:
            jpeg = encode(self.content, fit=FIT, quality=quality)
            if jpeg is None or len(jpeg) <= MAX_JPEG_BYTES:
                return jpeg
        return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fault and the pictures that go with it."""

    fault: Fault
    since: float  #: monotonic seconds
    message: str  #: what was measured against what threshold
    good: Still | None  #: the last one that nothing is said against
    faulty: Still | None  #: one that shows the fault; None: faults of stream and network have none
