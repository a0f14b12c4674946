"""Which files of a build context count, and one hash over them: decides whether an image must be built again."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class IgnoreRule:
    """One line of a ``.dockerignore``.

    Attributes:
        pattern: matches the path of a file, or of a folder it is in, relative to the context.
        keeps: the line starts with ``!`` and takes files back in.
    """

    pattern: re.Pattern[str]
    keeps: bool


def parse_ignore_file(text: str) -> list[IgnoreRule]:
    """Parse a ``.dockerignore``: ``*``, ``?``, ``**``, ``[...]`` and ``!``, the last match wins."""
    rules: list[IgnoreRule] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        keeps = line.startswith("!")
        path = line.removeprefix("!").strip().strip("/").removeprefix("./")
        if path:
            rules.append(IgnoreRule(re.compile(_regular_expression(path)), keeps))
    return rules


def is_ignored(path: str, rules: Iterable[IgnoreRule]) -> bool:
    """Whether a file, by its path relative to the context, is left out."""
    ignored = False
    parts = path.split("/")
    prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for rule in rules:
        if ignored == rule.keeps and any(rule.pattern.fullmatch(prefix) for prefix in prefixes):
            ignored = not rule.keeps
    return ignored


def files(context: Path, rules: list[IgnoreRule]) -> Iterator[Path]:
    """The files that belong to the context, in a stable order."""
    may_come_back = any(rule.keeps for rule in rules)
    for folder, subfolders, names in os.walk(context):
        relative = os.path.relpath(folder, context)
        prefix = "" if relative == "." else f"{relative}/"
        # A folder that is left out need not be looked into, unless a later rule takes files of it back in.
        subfolders[:] = sorted(name for name in subfolders if may_come_back or not is_ignored(prefix + name, rules))
        links = [name for name in subfolders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        for name in sorted([*names, *links]):
            if not is_ignored(prefix + name, rules):
                yield context / (prefix + name)


def digest(context: Path, rules: list[IgnoreRule], *, extra: Iterable[str]) -> str:
    """Hash over paths, permissions and content of the context's files, and over ``extra``."""
    total = hashlib.sha256()
    for item in extra:
        total.update(f"{len(item)}\0{item}\0".encode())
    for path in files(context, rules):
        total.update(f"{path.relative_to(context)}\0{path.lstat().st_mode:o}\0".encode())
        if path.is_symlink():
            total.update(os.fsencode(path.readlink()))
        elif path.is_file():
            total.update(_file_digest(path))
    return total.hexdigest()


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _regular_expression(path: str) -> str:
    result = ""
    position = 0
    while position < len(path):
        if path.startswith("**/", position):
            result += "(?:.*/)?"
            position += 3
        elif path.startswith("**", position):
            result += ".*"
            position += 2
        elif path[position] == "*":
            result += "[^/]*"
            position += 1
        elif path[position] == "?":
            result += "[^/]"
            position += 1
        elif path[position] == "[" and "]" in path[position + 1 :]:
            end = path.index("]", position + 1)
            result += path[position : end + 1]
            position = end + 1
        else:
            result += re.escape(path[position])
            position += 1
    return result
