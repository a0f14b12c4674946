"""The health report: what a worker answers to ``GET /v1/health?after=CURSOR&wait=SECONDS``.

The answer is a delta: cameras whose health changed after the cursor, at once if there are any, else when one
changes or after the wait. It holds all cameras (``full``) when the cursor is absent, too old or of another
instance of the worker. Cursors only make sense together with ``instance``.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from camera_api.base import ApiModel, Timestamp
from camera_api.category import DecodePolicy
from camera_api.faults import Fault


class Verdict(StrEnum):
    """What the worker says about a camera."""

    CONNECTING = "Connecting"  #: assigned, but neither a frame nor a fault yet
    WORKING = "Working"
    FAULTY = "Faulty"


class ActiveFault(ApiModel):
    """A fault that a camera has at present."""

    fault: Fault
    since: Timestamp
    """Wall clock: when the fault began (the last good moment), not when it was recognised."""
    message: str = ""
    """What was measured against what threshold. No URL beyond host and path, no credential."""


class StreamFacts(ApiModel):
    """What the stream turned out to be."""

    codec: str
    """FFmpeg's name, for example h264."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    frames_per_second: float
    bits_per_second: int
    transport: str
    """TCP, UDP or HTTP."""


class CameraHealth(ApiModel):
    """Health of one camera."""

    namespace: str
    name: str
    uid: str
    verdict: Verdict
    since: Timestamp
    """Wall clock: since when the verdict and the first fault stand."""
    faults: tuple[ActiveFault, ...] = ()
    """In the order of diagnosis: the first one is the reason shown."""
    stream: StreamFacts | None = None
    """Last known; stays while the camera is faulty. Rounded, so that it does not change with every packet."""
    last_frame_at: Timestamp | None = None
    """Wall clock of the last frame before the fault; none while Working, or every report would differ."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


class HealthReport(ApiModel):
    """Answer of the health route."""

    worker: str
    instance: str
    """Random name of the worker's process; with another one all earlier cursors are void."""
    acknowledged_revision: Annotated[int, Field(ge=0)]
    """Revision of the assignment that is in force: cameras not in it are released for certain."""
    cursor: Annotated[int, Field(ge=0)]
    """Give this as ``after`` next time."""
    decode_reduced_to: DecodePolicy | None = None
    """What an overloaded worker decodes at most, of every camera; None: what the assignment asks for."""
    full: bool
    """All cameras rather than the changed ones."""
    cameras: tuple[CameraHealth, ...] = ()
    removed: tuple[str, ...] = ()
    """UIDs of cameras that the worker no longer has (never in a full report)."""
