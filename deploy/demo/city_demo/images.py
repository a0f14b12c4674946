"""The images of the demo, each tagged by a hash of what goes into it, so that only what changed is rolled out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Image:
    """One target of ``deploy/Dockerfile``."""

    target: str
    #: Last part of the image's name.
    name: str
    #: Files and folders, relative to the repository, that the target copies.
    inputs: tuple[str, ...]

    def tag(self) -> str:
        """Twelve hexadecimal digits that change when the image would."""
        digest = hashlib.sha256(self.target.encode())
        for path in _files(self.inputs):
            digest.update(str(path.relative_to(REPOSITORY)).encode())
            digest.update(path.read_bytes())
        digest.update(DOCKERFILE.read_bytes())
        return digest.hexdigest()[:12]


def _files(inputs: tuple[str, ...]) -> Iterator[Path]:
    for name in inputs:
        path = REPOSITORY / name
        found = [path] if path.is_file() else path.rglob("*")
        yield from sorted(file for file in found if file.is_file() and "__pycache__" not in file.parts)


_PROJECT = ("pyproject.toml", "README.md", "LICENSE", "crds/camera_api", "deploy/requirements/build.txt")

OPERATOR = Image(
    "operator",
    "camera-operator",
    (*_PROJECT, "operator/camera_operator", "deploy/requirements/operator.txt"),
)
WORKER = Image(
    "worker",
    "camera-worker",
    (*_PROJECT, "workers/camera_worker", "deploy/requirements/worker.txt"),
)
SIMULATOR = Image("simulator", "camera-simulator", ("deploy/simulator/camera_simulator",))
PROMETHEUS = Image("prometheus", "city-prometheus", ())

IMAGES = (OPERATOR, WORKER, SIMULATOR, PROMETHEUS)
