"""Flags and environment of ``camera-operator run``, as one frozen value.

Every flag has an environment variable, ``CAMERA_OPERATOR_`` and the flag's name in capitals; the flag wins.
"""

import argparse
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from camera_operator.errors import SettingsError

ENVIRONMENT_PREFIX = "CAMERA_OPERATOR_"
#: Where kubelet puts a pod's own namespace.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _text(value: str) -> str:
    return value.strip()


def _names(value: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    for name in names:
        if _DNS_LABEL.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not a name: lower-case letters, digits and '-', at most 63")
    return names


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isdigit() or not low <= int(value) <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return int(value)

    return parse


def _option(help_text: str, parse: Callable[[str], Any] = _text, *, default: Any = MISSING, flag: str = "") -> Any:
    metadata = {"help": help_text, "parse": parse, "flag": flag}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator is started with."""

    worker_image: str = _option("image of the worker pods (required)")
    worker_image_pull_policy: str = _option(
        "imagePullPolicy of the worker pods: Always, IfNotPresent or Never",
        _one_of("Always", "IfNotPresent", "Never"),
        default="IfNotPresent",
    )
    worker_image_pull_secrets: tuple[str, ...] = _option(
        "imagePullSecrets of the worker pods, comma-separated; each group's namespace must have them",
        _names,
        default=(),
    )
    worker_service_account: str = _option(
        "service account of the worker pods; its token is not mounted", default="default"
    )
    worker_log_level: str = _option(
        "log level of the worker pods", _one_of("debug", "info", "warning", "error"), default="info"
    )
    watch_namespaces: tuple[str, ...] = _option(
        "namespaces whose cameras are served, comma-separated; empty: all", _names, default=()
    )
    namespace: str = _option("namespace of the Lease; by default the pod's own", default="")
    pod_name: str = _option(
        "name of this process as holder of the Lease; by default the host name and a random suffix",
        default="",
        flag="identity",
    )
    lease_name: str = _option(
        "name of the Lease; operators with the same one take turns, the others do not know of each other",
        default="camera-operator",
    )
    http_port: int = _option("port of /metrics, /healthz and /readyz", _integer(0, 65535), default=8080)
    log_level: str = _option("log level", _one_of("debug", "info", "warning", "error"), default="info")
    log_format: str = _option("format of log lines: text or json", _one_of("text", "json"), default="text")
    reconcile_concurrency: int = _option(
        "groups that are worked on at the same time: they mostly wait for the API server", _integer(1, 64), default=16
    )
    status_writes_per_second: int = _option(
        "status writes per second in the long run; the rest waits its turn, groups first",
        _integer(1, 10_000),
        default=300,
    )
    status_write_burst: int = _option("status writes that may be made at once", _integer(1, 10_000), default=300)
    runbook: str = _option(
        "address of the page with a section for each fault, to which messages lead", default="docs/runbook.md"
    )
    moves_per_hour: int = _option(
        "cameras per group that are moved in an hour at most to fill workers better or to share their load",
        _integer(0, 10_000),
        default=60,
    )
    failover_after_seconds: int = _option(
        "seconds until the cameras of a lost worker go to others, in groups with failover Fast",
        _integer(10, 86_400),
        default=60,
    )
    resync_seconds: int = _option(
        "seconds between two comparisons of the cache with a full LIST", _integer(10, 86_400), default=600
    )
    kubeconfig: str = _option("kubeconfig file; by default the pod's service account, else $KUBECONFIG", default="")
    context: str = _option("context of the kubeconfig file; by default its current one", default="")


def _flag(name: str, metadata: Mapping[str, Any]) -> str:
    return "--" + (metadata["flag"] or name).replace("_", "-")


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag per setting, with its environment variable and default in the help text."""
    for item in fields(Settings):
        default = "" if item.default in (MISSING, "", ()) else f"; default {item.default}"
        parser.add_argument(
            _flag(item.name, item.metadata),
            dest=item.name,
            metavar="VALUE",
            help=f"{item.metadata['help']} [{_variable(item.name)}{default}]",
        )


def load_settings(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from parsed flags and the environment.

    Raises:
        SettingsError: something is missing or wrong; names the flag and the variable.
    """
    values: dict[str, Any] = {}
    for item in fields(Settings):
        text = getattr(options, item.name, None)
        if text is None:
            text = environment.get(_variable(item.name))
        if text is None or (text == "" and item.default is not MISSING):
            continue
        try:
            values[item.name] = item.metadata["parse"](text)
        except ValueError as error:
            raise SettingsError(f"{_flag(item.name, item.metadata)} ({_variable(item.name)}): {error}") from error
    if not values.get("worker_image"):
        raise SettingsError("--worker-image (CAMERA_OPERATOR_WORKER_IMAGE) is required: the image of the worker pods")
    values["namespace"] = values.get("namespace") or _own_namespace()
    values["pod_name"] = values.get("pod_name") or f"{socket.gethostname()}-{secrets.token_hex(3)}"
    return Settings(**values)


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "default"
