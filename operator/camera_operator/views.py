"""From objects of the API server, as decoded JSON, to the slim values that decisions are made from. Pure.

Strings that repeat over thousands of objects are interned: a fleet has few groups, reasons, messages and seconds.
"""

import base64
import binascii
import sys
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import SecretStr, ValidationError

from camera_api.assignment import (
    ASSIGNMENT_KEY,
    VIEW_ACKNOWLEDGED,
    AssignedSource,
    Assignment,
    Credentials,
    Role,
    SourceKind,
)
from camera_api.camera import CameraSpec, CameraState, Lifecycle, Source
from camera_api.category import CameraCategorySpec
from camera_api.conditions import ConditionStatus
from camera_api.group import CameraGroupSpec
from camera_api.quantities import parse_cpu, parse_memory
from camera_operator.decide.model import (
    CameraStatusView,
    CameraView,
    CategoryView,
    ConditionView,
    GroupStatusView,
    GroupView,
    ObjectKey,
    PodView,
    ResizeRefusal,
    Resources,
    SecretProblem,
)
from camera_operator.slim import assigned_source, slim_assignment
from camera_operator.specs import names

Object = Mapping[str, Any]
_intern = sys.intern
#: Conditions that differ and are remembered. 100,000 statuses are written over 333 seconds, each with its few.
_CONDITIONS = 2048

#: Name of the worker container's port that serves health and metrics.
HTTP_PORT_NAME = "http"
DEFAULT_HTTP_PORT = 8080


@dataclass(frozen=True, slots=True)
class WorkerRef:
    """Which worker of which group an object belongs to."""

    namespace: str
    group: str
    worker: str


@dataclass(frozen=True, slots=True)
class WorkerSecretView:
    """A worker's Secret."""

    ref: WorkerRef
    uid: str
    resource_version: str
    assignment: Assignment | None  #: None: it cannot be read
    released: Mapping[str, int] = field(default_factory=dict)  #: see ``WorkerView.released``
    cameras: frozenset[str] = frozenset()  #: names of those that are assigned

    def may_concern(self, names: AbstractSet[str]) -> bool:
        """Whether the worker may be watching one of some cameras, or have watched it. Cheap, and true if in doubt."""
        return self.assignment is None or bool(self.released) or not self.cameras.isdisjoint(names)


@dataclass(frozen=True, slots=True)
class WorkerPartView:
    """A worker's StatefulSet or Service, as far as it can differ from what was applied."""

    ref: WorkerRef
    uid: str
    fingerprint: str
    # See ``WorkerView``; StatefulSets only.
    sized_for: int | None = None
    template: str | None = None
    image: str = ""
    working_before: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A PodDisruptionBudget of the workers of one role."""

    group: ObjectKey
    role: Role
    fingerprint: str


@dataclass(frozen=True, slots=True)
class WorkerPodView:
    """A worker's pod."""

    ref: WorkerRef
    pod: PodView
    port: int  #: of health and metrics


def parse_time(text: str) -> datetime:
    """An RFC 3339 time as an aware value.

    Raises:
        ValueError: it is not one.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def describe_invalid(error: ValidationError, root: str) -> str:
    """The first thing that is wrong, naming the field and never quoting the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{root}.{path}: {first['msg']}" if path else f"{root}: {first['msg']}"


#: type, status, reason, message, observedGeneration, lastTransitionTime
_Condition = tuple[str, str, str, str, int, str]


@lru_cache(_CONDITIONS)
def _condition(raw: _Condition) -> ConditionView:
    kind, status, reason, message, generation, since = raw
    return ConditionView(kind, ConditionStatus(status), reason, message, generation, since)


@lru_cache(_CONDITIONS)
def _condition_list(raw: tuple[_Condition, ...]) -> tuple[ConditionView, ...]:
    return tuple(map(_condition, raw))


def _conditions(raw: Iterable[Object]) -> tuple[ConditionView, ...]:
    """Conditions; cameras that came into the same state in the same second share them."""
    return _condition_list(
        tuple(
            (
                _intern(str(condition["type"])),
                _intern(str(condition["status"])),
                _intern(str(condition.get("reason", ""))),
                _intern(str(condition.get("message", ""))),
                int(condition.get("observedGeneration", 0)),
                _intern(str(condition.get("lastTransitionTime", ""))),
            )
            for condition in raw
        )
    )


def camera_status(status: Object) -> CameraStatusView:
    """The status of a Camera; what somebody else has garbled counts as absent, so that it is written anew."""
    try:
        state = status.get("state")
        return CameraStatusView(
            state=None if state is None else CameraState(state),
            reason=_intern(status.get("reason", "")),
            since=_intern(status["since"]) if status.get("since") is not None else None,
            category=_intern(status.get("category", "")),
            worker=_intern(status.get("worker", "")),
            observed_generation=int(status.get("observedGeneration", 0)),
            conditions=_conditions(status.get("conditions") or ()),
        )
    except (KeyError, TypeError, ValueError):
        return CameraStatusView()


def _assigned_source(source: Source) -> AssignedSource | None:
    if source.rtsp is not None:
        rtsp = source.rtsp
        return assigned_source(SourceKind.RTSP, rtsp.url, sub_url=rtsp.sub_stream_url, transport=rtsp.transport)
    if source.http is not None:
        return assigned_source(SourceKind.HTTP, source.http.url)
    return None


def camera_view(raw: Object) -> CameraView:
    """A Camera. One that cannot be used says why in ``invalid`` and keeps whatever is needed to report that."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    raw_spec = raw.get("spec") or {}
    invalid: str | None = None
    source: AssignedSource | None = None
    spec: CameraSpec | None = None
    expires: datetime | None = None
    try:
        spec = CameraSpec.model_validate(raw_spec)
        source = _assigned_source(spec.source)
        if source is None:
            invalid = "spec.source: must have exactly one of rtsp and http"
        expires = parse_time(spec.consent.expires_at) if spec.consent is not None else None
    except ValidationError as error:
        invalid = describe_invalid(error, "spec")
    except ValueError:
        invalid = "spec.consent.expiresAt: not a date and time such as 2030-01-31T00:00:00Z"
    secret = spec.credentials_secret_ref if spec is not None else None
    return CameraView(
        namespace=_intern(metadata["namespace"]),
        name=_intern(metadata["name"]),
        uid=_intern(metadata["uid"]),
        generation=int(metadata.get("generation", 0)),
        deleting="deletionTimestamp" in metadata,
        group=_intern(str(raw_spec.get("group", ""))),
        lifecycle=spec.lifecycle if spec is not None else Lifecycle.ACTIVE,
        source=source if invalid is None else None,
        credentials_secret=_intern(secret.name) if secret is not None else None,
        consent_expires_at=expires,
        tasks=tuple(spec.analytics.tasks) if spec is not None else (),
        site=_intern(spec.location.site) if spec is not None and spec.location is not None else "",
        acknowledged_view=(metadata.get("annotations") or {}).get(VIEW_ACKNOWLEDGED),
        status=camera_status(status),
        invalid=invalid,
    )


def group_status(status: Object) -> GroupStatusView:
    """The status of a CameraGroup; what somebody else has garbled counts as absent."""
    try:
        return GroupStatusView(
            observed_generation=int(status.get("observedGeneration", 0)),
            category=_intern(status.get("category", "")),
            cameras={key: int(value) for key, value in (status.get("cameras") or {}).items()},
            faults={key: int(value) for key, value in (status.get("faults") or {}).items()},
            workers={key: int(value) for key, value in (status.get("workers") or {}).items()},
            worker_image=_intern(status.get("workerImage", "")),
            selector=status.get("selector", ""),
            conditions=_conditions(status.get("conditions") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return GroupStatusView()


def group_view(raw: Object) -> GroupView | None:
    """A CameraGroup; None: the stored object has no category and so cannot be served."""
    metadata = raw["metadata"]
    try:
        spec = CameraGroupSpec.model_validate(raw.get("spec") or {})
    except ValidationError:
        return None
    return GroupView(
        namespace=_intern(metadata["namespace"]),
        name=_intern(metadata["name"]),
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        deleting="deletionTimestamp" in metadata,
        spec=spec,
        status=group_status(raw.get("status") or {}),
    )


def category_view(raw: Object) -> CategoryView | None:
    """A CameraCategory; None: the stored object is not usable."""
    metadata = raw["metadata"]
    try:
        spec = CameraCategorySpec.model_validate(raw.get("spec") or {})
    except ValidationError:
        return None
    return CategoryView(name=_intern(metadata["name"]), generation=int(metadata.get("generation", 0)), spec=spec)


def worker_ref(metadata: Object) -> WorkerRef | None:
    """The worker that an object belongs to by its labels; None: it is not one of a worker's objects."""
    labels = metadata.get("labels") or {}
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
        return None
    group, worker = labels.get(names.LABEL_GROUP), labels.get(names.LABEL_WORKER)
    if not group or not worker:
        return None
    return WorkerRef(_intern(metadata["namespace"]), _intern(group), _intern(worker))


def secret_view(raw: Object) -> WorkerSecretView | Credentials | SecretProblem:
    """A worker's Secret, or credentials; nothing else of a Secret is kept."""
    metadata, data = raw["metadata"], raw.get("data") or {}
    ref = worker_ref(metadata)
    if ref is not None:
        try:
            assignment = slim_assignment(Assignment.from_secret_text(base64.b64decode(data[ASSIGNMENT_KEY])))
        except (KeyError, ValueError):
            # The exception quotes the content, so it is dropped here.
            assignment = None
        released = names.parse_released((metadata.get("annotations") or {}).get(names.ANNOTATION_RELEASED))
        if released is None:
            # Half of the record of placement is lost, and with it the sense of the other half.
            assignment = None
        cameras = frozenset(camera.name for camera in assignment.cameras) if assignment is not None else frozenset()
        return WorkerSecretView(ref, metadata["uid"], metadata["resourceVersion"], assignment, released or {}, cameras)
    try:
        return Credentials(
            username=base64.b64decode(data["username"], validate=True).decode(),
            password=SecretStr(base64.b64decode(data["password"], validate=True).decode()),
        )
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return SecretProblem.INCOMPLETE


def worker_part_view(raw: Object) -> WorkerPartView | None:
    """A worker's StatefulSet or Service; None: it belongs to no worker."""
    metadata = raw["metadata"]
    ref = worker_ref(metadata)
    if ref is None:
        return None
    annotations = metadata.get("annotations") or {}
    return WorkerPartView(
        ref,
        metadata["uid"],
        fingerprint=annotations.get(names.ANNOTATION_FINGERPRINT, ""),
        sized_for=names.parse_count(annotations.get(names.ANNOTATION_SIZED_FOR)),
        template=annotations.get(names.ANNOTATION_TEMPLATE),
        image=_intern(_container((raw.get("spec") or {}).get("template") or {}).get("image") or ""),
        working_before=names.parse_count(annotations.get(names.ANNOTATION_WORKING_BEFORE)),
    )


def budget_view(raw: Object) -> BudgetView | None:
    """A PodDisruptionBudget of a group's workers; None: it is somebody else's."""
    metadata = raw["metadata"]
    labels = metadata.get("labels") or {}
    group, role = labels.get(names.LABEL_GROUP), labels.get(names.LABEL_ROLE)
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY or not group or role not in set(Role):
        return None
    fingerprint = (metadata.get("annotations") or {}).get(names.ANNOTATION_FINGERPRINT, "")
    return BudgetView((_intern(metadata["namespace"]), _intern(group)), Role(role), fingerprint)


def _container(template: Object) -> Object:
    """The first container of a pod or template; empty: there is none."""
    containers: Sequence[Object] = (template.get("spec") or {}).get("containers") or ({},)
    return containers[0]


def _resources(amounts: Object) -> Resources | None:
    """CPU and memory; None: one of them is not told, or cannot be read."""
    try:
        return Resources(parse_cpu(str(amounts["cpu"])), parse_memory(str(amounts["memory"])))
    except (KeyError, ValueError):
        return None


def _memory(text: str | None) -> int | None:
    try:
        return parse_memory(str(text)) if text is not None else None
    except ValueError:
        return None


def _refusal(conditions: Iterable[Object]) -> ResizeRefusal | None:
    pending = next((each for each in conditions if each.get("type") == "PodResizePending"), None)
    if pending is None or pending.get("status") != "True":
        return None
    return ResizeRefusal.INFEASIBLE if pending.get("reason") == "Infeasible" else ResizeRefusal.DEFERRED


def worker_pod_view(raw: Object) -> WorkerPodView | None:
    """A worker's pod; None: it belongs to no worker, or all of its containers have ended for good."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ref = worker_ref(metadata)
    if ref is None or status.get("phase") in {"Succeeded", "Failed"}:
        return None
    ports = [port for container in spec.get("containers") or () for port in container.get("ports") or ()]
    port = next((port["containerPort"] for port in ports if port.get("name") == HTTP_PORT_NAME), DEFAULT_HTTP_PORT)
    ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    annotations = metadata.get("annotations") or {}
    resources = _container(raw).get("resources") or {}
    statuses: Sequence[Object] = status.get("containerStatuses") or ({},)
    limit = _memory((resources.get("limits") or {}).get("memory"))
    pod = PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        node=_intern(spec.get("nodeName") or ""),
        address=status.get("podIP") or "",
        ready=ready,
        terminating="deletionTimestamp" in metadata,
        revision_annotation=annotations.get(names.ANNOTATION_ASSIGNMENT_REVISION, ""),
        template=annotations.get(names.ANNOTATION_TEMPLATE, ""),
        requests=_resources(resources.get("requests") or {}),
        allocated=_resources(statuses[0].get("allocatedResources") or {}),
        memory_limit=limit,
        refusal=_refusal(status.get("conditions") or ()),
        fits=names.parse_count(annotations.get(names.ANNOTATION_FITS)),
    )
    return WorkerPodView(ref, pod, int(port))
