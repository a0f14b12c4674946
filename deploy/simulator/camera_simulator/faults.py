"""Every fault a camera can show, as a table from its name to what the camera then does."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

from camera_simulator.errors import ConfigError
from camera_simulator.footage import Variant


class Listener(enum.Enum):
    """What the camera's TCP port does."""

    OPEN = "open"
    #: The socket is closed: the kernel answers a connection with a reset.
    CLOSED = "closed"
    #: Connections are accepted, then nothing is ever answered.
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a camera does; the defaults are a camera in good order."""

    description: str
    listener: Listener = Listener.OPEN
    #: The camera's password becomes one nobody knows.
    password_changed: bool = False
    #: The RTSP status that answers DESCRIBE in place of a session description.
    describe_status: int | None = None
    #: SETUP with interleaved TCP is answered by 461 Unsupported Transport.
    udp_only: bool = False
    #: Sessions go on, with RTCP, but no picture is sent.
    sends_media: bool = True
    variant: Variant = Variant.NORMAL
    #: Sessions that exist when the fault is switched on are closed.
    closes_sessions: bool = False
    #: RTP timestamps jump forward by `offset_seconds` and back, every `every_seconds`.
    clock_jumps: bool = False
    #: The fault ends by itself after this time unless the request says otherwise.
    default_for_seconds: float | None = None
    default_every_seconds: float | None = None
    #: Without `everySeconds` the fault is a single act, and the camera is in good order right after.
    momentary: bool = False


NONE: Final = "none"

FAULTS: Final[dict[str, Behaviour]] = {
    NONE: Behaviour(description="the camera is in good order"),
    "wrongpassword": Behaviour(
        description="the camera's password was changed: requests are answered 401 Unauthorized",
        password_changed=True,
        closes_sessions=True,
    ),
    "unknownpath": Behaviour(
        description="the stream's path is gone: DESCRIBE is answered 404 Not Found",
        describe_status=404,
        closes_sessions=True,
    ),
    "unavailable": Behaviour(
        description="the camera has no capacity left: DESCRIBE is answered 503 Service Unavailable",
        describe_status=503,
        closes_sessions=True,
    ),
    "udponly": Behaviour(
        description="interleaved TCP is refused with 461 Unsupported Transport, UDP works",
        udp_only=True,
        closes_sessions=True,
    ),
    "refused": Behaviour(
        description="the RTSP port is closed: connections are refused",
        listener=Listener.CLOSED,
        closes_sessions=True,
    ),
    "silent": Behaviour(
        description="TCP connections are accepted and never answered",
        listener=Listener.SILENT,
        closes_sessions=True,
    ),
    "stall": Behaviour(
        description="sessions and RTCP go on, pictures do not; new sessions are set up and get nothing",
        sends_media=False,
    ),
    "kick": Behaviour(
        description="all clients are disconnected: once, or every everySeconds",
        closes_sessions=True,
        momentary=True,
    ),
    "restart": Behaviour(
        description="the camera reboots: clients are disconnected and refused for forSeconds (default 10)",
        listener=Listener.CLOSED,
        closes_sessions=True,
        default_for_seconds=10.0,
    ),
    "clockjump": Behaviour(
        description="timestamps jump by offsetSeconds (default 3600) and back, every everySeconds (default 5)",
        clock_jumps=True,
        default_every_seconds=5.0,
    ),
    "freeze": Behaviour(
        description="one picture goes on, with running timestamps",
        variant=Variant.FROZEN,
    ),
    "slow": Behaviour(
        description="two fifths of the frame rate",
        variant=Variant.SLOW,
    ),
    "black": Behaviour(
        description="the picture is black, with a little noise",
        variant=Variant.BLACK,
    ),
    "overexposed": Behaviour(
        description="the picture is washed out to white",
        variant=Variant.OVEREXPOSED,
    ),
    "covered": Behaviour(
        description="something hangs before most of the lens",
        variant=Variant.COVERED,
    ),
    "defocused": Behaviour(
        description="the lens is out of focus",
        variant=Variant.DEFOCUSED,
    ),
    "moved": Behaviour(
        description="the camera was knocked and looks somewhere else",
        variant=Variant.MOVED,
    ),
}

#: Shortest period of a repeated act: enough for a client to come back and be seen.
MIN_EVERY_SECONDS: Final = 0.5
MAX_SECONDS: Final = 7 * 24 * 3600.0
MIN_OFFSET_SECONDS: Final = 0.1
#: RTP timestamps of a 90 kHz clock are 32 bits wide: a longer jump would look like a shorter one, backwards.
MAX_OFFSET_SECONDS: Final = 20_000.0
DEFAULT_OFFSET_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as it was asked for."""

    name: str = NONE
    #: Period of a fault that acts again and again, seconds.
    every_seconds: float | None = None
    #: The fault ends by itself after this time, seconds.
    for_seconds: float | None = None
    #: How far timestamps jump, seconds.
    offset_seconds: float = DEFAULT_OFFSET_SECONDS

    @property
    def behaviour(self) -> Behaviour:
        """What the camera does under this fault."""
        return FAULTS[self.name]

    @property
    def is_single_act(self) -> bool:
        """Whether the camera is in good order right after the fault was switched on."""
        return self.behaviour.momentary and self.every_seconds is None

    def to_json(self) -> dict[str, object]:
        """The fault as `parse_fault` reads it; parameters that do not apply are left out."""
        body: dict[str, object] = {"fault": self.name}
        if self.every_seconds is not None:
            body["everySeconds"] = self.every_seconds
        if self.for_seconds is not None:
            body["forSeconds"] = self.for_seconds
        if self.behaviour.clock_jumps:
            body["offsetSeconds"] = self.offset_seconds
        return body

    def __str__(self) -> str:
        parameters = {key: value for key, value in self.to_json().items() if key != "fault"}
        return " ".join([self.name, *(f"{key}={value:g}" for key, value in parameters.items())])


NO_FAULT: Final = Fault()


def parse_fault(value: object, field: str = "fault") -> Fault:
    """Read a fault from decoded JSON: a name, or an object with `fault` and its parameters.

    Raises:
        ConfigError: names the field that is wrong and what is allowed.
    """
    body = {"fault": value} if isinstance(value, str) else value
    if not isinstance(body, dict):
        raise ConfigError(f'{field}: expected a name or an object like {{"fault": "stall"}}')
    unknown = sorted(set(body) - {"fault", "everySeconds", "forSeconds", "offsetSeconds"})
    if unknown:
        raise ConfigError(f"{unknown[0]}: unknown field; allowed are fault, everySeconds, forSeconds, offsetSeconds")
    name = body.get("fault")
    if not isinstance(name, str) or name not in FAULTS:
        raise ConfigError(f"{field}: {name!r} is no fault; allowed are {', '.join(FAULTS)}")
    behaviour = FAULTS[name]
    every = _number(body, "everySeconds", MIN_EVERY_SECONDS, MAX_SECONDS)
    if every is not None and not (behaviour.momentary or behaviour.clock_jumps):
        raise ConfigError(f"everySeconds: {name} does not repeat; only kick and clockjump do")
    duration = _number(body, "forSeconds", 0.0, MAX_SECONDS)
    if duration is not None and name == NONE:
        raise ConfigError("forSeconds: a camera without a fault stays that way")
    if duration is not None and behaviour.momentary and every is None:
        raise ConfigError(f"forSeconds: {name} happens once unless everySeconds is given")
    offset = _number(body, "offsetSeconds", MIN_OFFSET_SECONDS, MAX_OFFSET_SECONDS)
    if offset is not None and not behaviour.clock_jumps:
        raise ConfigError(f"offsetSeconds: {name} leaves timestamps alone; only clockjump moves them")
    return Fault(
        name=name,
        every_seconds=behaviour.default_every_seconds if every is None else every,
        for_seconds=behaviour.default_for_seconds if duration is None else duration,
        offset_seconds=DEFAULT_OFFSET_SECONDS if offset is None else offset,
    )


def _number(body: dict[str, object], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    # bool is a number to Python, but not to whoever wrote the JSON.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key}: expected a number of seconds")
    if not low <= value <= high:
        raise ConfigError(f"{key}: {value:g} is outside {low:g} to {high:g} seconds")
    return float(value)
