"""The camera simulator as a child process, for every suite that needs real cameras."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

_SIMULATOR: Final = Path(__file__).resolve().parents[1] / "deploy" / "simulator"
#: The bindings belong to the system's Python, whatever runs the tests.
_PYTHON: Final = "/usr/bin/python3"
#: Clips are encoded once per machine; a start with all of them in the cache takes under a second.
_START_TIMEOUT: Final = 240.0
_STOP_TIMEOUT: Final = 10.0
#: A picture fault may have to be encoded first.
_REQUEST_TIMEOUT: Final = 120.0
#: Below the range the kernel takes ports of outgoing connections from: a port must stay free while a camera refuses.
_PORTS: Final = range(20_000, 32_000)


class SimulatorUnavailableError(RuntimeError):
    """The simulator cannot run on this machine; the text says what to install."""


class SimulatorProcess:
    """Runs cameras for the time of a `with` block.

    Args:
        cameras: cameras as in the simulator's configuration file (only `name` is needed), or how many.
        bind: host address they listen on.
        host: start of the commands that run on the host with this address, where it is another one.

    Raises:
        SimulatorUnavailableError: GStreamer's Python bindings, ffmpeg or the footage are missing.
        RuntimeError: the simulator did not start; the text holds its log.
    """

    def __init__(
        self, cameras: Sequence[Mapping[str, Any]] | int, *, bind: str = "127.0.0.1", host: Sequence[str] = ()
    ) -> None:
        if isinstance(cameras, int):
            cameras = [{"name": f"camera-{number:03}"} for number in range(1, cameras + 1)]
        self._host = tuple(host)
        ports = self._free_ports(bind)
        self.bind = bind
        self.api_port = next(ports)
        self._cameras = {camera["name"]: {"port": next(ports), **camera} for camera in cameras}
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None
        #: Set when the process has ended.
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        require_simulator()
        with ExitStack() as stack:
            # The configuration holds passwords: a folder of one's own, readable by nobody else.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="camera-simulator-")))
            config = folder / "cameras.json"
            config.write_text(json.dumps(list(self._cameras.values())))
            self._log = folder / "log"
            command = [*self._host, _PYTHON, "-m", "camera_simulator", "--config", str(config), "--bind", self.bind]
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, "--api-port", str(self.api_port)], cwd=_SIMULATOR, stderr=log, stdout=log
                )
            stack.callback(self._stop)
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        """Process id, for measuring."""
        assert self._process is not None
        return self._process.pid

    @property
    def footage(self) -> Path:
        """Folder of the encoded clips; where that is, is the simulator's default."""
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camera-operator" / "footage"

    @property
    def log(self) -> str:
        """What the simulator has logged."""
        return self._log.read_text(errors="replace") if self._log is not None and self._log.exists() else ""

    def port(self, name: str) -> int:
        """TCP port of a camera."""
        return int(self._cameras[name]["port"])

    def url(self, name: str, stream: str = "main", *, credentials: bool = False) -> str:
        """Address of a camera's stream, with its user name and password if asked for."""
        camera = self._cameras[name]
        user_info = ""
        if credentials and camera.get("username"):
            user, password = (urllib.parse.quote(camera[key], safe="") for key in ("username", "password"))
            user_info = f"{user}:{password}@"
        return f"{camera.get('protocol', 'rtsp')}://{user_info}{self.bind}:{camera['port']}/{name}/{stream}"

    def set_fault(self, name: str, fault: str, **parameters: float) -> dict[str, Any]:
        """Switch a fault on; parameters are `everySeconds`, `forSeconds`, `offsetSeconds`."""
        return self.request("PUT", f"/cameras/{name}/fault", {"fault": fault, **parameters})

    def clear_fault(self, name: str) -> dict[str, Any]:
        """Put a camera in good order."""
        return self.request("DELETE", f"/cameras/{name}/fault")

    def cameras(self) -> dict[str, dict[str, Any]]:
        """State of every camera, by name."""
        return {camera["name"]: camera for camera in self.request("GET", "/cameras")["cameras"]}

    def camera(self, name: str) -> dict[str, Any]:
        """State of one camera."""
        return self.request("GET", f"/cameras/{name}")

    def add_camera(self, camera: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace a camera at run time."""
        name = camera["name"]
        declared = {"port": next(self._free_ports(self.bind)), **camera}
        if "port" not in camera and name in self._cameras:
            declared["port"] = self._cameras[name]["port"]
        answer = self.request("PUT", f"/cameras/{name}", declared)
        self._cameras[name] = declared
        return answer

    def remove_camera(self, name: str) -> None:
        """Remove a camera at run time."""
        self.request("DELETE", f"/cameras/{name}")
        del self._cameras[name]

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the HTTP API.

        Raises:
            urllib.error.HTTPError: it answered with an error; the body is JSON with `error`.
        """
        request = urllib.request.Request(
            f"http://{self.bind}:{self.api_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the camera simulator ended with {self._process.returncode}:\n{self.log}")
            try:
                self.request("GET", "/healthz")
            except urllib.error.URLError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"the camera simulator was not ready within {_START_TIMEOUT:g} s:\n{self.log}")

    def _free_ports(self, bind: str) -> Iterator[int]:
        if self._host:
            # On a host of its own nobody else listens; given twice, a port is refused by the simulator.
            return iter(random.sample(_PORTS, len(_PORTS)))
        return _free_ports(bind)

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.exit_code = process.returncode
        self._process = None


def require_simulator() -> None:
    """Raise SimulatorUnavailableError with the packages to install if the simulator cannot run here."""
    missing = []
    check = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
        "Gst.init(None); names = ('appsrc', 'rtph264pay', 'rtpbin'); "
        "raise SystemExit(not all(Gst.ElementFactory.find(name) for name in names))"
    )
    runnable = os.access(_PYTHON, os.X_OK)
    if not runnable or subprocess.run([_PYTHON, "-c", check], check=False, capture_output=True).returncode:
        missing.append("GStreamer's RTSP server and its Python bindings")
    if shutil.which("ffmpeg") is None:
        missing.append("ffmpeg")
    if missing:
        lines = (_SIMULATOR / "packages.txt").read_text().splitlines()
        packages = " ".join(line for line in lines if line and not line.startswith("#"))
        raise SimulatorUnavailableError(
            f"the camera simulator needs {' and '.join(missing)}; on Debian and Ubuntu: "
            f"apt-get install --no-install-recommends {packages}"
        )


def _free_ports(bind: str) -> Iterator[int]:
    """TCP ports nobody listens on, in random order so that parallel runs rarely meet."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((bind, port))
            except OSError:
                continue
        yield port
