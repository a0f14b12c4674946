"""The ingest worker as a child process, with its assignment's file and its API, for every suite that needs one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final, Self

from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from camera_api.assignment import (
    ASSIGNMENT_KEY,
    AssignedCamera,
    AssignedSource,
    Assignment,
    Credentials,
    HealthThresholds,
    Role,
    SourceKind,
)
from camera_api.camera import Transport
from camera_api.health import CameraHealth, HealthReport, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from camera_api.faults import Fault

TOKEN: Final = "token-of-the-worker"
OFFLINE_AFTER_S: Final = 4.0


class Worker:
    """A worker's process, its assignment's file and its API.

    Args:
        folder: for the assignment, what is remembered, and the log.
        program: what Python is to run.
    """

    def __init__(self, folder: Path, *, program: Sequence[str] = ("-m", "camera_worker")) -> None:
        self._program = program
        self._assignment = folder / ASSIGNMENT_KEY
        self._memory = folder / "memory"
        self.log = folder / "log"
        self.revision = 0
        self.cameras: dict[str, AssignedCamera] = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, *self._program, "--assignment", str(self._assignment)]
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--log-level", "debug"]
        sources = os.pathsep.join(path for path in sys.path if path.endswith(("crds", "workers")))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *options, "--memory", str(self._memory)],
                stderr=log,
                stdout=log,
                env={**os.environ, "PYTHONPATH": sources},
            )
        eventually(self._is_up, 15, "the worker's API")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.terminate()

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self._port}"

    def terminate(self) -> tuple[int, float]:
        """Exit code, and the seconds that it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10), time.monotonic() - began
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def assign(self, *added: AssignedCamera, removed: tuple[str, ...] = ()) -> None:
        """Adds, replaces and removes cameras, and waits for the acknowledgement."""
        self.cameras.update({camera.name: camera for camera in added})
        for name in removed:
            del self.cameras[name]
        self.revision += 1
        assignment = Assignment(
            worker="lobby-ingest-0",
            namespace="city",
            role=Role.INGEST,
            group="lobby",
            category="shops",
            revision=self.revision,
            bearer_token=SecretStr(TOKEN),
            cameras=tuple(sorted(self.cameras.values(), key=lambda camera: camera.name)),
        )
        new = self._assignment.with_suffix(".new")
        new.write_text(assignment.to_secret_text())
        new.replace(self._assignment)
        eventually(lambda: self.report().acknowledged_revision == self.revision, 10, "the acknowledgement")

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=35) as response:
            body: bytes = response.read()
        return body

    def report(self, query: str = "") -> HealthReport:
        try:
            return HealthReport.model_validate_json(self.get(f"/v1/health{query}"))
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
        # Before the first assignment.
        return HealthReport(worker="", instance="", acknowledged_revision=0, cursor=0, full=True)

    def health(self, name: str) -> CameraHealth:
        return next(camera for camera in self.report().cameras if camera.name == name)

    def wait_for(self, name: str, verdict: Verdict, fault: Fault | None = None, *, within_s: float) -> CameraHealth:
        def reached() -> bool:
            health = self.health(name)
            reason = health.faults[0].fault if health.faults else None
            return (health.verdict, reason) == (verdict, fault)

        what = f"{name} {verdict.value} {fault.value if fault else ''}"
        eventually(reached, within_s, what, lambda: self.health(name).model_dump_json())
        return self.health(name)

    def metric(self, name: str, camera: str, **labels: str) -> float | None:
        for family in text_string_to_metric_families(self.get("/metrics").decode()):
            for sample in family.samples:
                if sample.name == name and {"camera": camera, **labels}.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def counters(self, name: str) -> dict[str, float]:
        """One metric's value by camera, in one request."""
        return {
            sample.labels["camera"]: float(sample.value)
            for family in text_string_to_metric_families(self.get("/metrics").decode())
            for sample in family.samples
            if sample.name == name and "camera" in sample.labels
        }

    def frames(self, camera: str) -> float:
        return self.metric("camera_frames_total", camera) or 0.0

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.get("/healthz")
        except urllib.error.URLError:
            return False
        return True


def eventually(
    condition: Callable[[], bool], within_s: float, what: str, found: Callable[[], str] = lambda: ""
) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s; {found()}"
        time.sleep(0.05)


def camera(name: str, url: str, password: str | None = None, **settings: Any) -> AssignedCamera:
    # https and rtsps are the same protocols, over TLS.
    kind = SourceKind(urllib.parse.urlsplit(url).scheme.removesuffix("s"))
    credentials = None if password is None else Credentials(username="viewer", password=SecretStr(password))
    thresholds = settings.pop("health", None) or HealthThresholds(
        offline_after_seconds=OFFLINE_AFTER_S, min_frames_per_second_ratio=0.7
    )
    source = AssignedSource(kind=kind, main_url=url, transport=settings.pop("transport", Transport.AUTO))
    return AssignedCamera(
        namespace="city",
        name=name,
        uid=f"uid-{name}",
        source=source,
        credentials=credentials,
        health=thresholds,
        **settings,
    )
