"""The exposition text, exactly."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from prometheus_client.exposition import generate_latest

from camera_api.faults import Fault
from camera_worker.ingest.camera import Counters, View
from camera_worker.ingest.source import StreamInfo
from camera_worker.metrics import make_registry
from camera_worker.relay.feed import Kind, RelayCounters

EXPECTED = """\
# HELP camera_worker_assignment_revision Revision of the assignment in force; 0 before the first.
# TYPE camera_worker_assignment_revision gauge
camera_worker_assignment_revision 3.0
# HELP camera_worker_decode_level What a worker that is short of CPU decodes at most: 0 as assigned, 1 a key frame per \
10 s of each camera, 2 nothing, so that picture faults are not known.
# TYPE camera_worker_decode_level gauge
camera_worker_decode_level 1.0
# HELP camera_up 1 while the camera delivers a usable picture, else 0.
# TYPE camera_up gauge
camera_up{camera="door",category="shops",group="lobby",namespace="city"} 1.0
camera_up{camera="gate",category="shops",group="lobby",namespace="city"} 0.0
# HELP camera_info What the stream is; always 1.
# TYPE camera_info gauge
camera_info{camera="door",category="shops",codec="h264",group="lobby",namespace="city",\
resolution="1920x1080",transport="TCP"} 1.0
# HELP camera_fault_active 1 for each fault that the camera has at present.
# TYPE camera_fault_active gauge
camera_fault_active{camera="gate",category="shops",fault="AuthFailed",group="lobby",namespace="city"} 1.0
# HELP camera_last_frame_timestamp_seconds When the last frame came, in seconds since 1970.
# TYPE camera_last_frame_timestamp_seconds gauge
camera_last_frame_timestamp_seconds{camera="door",category="shops",group="lobby",namespace="city"} 1.896091200123e+09
# HELP camera_fault_seconds_total Seconds with a fault, without maintenance.
# TYPE camera_fault_seconds_total counter
camera_fault_seconds_total{camera="gate",category="shops",fault="AuthFailed",group="lobby",namespace="city"} 40.0
# HELP camera_up_seconds_total Seconds in which the camera delivered a usable picture, without maintenance.
# TYPE camera_up_seconds_total counter
camera_up_seconds_total{camera="door",category="shops",group="lobby",namespace="city"} 30.0
camera_up_seconds_total{camera="gate",category="shops",group="lobby",namespace="city"} 0.0
# HELP camera_observed_seconds_total Seconds in which it was known whether the camera works, without maintenance. \
Uptime is the increase of camera_up_seconds_total divided by the increase of this.
# TYPE camera_observed_seconds_total counter
camera_observed_seconds_total{camera="door",category="shops",group="lobby",namespace="city"} 30.0
camera_observed_seconds_total{camera="gate",category="shops",group="lobby",namespace="city"} 40.0
# HELP camera_frames_total Frames received.
# TYPE camera_frames_total counter
camera_frames_total{camera="door",category="shops",group="lobby",namespace="city"} 750.0
camera_frames_total{camera="gate",category="shops",group="lobby",namespace="city"} 0.0
# HELP camera_keyframes_total Key frames received.
# TYPE camera_keyframes_total counter
camera_keyframes_total{camera="door",category="shops",group="lobby",namespace="city"} 15.0
camera_keyframes_total{camera="gate",category="shops",group="lobby",namespace="city"} 0.0
# HELP camera_received_bytes_total Bytes of video received.
# TYPE camera_received_bytes_total counter
camera_received_bytes_total{camera="door",category="shops",group="lobby",namespace="city"} 1.5e+07
camera_received_bytes_total{camera="gate",category="shops",group="lobby",namespace="city"} 0.0
# HELP camera_reconnects_total Streams that were lost and stand again, by the reason of the loss.
# TYPE camera_reconnects_total counter
camera_reconnects_total{camera="door",category="shops",group="lobby",namespace="city",reason="Disconnected"} 2.0
# HELP camera_decode_seconds_total Seconds spent on decoding and on looking at pictures.
# TYPE camera_decode_seconds_total counter
camera_decode_seconds_total{camera="door",category="shops",group="lobby",namespace="city"} 0.15
camera_decode_seconds_total{camera="gate",category="shops",group="lobby",namespace="city"} 0.0
# HELP camera_relay_readers Readers of the stream, main or sub.
# TYPE camera_relay_readers gauge
camera_relay_readers{camera="door",category="shops",group="lobby",namespace="city",stream="main"} 2.0
camera_relay_readers{camera="door",category="shops",group="lobby",namespace="city",stream="sub"} 0.0
camera_relay_readers{camera="gate",category="shops",group="lobby",namespace="city",stream="main"} 0.0
# HELP camera_relay_sent_bytes_total Bytes sent to readers of the stream.
# TYPE camera_relay_sent_bytes_total counter
camera_relay_sent_bytes_total{camera="door",category="shops",group="lobby",namespace="city",stream="main"} 5000.0
camera_relay_sent_bytes_total{camera="door",category="shops",group="lobby",namespace="city",stream="sub"} 0.0
camera_relay_sent_bytes_total{camera="gate",category="shops",group="lobby",namespace="city",stream="main"} 0.0
# HELP camera_relay_drops_total Times that a reader of the stream was too slow and missed all up to the \
next key frame.
# TYPE camera_relay_drops_total counter
camera_relay_drops_total{camera="door",category="shops",group="lobby",namespace="city",stream="main"} 2.0
camera_relay_drops_total{camera="door",category="shops",group="lobby",namespace="city",stream="sub"} 0.0
camera_relay_drops_total{camera="gate",category="shops",group="lobby",namespace="city",stream="main"} 0.0
"""


def fake(assigned: Any, counters: Counters, view: View, **readers: int) -> Any:
    feeds = {Kind.MAIN: SimpleNamespace(readers=0, counters=RelayCounters())}
    for kind, number in readers.items():
        relayed = RelayCounters(sent_bytes=2500 * number, drops=number)
        feeds[Kind(kind)] = SimpleNamespace(readers=number, counters=relayed)
    return SimpleNamespace(assigned=assigned, counters=counters, view=lambda: view, feeds=lambda: feeds)


def exposition(cameras: list[Any], assignment: Any) -> str:
    text = generate_latest(make_registry(lambda: cameras, lambda: assignment, lambda: 1)).decode()
    blocks = text.split("# HELP ")
    # How many threads pytest runs is not ours to say.
    return "# HELP ".join(block for block in blocks if not block.startswith("camera_worker_threads"))


def test_exposition(assigned: Any, make_assignment: Any) -> None:
    door = fake(
        assigned("door"),
        Counters(
            frames=750,
            key_frames=15,
            received_bytes=15_000_000,
            decode_seconds=0.15,
            reconnects=Counter({"Disconnected": 2}),
        ),
        View(
            is_up=True,
            faults=(),
            last_frame_at=1_896_091_200.123,
            stream=StreamInfo("h264", 1920, 1080, "TCP"),
            up_seconds=30.0,
            observed_seconds=30.0,
            fault_seconds={},
        ),
        main=2,
        sub=0,
    )
    gate = fake(
        assigned("gate"),
        Counters(),
        View(
            is_up=False,
            faults=(Fault.AUTH_FAILED,),
            last_frame_at=None,
            stream=None,
            up_seconds=0.0,
            observed_seconds=40.0,
            fault_seconds={Fault.AUTH_FAILED: 40.0},
        ),
    )

    assert exposition([door, gate], make_assignment(revision=3)) == EXPECTED


def test_before_the_first_assignment_there_are_no_cameras() -> None:
    assert "camera_worker_assignment_revision 0.0" in exposition([], None)
    assert "camera_up" not in exposition([], None)
