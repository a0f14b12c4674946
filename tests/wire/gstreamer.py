"""Wire faults of the camera simulator, which is GStreamer's RTSP server: every codec, transport and account."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from camera_api.assignment import AssignedCamera, HealthThresholds
from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_worker.ingest.connection import FLAPPING_LOSSES, SESSION_BACKOFF
from wire.cases import KNOWN_WITHIN_S, OFFLINE_AFTER_S, STALL_KNOWN_WITHIN_S, Case
from wire.ports import hanging_up
from worker_process import camera

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import ExitStack

    from simulator_process import SimulatorProcess
    from wire.cases import Step

PASSWORD: Final = "s3cret pass/word@1"
OTHER_PASSWORD: Final = "an0ther:pass/word"
CODECS: Final = ("h264", "h265", "mjpeg")
#: The default of categories: a camera that delivers less than half of its usual frames is at fault.
RATE_RATIO: Final = 0.5
NOWHERE: Final = "no-such-host.invalid"
#: Of the simulator's clips: a fault of the picture or of the rate begins with a key frame.
_KEY_FRAME_S: Final = 2.0
#: How often a flapping camera drops its client, and how long a session takes until its first key frame, at most.
_KICK_EVERY_S: Final = 1.5
_OPENING_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class SimulatorFault:
    """A fault that the simulator switches, and what the worker is to call it."""

    name: str
    expected: Fault | None
    within_s: float = KNOWN_WITHIN_S
    parameters: tuple[tuple[str, float], ...] = ()
    shown: str = ""
    lasts: bool = False

    def describe(self) -> str:
        return self.shown or self.name


SWITCHED: Final = (
    SimulatorFault("refused", Fault.CONNECTION_REFUSED, shown="port closed"),
    SimulatorFault("unknownpath", Fault.STREAM_NOT_FOUND, shown="404"),
    SimulatorFault("unavailable", Fault.DISCONNECTED, shown="503"),
    SimulatorFault("silent", Fault.TIMED_OUT, shown="silent after accept"),
    SimulatorFault("stall", Fault.STALLED, STALL_KNOWN_WITHIN_S),
    SimulatorFault("kick", None, shown="kick, once"),
    SimulatorFault("restart", Fault.CONNECTION_REFUSED, parameters=(("forSeconds", 10.0),)),
    SimulatorFault("slow", Fault.LOW_FRAME_RATE, KNOWN_WITHIN_S + _KEY_FRAME_S, shown="slow: 2/5 of the rate"),
    SimulatorFault("clockjump", Fault.CLOCK_JUMP, shown="clock jumps an hour, and back", lasts=True),
)


@dataclass(frozen=True, slots=True)
class Speech:
    """How a camera of the simulator speaks."""

    protocol: str
    codec: str
    transport: Transport = Transport.TCP

    @property
    def prefix(self) -> str:
        """Start of the names of its cameras."""
        return f"{self.protocol}-{self.codec}-{self.transport.value.lower()}"

    @property
    def shown(self) -> str:
        """For the column of transports."""
        return self.protocol.upper() if self.protocol != "rtsp" else self.transport.value

    def faults(self) -> tuple[SimulatorFault, ...]:
        """What it can show: Motion JPEG over HTTP has no time stamps."""
        stampless = self.protocol == "http" and self.codec == "mjpeg"
        return tuple(fault for fault in SWITCHED if not (stampless and fault.name == "clockjump"))


SPEECHES: Final = (
    *(Speech("rtsp", codec, transport) for codec in CODECS for transport in (Transport.TCP, Transport.UDP)),
    Speech("rtsps", "h264"),
    *(Speech("http", codec) for codec in CODECS),
)


def declared(auth: str = "none", **fields: Any) -> dict[str, Any]:
    """A camera as the simulator wants it."""
    account = {} if auth == "none" else {"auth": auth, "username": "viewer", "password": PASSWORD}
    return {**account, **fields}


def watched(
    simulator: SimulatorProcess, name: str, transport: Transport = Transport.TCP, password: str | None = None
) -> AssignedCamera:
    """A camera as the worker is to watch it."""
    thresholds = HealthThresholds(offline_after_seconds=OFFLINE_AFTER_S, min_frames_per_second_ratio=RATE_RATIO)
    return camera(name, simulator.url(name), password, transport=transport, health=thresholds)


def healthy(simulator: SimulatorProcess, name: str) -> AssignedCamera:
    """A camera that is to lose no frame, as the worker watches it by default: no hold-up of seconds ends its stream."""
    return camera(name, simulator.url(name), transport=Transport.TCP, health=HealthThresholds())


def switched_cases(
    simulator: SimulatorProcess, speech: Speech, faults: Collection[SimulatorFault] | None = None
) -> Iterator[Case]:
    """Faults that the camera shows while it is watched."""
    for fault in speech.faults() if faults is None else faults:
        name = f"{speech.prefix}-{fault.name}"
        simulator.add_camera(declared(name=name, codec=speech.codec, protocol=speech.protocol))
        yield Case(
            server="simulator" if speech.protocol == "http" else "GStreamer",
            codec=speech.codec,
            transport=speech.shown,
            fault=fault.describe(),
            expected=fault.expected,
            camera=watched(simulator, name, speech.transport),
            break_=_ignoring(simulator.set_fault, name, fault.name, **dict(fault.parameters)),
            # A restart ends by itself.
            mend=_nothing if fault.name == "restart" else _ignoring(simulator.clear_fault, name),
            known_within_s=fault.within_s,
            lasts=fault.lasts,
        )


def account_cases(simulator: SimulatorProcess, speech: Speech, auth: str) -> Iterator[Case]:
    """Passwords that are changed: at the camera, or in the Secret."""
    server = f"{'simulator' if speech.protocol == 'http' else 'GStreamer'}, {auth.capitalize()}"
    names = [f"{speech.prefix}-{auth}-{place}" for place in ("camera", "secret")]
    fields = {"codec": speech.codec, "protocol": speech.protocol}
    for name in names:
        simulator.add_camera(declared(auth, name=name, **fields))
    at_camera, in_secret = names

    def case(name: str, fault: str, break_: Step, mend: Step) -> Case:
        return Case(
            server=server,
            codec=speech.codec,
            transport=speech.shown,
            fault=f"401: {fault}",
            expected=Fault.AUTH_FAILED,
            camera=watched(simulator, name, speech.transport, PASSWORD),
            break_=break_,
            mend=mend,
        )

    changed = {**declared(auth, name=at_camera, **fields), "password": OTHER_PASSWORD}
    yield case(
        at_camera,
        "changed at the camera",
        _ignoring(simulator.add_camera, changed),
        _giving(watched(simulator, at_camera, speech.transport, OTHER_PASSWORD)),
    )
    yield case(
        in_secret,
        "wrong in the Secret",
        _giving(watched(simulator, in_secret, speech.transport, OTHER_PASSWORD)),
        _giving(watched(simulator, in_secret, speech.transport, PASSWORD)),
    )


def transport_cases(simulator: SimulatorProcess) -> Iterator[Case]:
    """A camera that stops to speak interleaved TCP."""
    expectations = (
        (Transport.TCP, Fault.UNSUPPORTED_TRANSPORT, "461"),
        (Transport.AUTO, None, "461, falls back to UDP"),
    )
    for transport, expected, fault in expectations:
        name = f"udponly-{transport.value.lower()}"
        simulator.add_camera(declared(name=name))
        yield Case(
            server="GStreamer",
            codec="h264",
            transport=transport.value,
            fault=fault,
            expected=expected,
            camera=watched(simulator, name, transport),
            break_=_ignoring(simulator.set_fault, name, "udponly"),
            mend=_ignoring(simulator.clear_fault, name),
            ends_over="UDP" if expected is None else "",
        )


def address_cases(stack: ExitStack, simulator: SimulatorProcess) -> Iterator[Case]:
    """A camera's address that is changed to one that leads nowhere, or to a device that hangs up."""
    rtsp, http = Speech("rtsp", "h264"), Speech("http", "h264")
    port = stack.enter_context(hanging_up())
    addresses = (
        ("no such host", rtsp, f"{NOWHERE}:554", Fault.DNS_FAILED),
        # No route of any machine leads a TCP connection to the broadcast address.
        ("unroutable", rtsp, "255.255.255.255:554", Fault.UNREACHABLE),
        ("EOF in place of an answer", rtsp, f"127.0.0.1:{port}", Fault.DISCONNECTED),
        ("EOF in place of an answer", http, f"127.0.0.1:{port}", Fault.DISCONNECTED),
    )
    for fault, speech, address, expected in addresses:
        name = f"{speech.prefix}-{expected.value.lower()}"
        simulator.add_camera(declared(name=name, protocol=speech.protocol))
        good = watched(simulator, name)
        bad_url = urllib.parse.urlunsplit(urllib.parse.urlsplit(good.source.main_url)._replace(netloc=address))
        bad = good.model_copy(update={"source": good.source.model_copy(update={"main_url": bad_url})})
        yield Case(
            server="any",
            codec="any",
            transport=speech.shown,
            fault=fault,
            expected=expected,
            camera=good,
            break_=_giving(bad),
            mend=_giving(good),
        )


def flapping_case(simulator: SimulatorProcess) -> Case:
    """A camera that drops its client again and again: a fault of its own from the fourth time on."""
    name = "flapping"
    simulator.add_camera(declared(name=name))
    return Case(
        server="GStreamer",
        codec="h264",
        transport="TCP",
        fault=f"kick, every {_KICK_EVERY_S:g} s",
        expected=Fault.FLAPPING,
        camera=watched(simulator, name),
        break_=_ignoring(simulator.set_fault, name, "kick", everySeconds=_KICK_EVERY_S),
        mend=_ignoring(simulator.clear_fault, name),
        known_within_s=_flapping_known_within_s(),
        besides=(Fault.DISCONNECTED,),
        lasts=True,
    )


def _flapping_known_within_s() -> float:
    """It is known with the loss that makes it so; before each but the first one the worker waits, and connects."""
    # A kick that meets a session before its first key frame is no loss, and costs one wait more.
    waits = SESSION_BACKOFF.highest * sum(SESSION_BACKOFF.first_s * (1 << loss) for loss in range(FLAPPING_LOSSES))
    return FLAPPING_LOSSES * (_KICK_EVERY_S + _OPENING_S) + waits


def _ignoring(function: Any, *arguments: Any, **keywords: Any) -> Step:
    def act() -> None:
        function(*arguments, **keywords)

    return act


def _giving(settings: AssignedCamera) -> Step:
    return lambda: settings


def _nothing() -> None:
    """The camera mends itself."""
