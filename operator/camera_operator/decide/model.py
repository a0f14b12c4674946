"""What decisions are made from, and what they result in. Values only: no I/O, no clock, no library of the cluster.

There may be 100,000 ``CameraView`` at once: they are slim on purpose, and the strings that repeat (namespace, group,
reasons) are interned by whoever makes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from camera_api.analytics import TaskOverride
from camera_api.assignment import AssignedSource, Assignment, Credentials, Role
from camera_api.camera import CameraState, Lifecycle
from camera_api.category import CameraCategorySpec, DecodePolicy
from camera_api.conditions import ConditionStatus
from camera_api.group import CameraGroupSpec
from camera_api.health import ActiveFault, StreamFacts, Verdict

ObjectKey = tuple[str, str]  #: namespace and name


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition as it stands, or is to stand, in a status."""

    type: str
    status: ConditionStatus
    reason: str
    message: str
    observed_generation: int
    last_transition_time: str  #: RFC 3339, UTC, whole seconds


@dataclass(frozen=True, slots=True)
class CameraStatusView:
    """A camera's status. Two equal values need no write."""

    state: CameraState | None = None
    reason: str = ""
    since: str | None = None  #: RFC 3339, UTC, whole seconds
    category: str = ""
    worker: str = ""
    observed_generation: int = 0
    conditions: tuple[ConditionView, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraView:
    """A Camera as far as decisions need it."""

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    group: str
    lifecycle: Lifecycle
    source: AssignedSource | None  #: None: the stored object has no usable source
    credentials_secret: str | None
    consent_expires_at: datetime | None
    tasks: tuple[TaskOverride, ...] = ()
    site: str = ""  #: spec.location.site; empty: not told
    acknowledged_view: str | None = None  #: annotation ``VIEW_ACKNOWLEDGED``
    status: CameraStatusView = CameraStatusView()
    invalid: str | None = None  #: why the stored object cannot be used, naming the field; None: usable

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class GroupStatusView:
    """A group's status. Two equal values need no write."""

    observed_generation: int = 0
    category: str = ""
    cameras: Mapping[str, int] = field(default_factory=dict)  #: by state in lower case, plus ``declared``
    faults: Mapping[str, int] = field(default_factory=dict)  #: faulty cameras by reason
    workers: Mapping[str, int] = field(default_factory=dict)  #: ingest, analytics, ready
    worker_image: str = ""  #: that all workers run, their cameras having come back; empty: none yet
    selector: str = ""
    conditions: tuple[ConditionView, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupView:
    """A CameraGroup."""

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    spec: CameraGroupSpec
    status: GroupStatusView = GroupStatusView()

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class CategoryView:
    """A CameraCategory."""

    name: str
    generation: int
    spec: CameraCategorySpec


class SecretProblem(StrEnum):
    """Why a credentials Secret cannot be used."""

    NOT_FOUND = "SecretNotFound"
    INCOMPLETE = "SecretIncomplete"  #: lacks the key username or password, or one is not UTF-8


class ResizeRefusal(StrEnum):
    """Why kubelet does not give a pod what its specification requests: condition ``PodResizePending``."""

    DEFERRED = "Deferred"  #: no room at present
    INFEASIBLE = "Infeasible"  #: never on this node


@dataclass(frozen=True, slots=True)
class Resources:
    """CPU and memory of a worker's container."""

    cpu: int  #: millicores
    memory: int  #: bytes


@dataclass(frozen=True, slots=True)
class HealthView:
    """What a worker says about a camera. Cameras of which the same is said share one value."""

    verdict: Verdict
    since: str  #: RFC 3339: when the verdict began to hold
    faults: tuple[ActiveFault, ...] = ()  #: in the order of diagnosis
    stream: StreamFacts | None = None  #: last known; None: never seen


@dataclass(frozen=True, slots=True)
class PodView:
    """A worker's pod."""

    name: str
    uid: str
    node: str  #: empty: no node has room for it yet
    address: str  #: pod IP; empty: none yet
    ready: bool
    terminating: bool
    revision_annotation: str  #: what the pod was last nudged for, see ``names.parse_nudge``; empty: nothing
    template: str = ""  #: annotation with the hash of the template that it was made from, sizes apart
    requests: Resources | None = None  #: of its specification; None: not known
    allocated: Resources | None = None  #: what kubelet has granted; None: not known
    memory_limit: int | None = None  #: bytes
    refusal: ResizeRefusal | None = None  #: of the latest resize
    fits: int | None = None  #: annotation: cameras that its node has room for; None: nothing has been refused


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What exists of one worker. Each part may be missing: an earlier pass was cut short, or someone deleted it."""

    name: str
    ordinal: int
    role: Role
    assignment: Assignment | None  #: None: no Secret, or one that cannot be read
    secret_resource_version: str | None  #: None: no Secret
    secret_invalid: bool  #: the Secret is there but its assignment cannot be read
    stateful_set_fingerprint: str | None  #: annotation with the hash of the applied manifest; None: no StatefulSet
    service_fingerprint: str | None  #: the same of the Service
    pods: tuple[PodView, ...] = ()
    acknowledged_revision: int = 0  #: of the present pod's last report; 0: it has not reported yet
    last_report_at: float | None = None  #: monotonic seconds, of any pod; None: never reported to this operator
    reachable_since: float | None = None  #: monotonic seconds since when this operator tries to reach the worker
    #: Cameras taken from the worker, each with the revision that took it: in the same Secret as the assignment.
    released: Mapping[str, int] = field(default_factory=dict)
    sized_for: int | None = None  #: cameras that the template's requests are for; None: not known
    template: str | None = None  #: hash of the StatefulSet's template, sizes apart; None: no StatefulSet
    image: str = ""  #: of the StatefulSet's template
    working_before: int | None = None  #: cameras that worked when the template was last changed; None: none was
    behind_since: float | None = None  #: monotonic seconds since when the assignment is not taken over; None: it is
    decode_reduced_to: DecodePolicy | None = None  #: as an overloaded worker reports it; None: it is not overloaded


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything about one group at one moment."""

    namespace: str
    group_name: str
    group: GroupView | None  #: None: cameras or workers name a group that does not exist
    category: CategoryView | None  #: None: the category does not exist
    cameras: tuple[CameraView, ...]  #: sorted by name
    credentials: Mapping[str, Credentials | SecretProblem]  #: by Secret name, for all that the cameras name
    workers: tuple[WorkerView, ...]  #: sorted by role and ordinal
    health: Mapping[str, HealthView]  #: last report by camera UID
    now: datetime  #: aware, UTC: only for times that people see, consent and maintenance
    monotonic_now: float  #: seconds: for ages
    #: Worker by camera name: cameras that workers of the namespace's other groups may still watch.
    held_elsewhere: Mapping[str, str] = field(default_factory=dict)
    #: By camera name: workers that may have had it, by its status or by another group's record of releases, and of
    #: which no pod is seen on any node.
    unseen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Fingerprint of the PodDisruptionBudget of each role that has one.
    budgets: Mapping[Role, str] = field(default_factory=dict)
    #: Canary groups, as namespace/name, whose workers do not all run the present image yet.
    canaries_waiting: tuple[str, ...] = ()
    moves_allowed: int = 0  #: cameras that may be moved now although nothing forces them to


@dataclass(frozen=True, slots=True)
class PodResize:
    """Other requests for a pod that goes on running."""

    pod: str
    resources: Mapping[str, Any]  #: requests and limits of the container, as in a manifest
    fits: int  #: see ``PodView.fits``: what is to be noted on the pod if its node cannot have it larger


@dataclass(frozen=True, slots=True)
class PodReplacement:
    """A pod that is to be deleted, so that its StatefulSet makes another one from the present template."""

    pod: str
    uid: str


@dataclass(frozen=True, slots=True)
class WorkerWrite:
    """What is to be done about one worker, in this order: Secret, pod annotations, Service, StatefulSet, the rest.

    Nothing is done if the API server knows a pod of ``vacated`` to be on a node: the plan was made without it.
    """

    worker: str
    reason: str  #: one sentence for the log
    assignment: Assignment | None = None  #: new content of the Secret
    secret_resource_version: str | None = None  #: precondition; None: create
    secret: Mapping[str, Any] | None = field(default=None, repr=False)  #: manifest; holds credentials
    service: Mapping[str, Any] | None = None
    stateful_set: Mapping[str, Any] | None = None
    nudges: Mapping[str, str] = field(default_factory=dict)  #: annotation by pod, for kubelet to deliver the Secret
    fits: Mapping[str, int] = field(default_factory=dict)  #: by pod: see ``PodView.fits``
    resizes: tuple[PodResize, ...] = ()
    replacements: tuple[PodReplacement, ...] = ()
    vacated: frozenset[str] = frozenset()  #: workers that may have had the new cameras, and of which no pod is seen


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change. Empty: nothing."""

    writes: tuple[WorkerWrite, ...] = ()
    deletions: tuple[str, ...] = ()  #: workers whose objects are deleted
    budgets: tuple[Mapping[str, Any], ...] = ()  #: PodDisruptionBudgets to apply
    moves: int = 0  #: cameras that are taken from a worker although nothing forces them to
    wants_moves: bool = False  #: whether cameras are to move so, be it that they may not yet
    camera_statuses: Mapping[ObjectKey, CameraStatusView] = field(default_factory=dict)  #: only those that differ
    group_status: GroupStatusView | None = None  #: None: as it is
    look_again_after: float | None = None  #: seconds until time alone changes something; None: never

    @property
    def is_empty(self) -> bool:
        """Whether the plan asks for no write at all."""
        return not (
            self.writes or self.deletions or self.budgets or self.camera_statuses or self.group_status is not None
        )
