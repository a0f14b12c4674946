"""What of one worker is missing or differs from what it should be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from camera_api.assignment import AssignedCamera, Assignment, Role
from camera_operator.decide.assignments import Terms, assigned_camera, next_assignment
from camera_operator.decide.model import (
    CameraView,
    GroupView,
    Observed,
    PodReplacement,
    PodResize,
    PodView,
    Resources,
    WorkerView,
    WorkerWrite,
)
from camera_operator.decide.nudges import nudges
from camera_operator.decide.releases import in_force, next_record
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.sizing import Load, carries, differs, requests, room, sizing_of, template_size
from camera_operator.specs.worker import (
    Manifest,
    container_resources,
    fingerprint,
    memory_limit,
    template_of,
    worker_secret,
    worker_service,
    worker_stateful_set,
)


@dataclass(frozen=True, slots=True)
class _PodSteps:
    """The parts of a ``WorkerWrite`` that are about pods."""

    nudges: Mapping[str, str] = field(default_factory=dict)
    fits: Mapping[str, int] = field(default_factory=dict)
    resizes: tuple[PodResize, ...] = ()
    replacements: tuple[PodReplacement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nudges or self.fits or self.resizes or self.replacements)


class WriteBuilder:
    """Makes the writes of one group's workers of one role.

    Args:
        observed: the group.
        group: itself.
        role: of the workers.
        terms: what its cameras share; None: there is no category, and only Secrets can be written.
        settings: of the operator.
    """

    def __init__(
        self, observed: Observed, group: GroupView, role: Role, terms: Terms | None, settings: PlanSettings
    ) -> None:
        self.image = settings.worker_image
        self._observed = observed
        self._group = group
        self._role = role
        self._terms = terms
        self._settings = settings
        self._templates: dict[str, str | None] = {}

    def content(self, staying: Sequence[AssignedCamera], newcomers: Iterable[CameraView]) -> Sequence[AssignedCamera]:
        """The cameras of a worker, sorted by name."""
        if self._terms is None:
            return staying
        added = [assigned_camera(camera, self._observed, self._terms) for camera in newcomers]
        return sorted([*staying, *added], key=lambda camera: camera.name) if added else staying

    def template(self, worker: str) -> str | None:
        """Hash of the template that a worker should have; None: nobody knows without the category."""
        if worker not in self._templates:
            manifest = self._manifest(worker, 0, None)
            self._templates[worker] = template_of(manifest) if manifest is not None else None
        return self._templates[worker]

    def write(
        self,
        name: str,
        worker: WorkerView | None,
        cameras: Sequence[AssignedCamera],
        *,
        load: Load,
        is_needed: bool,
        may_replace: bool,
        working: int,
        is_known: bool = False,
        epoch: int = 1,
    ) -> WorkerWrite | None:
        """What of a worker is missing or differs; None: nothing.

        Args:
            name: of the worker.
            worker: what exists of it; None: nothing.
            cameras: all that it is to watch, sorted by name.
            load: of these.
            is_needed: whether it is to go on; else only its Secret is kept right until it can be deleted.
            may_replace: whether its template may be changed and its pod be replaced now.
            working: number of its cameras that work.
            is_known: whether the load is what the cameras really send; if not, a pod's requests only grow.
            epoch: of a new revision, at least: above that of a lost worker whose cameras this one may get.
        """
        if worker is not None and not is_needed and worker.assignment is None and not in_force(worker):
            return None
        current = worker.assignment if worker is not None else None
        assignment = self._assignment(name, worker, cameras, epoch)
        revision = assignment.revision if assignment is not None else current.revision if current is not None else 0
        service = self._service(name, worker) if is_needed else None
        stateful_set = None
        if is_needed:
            stateful_set = self._stateful_set(name, worker, load, working if may_replace else None, is_known=is_known)
        pods = _PodSteps()
        if worker is not None:
            nudged = nudges(worker, revision, self._observed.monotonic_now, is_new=assignment is not None)
            pods = _PodSteps(nudged)
            if is_needed:
                pods = self._pod_steps(worker, nudged, load, may_replace=may_replace, is_known=is_known)
        if not (assignment or service or stateful_set or pods):
            return None
        return WorkerWrite(
            worker=name,
            reason=_reason(
                worker,
                cameras,
                assignment_differs=assignment is not None,
                specification_differs=stateful_set is not None or service is not None,
                resizes=bool(pods.resizes or pods.fits),
                replaces=bool(pods.replacements),
            ),
            assignment=assignment,
            secret_resource_version=worker.secret_resource_version if worker is not None else None,
            secret=self._secret(worker, assignment),
            service=service,
            stateful_set=stateful_set,
            nudges=pods.nudges,
            fits=pods.fits,
            resizes=pods.resizes,
            replacements=pods.replacements,
        )

    def _secret(self, worker: WorkerView | None, assignment: Assignment | None) -> Manifest | None:
        """The Secret with the next revision and its record of releases; None: the present one stands."""
        if assignment is None:
            return None
        return worker_secret(self._group, assignment, _record(worker, assignment.cameras, assignment.revision))

    def _pod_steps(
        self, worker: WorkerView, nudged: Mapping[str, str], load: Load, *, may_replace: bool, is_known: bool
    ) -> _PodSteps:
        """What is to be done about the pods of a worker that goes on."""
        replacements = self._replacements(worker.name, worker) if may_replace else ()
        replaced = {replacement.pod for replacement in replacements}
        going_on = [pod for pod in worker.pods if pod.name not in replaced]
        fits = self._fits(going_on)
        # A worker that this operator has not heard yet may have cameras that cost less than they seem to.
        is_heard = worker.acknowledged_revision > 0
        resizes = self._resizes(going_on, load, fits, is_known) if is_heard else ()
        return _PodSteps(nudged, fits, resizes, replacements)

    def _assignment(
        self, name: str, worker: WorkerView | None, cameras: Sequence[AssignedCamera], epoch: int
    ) -> Assignment | None:
        """The next revision of the assignment; None: the present one stands."""
        current = worker.assignment if worker is not None else None
        if current is not None and self._stands(current.category, current.cameras, cameras):
            return None
        return next_assignment(
            name=name,
            role=self._role,
            observed=self._observed,
            category=self._group.spec.category,
            worker=worker,
            cameras=cameras,
            new_token=self._settings.new_token(),
            epoch=epoch,
        )

    def _stands(self, category: str, before: Sequence[AssignedCamera], after: Sequence[AssignedCamera]) -> bool:
        return (
            category == self._group.spec.category
            and len(before) == len(after)
            and all(old is new for old, new in zip(before, after, strict=True))
        )

    def _service(self, name: str, worker: WorkerView | None) -> Manifest | None:
        service = worker_service(self._group, name, self._role)
        return None if worker is not None and worker.service_fingerprint == fingerprint(service) else service

    def _manifest(self, name: str, sized_for: int, working_before: int | None) -> Manifest | None:
        if self._terms is None:
            return None
        return worker_stateful_set(
            self._group,
            name,
            self._role,
            self._terms.category,
            self._settings,
            sized_for=sized_for,
            working_before=working_before,
        )

    def _stateful_set(
        self, name: str, worker: WorkerView | None, load: Load, working: int | None, *, is_known: bool
    ) -> Manifest | None:
        """The StatefulSet if it differs. A changed template waits until the worker's pod may be replaced.

        Args:
            name: of the worker.
            worker: what exists of it; None: nothing.
            load: of its cameras.
            working: number of its cameras that work, if its pod may be replaced; None: it may not.
            is_known: whether the load is what the cameras really send; if not, the template does not shrink.
        """
        if self._terms is None:
            return None
        exists = worker is not None and worker.stateful_set_fingerprint is not None
        present = worker.sized_for if worker is not None and exists else None
        size = template_size(load, sizing_of(self._terms.category, self._role), present)
        if present is not None and not is_known:
            size = max(size, present)
        before = worker.working_before if worker is not None and exists else None
        manifest = self._manifest(name, size, before)
        if manifest is None or worker is None or not exists:
            return manifest
        if worker.stateful_set_fingerprint == fingerprint(manifest):
            return None
        if worker.template == template_of(manifest):
            return manifest
        return self._manifest(name, size, working) if working is not None else None

    def _replacements(self, name: str, worker: WorkerView) -> tuple[PodReplacement, ...]:
        template = self.template(name)
        return tuple(
            PodReplacement(pod.name, pod.uid)
            for pod in worker.pods
            if not pod.terminating and template is not None and pod.template != template
        )

    def _fits(self, pods: Sequence[PodView]) -> Mapping[str, int]:
        """By pod: what its node has room for, where that is news."""
        if self._terms is None:
            return {}
        sizing = sizing_of(self._terms.category, self._role)
        rooms = {pod.name: room(sizing, pod) for pod in pods if not pod.terminating}
        return {
            pod.name: found
            for pod in pods
            if (found := rooms.get(pod.name)) is not None and (pod.fits is None or found < pod.fits)
        }

    def _resizes(
        self, pods: Sequence[PodView], load: Load, fits: Mapping[str, int], is_known: bool
    ) -> tuple[PodResize, ...]:
        """Requests that follow the cameras, of pods that run."""
        if self._terms is None or not self._settings.resizes_pods:
            return ()
        category = self._terms.category
        sizing = sizing_of(category, self._role)
        resizes = []
        for pod in pods:
            if pod.terminating or not pod.ready or pod.requests is None or pod.name in fits:
                continue
            most = pod.fits if pod.fits is not None else max(load.cpu, load.memory)
            wanted = requests(sizing, Load(load.count, min(load.cpu, most), min(load.memory, most)))
            if not is_known and not _exceeds(wanted, pod.requests):
                continue
            if differs(wanted, pod.requests) or memory_limit(category, self._role, wanted) != pod.memory_limit:
                size = container_resources(category, self._role, wanted)
                resizes.append(PodResize(pod.name, size, fits=carries(sizing, pod.allocated or pod.requests)))
        return tuple(resizes)


def _exceeds(wanted: Resources, present: Resources) -> bool:
    return wanted.cpu > present.cpu or wanted.memory > present.memory


def _record(worker: WorkerView | None, cameras: Sequence[AssignedCamera], revision: int) -> Mapping[str, int]:
    if worker is None:
        return {}
    staying = {camera.name for camera in cameras}
    before = worker.assignment.cameras if worker.assignment is not None else ()
    released = [camera.name for camera in before if camera.name not in staying]
    return next_record(worker, released=released, staying=staying, revision=revision)


def _reason(
    worker: WorkerView | None,
    cameras: Sequence[AssignedCamera],
    *,
    assignment_differs: bool,
    specification_differs: bool,
    resizes: bool,
    replaces: bool,
) -> str:
    """One sentence for the log."""
    if worker is None:
        return f"new, for {_cameras(len(cameras))}"
    if worker.assignment is None:
        return "its assignment cannot be read and is written anew" if worker.secret_invalid else "its Secret is missing"
    if not assignment_differs:
        if specification_differs:
            return "its specification changed"
        if replaces:
            return "its pod is of an earlier specification"
        return "its size follows its cameras" if resizes else "it has to be told of its latest assignment"
    before = {camera.name: camera for camera in worker.assignment.cameras}
    after = {camera.name: camera for camera in cameras}
    numbers = {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "changed": sum(before[name] is not after[name] for name in before.keys() & after.keys()),
    }
    parts = [f"{_cameras(number)} {what}" for what, number in numbers.items() if number]
    return ", ".join(parts) or "its category changed"


def _cameras(count: int) -> str:
    return f"{count} camera{'' if count == 1 else 's'}"
