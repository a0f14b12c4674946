"""Names, labels and annotations of what the operator makes."""

import json
import re
from collections.abc import Mapping

from camera_api import GROUP
from camera_api.assignment import Role

MANAGED_BY = "camera-operator"
WORKER_NAME = "camera-worker"

LABEL_NAME = "app.kubernetes.io/name"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_PART_OF = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_VERSION = "app.kubernetes.io/version"
LABEL_GROUP = f"{GROUP}/group"
LABEL_ROLE = f"{GROUP}/role"
LABEL_WORKER = f"{GROUP}/worker"
LABEL_CATEGORY = f"{GROUP}/category"

#: Hash of an applied manifest, on StatefulSets and Services: equal means that there is nothing to apply.
ANNOTATION_FINGERPRINT = f"{GROUP}/fingerprint"
#: On pods: the assignment's revision. Patching it makes kubelet deliver the Secret's new content at once.
ANNOTATION_ASSIGNMENT_REVISION = f"{GROUP}/assignment-revision"
#: On a worker's Secret: cameras taken from the worker, each with the revision that took it (a JSON object).
ANNOTATION_RELEASED = f"{GROUP}/released"
#: On StatefulSets: the number of cameras that the template's requests are for.
ANNOTATION_SIZED_FOR = f"{GROUP}/sized-for"
#: On StatefulSets and, by their template, on pods: hash of the template without the container's resources. A pod with
#: another one is outdated; one that differs in size only is not.
ANNOTATION_TEMPLATE = f"{GROUP}/template"
#: On StatefulSets: the number of cameras that worked when the template was changed; as many have to come back.
ANNOTATION_WORKING_BEFORE = f"{GROUP}/working-before"
#: On pods: the number of cameras that the node has room for, once it has refused a resize.
ANNOTATION_FITS = f"{GROUP}/fits"

_WORKER = re.compile(rf"(?P<group>.+)-(?P<role>{'|'.join(role.value for role in Role)})-(?P<ordinal>0|[1-9][0-9]*)")


def worker_name(group: str, role: Role, ordinal: int) -> str:
    """Name of a worker: of its StatefulSet, Service and Secret."""
    return f"{group}-{role.value}-{ordinal}"


def pod_name(worker: str) -> str:
    """Name of a worker's pod: the only one of its StatefulSet."""
    return f"{worker}-0"


def parse_worker_name(name: str) -> tuple[str, Role, int] | None:
    """Group, role and ordinal of a worker's name; None: it is none."""
    match = _WORKER.fullmatch(name)
    return None if match is None else (match["group"], Role(match["role"]), int(match["ordinal"]))


def worker_selector(group: str, role: Role) -> dict[str, str]:
    """Labels that select the pods of all workers of one role of a group."""
    return {LABEL_NAME: WORKER_NAME, LABEL_GROUP: group, LABEL_ROLE: role.value}


def worker_labels(*, group: str, role: Role, worker: str, category: str) -> dict[str, str]:
    """Labels of everything that belongs to one worker."""
    return {
        **worker_selector(group, role),
        LABEL_COMPONENT: role.value,
        LABEL_PART_OF: MANAGED_BY,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_WORKER: worker,
        LABEL_CATEGORY: category,
    }


def format_released(released: Mapping[str, int]) -> str:
    """Text of ``ANNOTATION_RELEASED``."""
    return json.dumps(dict(sorted(released.items())), separators=(",", ":"))


def parse_released(text: str | None) -> Mapping[str, int] | None:
    """Reads ``ANNOTATION_RELEASED``: revision by camera name; empty if there is no annotation.

    None: somebody has garbled it, and the record of placement is as lost as with an unreadable assignment.
    """
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict) or not all(type(revision) is int for revision in value.values()):
        return None
    return value


def format_nudge(revision: int, attempt: int) -> str:
    """Text of ``ANNOTATION_ASSIGNMENT_REVISION``: the revision, and how often the pod was nudged again for it."""
    return f"{revision}+{attempt}" if attempt else str(revision)


def parse_nudge(text: str) -> tuple[int, int] | None:
    """Reads ``ANNOTATION_ASSIGNMENT_REVISION``: revision and attempt; None: it is not there, or garbled."""
    match = re.fullmatch(r"([0-9]+)(?:\+([0-9]+))?", text, re.ASCII)
    return (int(match[1]), int(match[2] or 0)) if match is not None else None


def budget_name(group: str, role: Role) -> str:
    """Name of the PodDisruptionBudget of a group's workers of one role."""
    return f"{group}-{role.value}"


def parse_count(text: str | None) -> int | None:
    """Reads an annotation that holds a number; None: it is not there, or no number."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
