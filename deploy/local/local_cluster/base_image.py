"""The base image with Python, made of Debian packages."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import machine
from local_cluster.errors import BuildError
from local_cluster.image_store import Record, run
from local_cluster.paths import cache_root

if TYPE_CHECKING:
    from local_cluster.image_store import Buildah
    from local_cluster.progress import Reporter, Step

BASE_IMAGE = "localhost/python:3.11-slim-bookworm"
_BASE_SUITE = "bookworm"
_BASE_PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-venv")
# Documentation and what apt can fetch again: a third of the size.
_BASE_EXCLUDES = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
_BASE_INCLUDES = ("/usr/share/doc/*/copyright",)
_BASE_CLEANUP = (
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*',
    # The settings of this machine, which mmdebstrap leaves in the result.
    'rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap',
)
_MIRROR_VARIABLE = "CAMERA_OPERATOR_DEBIAN_MIRROR"
_BASE_DOCKERFILE = 'FROM scratch\nADD base.tar /\nENV LANG=C.UTF-8\nCMD ["python3"]\n'


def ensure(buildah: Buildah, reporter: Reporter, *, rebuild: bool = False) -> str:
    """Make the base image when it is missing; returns its identity."""
    archive = cache_root() / "base" / f"{recipe_digest()}.tar"
    if rebuild or not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with reporter.step(f"Making the base image from Debian {_BASE_SUITE} packages") as step:
            _bootstrap(archive, step)
        for old in archive.parent.glob("*.tar"):
            if old != archive:
                old.unlink()
    record = Record(buildah.root / "built.json")
    known, inputs = record.get(BASE_IMAGE), f"{archive.stem} {archive.stat().st_mtime_ns}"
    if known and known["inputs"] == inputs and buildah.image_id(BASE_IMAGE) == known["identity"]:
        return known["identity"]
    with (
        reporter.step("Importing the base image") as step,
        tempfile.TemporaryDirectory(dir=archive.parent, prefix=".context-") as folder,
    ):
        context = Path(folder)
        (context / "Dockerfile").write_text(_BASE_DOCKERFILE)
        (context / "base.tar").hardlink_to(archive)
        run(buildah.command("build", "--quiet", "--isolation", "chroot", "--tag", BASE_IMAGE, folder), step)
    identity = buildah.image_id(BASE_IMAGE)
    if identity is None:
        raise BuildError("the base image is not in the store after it was imported")
    record.set(BASE_IMAGE, {"inputs": inputs, "identity": identity})
    return identity


def recipe_digest() -> str:
    """Hash of the recipe of the base image."""
    recipe = [_BASE_SUITE, _BASE_PACKAGES, _BASE_EXCLUDES, _BASE_INCLUDES, _BASE_CLEANUP, _mirror()]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


def _bootstrap(archive: Path, step: Step) -> None:
    temporary = archive.with_name(f".{archive.stem}.building.tar")
    with tempfile.TemporaryDirectory(prefix="camera-operator-base-") as folder:
        command = ["mmdebstrap", "--variant=minbase", "--format=tar", f"--include={','.join(_BASE_PACKAGES)}"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _BASE_EXCLUDES]
        command += [f"--dpkgopt=path-include={pattern}" for pattern in _BASE_INCLUDES]
        if settings := machine.apt_settings():
            apt = Path(folder) / "apt.conf"
            apt.write_text(settings)
            command.append(f"--aptopt={apt}")
        command += [f"--customize-hook={hook}" for hook in _BASE_CLEANUP]
        mirror = _mirror()
        run([*command, _BASE_SUITE, str(temporary), *([mirror] if mirror else [])], step)
    temporary.replace(archive)


def _mirror() -> str:
    return os.environ.get(_MIRROR_VARIABLE, "")
