"""Wire faults of the network between a camera and its worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from camera_api.camera import Transport
from camera_api.faults import Fault
from simulator_process import SimulatorProcess
from wire.cases import Case
from wire.gstreamer import declared, watched
from wire.network import CameraNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    from camera_api.assignment import AssignedCamera

#: Packets of 1,000 that get lost.
LOSSES: Final = (5, 10, 20, 50)
#: From so many on a stream of 1 Mbit/s misses enough packets in time.
_MUCH: Final = 20
#: 4 Mbit/s as well: the smaller a stream, the longer it takes to tell half a percent from chance.
STREAMS: Final[tuple[dict[str, str], ...]] = ({"clip": "h264-1080p"}, {"codec": "h265"}, {"codec": "mjpeg"})


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
    names = {f"{prefix}-{next(iter(stream.values()))}": stream for stream in STREAMS}
    over_tcp = f"{prefix}-tcp"
    cameras = LossyCameras.start(
        stack, [declared(name=over_tcp), *(declared(name=name, **stream) for name, stream in names.items())]
    )
    for name, stream in names.items():
        codec = stream.get("codec", "h264")
        yield _network_case(
            watched(cameras.simulator, name, Transport.UDP),
            codec,
            f"{per_mille / 10:g} % loss",
            Fault.PACKET_LOSS,
            (lambda: cameras.network.lose(per_mille), cameras.network.mend),
            # A fault is what six packets in five seconds or twelve in thirty are: with few, that takes its time.
            known_within_s=6.0 if per_mille >= _MUCH else 60.0,
            # Of a frame of 25 packets, one in four arrives whole; for seconds, none may.
            later=(Fault.STALLED,) if codec == "mjpeg" else (),
        )
    yield _network_case(
        watched(cameras.simulator, over_tcp),
        "h264",
        f"{per_mille / 10:g} % loss",
        None,
        (_nothing, _nothing),
    )


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
