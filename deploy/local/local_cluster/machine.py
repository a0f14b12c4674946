"""Settings of this machine that builds of images need as well: package sources behind a proxy, and its authorities.

In a company network (or behind any proxy that inspects TLS), pip and apt work on the machine because somebody
configured them. The same settings are mounted into builds, read-only, so they end up in no image.
"""

from __future__ import annotations

import configparser
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_CONFIG = Path("/etc/pip.conf")
_PIP_SETTINGS = ("cert", "default-timeout", "extra-index-url", "find-links", "index-url", "proxy", "trusted-host")
# What of `apt-config dump` makes downloads work; the rest is the distribution's own.
_APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIP")


@dataclass(frozen=True)
class Mount:
    """A read-only bind mount."""

    source: Path
    target: Path

    def as_option(self) -> str:
        """For buildah's ``--volume``."""
        return f"{self.source}:{self.target}:ro"


def build_mounts(folder: Path, environment: Mapping[str, str] = os.environ) -> list[Mount]:
    """Mounts for a build; files that are composed for it are written to ``folder`` (they may hold a password).

    Args:
        folder: a private folder that exists as long as the build.
        environment: where pip's ``PIP_*`` variables are looked up.
    """
    mounts: list[Mount] = []
    if CA_BUNDLE.exists():
        mounts.append(Mount(CA_BUNDLE, CA_BUNDLE))
    pip_text = _PIP_CONFIG.read_text() if _PIP_CONFIG.exists() else ""
    pip = pip_settings(pip_text, environment)
    if pip:
        path = folder / "pip.conf"
        path.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in pip.items()))
        mounts.append(Mount(path, _PIP_CONFIG))
    mounts += [Mount(Path(item), Path(item)) for item in pip.get("find-links", "").split() if Path(item).is_dir()]
    if apt := apt_settings():
        path = folder / "apt.conf"
        path.write_text(apt)
        mounts.append(Mount(path, Path("/etc/apt/apt.conf.d/95machine")))
    return mounts


def pip_settings(config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of pip for downloads: a variable ``PIP_NAME`` wins over the configuration file, as in pip itself.

    A certificate bundle that is set becomes the one which builds see, whatever its path on this machine.
    """
    parser = configparser.RawConfigParser()
    parser.read_string(config)
    section = dict(parser.items("global")) if parser.has_section("global") else {}
    settings: dict[str, str] = {}
    for name in _PIP_SETTINGS:
        value = environment.get(f"PIP_{name.upper().replace('-', '_')}") or section.get(name)
        if value:
            settings[name] = str(CA_BUNDLE) if name == "cert" else " ".join(value.split())
    return settings


def apt_settings() -> str:
    """Settings of apt for downloads, in the format of ``apt.conf``; empty when there is no apt."""
    try:
        dump = subprocess.run(["apt-config", "dump", "--no-empty"], capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(_APT_SETTINGS))
