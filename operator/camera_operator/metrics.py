"""Every metric of the operator, with its help text and lifetime. The series of a group end with the group."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from camera_operator.decide.model import GroupStatusView, ObjectKey

#: A pass takes milliseconds without writes; with them, what the API server takes.
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LATENCY_BUCKETS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)

_GROUP_LABELS = ("namespace", "group", "category")


class _GroupSeries(Collector):
    """Gauges of the groups as they stood after their last pass, worked out when they are scraped."""

    def __init__(self) -> None:
        self.statuses: dict[ObjectKey, tuple[GroupStatusView, Mapping[tuple[str, str], int]]] = {}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        cameras = GaugeMetricFamily(
            "camera_operator_cameras", "Cameras of a group by state.", labels=(*_GROUP_LABELS, "state")
        )
        faulty = GaugeMetricFamily(
            "camera_operator_faulty_cameras",
            "Faulty cameras of a group by the fault that explains them.",
            labels=(*_GROUP_LABELS, "fault"),
        )
        workers = GaugeMetricFamily(
            "camera_operator_workers",
            "Workers of a group by role (ingest, analytics) and state (ready, unready).",
            labels=(*_GROUP_LABELS, "role", "state"),
        )
        for (namespace, name), (status, counts) in sorted(self.statuses.items(), key=lambda item: item[0]):
            group = (namespace, name, status.category)
            for state, count in status.cameras.items():
                if state != "declared":
                    cameras.add_metric((*group, state), count)
            for fault, count in status.faults.items():
                faulty.add_metric((*group, fault), count)
            for (role, state), count in counts.items():
                workers.add_metric((*group, role, state), count)
        return cameras, faulty, workers


class Metrics:
    """The operator's metrics in a registry of their own.

    Args:
        registry: where they are registered; by default a new one.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._groups = _GroupSeries()
        self.registry.register(self._groups)
        self.reconcile_duration = Histogram(
            "camera_operator_reconcile_duration_seconds",
            "Time of one pass over a group, its writes included, by result (ok, conflict, error).",
            ("result",),
            buckets=_PASS_BUCKETS,
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "camera_operator_queue_depth", "Groups that wait for a pass or are in one.", registry=self.registry
        )
        self.status_backlog = Gauge(
            "camera_operator_status_backlog",
            "Status writes that wait for their turn under the rate limit.",
            registry=self.registry,
        )
        self.api_writes = Counter(
            "camera_operator_api_writes",
            "Writes sent to the API server, whatever their outcome.",
            ("kind", "verb"),
            registry=self.registry,
        )
        self.assignment_latency = Histogram(
            "camera_operator_assignment_latency_seconds",
            "Time from the first event that a pass answers until the worker's Secret was applied.",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.moves = Counter(
            "camera_operator_moves",
            "Cameras that were taken from a worker although it could go on: because its node has no room for more, so"
            " that new workers share the load, or so that a worker can be saved.",
            registry=self.registry,
        )
        self.leader = Gauge(
            "camera_operator_leader", "1 while this process holds the Lease and writes, else 0.", registry=self.registry
        )
        self.health_polls = Counter(
            "camera_operator_health_polls",
            "Health polls of workers by result (changed, unchanged, error).",
            ("result",),
            registry=self.registry,
        )

    def count_write(self, kind: str, verb: str) -> None:
        """Counts one write."""
        self.api_writes.labels(kind, verb).inc()

    def watch_depth(self, queue: Callable[[], float], backlog: Callable[[], float]) -> None:
        """Takes the depth of the queue and of the status backlog from these when they are scraped."""
        self.queue_depth.set_function(queue)
        self.status_backlog.set_function(backlog)

    def set_group(self, key: ObjectKey, status: GroupStatusView, workers: Mapping[tuple[str, str], int]) -> None:
        """A group's numbers.

        Args:
            key: namespace and name.
            status: as decided, with cameras by state in lower case and faults by name.
            workers: count by role and state.
        """
        self._groups.statuses[key] = (status, workers)

    def forget_group(self, key: ObjectKey) -> None:
        """Ends all series of a group."""
        self._groups.statuses.pop(key, None)

    def forget_groups(self) -> None:
        """Ends the series of all groups: another process reports on them now."""
        self._groups.statuses.clear()
