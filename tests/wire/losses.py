"""Wire faults of the network between a camera and its worker."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_worker.ingest.loss import RTP_PAYLOAD, LossWatch
from simulator_process import SimulatorProcess
from wire.cases import KNOWN_WITHIN_S, Case
from wire.gstreamer import declared, watched
from wire.network import CameraNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import ExitStack

    from camera_api.assignment import AssignedCamera

#: Packets of 1,000 that get lost.
LOSSES: Final = (5, 10, 20, 50)
#: Of so many cameras, all but so many are named before a case's time is up. These happened to lose too little.
_SAMPLES, _TOO_LATE = 10_000, 10
#: Seconds that are drawn for each.
_LONGEST_S: Final = 300
#: Seconds besides those that the decision takes: one that had begun already, the time FFmpeg waits for a packet that is
#: late, and the report.
_BESIDES_S: Final = 1.5
#: From so much loss on, no frame of Motion JPEG may arrive whole for a second and a half, which ends the stream; until
#: there is another one, and it has been looked at, takes this much longer.
_STALLS_FROM, _STALL_S = 50, 4.5


@dataclass(frozen=True, slots=True)
class LossyStream:
    """A stream by UDP, and how many cameras are to send it."""

    codec: str
    clip: str
    kbps: int
    cameras: int = 1


#: What cameras send today, several times since chance decides how soon a loss is known; and streams so small that it
#: takes a minute to tell half a percent from chance.
STREAMS: Final = (
    LossyStream("h264", "h264-1080p", 4000, 5),
    LossyStream("h265", "h265-720p", 800),
    LossyStream("mjpeg", "mjpeg-480p", 2800),
)


@functools.cache
def known_within_s(kbps: int, per_mille: int) -> float:
    """Seconds after which a loss is known: the worker's decision, by drawing which packets get lost."""
    packets = round(kbps * 1000 / 8 / RTP_PAYLOAD)
    lost = np.random.default_rng(1).binomial(packets, per_mille / 1000, (_SAMPLES, _LONGEST_S))
    decided = sorted(_decided_after_s(camera, packets) for camera in lost)
    return max(KNOWN_WITHIN_S, decided[-1 - _TOO_LATE] + _BESIDES_S)


def _decided_after_s(lost: Iterable[int], packets: int) -> int:
    watch = LossWatch()
    for second, number in enumerate(lost, start=1):
        watch.second(int(number), int(packets - number) * RTP_PAYLOAD, float(second))
        if watch.trouble is not None:
            return second
    return _LONGEST_S


@dataclass(frozen=True, slots=True)
class LossyCameras:
    """Cameras on a network of their own."""

    network: CameraNetwork
    simulator: SimulatorProcess

    @classmethod
    def start(cls, stack: ExitStack, cameras: Sequence[dict[str, Any]]) -> LossyCameras:
        """Starts them, until the stack is closed."""
        network = stack.enter_context(CameraNetwork())
        simulator = SimulatorProcess(cameras, bind=network.address, host=network.command)
        return cls(network, stack.enter_context(simulator))


def loss_cases(stack: ExitStack, per_mille: int) -> Iterator[Case]:
    """Packets that get lost: over UDP they are missing, over TCP they come again."""
    prefix = f"loss-{per_mille}"
    names = {f"{prefix}-{stream.clip}-{number}": stream for stream in STREAMS for number in range(stream.cameras)}
    over_tcp = f"{prefix}-tcp"
    cameras = LossyCameras.start(
        stack,
        [declared(name=over_tcp), *(declared(name=name, clip=stream.clip) for name, stream in names.items())],
    )
    # What the first one does happens to all of the network.
    steps = (lambda: cameras.network.lose(per_mille), cameras.network.mend)
    for name, stream in names.items():
        may_stall = stream.codec == "mjpeg" and per_mille >= _STALLS_FROM
        yield _network_case(
            watched(cameras.simulator, name, Transport.UDP),
            f"{stream.codec}, {stream.kbps / 1000:g} Mbit/s",
            f"{per_mille / 10:g} % loss",
            Fault.PACKET_LOSS,
            steps,
            known_within_s=known_within_s(stream.kbps, per_mille) + (_STALL_S if may_stall else 0.0),
            besides=(Fault.STALLED,) if may_stall else (),
        )
        steps = (_nothing, _nothing)
    yield _network_case(watched(cameras.simulator, over_tcp), "h264", f"{per_mille / 10:g} % loss", None, steps)


def outage_cases(stack: ExitStack) -> Iterator[Case]:
    """The way to the camera is gone, with or without notice."""
    expected = {"black-hole": Fault.TIMED_OUT, "unroutable": Fault.UNREACHABLE}
    for name, fault in expected.items():
        cameras = LossyCameras.start(stack, [declared(name=name)])
        network = cameras.network
        break_ = network.black_hole if name == "black-hole" else network.unroute
        yield _network_case(
            watched(cameras.simulator, name), "h264", f"{name}, while watched", fault, (break_, network.mend)
        )


def _network_case(
    camera: AssignedCamera,
    codec: str,
    fault: str,
    expected: Fault | None,
    steps: tuple[Callable[[], None], Callable[[], None]],
    **more: Any,
) -> Case:
    break_, mend = steps
    return Case(
        server="GStreamer, own network",
        codec=codec,
        transport=camera.source.transport.value,
        fault=fault,
        expected=expected,
        camera=camera,
        break_=break_,
        mend=mend,
        **more,
    )


def _nothing() -> None:
    """Another camera's step acts on this one as well."""
