"""Errors of the worker.

    WorkerError
    ├── SettingsError       a flag or an environment variable is wrong
    ├── AssignmentError     the assignment cannot be read; the one in force stands
    └── StreamError         a camera's stream cannot be opened or has ended; holds the fault

No text of an error holds a credential: FFmpeg's errors, whose texts hold the whole URL, end in ``ingest.pyav_source``.
"""

from camera_api.faults import Fault


class WorkerError(Exception):
    """Base of all errors of the worker."""


class SettingsError(WorkerError):
    """A flag or an environment variable is wrong; the text names it."""


class AssignmentError(WorkerError):
    """The assignment cannot be read. The text names fields, never content."""


class StreamError(WorkerError):
    """A stream cannot be opened, or has ended.

    Attributes:
        fault: what is wrong with the camera.
        message: what was seen, for people; no credential.
        try_udp: whether the camera may still be reached by UDP.
    """

    def __init__(self, fault: Fault, message: str, *, try_udp: bool = False) -> None:
        super().__init__(f"{fault.value}: {message}")
        self.fault = fault
        self.message = message
        self.try_udp = try_udp
