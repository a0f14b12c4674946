"""Vocabulary of tests about decisions: ``camera("door", in_group("lobby"), planned())``."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, Credentials, Role, SourceKind
from camera_api.camera import Lifecycle
from camera_api.category import CameraCategorySpec
from camera_api.faults import Fault, diagnosis_order
from camera_api.group import CameraGroupSpec
from camera_api.health import ActiveFault, CameraHealth, StreamFacts, Verdict
from camera_operator.decide.model import (
    CameraStatusView,
    CameraView,
    CategoryView,
    GroupView,
    Observed,
    PodView,
    WorkerView,
)
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.times import format_time
from camera_operator.slim import slim_health
from camera_operator.specs.names import parse_worker_name
from camera_operator.specs.worker import template_of, worker_stateful_set

NAMESPACE = "city"
GROUP = "lobby"
CATEGORY = "shops"
NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
#: Monotonic seconds at ``NOW``.
MONOTONIC_NOW = 1000.0
SETTINGS = PlanSettings(
    worker_image="registry.example/camera-worker:1", operator_version="1.2.3", new_token=lambda: "fresh-token"
)
KEYS = Credentials(username="viewer", password=SecretStr("hunter2"))

CameraTrait = Callable[[CameraView], CameraView]
WorkerTrait = Callable[[WorkerView], WorkerView]


# --- Cameras ---------------------------------------------------------------------------------------------------------


def camera(name: str, *traits: CameraTrait) -> CameraView:
    """A camera of the lobby in its first generation, without a status."""
    view = CameraView(
        namespace=NAMESPACE,
        name=name,
        uid=f"uid-{name}",
        generation=1,
        deleting=False,
        group=GROUP,
        lifecycle=Lifecycle.ACTIVE,
        source=AssignedSource(kind=SourceKind.RTSP, main_url=f"rtsp://10.0.0.1/{name}"),
        credentials_secret=None,
        consent_expires_at=None,
    )
    for trait in traits:
        view = trait(view)
    return view


def cameras(count: int, *traits: CameraTrait) -> list[CameraView]:
    """So many cameras: camera-0000, camera-0001, ..."""
    return [camera(f"camera-{number:04}", *traits) for number in range(count)]


def _with(**changes: Any) -> CameraTrait:
    return lambda view: replace(view, **changes)


def in_group(name: str) -> CameraTrait:
    return _with(group=name)


def with_secret(name: str) -> CameraTrait:
    return _with(credentials_secret=name)


def at(url: str) -> CameraTrait:
    return _with(source=AssignedSource(kind=SourceKind.RTSP, main_url=url))


def in_lifecycle(lifecycle: Lifecycle) -> CameraTrait:
    return _with(lifecycle=lifecycle)


def planned() -> CameraTrait:
    return in_lifecycle(Lifecycle.PLANNED)


def retired() -> CameraTrait:
    return in_lifecycle(Lifecycle.RETIRED)


def under_maintenance() -> CameraTrait:
    return in_lifecycle(Lifecycle.MAINTENANCE)


def with_consent_for(seconds: float) -> CameraTrait:
    return _with(consent_expires_at=NOW + timedelta(seconds=seconds))


def deleting() -> CameraTrait:
    return _with(deleting=True)


def unusable(problem: str) -> CameraTrait:
    return _with(invalid=problem, source=None)


def in_generation(number: int) -> CameraTrait:
    return _with(generation=number)


def with_uid(uid: str) -> CameraTrait:
    return _with(uid=uid)


def with_status(status: CameraStatusView) -> CameraTrait:
    return _with(status=status)


# --- Groups and categories -------------------------------------------------------------------------------------------


def group(name: str = GROUP, *, uid: str = "uid-group", is_deleting: bool = False, **spec: Any) -> GroupView:
    """A group in its first generation, without a status."""
    return GroupView(
        namespace=NAMESPACE,
        name=name,
        uid=uid,
        generation=1,
        deleting=is_deleting,
        spec=CameraGroupSpec.model_validate({"category": CATEGORY, **spec}),
    )


def category(max_cameras: int = 50, **spec: Any) -> CategoryView:
    """A category whose workers take so many cameras."""
    ingest = {"maxCamerasPerWorker": max_cameras, **spec.pop("ingest", {})}
    return CategoryView(CATEGORY, 1, CameraCategorySpec.model_validate({"ingest": ingest, **spec}))


# --- Workers ---------------------------------------------------------------------------------------------------------


def worker(ordinal: int, *traits: WorkerTrait, group_name: str = GROUP) -> WorkerView:
    """An ingest worker that has an assignment without cameras in revision 1, and no pod."""
    name = f"{group_name}-ingest-{ordinal}"
    assert parse_worker_name(name) is not None
    view = WorkerView(
        name=name,
        ordinal=ordinal,
        role=Role.INGEST,
        assignment=Assignment(
            worker=name,
            namespace=NAMESPACE,
            role=Role.INGEST,
            group=group_name,
            category=CATEGORY,
            revision=1,
            bearer_token=SecretStr(f"token-of-{name}"),
        ),
        secret_resource_version="7",
        secret_invalid=False,
        stateful_set_fingerprint="of-an-earlier-release",
        template=template_of_worker(name),
        image=SETTINGS.worker_image,
        service_fingerprint="of-an-earlier-release",
    )
    for trait in traits:
        view = trait(view)
    return view


def template_of_worker(name: str, settings: PlanSettings = SETTINGS) -> str:
    """Hash of the template of an ingest worker of the lobby."""
    manifest = worker_stateful_set(group(), name, Role.INGEST, category().spec, settings, sized_for=0)
    return template_of(manifest)


def pod(
    name: str = "pod",
    *,
    ready: bool = True,
    terminating: bool = False,
    nudged_for: str = "",
    of: str = f"{GROUP}-ingest-0",
    **details: Any,
) -> PodView:
    """A pod with an address, made from the present template of a worker."""
    template = details.pop("template", template_of_worker(of))
    view = PodView(name, f"uid-{name}", "node", "10.1.0.1", ready, terminating, nudged_for, template)
    return replace(view, **details)


def holding(*held: CameraView, revision: int = 1) -> WorkerTrait:
    """The worker's assignment has these cameras, in this revision."""

    def apply(view: WorkerView) -> WorkerView:
        assert view.assignment is not None
        entries = tuple(
            AssignedCamera(namespace=each.namespace, name=each.name, uid=each.uid, source=each.source)
            for each in sorted(held, key=lambda each: each.name)
            if each.source is not None
        )
        return replace(view, assignment=view.assignment.model_copy(update={"cameras": entries, "revision": revision}))

    return apply


def having_released(**revisions: int) -> WorkerTrait:
    """Cameras were taken from the worker by these revisions."""
    return lambda view: replace(view, released=revisions)


def running(*pods: PodView) -> WorkerTrait:
    """The worker has these pods, by default one that is ready."""
    return lambda view: replace(
        view, pods=tuple(replace(each, template=view.template or "") for each in pods or (pod(),))
    )


def heard(seconds_ago: float = 1.0, *, acknowledged: int = 1) -> WorkerTrait:
    """The present pod reported so long ago, and has taken this revision over."""
    return lambda view: replace(
        view,
        acknowledged_revision=acknowledged,
        last_report_at=MONOTONIC_NOW - seconds_ago,
        reachable_since=MONOTONIC_NOW - 500,
    )


def silent_for(seconds: float) -> WorkerTrait:
    """The operator tries to reach the worker for so long, and has never heard it."""
    return lambda view: replace(
        view, acknowledged_revision=0, last_report_at=None, reachable_since=MONOTONIC_NOW - seconds
    )


def without_secret(*, invalid: bool = False) -> WorkerTrait:
    """The Secret is gone, or somebody has garbled it."""
    return lambda view: replace(
        view,
        assignment=None,
        released={},
        secret_resource_version="8" if invalid else None,
        secret_invalid=invalid,
    )


def without_stateful_set() -> WorkerTrait:
    return lambda view: replace(view, stateful_set_fingerprint=None, sized_for=None, template=None, image="")


# --- Reports ---------------------------------------------------------------------------------------------------------


#: What the category's figures are meant for.
USUAL_STREAM = StreamFacts(
    codec="h264", width=1920, height=1080, frames_per_second=25.0, bits_per_second=4_000_000, transport="TCP"
)


def health(
    view: CameraView,
    *faults: Fault,
    message: str = "",
    since: datetime = NOW,
    connecting: bool = False,
    stream: StreamFacts | None = USUAL_STREAM,
) -> CameraHealth:
    """What a worker says about a camera."""
    verdict = Verdict.FAULTY if faults else Verdict.CONNECTING if connecting else Verdict.WORKING
    return CameraHealth(
        namespace=view.namespace,
        name=view.name,
        uid=view.uid,
        verdict=verdict,
        since=format_time(since),
        faults=tuple(
            ActiveFault(fault=fault, since=format_time(since), message=message)
            for fault in sorted(faults, key=diagnosis_order)
        ),
        stream=None if connecting else stream,
    )


# --- Everything ------------------------------------------------------------------------------------------------------


def observed(
    *views: CameraView,
    of: GroupView | None = None,
    in_category: CategoryView | None = None,
    workers: tuple[WorkerView, ...] = (),
    reports: tuple[CameraHealth, ...] = (),
    credentials: Mapping[str, Any] | None = None,
    held_elsewhere: Mapping[str, str] | None = None,
    after: float = 0.0,
) -> Observed:
    """A group with cameras, as it is so many seconds after ``NOW``."""
    return Observed(
        namespace=NAMESPACE,
        group_name=GROUP,
        group=of if of is not None else group(),
        category=in_category if in_category is not None else category(),
        cameras=tuple(sorted(views, key=lambda view: view.name)),
        credentials=credentials or {},
        workers=workers,
        health={report.uid: slim_health(report) for report in reports},
        now=NOW + timedelta(seconds=after),
        monotonic_now=MONOTONIC_NOW + after,
        held_elsewhere=held_elsewhere or {},
    )
