"""Everything that can go wrong in the operator, on one page.

::

    OperatorError
    ├── SettingsError            a flag or environment variable is missing or wrong: exit code 2
    ├── NotLeadingError          a write was due, but this process does not lead (any more)
    ├── TaskDiedError            a part of the process ended on its own: the process stops
    └── ClusterError             the API server did not do what was asked
        ├── NotFoundError        404
        ├── ConflictError        409: somebody else was faster; observe again at once
        ├── ExpiredError         410: a LIST took longer than its snapshot lives; start it again
        ├── RejectedError        400, 422: the object is refused; trying again does not help
        ├── DeniedError          401, 403: the operator may not; needs an administrator
        └── UnavailableError     429, 5xx, time-out, no connection: try again later

No message holds a request or response body: bodies may hold credentials.
"""

from collections.abc import Mapping


class OperatorError(Exception):
    """Root of all errors that the operator raises on purpose."""


class SettingsError(OperatorError):
    """A flag or environment variable is missing or wrong."""


class NotLeadingError(OperatorError):
    """A write was due, but this process does not hold the Lease."""


class TaskDiedError(OperatorError):
    """A part of the process that runs for ever has ended."""


class ClusterError(OperatorError):
    """The API server did not do what was asked.

    Attributes:
        what: verb, kind and name of the request, for people.
        status: HTTP status; 0 without an answer.
        cause: ``reason`` of the answer, or the class of the network error.
    """

    def __init__(self, what: str, status: int, cause: str) -> None:
        super().__init__(f"{what}: {f'HTTP {status} ' if status else ''}{cause}")
        self.what = what
        self.status = status
        self.cause = cause


class NotFoundError(ClusterError):
    """404."""


class ConflictError(ClusterError):
    """409: a precondition failed, or the object exists already."""


class ExpiredError(ClusterError):
    """410: the snapshot of a chunked LIST is gone."""


class RejectedError(ClusterError):
    """400 or 422: the object is refused as it is."""


class DeniedError(ClusterError):
    """401 or 403: the operator has no right to do this."""


class UnavailableError(ClusterError):
    """429, 5xx, a time-out or no connection.

    Attributes:
        retry_after: seconds that the server asks to wait; None: it does not say.
    """

    def __init__(self, what: str, status: int, cause: str, retry_after: float | None = None) -> None:
        super().__init__(what, status, cause)
        self.retry_after = retry_after


_BY_STATUS: dict[int, type[ClusterError]] = {
    400: RejectedError,
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: RejectedError,
}


def error_of_status(what: str, status: int, cause: str, headers: Mapping[str, str]) -> ClusterError:
    """The error that stands for an HTTP status outside of 2xx.

    Args:
        what: verb, kind and name of the request.
        status: HTTP status.
        cause: ``reason`` of the ``Status`` object, for example ``AlreadyExists``.
        headers: of the response; ``Retry-After`` in seconds is taken over.
    """
    if status in _BY_STATUS:
        return _BY_STATUS[status](what, status, cause)
    if status == 429 or status >= 500:  # noqa: PLR2004 - HTTP statuses are clearest as numbers
        text = headers.get("Retry-After", "")
        return UnavailableError(what, status, cause, float(text) if text.isdigit() else None)
    return ClusterError(what, status, cause)
