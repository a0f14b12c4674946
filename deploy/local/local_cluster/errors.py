"""Errors of the local cluster.

ClusterError                 a user can act on it: the message says what is wrong, the hint what to do
├── PreflightError           something the machine lacks, found before any work started
├── BuildError               the Go build of the Kubernetes binary, or a build of an image, failed
├── ComponentError           a component did not start or did not become healthy
└── CommandError             kubectl, helm or a tool of the machine exited with an error
"""


class ClusterError(Exception):
    """What went wrong, in words for the person at the terminal.

    Attributes:
        hint: what to do about it; empty when the message says it all.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class PreflightError(ClusterError):
    """The machine lacks something; nothing was started or changed."""


class BuildError(ClusterError):
    """A build failed; its last output is in the message."""


class ComponentError(ClusterError):
    """A component did not start or did not become healthy; the end of its log is in the message."""


class CommandError(ClusterError):
    """A command exited with an error.

    Attributes:
        returncode: exit code of the command.
        stderr: what it wrote to its standard error.
    """

    def __init__(self, message: str, *, returncode: int, stderr: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr
