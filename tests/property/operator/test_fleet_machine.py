"""A group under everything that can happen to it, in any order: the invariants hold after every single write."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from builders import KEYS, NOW, SETTINGS, at, camera, category, in_lifecycle, with_secret
from camera_api.assignment import Role
from camera_api.camera import CameraState, Lifecycle
from camera_api.faults import Fault
from camera_api.group import FailoverPolicy, GroupMaintenance
from camera_operator.decide.model import CameraView, Plan, Resources
from camera_operator.decide.times import format_time
from world import World

NAMES = st.sampled_from([f"camera-{letter}" for letter in "abcdefgh"])
WORKERS = st.integers(min_value=0, max_value=3)  #: of those that there are
SECRETS = st.sampled_from(["keys", "other-keys"])
DEVICE_FAULTS = st.lists(
    st.sampled_from([Fault.CONNECTION_REFUSED, Fault.AUTH_FAILED, Fault.STALLED, Fault.BLACK]), max_size=2, unique=True
)


class FleetMachine(RuleBasedStateMachine):
    """Users, nodes, workers and the operator take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(max_cameras=2)
        self.world.credentials = {"keys": KEYS}
        self.world.settings = replace(SETTINGS, roles=tuple(Role))
        self.was_fast = False
        self.down: set[str] = set()  #: workers without a ready pod before the pass

    @initialize(names=st.lists(NAMES, unique=True, min_size=3))
    def watch_some_cameras(self, names: list[str]) -> None:
        for name in names:
            self.world.add(camera(name, with_secret("keys")))
        self.world.settle()

    def _worker(self, number: int) -> str | None:
        workers = sorted(self.world.workers)
        return workers[number % len(workers)] if workers else None

    # Users

    @rule(name=NAMES, secret=st.none() | SECRETS, lifecycle=st.sampled_from(Lifecycle))
    def add_camera(self, name: str, secret: str | None, lifecycle: Lifecycle) -> None:
        if name not in self.world.cameras:
            traits = [in_lifecycle(lifecycle)] + ([with_secret(secret)] if secret is not None else [])
            self.world.add(camera(name, *traits))

    @rule(name=NAMES)
    def delete_camera(self, name: str) -> None:
        self.world.cameras.pop(name, None)

    @rule(name=NAMES)
    def delete_and_create_camera(self, name: str) -> None:
        if name in self.world.cameras:
            self.world.add(camera(name))

    @rule(name=NAMES, lifecycle=st.sampled_from(Lifecycle))
    def change_lifecycle(self, name: str, lifecycle: Lifecycle) -> None:
        self._edit(name, lifecycle=lifecycle)

    @rule(names=st.lists(NAMES, unique=True, min_size=2, max_size=4), back=st.integers(min_value=1, max_value=4))
    def retire_cameras_and_take_some_back(self, names: list[str], back: int) -> None:
        """The second thoughts come before any worker has heard of the first ones."""
        for name in names:
            self._edit(name, lifecycle=Lifecycle.RETIRED)
        self.reconcile()
        for name in names[:back]:
            self._edit(name, lifecycle=Lifecycle.ACTIVE)
        self.reconcile()

    @rule(name=NAMES, port=st.integers(min_value=1, max_value=3))
    def change_url(self, name: str, port: int) -> None:
        if name in self.world.cameras:
            self.world.edit(name, at(f"rtsp://10.0.0.1:{port}/{name}"))

    @rule(name=NAMES, seconds=st.integers(min_value=-60, max_value=60))
    def change_consent(self, name: str, seconds: int) -> None:
        self._edit(name, consent_expires_at=NOW + timedelta(seconds=self.world.elapsed + seconds))

    def _edit(self, name: str, **changes: object) -> None:
        if name in self.world.cameras:
            self.world.edit(name, lambda view: replace(view, **changes))  # type: ignore[arg-type]

    @rule(secret=SECRETS)
    def remove_credentials(self, secret: str) -> None:
        self.world.credentials.pop(secret, None)

    @rule(secret=SECRETS, name=st.sampled_from(["viewer", "admin"]))
    def set_credentials(self, secret: str, name: str) -> None:
        self.world.credentials[secret] = KEYS.model_copy(update={"username": name})

    @rule(paused=st.booleans())
    def pause_group(self, paused: bool) -> None:
        self.world.edit_group(paused=paused)

    @rule(seconds=st.integers(min_value=1, max_value=60))
    def start_maintenance(self, seconds: int) -> None:
        until = NOW + timedelta(seconds=self.world.elapsed + seconds)
        self.world.edit_group(maintenance=GroupMaintenance(until=format_time(until)))

    @rule(count=st.integers(min_value=0, max_value=3))
    def scale_group(self, count: int) -> None:
        self.world.edit_group(min_workers=count)

    @rule(policy=st.sampled_from(FailoverPolicy))
    def change_failover(self, policy: FailoverPolicy) -> None:
        self.world.edit_group(failover=policy)
        self.was_fast |= policy is FailoverPolicy.FAST

    @rule(tag=st.integers(min_value=1, max_value=3), waits=st.booleans())
    def change_image(self, tag: int, waits: bool) -> None:
        self.world.settings = replace(self.world.settings, worker_image=f"registry.example/camera-worker:{tag}")
        self.world.canaries_waiting = ("city/pilot",) if waits else ()

    @rule(has_tasks=st.booleans())
    def change_tasks(self, has_tasks: bool) -> None:
        tasks = [{"name": "intrusion", "type": "Intrusion"}] if has_tasks else []
        self.world.category = category(2, analytics={"maxCamerasPerWorker": 2, "tasks": tasks})

    @rule(most=st.integers(min_value=1, max_value=4))
    def change_category(self, most: int) -> None:
        self.world.category = category(most)

    @rule()
    def delete_category(self) -> None:
        self.world.category = None

    # Nodes, workers, other hands

    @rule()
    def nodes_catch_up(self) -> None:
        self.world.run_kubelet()

    @rule()
    def all_workers_report(self) -> None:
        self.world.report()

    @rule(number=WORKERS)
    def pod_starts(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.start_pod(worker)

    @rule(number=WORKERS)
    def secret_is_delivered(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.deliver(worker)

    @rule(number=WORKERS)
    def worker_reports(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.report([worker])

    @rule(number=WORKERS)
    def pod_is_killed(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.kill_pod(worker)

    @rule(number=WORKERS)
    def pod_is_evicted(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.evict_pod(worker)

    @rule(number=WORKERS)
    def terminating_pods_end(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.end_terminating(worker)

    @rule(number=WORKERS)
    def node_is_cut_off(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.cut_off_node(worker)

    @rule(number=WORKERS)
    def no_node_has_room(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.unschedulable.add(worker)

    @rule(cameras=st.integers(min_value=0, max_value=3))
    def nodes_have_little_room(self, cameras: int) -> None:
        self.world.node_room = Resources(cpu=50 + 20 * cameras, memory=2**40)

    @rule()
    def nodes_are_mended(self) -> None:
        self.world.mend_nodes()

    @rule(number=st.integers(min_value=0, max_value=4))
    def moves_are_allowed(self, number: int) -> None:
        self.world.moves_allowed = number

    @rule(number=WORKERS)
    def stateful_set_is_deleted(self, number: int) -> None:
        if worker := self._worker(number):
            self.world.delete_stateful_set(worker)

    @rule(number=WORKERS, garbled=st.booleans())
    def secret_is_lost(self, number: int, garbled: bool) -> None:
        if worker := self._worker(number):
            self.world.lose_secret(worker, garbled=garbled)

    @rule(name=NAMES, faults=DEVICE_FAULTS)
    def device_changes(self, name: str, faults: list[Fault]) -> None:
        self.world.faults[name] = tuple(faults)

    @rule(seconds=st.integers(min_value=1, max_value=40))
    def time_passes(self, seconds: int) -> None:
        self.world.elapsed += seconds

    # The operator

    @rule()
    def restart_operator(self) -> None:
        self.world.restart_operator()

    @rule()
    def reconcile(self) -> None:
        before = self.world.record()
        self.down = {
            name
            for name, stored in self.world.workers.items()
            if not any(process.pod.ready for process in stored.processes)
        }
        plan = self.world.reconcile()
        self._check_moves(before, plan)
        self._check_paused(plan)

    @rule(done=st.integers(min_value=0, max_value=3))
    def reconcile_and_crash(self, done: int) -> None:
        plan = self.world.plan()
        for write in plan.writes[:done]:
            self.world.write(write)
        self.world.restart_operator()

    def _check_moves(self, before: dict[str, list[str]], plan: Plan) -> None:
        """A camera that stays with the group stays with its worker, unless that is lost or the ration lets it go."""
        after = self.world.record()
        written = {write.worker for write in plan.writes}
        assert plan.moves <= self.world.moves_allowed
        assert sum(len(write.replacements) for write in plan.writes if "-ingest-" in write.worker) <= 1 or all(
            self._is_down(write.worker) for write in plan.writes if write.replacements
        )
        for name, workers in after.items():
            if name not in before:
                assert set(workers) <= written
            elif workers != before[name][:1]:
                assert self._is_lost(before[name][0]), f"{name} moved from {before[name]} to {workers}"

    def _is_down(self, worker: str) -> bool:
        return worker in self.down or "-analytics-" in worker

    def _is_lost(self, worker: str) -> bool:
        """Whether its cameras may be elsewhere although it may run on (Fast)."""
        stored = self.world.workers.get(worker)
        return stored is None or worker in self.down or any(not each.pod.ready for each in stored.processes)

    def _check_paused(self, plan: Plan) -> None:
        group = self.world.group
        if group is not None and group.spec.paused:
            assert not plan.deletions
            assert all(write.stateful_set is None and write.service is None for write in plan.writes)

    # Invariants of the design, by number

    @invariant()
    def a_camera_is_assigned_to_no_worker_while_another_one_may_watch_it(self) -> None:
        """1: an assignment may be taken over at any moment, so it counts as watching already."""
        watchers = self.world.watchers()
        for name, workers in self.world.record().items():
            if len(workers) > 1:
                # A crash between the two writes of a failover.
                assert any(self._is_lost(worker) for worker in workers)
            others = {other for other in watchers.get(name, set()) - set(workers) if not self._is_given_up(other)}
            assert not others, f"{name} goes to {workers} before {others} let go"

    def _is_given_up(self, worker: str) -> bool:
        """Whether Fast may have taken its cameras away while nobody heard it."""
        pods = [process.pod for process in self.world.workers[worker].processes]
        return self.was_fast and any(pod.uid in self.world.behind or pod.terminating for pod in pods)

    @invariant()
    def a_camera_of_a_silent_worker_is_not_called_working(self) -> None:
        """7."""
        plan = self.world.plan()
        observed = self.world.observe()
        silent = {
            worker.name
            for worker in observed.workers
            if worker.last_report_at is not None
            and observed.monotonic_now - worker.last_report_at > SETTINGS.worker_lost_after
            and observed.monotonic_now - (worker.reachable_since or 0.0) > SETTINGS.worker_lost_after
        }
        for view in observed.cameras:
            status = plan.camera_statuses.get(view.key, view.status)
            if status.worker in silent and not view.deleting:
                assert status.state is not CameraState.WORKING

    @invariant()
    def no_password_is_in_a_status(self) -> None:
        """8."""
        plan = self.world.plan()
        assert KEYS.password.get_secret_value() not in repr(plan)

    def teardown(self) -> None:
        """From whatever was left the group settles, and then nothing is written any more (3, 4, 6)."""
        world = self.world
        world.elapsed += 120
        world.category = category(2)
        world.edit_group(paused=False)
        world.mend_nodes()
        world.canaries_waiting = ()
        world.moves_allowed = 4
        world.settle(60)
        assert world.plan().is_empty
        world.restart_operator()
        assert world.plan().is_empty
        world.report()
        assert world.plan().is_empty
        record = world.record()
        watched = {name for name, view in world.cameras.items() if self._is_to_be_watched(view)}
        assert watched <= record.keys()
        assert all(world.watchers()[name] == {workers[0]} for name, workers in record.items())

    def _is_to_be_watched(self, view: CameraView) -> bool:
        expires = view.consent_expires_at
        has_consent = expires is None or expires > NOW + timedelta(seconds=self.world.elapsed)
        has_secret = view.credentials_secret is None or view.credentials_secret in self.world.credentials
        return has_consent and has_secret and view.lifecycle in {Lifecycle.ACTIVE, Lifecycle.MAINTENANCE}


FleetMachine.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestFleet = FleetMachine.TestCase
