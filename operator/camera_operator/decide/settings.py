"""What decisions depend on beside the cluster's state: settings of the operator."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from camera_api.assignment import Role


def _random_token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """Settings of the decisions."""

    worker_image: str
    image_pull_policy: str = "IfNotPresent"
    #: Names of Secrets that the namespace of each group must have.
    image_pull_secrets: tuple[str, ...] = ()
    worker_service_account: str = "default"
    worker_log_level: str = "info"
    operator_version: str = "unknown"
    #: Address of the page with a section for each fault; messages lead to it.
    runbook: str = "docs/runbook.md"
    #: Seconds after which a report no longer says anything. More than two polls of the health poller, so that one
    #: lost answer changes nothing; less than the 30 s within which a lost worker has to show.
    report_stale_after: float = 20.0
    #: Seconds that a pod which has never reported may take to become ready, and that a camera which is being connected
    #: again keeps the state it had: what a restart of the operator or of a worker's process takes, and some more.
    worker_lost_after: float = 30.0
    #: Seconds that a worker is lost before its cameras go to others: all of them with ``failover: Fast``, and with
    #: ``Strict`` those of a worker that no node has room for.
    failover_after: float = 60.0
    #: Whether the API server can resize a pod in place (Kubernetes 1.33).
    resizes_pods: bool = True
    #: Roles that workers are made for.
    roles: tuple[Role, ...] = (Role.INGEST,)
    #: Makes the bearer token of a new worker.
    new_token: Callable[[], str] = _random_token
