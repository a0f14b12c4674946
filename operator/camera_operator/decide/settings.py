"""What decisions depend on beside the cluster's state: settings of the operator."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass


def _random_token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """Settings of the decisions."""

    worker_image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    worker_service_account: str = "default"
    worker_log_level: str = "info"
    operator_version: str = "unknown"
    #: Seconds after which a report no longer says anything. More than two polls of the health poller, so that one
    #: lost answer changes nothing; less than the 30 s within which a lost worker has to show.
    report_stale_after: float = 20.0
    #: Makes the bearer token of a new worker.
    new_token: Callable[[], str] = _random_token
