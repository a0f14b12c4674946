"""Cameras without a network: what a test says comes from the camera, on a clock that the test moves.

In: settings of a camera and a script of what it does. Out: health, counters, calls of the opener.
Real: everything between ``StreamOpener`` and ``Camera.health``. Not real: FFmpeg, the network, time, threads.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2
import pytest
from pydantic import SecretStr

from bench.picture.effects import Effect, Frame, Moment
from camera_api.assignment import AssignedCamera, AssignedSource, Assignment, Credentials, Role, SourceKind
from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.camera import Camera, Surroundings
from camera_worker.ingest.slots import OpenSlots
from camera_worker.ingest.source import KeyFrame, StreamInfo, Timeouts
from unit.worker.picture.scenes import street

#: 2030-01-31T12:00:00Z
WALL_CLOCK_START = 1_896_091_200.0
FRAME_S = 0.04


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL_CLOCK_START + self.now - 1000.0


@dataclass
class FakePicture:
    shown: Frame
    is_corrupt: bool = False
    width: int = 1280
    height: int = 720

    def luma(self) -> Frame:
        return self.shown

    def is_grey(self) -> bool:
        return False


@dataclass
class FakePacket:
    seconds: float | None
    is_key: bool = False
    size: int = 1000
    decoded: list[float] = field(default_factory=list)
    corrupt: bool = False
    shown: Callable[[], Frame] = lambda: street(1)
    height: int = 720

    @property
    def decode_seconds(self) -> float | None:
        return self.seconds

    def data(self) -> bytes:
        return bytes(self.size)

    def decode(self) -> FakePicture | None:
        self.decoded.append(self.seconds or 0.0)
        return FakePicture(self.shown(), is_corrupt=self.corrupt, width=self.height * 16 // 9, height=self.height)

    def key_frame(self, kept: memoryview | None = None) -> KeyFrame:
        del kept
        encoded, data = cv2.imencode(".jpg", self.shown())
        assert encoded
        return KeyFrame("mjpeg", b"", data.tobytes())


@dataclass
class Video:
    """A stream that delivers for some seconds and then fails, or asks the thread to do something else."""

    seconds: float
    ends: StreamError | Callable[[], None] | None = None
    key_every: int = 50
    clock: Clock = field(default_factory=Clock)
    info: StreamInfo = field(default=StreamInfo("h264", 1280, 720, "TCP"))
    decoded: list[float] = field(default_factory=list)
    closed: bool = False
    #: What happens to the picture at a second of the video; None: it shows a street in good order.
    effect: Callable[[float], Effect | None] = lambda _: None
    #: Whether the key frame at a second of the video is damaged.
    corrupt: Callable[[float], bool] = lambda _: False
    height: int = 720

    def packets(self) -> Iterator[FakePacket]:
        for number in range(round(self.seconds / FRAME_S)):
            self.clock.now += FRAME_S
            seconds = number * FRAME_S
            yield FakePacket(
                seconds,
                is_key=number % self.key_every == 0,
                decoded=self.decoded,
                corrupt=self.corrupt(seconds),
                shown=partial(self._show, seconds, round(self.clock.now / FRAME_S)),
                height=self.height,
            )
        if isinstance(self.ends, StreamError):
            raise self.ends
        if self.ends is not None:
            self.ends()
        yield FakePacket(self.seconds, decoded=self.decoded)
        raise StreamError(Fault.DISCONNECTED, "the script has ended")

    def _show(self, seconds: float, number: int) -> Frame:
        frame, effect = street(number), self.effect(seconds)
        moment = Moment(frame=number, key=number, seed=3, severity=1, frozen=street(0))
        return frame if effect is None else effect(frame, moment)

    def lost_packets(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


Step = Video | Exception


@dataclass
class FakeOpener:
    """Answers tries in order: a video, or an error of the connection (not ``connected``) or of the session."""

    clock: Clock
    script: list[Step] = field(default_factory=list)
    exhausted: Callable[[], None] = lambda: None
    tries: list[tuple[float, str, Credentials | None]] = field(default_factory=list)

    def connect(self, source: AssignedSource, timeouts: Timeouts) -> None:
        del source, timeouts
        if not self.script:
            self.exhausted()
            raise StreamError(Fault.DISCONNECTED, "the script has ended", connected=False)
        step = self.script[0]
        if isinstance(step, StreamError) and not step.connected:
            self.tries.append((self.clock.now, "", None))
            raise self.script.pop(0)  # type: ignore[misc]

    def open(
        self, source: AssignedSource, credentials: Credentials | None, *, transport: str, timeouts: Timeouts
    ) -> Video:
        del source, timeouts
        self.tries.append((self.clock.now, transport, credentials))
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        step.clock = self.clock
        return step


class Bench:
    """One camera whose thread's work is done in the test's thread, waits included."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.opener = FakeOpener(self.clock)
        self.changes = 0
        self.waits: list[float] = []
        self.on_wait: Callable[[float], None] = lambda _: None
        self.surroundings = Surroundings(
            opener=self.opener,
            clock=self.clock,
            wall_clock=self.clock.wall,
            slots=OpenSlots(8),
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    def camera(self, **settings: Any) -> Camera:
        camera = Camera(assigned(**settings), self.surroundings)
        self.opener.exhausted = camera.stop

        def wait(seconds: float | None = None) -> bool:
            self.waits.append(seconds or 0.0)
            self.on_wait(seconds or 0.0)
            self.clock.now += seconds or 0.0
            return False

        camera._lock = _Lock(wait)
        return camera

    def run(self, camera: Camera, *script: Step) -> None:
        """Lets the camera's thread work through the script."""
        self.opener.script = list(script)
        camera._run()


class _Lock(threading.Condition):
    """A condition whose wait moves the test's clock."""

    def __init__(self, wait: Callable[[float | None], bool]) -> None:
        super().__init__()
        self._wait = wait

    def wait(self, timeout: float | None = None) -> bool:
        return self._wait(timeout)


def assigned(name: str = "door", **settings: Any) -> AssignedCamera:
    """A camera of an assignment."""
    source = settings.pop("source", None) or AssignedSource(
        kind=SourceKind.RTSP, main_url=f"rtsp://192.0.2.7:554/{name}"
    )
    return AssignedCamera(
        namespace="city", name=name, uid=settings.pop("uid", f"uid-{name}"), source=source, **settings
    )


def make_assignment(*cameras: AssignedCamera, revision: int = 1, **fields: Any) -> Assignment:
    return Assignment(
        worker="lobby-ingest-0",
        namespace="city",
        role=fields.pop("role", Role.INGEST),
        group="lobby",
        category="shops",
        revision=revision,
        bearer_token=SecretStr("token-of-the-worker"),
        cameras=cameras,
        **fields,
    )


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def video() -> type[Video]:
    return Video


@pytest.fixture(name="assigned")
def assigned_fixture() -> Callable[..., AssignedCamera]:
    return assigned


@pytest.fixture(name="make_assignment")
def make_assignment_fixture() -> Callable[..., Assignment]:
    return make_assignment
