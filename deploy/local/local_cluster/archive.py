"""A docker archive with one program in it: what `FROM scratch` and one `COPY` make, without a build tool."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Go's names of processor architectures, which images use.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
# nobody: the program needs no rights at all.
_USER = "65535:65535"


def write_program_image(target: Path, *, program: Path, image: str) -> None:
    """Write an archive that ``ctr images import`` and ``docker load`` understand.

    The same program makes the same bytes: no time, no owner of this machine is in it.

    Args:
        target: the archive.
        program: a statically linked program, which becomes the entry point ``/NAME``.
        image: name of the image, with its tag.
    """
    content = program.read_bytes()
    layer = _tar({program.name: (content, 0o755)})
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": [f"/{program.name}"], "User": _USER},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": f"COPY {program.name} /"}],
        },
        sort_keys=True,
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [image], "Layers": ["layer.tar"]}]).encode()
    files = {"manifest.json": (manifest, 0o644), config_name: (config, 0o644), "layer.tar": (layer, 0o644)}
    temporary = target.with_name(target.name + ".tmp")
    temporary.write_bytes(_tar(files))
    temporary.replace(target)


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
