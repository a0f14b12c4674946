"""Prometheus metrics, read from the cameras at scrape time: a camera's series end with the camera."""

import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from camera_api.assignment import Assignment
from camera_worker.ingest.camera import Camera

_LABELS = ("namespace", "camera", "group", "category")
_Family = GaugeMetricFamily | CounterMetricFamily


class CameraCollector(Collector):
    """Series of all cameras that are watched.

    Args:
        cameras: those at present.
        assignment: in force; None: there is none yet.
        decode_level: steps down the ladder of decoding.
    """

    def __init__(
        self,
        cameras: Callable[[], Iterable[Camera]],
        assignment: Callable[[], Assignment | None],
        decode_level: Callable[[], int] = int,
    ) -> None:
        self._cameras = cameras
        self._assignment = assignment
        self._decode_level = decode_level

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not scrape to learn the names."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """All series."""
        assignment = self._assignment()
        yield GaugeMetricFamily(
            "camera_worker_assignment_revision",
            "Revision of the assignment in force; 0 before the first.",
            value=assignment.revision if assignment is not None else 0,
        )
        yield GaugeMetricFamily(
            "camera_worker_threads", "Threads of the worker's process.", value=threading.active_count()
        )
        yield GaugeMetricFamily(
            "camera_worker_decode_level",
            "What a worker that is short of CPU decodes at most: 0 as assigned, 1 a key frame per 10 s of each camera, "
            "2 nothing, so that picture faults are not known.",
            value=self._decode_level(),
        )
        if assignment is None:
            return
        families = _families()
        for camera in self._cameras():
            labels = (camera.assigned.namespace, camera.assigned.name, assignment.group, assignment.category)
            _add(families, camera, labels)
        yield from families.values()


def _families() -> dict[str, _Family]:
    def gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, labels=(*_LABELS, *more))

    def counter(name: str, text: str, *more: str) -> CounterMetricFamily:
        return CounterMetricFamily(name, text, labels=(*_LABELS, *more))

    families = (
        gauge("camera_up", "1 while the camera delivers a usable picture, else 0."),
        gauge("camera_info", "What the stream is; always 1.", "codec", "resolution", "transport"),
        gauge("camera_fault_active", "1 for each fault that the camera has at present.", "fault"),
        gauge("camera_last_frame_timestamp_seconds", "When the last frame came, in seconds since 1970."),
        counter("camera_fault_seconds", "Seconds with a fault, without maintenance.", "fault"),
        counter("camera_up_seconds", "Seconds in which the camera delivered a usable picture, without maintenance."),
        counter(
            "camera_observed_seconds",
            "Seconds in which it was known whether the camera works, without maintenance. Uptime is the increase of "
            "camera_up_seconds_total divided by the increase of this.",
        ),
        counter("camera_frames", "Frames received."),
        counter("camera_keyframes", "Key frames received."),
        counter("camera_received_bytes", "Bytes of video received."),
        counter("camera_reconnects", "Streams that were lost and stand again, by the reason of the loss.", "reason"),
        counter("camera_decode_seconds", "Seconds spent on decoding and on looking at pictures."),
        gauge("camera_relay_readers", "Readers of the stream, main or sub.", "stream"),
        counter("camera_relay_sent_bytes", "Bytes sent to readers of the stream.", "stream"),
        counter(
            "camera_relay_drops",
            "Times that a reader of the stream was too slow and missed all up to the next key frame.",
            "stream",
        ),
    )
    return {family.name: family for family in families}


def _add(families: dict[str, _Family], camera: Camera, labels: tuple[str, ...]) -> None:
    counters, view = camera.counters, camera.view()

    def add(name: str, value: float, *more: str) -> None:
        families[name].add_metric((*labels, *more), value)

    add("camera_up", view.is_up)
    if view.stream is not None:
        stream = view.stream
        add("camera_info", 1, stream.codec, f"{stream.width}x{stream.height}", stream.transport)
    for fault in view.faults:
        add("camera_fault_active", 1, fault.value)
    if view.last_frame_at is not None:
        add("camera_last_frame_timestamp_seconds", round(view.last_frame_at, 3))
    for fault, seconds in sorted(view.fault_seconds.items()):
        add("camera_fault_seconds", seconds, fault.value)
    # A copy: the camera's thread may add a key meanwhile.
    for reason, number in sorted(dict(counters.reconnects).items()):
        add("camera_reconnects", number, reason)
    add("camera_up_seconds", view.up_seconds)
    add("camera_observed_seconds", view.observed_seconds)
    add("camera_frames", counters.frames)
    add("camera_keyframes", counters.key_frames)
    add("camera_received_bytes", counters.received_bytes)
    add("camera_decode_seconds", counters.decode_seconds)
    for kind, feed in camera.feeds().items():
        add("camera_relay_readers", feed.readers, kind.value)
        add("camera_relay_sent_bytes", feed.counters.sent_bytes, kind.value)
        add("camera_relay_drops", feed.counters.drops, kind.value)


def make_registry(
    cameras: Callable[[], Iterable[Camera]],
    assignment: Callable[[], Assignment | None],
    decode_level: Callable[[], int] = int,
) -> CollectorRegistry:
    """A registry with the cameras' series."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CameraCollector(cameras, assignment, decode_level))
    return registry
