"""RTSP and HTTP servers by others, as cameras: what they are called by, how they are started, and how they break.

None of them can switch a fault, so a process is killed, stopped in its tracks, or asked for what it has not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from camera_api.assignment import HealthThresholds
from camera_api.camera import Transport
from camera_api.faults import Fault
from simulator_process import SimulatorProcess
from wire.cases import OFFLINE_AFTER_S, STALL_KNOWN_WITHIN_S, Case
from wire.network import CameraNetwork
from wire.ports import accepts, free_port
from worker_process import camera

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from camera_api.assignment import AssignedCamera

USER: Final = "viewer"
PASSWORD: Final = "s3cret-password"
WRONG_PASSWORD: Final = "another-password"
_NOBODY: Final = 65_534
_START_TIMEOUT_S: Final = 20.0
GO2RTC_VERSION: Final = "v1.9.9"
_GO2RTC: Final = Path.home() / ".cache" / "camera-operator" / f"go2rtc-{GO2RTC_VERSION.removeprefix('v')}" / "go2rtc"


@dataclass(slots=True)
class ForeignServer:
    """Processes that together are a camera, and can be ended, halted and started again."""

    commands: tuple[tuple[str, ...], ...]
    host: str
    port: int
    folder: Path
    user: int | None = None  #: id; None: ours
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Starts it and waits until it accepts connections."""
        for number, command in enumerate(self.commands):
            with (self.folder / f"log-{number}").open("ab") as log:
                self._running.append(
                    subprocess.Popen(
                        command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, user=self.user,
                        group=self.user, extra_groups=None if self.user is None else [], start_new_session=True,
                        env={**os.environ, "HOME": str(self.folder)},
                    )
                )  # fmt: skip
            if number == 0:
                self._wait()

    def end(self) -> None:
        """Ends it at once, as a power cut does."""
        for process in self._running:
            self._signal(process, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def halt(self) -> None:
        """Its device hangs: the kernel goes on, nothing else."""
        for process in self._running:
            self._signal(process, signal.SIGSTOP)

    def go_on(self) -> None:
        """After ``halt``."""
        for process in self._running:
            self._signal(process, signal.SIGCONT)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        # With the encoders that it has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not accepts(self.host, self.port):
            assert time.monotonic() < deadline, (self.folder / "log-0").read_text(errors="replace")
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class ForeignKind:
    """One product."""

    name: str
    codec: str
    transport: Transport
    shown: str  #: transport, for people
    account: str  #: Basic or Digest; empty: it knows none
    make: Callable[[ExitStack, Path, Path], tuple[ForeignServer, str]]
    missing: Callable[[], str]  #: how to install it; empty: it is there
    #: Knows which paths there are.
    knows_paths: bool = True
    #: Transport that it refuses, and that is tried.
    refuses: Transport | None = None


def _debian(tool: str, packages: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(tool) else f"apt-get install --no-install-recommends {packages}"


def _go2rtc_missing() -> str:
    if _GO2RTC.exists():
        return ""
    return (
        f"go mod init example.invalid/go2rtc && go mod edit -require github.com/AlexxIT/go2rtc@{GO2RTC_VERSION} && "
        f"CGO_ENABLED=0 GOFLAGS=-mod=mod go build -o {_GO2RTC} github.com/AlexxIT/go2rtc"
    )


def _push(clip: Path, url: str, transport: str) -> tuple[str, ...]:
    """FFmpeg, playing a clip for ever into a server."""
    # Parameter sets with every key frame, for those who come later.
    return ("ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy",
            "-bsf:v", "h264_mp4toannexb", "-rtsp_transport", transport, "-f", "rtsp", url)  # fmt: skip


def _vlc(folder: Path, clip: Path, *output: str) -> tuple[str, ...]:
    del folder
    return ("cvlc", "-I", "dummy", "--no-dbus", "--no-audio", "--loop", str(clip), "--sout-keep", *output)


def _make_vlc_rtsp(_: ExitStack, folder: Path, clip: Path) -> tuple[ForeignServer, str]:
    port = free_port()
    output = f"#rtp{{sdp=rtsp://127.0.0.1:{port}/gate}}"
    account = ("--sout-rtsp-user", USER, "--sout-rtsp-pwd", PASSWORD)
    command = _vlc(folder, clip, "--sout", output, *account)
    return ForeignServer((command,), "127.0.0.1", port, folder, _NOBODY), f"rtsp://127.0.0.1:{port}/gate"


def _make_vlc_http(_: ExitStack, folder: Path, clip: Path) -> tuple[ForeignServer, str]:
    port = free_port()
    access = f"http{{user={USER},pwd={PASSWORD}}}"
    command = _vlc(folder, clip, "--sout", f"#standard{{access={access},mux=ts,dst=127.0.0.1:{port}/gate}}")
    return ForeignServer((command,), "127.0.0.1", port, folder, _NOBODY), f"http://127.0.0.1:{port}/gate"


def _make_perl(_: ExitStack, folder: Path, clip: Path) -> tuple[ForeignServer, str]:
    port, source = free_port(), free_port()
    # Four ports for each stream, the same ones in every process unless told otherwise.
    first = str(free_port() & ~7)
    addresses = (
        "--client_listen_address",
        "127.0.0.1",
        "--source_listen_address",
        "127.0.0.1",
        "--rtp_start_port",
        first,
    )
    server = ("rtsp-server-perl", "-c", str(port), "-s", str(source), *addresses)
    push = _push(clip, f"rtsp://127.0.0.1:{source}/gate", "udp")
    return ForeignServer((server, push), "127.0.0.1", port, folder), f"rtsp://127.0.0.1:{port}/gate"


def _make_go2rtc(stack: ExitStack, folder: Path, clip: Path) -> tuple[ForeignServer, str]:
    # It asks nobody on its own host for a password.
    network = stack.enter_context(CameraNetwork())
    port = free_port()
    config = folder / "go2rtc.yaml"
    source = " ".join(_push(clip, "{output}", "tcp"))
    config.write_text(
        'api: {listen: ""}\nwebrtc: {listen: ""}\nsrtp: {listen: ""}\n'
        f'rtsp: {{listen: ":{port}", username: {USER}, password: {PASSWORD}}}\n'
        f'streams:\n  gate: "exec:{source}"\n'
    )
    command = (*network.command, str(_GO2RTC), "-config", str(config))
    return ForeignServer((command,), network.address, port, folder), f"rtsp://{network.address}:{port}/gate"


def _make_motion(stack: ExitStack, folder: Path, _clip: Path) -> tuple[ForeignServer, str]:
    simulator = stack.enter_context(SimulatorProcess([{"name": "gate", "codec": "mjpeg", "protocol": "http"}]))
    port = free_port()
    settings = {
        "netcam_url": simulator.url("gate"),
        "width": 640, "height": 480, "framerate": 10, "threshold": 100_000,
        "stream_port": port, "stream_localhost": "on", "stream_maxrate": 25, "stream_motion": "off",
        "stream_auth_method": 2, "stream_authentication": f"{USER}:{PASSWORD}",
        "webcontrol_port": 0, "picture_output": "off", "movie_output": "off", "target_dir": folder,
    }  # fmt: skip
    config = folder / "motion.conf"
    config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    server = ForeignServer((("motion", "-n", "-c", str(config)),), "127.0.0.1", port, folder)
    return server, f"http://127.0.0.1:{port}/"


_VLC_MISSING: Final = _debian("cvlc", "vlc-bin vlc-plugin-base")
_PERL_MISSING: Final = _debian("rtsp-server-perl", "rtsp-server-perl")
_MOTION_MISSING: Final = _debian("motion", "motion")
_TCP, _UDP, _AUTO = Transport.TCP, Transport.UDP, Transport.AUTO

KINDS: Final = (
    ForeignKind("VLC", "h264", _UDP, "UDP", "Digest", _make_vlc_rtsp, _VLC_MISSING, refuses=_TCP),
    ForeignKind("VLC", "h264", _AUTO, "HTTP", "Basic", _make_vlc_http, _VLC_MISSING),
    ForeignKind("rtsp-server-perl", "h264", _UDP, "UDP", "", _make_perl, _PERL_MISSING, refuses=_TCP),
    ForeignKind("motion", "mjpeg", _AUTO, "HTTP", "Digest", _make_motion, _MOTION_MISSING, knows_paths=False),
    ForeignKind("go2rtc 1.9.9", "h264", _TCP, "TCP", "Basic", _make_go2rtc, _go2rtc_missing, refuses=_UDP),
)


def clip_file(folder: Path) -> Path:
    """The simulator's 720p clip in a container, for players of files."""
    with SimulatorProcess(1) as simulator:
        # It is encoded now, if it was not.
        footage = next((simulator.footage).glob("h264-720p-normal-*.h264"))
    path = folder / "clip.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-r", "10", "-i", str(footage), "-c", "copy", str(path)]
    subprocess.run(command, check=True)
    # VLC plays as somebody else.
    path.chmod(0o644)
    return path


def foreign_cases(stack: ExitStack, kind: ForeignKind, folder: Path, clip: Path) -> list[Case]:
    """Starts servers of a kind, and gives the ways in which they break."""
    hint = kind.name.split()[0].lower() + "-" + kind.shown.lower()

    def server(purpose: str) -> tuple[ForeignServer, str, Path]:
        home = folder / f"{hint}-{purpose}"
        home.mkdir()
        if os.geteuid() == 0:
            os.chown(home, _NOBODY, _NOBODY)
        started, url = kind.make(stack, home, clip)
        stack.callback(started.end)
        started.start()
        return started, url, home

    killed, killed_url, _ = server("killed")
    halted, halted_url, _ = server("halted")
    _, url, _ = server("asked")
    password = PASSWORD if kind.account else None

    def settings(
        name: str, url: str, password: str | None = password, transport: Transport = kind.transport
    ) -> AssignedCamera:
        thresholds = HealthThresholds(offline_after_seconds=OFFLINE_AFTER_S)
        return camera(f"{hint}-{name}", url, password, transport=transport, health=thresholds)

    def case(fault: str, expected: Fault, watched: AssignedCamera, break_: Any, mend: Any, **more: Any) -> Case:
        name = f"{kind.name}, {kind.account}" if kind.account else kind.name
        return Case(server=name, codec=kind.codec, transport=kind.shown, fault=fault, expected=expected,
                    camera=watched, break_=break_, mend=mend, **more)  # fmt: skip

    cases = [
        case("process killed", Fault.CONNECTION_REFUSED, settings("killed", killed_url), killed.end, killed.start),
        case("process hangs", Fault.TIMED_OUT, settings("halted", halted_url), halted.halt, halted.go_on,
             first=Fault.STALLED, known_within_s=STALL_KNOWN_WITHIN_S),
    ]  # fmt: skip
    changed: list[tuple[str, Fault, dict[str, Any]]] = []
    if kind.account:
        changed.append(("401: wrong in the Secret", Fault.AUTH_FAILED, {"password": WRONG_PASSWORD}))
    if kind.knows_paths:
        changed.append(("404: no such path", Fault.STREAM_NOT_FOUND, {"url": f"{url}-not"}))
    if kind.refuses is not None:
        fault = f"461: {kind.refuses.value} only asked for"
        changed.append((fault, Fault.UNSUPPORTED_TRANSPORT, {"transport": kind.refuses}))
    for fault, expected, change in changed:
        name = expected.value.lower()
        right, wrong = settings(name, url), settings(name, **{"url": url, **change})
        cases.append(case(fault, expected, right, _giving(wrong), _giving(right)))
    return cases


def _giving(settings: AssignedCamera) -> Callable[[], AssignedCamera]:
    return lambda: settings
