"""The project's own image store, which buildah builds into, and the record of what was built from which inputs."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_cluster import containerd
from local_cluster.errors import BuildError
from local_cluster.locks import exclusive
from local_cluster.paths import cache_root, disk_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from local_cluster.progress import Reporter, Step

# A demo's images with the layers of a few builds take 4 GB.
CACHE_BYTES = 10 * 1000**3


class Buildah:
    """buildah with a store of the project's own, apart from the machine's."""

    def __init__(self) -> None:
        self.root = cache_root() / "images"
        self.root.mkdir(parents=True, exist_ok=True)
        # Decided once: a store cannot change its driver.
        marker = self.root / "driver"
        if not marker.exists():
            marker.write_text("overlay" if containerd.overlay_works(self.root) else "vfs")
        self._driver = marker.read_text()

    def command(self, *arguments: str) -> list[str]:
        """A command line on the store."""
        store = ["--root", str(self.root / "store"), "--runroot", str(self.root / "run")]
        return ["buildah", *store, "--storage-driver", self._driver, *arguments]

    def image_id(self, image: str) -> str | None:
        """Identity of an image; None when the store does not have it."""
        template = "{{.FromImageID}}"
        found = subprocess.run(
            self.command("inspect", "--type", "image", "--format", template, image),
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() or None if found.returncode == 0 else None

    def export(self, image: str, archive: Path) -> None:
        """Write an image to a docker archive."""
        run(self.command("push", "--quiet", image, f"docker-archive:{archive}:{image}"))

    @contextmanager
    def lock(self, reporter: Reporter) -> Iterator[None]:
        """Let one build at a time use the store."""
        with exclusive(self.root / ".lock", reporter, "another build of an image"):
            yield

    def remove_leftovers(self) -> None:
        """Remove working containers, and so the mounts, of builds that were killed; the lock must be held."""
        if self._output("containers", "--quiet"):
            run(self.command("rm", "--all"))

    def limit_cache(self, limit: int = CACHE_BYTES) -> bool:
        """Forget the layers of intermediate steps when the store has grown too large; the lock must be held.

        Images with a name stay; the next build of each has to repeat its steps.

        Returns:
            Whether the layers were removed.
        """
        if disk_bytes(self.root / "store") <= limit:
            return False
        # An image can be removed once no other builds upon it, so from the last steps to the first.
        before: set[str] = set()
        while (unnamed := self._unnamed()) and unnamed != before:
            subprocess.run(self.command("rmi", *sorted(unnamed)), capture_output=True, check=False)
            before = unnamed
        return True

    def _unnamed(self) -> set[str]:
        return set(self._output("images", "--quiet", "--no-trunc", "--filter", "dangling=true").split())

    def _output(self, *arguments: str) -> str:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=True).stdout


class Record:
    """What was built from which inputs: a small JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, image: str) -> dict[str, str] | None:
        """The entry of an image; None when it was never built."""
        return self._load().get(image)

    def set(self, image: str, entry: dict[str, str]) -> None:
        """Remember how an image was built."""
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({**self._load(), image: entry}, indent=2) + "\n")
        temporary.replace(self._path)

    def _load(self) -> dict[str, dict[str, str]]:
        try:
            entries: dict[str, dict[str, str]] = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return entries


def run(command: Sequence[str], step: Step | None = None) -> None:
    """Run a build tool and show its latest line.

    Raises:
        BuildError: it failed; its last lines are in the message.
    """
    tail: deque[str] = deque(maxlen=30)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if step is not None and line.strip():
                step.update(line.strip())
        process.wait()
    if process.returncode != 0:
        raise BuildError(f"{command[0]} failed with exit code {process.returncode}:\n" + "\n".join(tail))
