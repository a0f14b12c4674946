"""What the workers of one role need: who stays, who goes where, which objects differ."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from camera_api.assignment import AssignedCamera, Role
from camera_api.health import Verdict
from camera_operator.conditions import Reason, Rejection
from camera_operator.decide.acceptance import must_let_go, wants_watching
from camera_operator.decide.assignments import Terms, assigned_camera
from camera_operator.decide.failover import abandoned, unschedulable
from camera_operator.decide.model import CameraView, GroupView, HealthView, Observed, WorkerView, WorkerWrite
from camera_operator.decide.moves import Departures, departures
from camera_operator.decide.placement import Bin, Newcomer, Placement, place, surplus
from camera_operator.decide.releases import ANY_CAMERA, has_acknowledged, in_force, may_have_had
from camera_operator.decide.rollout import COMPLETE, Replica, Rollout, next_step
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.sizing import NOTHING, ONE, Load, camera_load, sizing_of, total
from camera_operator.decide.status import Watch
from camera_operator.decide.writes import WriteBuilder

Rejections = Mapping[str, Rejection | None]  #: by camera name
Kept = dict[str, list[AssignedCamera]]  #: by worker: the cameras that it keeps


@dataclass(frozen=True, slots=True)
class WorkerSteps:
    """What is to be done about the workers of one role, and where the cameras are after that."""

    writes: Sequence[WorkerWrite] = ()
    deletions: Sequence[str] = ()
    needed: Sequence[str] = ()  #: names of the workers that stay or are made
    worker_of: Mapping[str, str] = field(default_factory=dict)  #: by camera name
    waiting: Mapping[str, str] = field(default_factory=dict)  #: see ``Placement.waiting``
    rollout: Rollout = COMPLETE
    moves: int = 0  #: cameras that are taken from a worker although nothing forces them to
    wants_moves: bool = False  #: whether more are to follow


def plan_workers(
    observed: Observed,
    *,
    terms: Terms | None,
    role: Role,
    rejections: Rejections,
    watches: Mapping[str, Watch],
    settings: PlanSettings,
) -> WorkerSteps:
    """Plans the workers of one role.

    A group that is being deleted, or is gone, gets nothing: its workers belong to it and the garbage collector takes
    them. Nor are they deleted here, where a group that merely was not seen would lose all its workers.

    Args:
        observed: the group.
        terms: what its cameras share in this role; None: the category does not exist.
        role: of the workers.
        rejections: of all cameras.
        watches: what is known of each worker.
        settings: of the operator.
    """
    group = observed.group
    if group is None or group.deleting:
        return WorkerSteps()
    return _Pass(
        observed, group, terms=terms, role=role, rejections=rejections, watches=watches, settings=settings
    ).steps()


class _Pass:
    """One pass over the workers of one role: what it works out on the way."""

    def __init__(
        self,
        observed: Observed,
        group: GroupView,
        *,
        terms: Terms | None,
        role: Role,
        rejections: Rejections,
        watches: Mapping[str, Watch],
        settings: PlanSettings,
    ) -> None:
        self.observed = observed
        self.group = group
        self.terms = terms
        self.role = role
        self.rejections = rejections
        self.watches = watches
        self.workers = [worker for worker in observed.workers if worker.role is role]
        self.cameras = {camera.name: camera for camera in observed.cameras}
        self.abandoned = abandoned(self.workers, watches, group.spec.failover, settings)
        self.unschedulable = unschedulable(self.workers, watches, settings)
        epochs = [each.assignment.epoch for each in self.workers if each.name in self.abandoned and each.assignment]
        self.epoch = max(epochs, default=0) + 1
        self.builder = WriteBuilder(observed, group, role, terms, settings)

    def steps(self) -> WorkerSteps:
        """The plan."""
        kept = self._kept()
        if self.group.spec.paused:
            return self._paused_steps(kept)
        present = [worker for worker in self.workers if not _is_leftover(worker)]
        loads = {
            name: {entry.name: self._load_of(self.cameras.get(entry.name)) for entry in entries}
            for name, entries in kept.items()
        }
        bins = [self._bin(worker, kept[worker.name], loads[worker.name]) for worker in present]
        rollout = next_step([self._replica(worker) for worker in present])
        departing = self._leave_unscheduled(bins, kept, loads)
        newcomers = self._newcomers(kept, departing)
        leaving = self._departures(bins, loads, newcomers, rollout)
        for each in bins:
            each.closed = each.closed or each.name == leaving.closed
            _take_away(each, kept, loads, leaving.leaving.get(each.name, ()))
        if leaving.leaving:
            departing |= {name: worker for worker, names in leaving.leaving.items() for name in names}
            newcomers = self._newcomers(kept, departing)
        placement = place(
            bins,
            newcomers,
            group=self.group.name,
            role=self.role,
            capacity=self._capacity(),
            min_workers=self._min_workers(present),
            taken_ordinals={worker.ordinal for worker in self.workers},
        )
        return self._carry_out(placement, kept, rollout, leaving)

    def _carry_out(
        self,
        placement: Placement,
        kept: Mapping[str, Sequence[AssignedCamera]],
        rollout: Rollout,
        leaving: Departures,
    ) -> WorkerSteps:
        bins = placement.bins
        needless = surplus(bins, self._wanted_workers())
        existing = {worker.name: worker for worker in self.workers}
        worker_of = {camera.name: worker for worker, entries in kept.items() for camera in entries}
        writes = []
        for each in bins:
            worker = existing.get(each.name)
            newcomers = [self.cameras[name] for name in each.newcomers]
            content = self.builder.content(kept.get(each.name, ()), newcomers)
            write = self.builder.write(
                each.name,
                worker,
                content,
                load=each.load,
                is_needed=each.name not in needless,
                may_replace=each.name in rollout.allowed,
                working=self._working(worker) if worker is not None else 0,
                is_known=worker is not None and self._is_known(worker),
                epoch=1 if each.name in self.abandoned else self.epoch,
            )
            if write is not None:
                writes.append(replace(write, vacated=self._vacated(each.newcomers, each.name)))
            worker_of.update(dict.fromkeys(each.newcomers, each.name))
        written = {write.worker for write in writes}
        return WorkerSteps(
            writes=writes,
            deletions=[worker.name for worker in self.workers if _can_go(worker, needless - written)],
            needed=[each.name for each in bins if each.name not in needless],
            worker_of=worker_of,
            waiting=placement.waiting,
            rollout=rollout,
            moves=leaving.count,
            wants_moves=leaving.wanted,
        )

    def _kept(self) -> Kept:
        """The cameras that each worker keeps, as it is to be told of them from now on."""
        terms, paused = self.terms, self.group.spec.paused
        seen: set[str] = set()
        result: Kept = {}
        for worker in self.workers:
            kept: list[AssignedCamera] = []
            entries = worker.assignment.cameras if worker.assignment is not None else ()
            for standing in entries if worker.name not in self.abandoned or paused else ():
                name = standing.name
                camera = self.cameras.get(name)
                rejection = self.rejections.get(name)
                if name in seen:
                    # Two workers cannot get the same camera; should they have it, the first one keeps it.
                    continue
                if paused:
                    if rejection is not None and rejection.reason is Reason.CONSENT_EXPIRED:
                        continue
                    kept.append(standing)
                elif camera is None or must_let_go(camera, rejection):
                    continue
                elif rejection is not None or terms is None:
                    kept.append(standing)
                elif not terms.concerns(camera):
                    continue
                else:
                    kept.append(assigned_camera(camera, self.observed, terms, standing))
                seen.add(name)
            result[worker.name] = kept
        return result

    def _newcomers(self, kept: Kept, departing: Mapping[str, str]) -> list[Newcomer]:
        """Cameras that are to be watched and that no worker has, each with the workers that may not have let go of it.

        Args:
            kept: what the workers keep.
            departing: worker by camera name: cameras that this pass takes from a worker.
        """
        terms = self.terms
        if terms is None:
            # Without the category nobody knows what to tell a worker.
            return []
        held: dict[str, set[str]] = {}
        for worker in self.workers:
            if worker.name not in self.abandoned:
                for name in in_force(worker):
                    held.setdefault(name, set()).add(worker.name)
        anything = held.pop(ANY_CAMERA, set())
        placed = {camera.name for entries in kept.values() for camera in entries}
        newcomers = []
        for camera in self.observed.cameras:
            name = camera.name
            if name in placed or self.rejections[name] is not None or not wants_watching(camera):
                continue
            if not terms.concerns(camera) or not terms.can_start(camera):
                continue
            held_by = anything | held.get(name, set())
            if self.role is Role.INGEST and name in self.observed.held_elsewhere:
                held_by.add(self.observed.held_elsewhere[name])
            if name in departing:
                held_by.add(departing[name])
            last = camera.status.worker if self.role is Role.INGEST else ""
            newcomers.append(Newcomer(name, last, held_by, self._load_of(camera), camera.site))
        return newcomers

    def _vacated(self, newcomers: Iterable[str], target: str) -> frozenset[str]:
        """Workers that may have had the newcomers before, and of which no pod is seen to run."""
        names = frozenset(newcomers)
        if not names:
            return names
        found = {worker.name for worker in self.workers if may_have_had(worker, names)}
        if self.role is Role.INGEST:
            found = found.union(*(self.observed.unseen.get(name, ()) for name in names))
        return frozenset(found - {target} - self.abandoned)

    def _paused_steps(self, kept: Kept) -> WorkerSteps:
        """Everything stays as it is, but no camera is watched against its owner's will."""
        writes = (
            self.builder.write(
                worker.name, worker, kept[worker.name], load=NOTHING, is_needed=False, may_replace=False, working=0
            )
            for worker in self.workers
            if worker.assignment is not None
        )
        return WorkerSteps(
            writes=[write for write in writes if write is not None],
            needed=[worker.name for worker in self.workers if not _is_leftover(worker)],
            worker_of={camera.name: worker for worker, entries in kept.items() for camera in entries},
        )

    # Loads

    def _capacity(self) -> int:
        if self.terms is None:
            return 0
        return sizing_of(self.terms.category, self.role).max_cameras_per_worker

    def _load_of(self, camera: CameraView | None) -> Load:
        health = self.observed.health.get(camera.uid) if camera is not None else None
        if self.terms is None or health is None or health.stream is None:
            return ONE
        return camera_load(self.role, self.terms.decode, health.stream)

    def _bin(self, worker: WorkerView, entries: Iterable[AssignedCamera], loads: Mapping[str, Load]) -> Bin:
        limits = [pod.fits for pod in worker.pods if pod.fits is not None and not pod.terminating]
        sites = Counter(camera.site for each in entries if (camera := self.cameras.get(each.name)) is not None)
        return Bin(
            worker.name,
            worker.ordinal,
            load=total(loads.values()),
            capacity=min([self._capacity(), *limits]),
            limit=min(limits, default=None),
            closed=worker.name in self.abandoned,
            sites=sites,
        )

    # Leaving

    def _leave_unscheduled(
        self, bins: Sequence[Bin], kept: Kept, loads: Mapping[str, dict[str, Load]]
    ) -> dict[str, str]:
        """Takes from workers that no node has room for as many cameras as the others have room for.

        Returns:
            Worker by name of the cameras that leave.
        """
        left: dict[str, str] = {}
        if not self.unschedulable:
            return left
        spare = sum(
            int(each.capacity - each.load.size)
            for each in bins
            if each.name not in self.unschedulable and not each.closed and each.load.fits(each.capacity)
        )
        for each in bins:
            if each.name in self.unschedulable and spare > 0:
                each.closed = True
                names = sorted(loads[each.name])[:spare]
                spare -= len(names)
                _take_away(each, kept, loads, names)
                left |= dict.fromkeys(names, each.name)
        return left

    def _departures(
        self,
        bins: Sequence[Bin],
        loads: Mapping[str, Mapping[str, Load]],
        newcomers: Sequence[Newcomer],
        rollout: Rollout,
    ) -> Departures:
        """Which cameras are moved for the good of the whole; none while anything is not in good order."""
        is_calm = (
            self.terms is not None
            and not rollout.outdated
            and not any(newcomer.held_by for newcomer in newcomers)
            and all(self.watches[each.name].reports for each in bins)
        )
        # Asked even when none may move: a worker that is being emptied must get no camera meanwhile.
        found = departures(
            [each for each in bins if not each.closed],
            loads,
            newcomers,
            min_workers=self._wanted_workers(),
            allowed=self.observed.moves_allowed if is_calm else 0,
        )
        known = {worker.name for worker in self.workers if worker.assignment is not None}
        # Cameras of a worker whose record is lost go back to it: it watches them.
        return found if found.closed in {"", *known} else Departures()

    # Rollout

    def _replica(self, worker: WorkerView) -> Replica:
        live = [pod for pod in worker.pods if not pod.terminating]
        template = self.builder.template(worker.name)
        revision = worker.assignment.revision if worker.assignment is not None else 0
        is_current = template is None or (
            (worker.stateful_set_fingerprint is None or worker.template == template)
            and all(pod.template == template for pod in live)
        )
        return Replica(
            name=worker.name,
            is_current=is_current,
            is_down=not any(pod.ready for pod in live),
            is_held=bool(self.observed.canaries_waiting) and worker.image != self.builder.image,
            is_reporting=self.watches[worker.name].reports and has_acknowledged(worker, revision),
            cameras=len(worker.assignment.cameras) if worker.assignment is not None else 0,
            working=self._working(worker),
            working_before=worker.working_before,
        )

    def _working(self, worker: WorkerView) -> int:
        reports = self._reports(worker)
        return sum(report is not None and report.verdict is Verdict.WORKING for report in reports)

    def _is_known(self, worker: WorkerView) -> bool:
        """Whether the worker has reported what its cameras send, so far as they send."""
        return worker.acknowledged_revision > 0 and all(
            report is not None and (report.stream is not None or report.verdict is Verdict.FAULTY)
            for report in self._reports(worker)
        )

    def _reports(self, worker: WorkerView) -> list[HealthView | None]:
        entries = worker.assignment.cameras if worker.assignment is not None else ()
        return [self.observed.health.get(entry.uid) for entry in entries]

    # Numbers of workers

    def _wanted_workers(self) -> int:
        """Workers that the group wants at least; nobody scales analytics workers by hand."""
        return self.group.spec.min_workers if self.role is Role.INGEST else 0

    def _min_workers(self, present: Sequence[WorkerView]) -> int:
        # Without the category nothing can be made.
        return self._wanted_workers() if self.terms is not None else min(self._wanted_workers(), len(present))


def _take_away(each: Bin, kept: Kept, loads: Mapping[str, dict[str, Load]], names: Iterable[str]) -> None:
    gone = set(names)
    kept[each.name] = [entry for entry in kept[each.name] if entry.name not in gone]
    for name in gone:
        each.load -= loads[each.name].pop(name)


def _is_leftover(worker: WorkerView) -> bool:
    """Whether the worker was deleted, and only its pods or its Service are still there."""
    return worker.assignment is None and worker.stateful_set_fingerprint is None and not worker.secret_invalid


def _can_go(worker: WorkerView, needless: AbstractSet[str]) -> bool:
    """Whether nothing of the worker is needed any more, and nothing that runs of it watches a camera."""
    if _is_leftover(worker):
        return worker.service_fingerprint is not None
    is_empty = worker.assignment is None or not worker.assignment.cameras
    return worker.name in needless and is_empty and not in_force(worker)
