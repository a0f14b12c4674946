"""Every way a camera can be faulty. The same words are condition reasons and metric label values.

The order of ``Fault`` is the order of diagnosis: of several faults at once, the first one named here is the reason
shown, since the later ones usually follow from it (a camera that cannot be reached is not also frozen).
"""

from dataclasses import dataclass
from enum import StrEnum


class FaultLayer(StrEnum):
    """Which part of the way from the lens to the report a fault sits in, and so which condition it turns false."""

    NETWORK = "Network"  #: no connection: condition Reachable
    AUTHENTICATION = "Authentication"  #: connected, but not let in: condition Authenticated
    STREAM = "Stream"  #: let in, but no usable stream: condition Streaming
    PICTURE = "Picture"  #: a stream whose picture shows nothing useful: condition PictureHealthy
    OBSERVER = "Observer"  #: not the camera's fault: nobody is watching it, so its state is Unknown


class Fault(StrEnum):
    """Names of faults, in the order of diagnosis."""

    WORKER_LOST = "WorkerLost"
    REPORT_STALE = "ReportStale"
    DNS_FAILED = "DnsFailed"
    UNREACHABLE = "Unreachable"
    CONNECTION_REFUSED = "ConnectionRefused"
    TIMED_OUT = "TimedOut"
    AUTH_FAILED = "AuthFailed"
    STREAM_NOT_FOUND = "StreamNotFound"
    UNSUPPORTED_TRANSPORT = "UnsupportedTransport"
    UNSUPPORTED_CODEC = "UnsupportedCodec"
    STALLED = "Stalled"
    DISCONNECTED = "Disconnected"
    FLAPPING = "Flapping"
    LOW_FRAME_RATE = "LowFrameRate"
    PACKET_LOSS = "PacketLoss"
    CORRUPT_FRAMES = "CorruptFrames"
    CLOCK_JUMP = "ClockJump"
    BLACK = "Black"
    OVEREXPOSED = "Overexposed"
    COVERED = "Covered"
    MOVED = "Moved"
    DEFOCUSED = "Defocused"
    FROZEN = "Frozen"

    @property
    def layer(self) -> FaultLayer:
        """The part of the way the fault sits in."""
        return FAULTS[self].layer


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """What a person needs to know about a fault."""

    layer: FaultLayer
    meaning: str  #: one sentence, no full stop
    check_first: str  #: what to look at first, imperative, no full stop


FAULTS: dict[Fault, FaultInfo] = {
    Fault.WORKER_LOST: FaultInfo(
        FaultLayer.OBSERVER,
        "the worker pod that watches the camera is gone",
        "look at the worker's pod and node: kubectl describe pod",
    ),
    Fault.REPORT_STALE: FaultInfo(
        FaultLayer.OBSERVER,
        "the worker has not reported on the camera for too long",
        "look at the worker's log and whether the operator reaches port 8080 of its pod",
    ),
    Fault.DNS_FAILED: FaultInfo(
        FaultLayer.NETWORK,
        "the host name in the camera's URL does not resolve",
        "check the host name in spec.source and the cluster's DNS",
    ),
    Fault.UNREACHABLE: FaultInfo(
        FaultLayer.NETWORK,
        "the network says that there is no way to the camera",
        "check the camera's power, its switch port, and the route or firewall to its network",
    ),
    Fault.CONNECTION_REFUSED: FaultInfo(
        FaultLayer.NETWORK,
        "the device answers but nothing listens on the port",
        "check the port in spec.source and whether the camera's RTSP service is switched on",
    ),
    Fault.TIMED_OUT: FaultInfo(
        FaultLayer.NETWORK,
        "the camera did not answer in time",
        "check the camera's power and network; a device that accepts and stays silent needs a restart",
    ),
    Fault.AUTH_FAILED: FaultInfo(
        FaultLayer.AUTHENTICATION,
        "the camera refuses the user name or password",
        "check the Secret named in spec.credentialsSecretRef; retries are slow so that the account is not locked",
    ),
    Fault.STREAM_NOT_FOUND: FaultInfo(
        FaultLayer.STREAM,
        "the camera does not know the stream's path, or the stream has no video",
        "check the path in spec.source against the camera's manual",
    ),
    Fault.UNSUPPORTED_TRANSPORT: FaultInfo(
        FaultLayer.STREAM,
        "the camera refuses the transport asked for",
        "set spec.source.rtsp.transport to Auto or to what the camera offers",
    ),
    Fault.UNSUPPORTED_CODEC: FaultInfo(
        FaultLayer.STREAM,
        "the stream's video codec cannot be read",
        "set the camera to H.264 or H.265",
    ),
    Fault.STALLED: FaultInfo(
        FaultLayer.STREAM,
        "the connection stands but no video comes any more",
        "restart the camera; check its load and the uplink of its site",
    ),
    Fault.DISCONNECTED: FaultInfo(
        FaultLayer.STREAM,
        "the camera closed the connection",
        "check whether too many clients are connected to the camera, or whether it restarts",
    ),
    Fault.FLAPPING: FaultInfo(
        FaultLayer.STREAM,
        "the camera comes and goes",
        "check its power supply, cabling and the uplink of its site",
    ),
    Fault.LOW_FRAME_RATE: FaultInfo(
        FaultLayer.STREAM,
        "far fewer frames arrive than the stream should have",
        "check the camera's load, its low-light shutter setting and the uplink of its site",
    ),
    Fault.PACKET_LOSS: FaultInfo(
        FaultLayer.STREAM,
        "packets are lost on the way",
        "check the uplink of its site, or set spec.source.rtsp.transport to TCP",
    ),
    Fault.CORRUPT_FRAMES: FaultInfo(
        FaultLayer.STREAM,
        "frames arrive that cannot be decoded whole",
        "check the network for loss; restart the camera if there is none",
    ),
    Fault.CLOCK_JUMP: FaultInfo(
        FaultLayer.STREAM,
        "the stream's time stamps jump",
        "check the camera's time source (NTP)",
    ),
    Fault.BLACK: FaultInfo(
        FaultLayer.PICTURE,
        "the picture is black",
        "check the lens cap, the infra-red lamp and the exposure setting",
    ),
    Fault.OVEREXPOSED: FaultInfo(
        FaultLayer.PICTURE,
        "the picture is white",
        "check the exposure setting and what shines into the lens",
    ),
    Fault.COVERED: FaultInfo(
        FaultLayer.PICTURE,
        "something covers the view",
        "look at the snapshot; clean or uncover the lens",
    ),
    Fault.MOVED: FaultInfo(
        FaultLayer.PICTURE,
        "the camera looks somewhere else than before",
        "look at the snapshot; turn the camera back, or acknowledge the new view",
    ),
    Fault.DEFOCUSED: FaultInfo(
        FaultLayer.PICTURE,
        "the picture has lost its sharpness",
        "focus the lens; clean it of dirt and spider webs",
    ),
    Fault.FROZEN: FaultInfo(
        FaultLayer.PICTURE,
        "the same picture comes again and again",
        "restart the camera",
    ),
}

_RANK = {fault: rank for rank, fault in enumerate(Fault)}

#: What a category may switch off: everything that is measured rather than a connection that does not stand.
OPTIONAL_FAULTS = tuple(
    fault
    for fault in Fault
    if FAULTS[fault].layer is FaultLayer.PICTURE
    or fault in {Fault.LOW_FRAME_RATE, Fault.PACKET_LOSS, Fault.CORRUPT_FRAMES, Fault.CLOCK_JUMP, Fault.FLAPPING}
)


def diagnosis_order(fault: Fault) -> int:
    """Sort key: the fault that explains the others comes first."""
    return _RANK[fault]
