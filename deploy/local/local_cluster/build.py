"""The Kubernetes binary, and KWOK: built once from ``kubebox/`` and ``kwok/`` by Go, then cached by source hash."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.errors import BuildError, PreflightError
from local_cluster.locks import exclusive
from local_cluster.paths import KUBEBOX_SOURCE, KWOK_SOURCE, cache_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_cluster.progress import Reporter, Step

SOURCES = ("main.go", "go.mod", "go.sum", "pause/main.go")
KWOK_SOURCES = ("go.mod", "go.sum")
COMPONENTS = (
    "coredns",
    "etcd",
    "helm",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
MINIMUM_GO = (1, 26)
# Measured: 1.2 GB of modules, 3 GB of build cache, and room for linking.
COLD_BUILD_BYTES = 6 * 1000**3
WARM_BUILD_BYTES = 1 * 1000**3
_EXISTING_CLUSTER_HINT = (
    "install Go 1.26 or newer (a download of the Go project; distributions are often older), "
    "or use a cluster that you already have: point KUBECONFIG at it, and the demo runs there"
)


def ensure_kubebox(reporter: Reporter) -> Path:
    """The folder with one link per component name; builds the binary first when the sources changed.

    Raises:
        PreflightError: Go is missing or too old, or the disk is too full for a build.
        BuildError: the build failed.
    """
    folder = cache_root() / "kubebox" / source_digest()
    if is_built(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.parent / ".lock", reporter, "another build of the same binary"):
        if not is_built(folder):
            _build(folder, reporter)
    return folder


def ensure_kwok(reporter: Reporter) -> Path:
    """The program KWOK, which plays kubelets of nodes that do not exist; builds it first when ``kwok/`` changed.

    No cluster needs it: benchmarks ask for it.

    Raises:
        PreflightError: Go is missing or too old.
        BuildError: the build failed.
    """
    program = cache_root() / "kwok" / source_digest(KWOK_SOURCE, KWOK_SOURCES) / "kwok"
    if program.exists():
        return program
    folder = program.parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / ".lock", reporter, "another build of KWOK"):
        if not program.exists():
            go = find_go()
            with (
                tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as temporary,
                reporter.step("Compiling KWOK, once: about 3 minutes on 2 cores when nothing is cached") as step,
            ):
                target = Path(temporary) / program.parent.name
                command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", f"{target}/"]
                _run_go([*command, "sigs.k8s.io/kwok/cmd/kwok"], step, {"CGO_ENABLED": "0"}, source=KWOK_SOURCE)
                _remove_unused(folder)
                target.rename(program.parent)
    return program


def is_built(folder: Path | None = None) -> bool:
    """Whether the binary of the present sources is in the cache."""
    folder = folder or cache_root() / "kubebox" / source_digest()
    return (folder / "kubebox").exists()


def source_digest(source: Path = KUBEBOX_SOURCE, names: Sequence[str] = SOURCES) -> str:
    """Hash of everything that makes a different binary: the sources and the processor architecture."""
    digest = hashlib.sha256(platform.machine().encode())
    for name in names:
        content = (source / name).read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def kubernetes_version(source: Path = KUBEBOX_SOURCE) -> str:
    """The version that ``go.mod`` asks for, for example ``v1.36.3``."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (source / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildError(f"{source / 'go.mod'} requires no k8s.io/kubernetes")
    return found.group(1)


def find_go() -> str:
    """Path of a Go toolchain that is new enough.

    Go's own place is looked at as well: sudo resets PATH to folders of the distribution.

    Raises:
        PreflightError: there is none, or only an older one.
    """
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise PreflightError(
            "the Go toolchain is missing; the local cluster is built from source", _EXISTING_CLUSTER_HINT
        )
    # GOTOOLCHAIN=local: an older Go would otherwise silently download a newer one.
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    version = answer.stdout.strip()
    if parse_go_version(version) < MINIMUM_GO:
        wanted = ".".join(map(str, MINIMUM_GO))
        raise PreflightError(f"{go} is {version or 'unusable'}, but Go {wanted} is needed", _EXISTING_CLUSTER_HINT)
    return go


def parse_go_version(text: str) -> tuple[int, int]:
    """Major and minor of ``go1.26.8``, ``go1.27rc1`` or ``go1.26-custom``; (0, 0) for anything else."""
    found = re.match(r"go(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def check_build_space(go: str) -> None:
    """Refuse a build that would fill the disk half-way.

    Raises:
        PreflightError: a folder that the build writes to has too little room.
    """
    answer = subprocess.run(
        [go, "env", "GOCACHE", "GOMODCACHE"], cwd="/", capture_output=True, text=True, check=True
    ).stdout.splitlines()
    modules = Path(answer[1])
    warm = (modules / "k8s.io" / f"kubernetes@{kubernetes_version()}").exists()
    needed = WARM_BUILD_BYTES if warm else COLD_BUILD_BYTES
    for folder in (Path(answer[0]), modules, cache_root()):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise PreflightError(
                f"building Kubernetes needs {needed / 1e9:.0f} GB of disk, but {existing} has {free / 1e9:.1f} GB left",
                "free some space, or move the caches with GOCACHE, GOMODCACHE and XDG_CACHE_HOME",
            )


def _build(folder: Path, reporter: Reporter) -> None:
    go = find_go()
    check_build_space(go)
    version = kubernetes_version()
    major, minor = version.removeprefix("v").split(".")[:2]
    settings = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in settings.items())
    reporter.say(
        f"Building Kubernetes {version} from source, once: about 5 minutes on 2 cores when nothing is cached, "
        f"{COLD_BUILD_BYTES / 1e9:.0f} GB of disk"
    )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".build-") as temporary:
        target = Path(temporary) / folder.name
        target.mkdir()
        with reporter.step("Fetching the Go modules") as step:
            packages = _run_go([go, "list", "-deps", "."], step, {}).splitlines()
            step.outcome = f"{len(packages)} packages"
        command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-o", str(target / "kubebox")]
        with reporter.step(f"Compiling {len(packages)} packages") as step:
            _run_go([*command, "-ldflags", f"-s -w {stamps}", "."], step, {}, total=len(packages))
        with reporter.step("Compiling the pause program") as step:
            command[-1] = str(target / "pause")
            _run_go([*command, "-ldflags", "-s -w", "./pause"], step, {"CGO_ENABLED": "0"})
        for name in COMPONENTS:
            (target / name).symlink_to("kubebox")
        _remove_unused(folder.parent)
        target.rename(folder)


def _run_go(
    command: list[str], step: Step, environment: dict[str, str], total: int = 0, source: Path = KUBEBOX_SOURCE
) -> str:
    """Run Go in a source folder and show each package it names; returns its standard output."""
    tail: deque[str] = deque(maxlen=20)
    done = 0
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            command,
            cwd=source,
            env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", **environment},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        for line in process.stderr or ():
            tail.append(line.rstrip())
            done += 1
            counter = f"{min(done, total)} of at most {total}, " if total else ""
            step.update(counter + line.strip().removeprefix("go: "))
        process.wait()
        output.seek(0)
        result = output.read()
    if process.returncode != 0:
        raise BuildError(
            f"`{' '.join(command[:2])}` failed with exit code {process.returncode}:\n" + "\n".join(tail),
            "modules come from the proxy that `go env GOPROXY` names; a build that was interrupted continues "
            "where it stopped",
        )
    return result


def _remove_unused(folder: Path) -> None:
    """Remove binaries of earlier sources that no process runs."""
    in_use = set()
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            in_use.add(link.readlink().parent)
        except OSError:
            continue
    for old in folder.iterdir():
        if old.is_dir() and not old.name.startswith(".") and old not in in_use:
            shutil.rmtree(old)
