"""Errors of the worker.

    WorkerError
    ├── SettingsError           a flag or an environment variable is wrong
    ├── AssignmentError         the assignment cannot be taken over; the one in force stands
    ├── IllegalTransitionError  a connection was told what cannot happen in its phase: a defect of the worker
    ├── MuxError                a stream has no place in the container that is asked for
    └── StreamError             a camera's stream cannot be opened or has ended; holds the fault

No text of an error holds a credential: FFmpeg's errors, whose texts hold the whole URL, end in ``ingest.av_errors``.
"""

from camera_api.faults import Fault


class WorkerError(Exception):
    """Base of all errors of the worker."""


class SettingsError(WorkerError):
    """A flag or an environment variable is wrong; the text names it."""


class AssignmentError(WorkerError):
    """The assignment cannot be taken over. The text names fields, never content."""


class IllegalTransitionError(WorkerError):
    """A connection was told what cannot happen in its phase."""


class MuxError(WorkerError):
    """A stream cannot be put into the container that is asked for; the text says why."""


class StreamError(WorkerError):
    """A stream cannot be opened, or has ended.

    Attributes:
        fault: what is wrong with the camera.
        message: what was measured, for people; no credential.
        connected: whether a connection to the camera stood. A try that ends before costs the camera next to nothing.
    """

    def __init__(self, fault: Fault, message: str, *, connected: bool = True) -> None:
        super().__init__(f"{fault.value}: {message}")
        self.fault = fault
        self.message = message
        self.connected = connected

    def without_frames(self) -> "StreamError":
        """The same for keeping: a traceback holds the stream with its decoder, and FFmpeg's error with the URL."""
        return StreamError(self.fault, self.message, connected=self.connected)
