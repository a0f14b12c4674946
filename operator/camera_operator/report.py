"""``camera-operator report``: how many cameras work, which are faulty, since when and why."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from camera_api.camera import CameraState
from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS, ClusterApi, KubernetesApi, load_configuration
from camera_operator.errors import ClusterError, ExpiredError, NotFoundError, OperatorError
from camera_operator.views import camera_status, parse_time

Object = Mapping[str, Any]

#: Seconds between two looks with --watch: a LIST of 6,720 cameras takes the API server 0.6 s.
_WATCH_INTERVAL = 5.0
_LIST_ATTEMPTS = 3
_NO_CATEGORY = "(none)"
#: Columns that are always shown, and those that are shown if any camera is in that state.
_ALWAYS = (CameraState.WORKING, CameraState.FAULTY, CameraState.UNKNOWN)
_IF_ANY = (CameraState.PENDING, CameraState.PLANNED, CameraState.MAINTENANCE, CameraState.RETIRED)


@dataclass(frozen=True, slots=True)
class FaultyCamera:
    """A line of the list of faulty cameras."""

    namespace: str
    name: str
    group: str
    category: str
    reason: str
    since: str  #: RFC 3339; empty: not known
    message: str


@dataclass(slots=True)
class CategoryCount:
    """A line of the table of categories."""

    name: str
    display_name: str = ""
    declared: int = 0
    states: Counter[CameraState] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Report:
    """What is shown."""

    made_at: datetime
    categories: tuple[CategoryCount, ...]  #: by name
    faulty: tuple[FaultyCamera, ...]  #: by category, namespace and name

    @property
    def total(self) -> CategoryCount:
        """All categories together."""
        total = CategoryCount("TOTAL")
        for category in self.categories:
            total.declared += category.declared
            total.states.update(category.states)
        return total


def make_report(
    cameras: Sequence[Object], groups: Sequence[Object], categories: Sequence[Object], now: datetime
) -> Report:
    """Counts cameras by category and picks the faulty ones.

    A camera that the operator has not looked at yet counts as Pending.

    Args:
        cameras: Camera objects.
        groups: CameraGroup objects, which say the category of cameras without a status.
        categories: CameraCategory objects; those without a camera are left out.
        now: time of the report.
    """
    category_of = {
        (group["metadata"]["namespace"], group["metadata"]["name"]): group["spec"].get("category", "")
        for group in groups
    }
    display_names = {
        category["metadata"]["name"]: (category.get("spec") or {}).get("displayName", "") for category in categories
    }
    counts: dict[str, CategoryCount] = {}
    faulty: list[FaultyCamera] = []
    for camera in cameras:
        metadata, group = camera["metadata"], (camera.get("spec") or {}).get("group", "")
        status = camera_status(camera.get("status") or {})
        name = status.category or category_of.get((metadata["namespace"], group), "") or _NO_CATEGORY
        count = counts.setdefault(name, CategoryCount(name, display_names.get(name, "")))
        state = status.state if status.state is not None else CameraState.PENDING
        count.declared += 1
        count.states[state] += 1
        if state is CameraState.FAULTY:
            told = [condition for condition in status.conditions if condition.reason == status.reason]
            faulty.append(
                FaultyCamera(
                    namespace=metadata["namespace"],
                    name=metadata["name"],
                    group=group,
                    category=name,
                    reason=status.reason,
                    since=status.since or "",
                    message=told[0].message if told else "",
                )
            )
    return Report(
        made_at=now,
        categories=tuple(counts[name] for name in sorted(counts)),
        faulty=tuple(sorted(faulty, key=lambda camera: (camera.category, camera.namespace, camera.name))),
    )


def format_age(seconds: float) -> str:
    """An age as kubectl shows it: ``45s``, ``12m``, ``3h20m``, ``2d4h``."""
    total = max(int(seconds), 0)
    days, hours, minutes = total // 86_400, total // 3_600 % 24, total // 60 % 60
    if days:
        return f"{days}d{hours}h" if hours and days < 10 else f"{days}d"  # noqa: PLR2004 - hours stop mattering
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    return f"{minutes}m" if minutes else f"{total}s"


def first_sentence(text: str) -> str:
    """Up to the first full stop or semicolon that ends a clause; host names and numbers have theirs inside."""
    for end in (". ", "; "):
        text = text.split(end, 1)[0]
    return text.rstrip(".").strip()


def render_table(report: Report) -> str:
    """The report for people."""
    if not report.categories:
        return "No cameras are declared: kubectl apply a Camera and a CameraGroup first.\n"
    total = report.total
    states = (*_ALWAYS, *(state for state in _IF_ANY if total.states[state]))
    rows = [("CATEGORY", "DECLARED", *(state.upper() for state in states))]
    for count in (*report.categories, total):
        label = f"{count.name} ({count.display_name})" if count.display_name else count.name
        rows.append((label, str(count.declared), *(str(count.states[state]) for state in states)))
    text = _aligned(rows, right_from=1)
    if not report.faulty:
        return f"{text}\nNo camera is faulty.\n"
    rows = [("FAULTY CAMERA", "CATEGORY", "REASON", "FOR", "SINCE", "MESSAGE")]
    rows += [
        (
            f"{camera.namespace}/{camera.name}",
            camera.category,
            camera.reason,
            _age(camera.since, report.made_at),
            camera.since or "-",
            first_sentence(camera.message) or "-",
        )
        for camera in report.faulty
    ]
    return f"{text}\n{_aligned(rows)}"


def render_json(report: Report) -> str:
    """The report for programs."""

    def counts(count: CategoryCount) -> dict[str, Any]:
        return {"declared": count.declared, **{state.lower(): count.states[state] for state in CameraState}}

    value = {
        "madeAt": report.made_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "categories": [
            {"name": count.name, "displayName": count.display_name, **counts(count)} for count in report.categories
        ],
        "total": counts(report.total),
        "faulty": [
            {
                "namespace": camera.namespace,
                "name": camera.name,
                "group": camera.group,
                "category": camera.category,
                "reason": camera.reason,
                "since": camera.since or None,
                "message": camera.message,
            }
            for camera in report.faulty
        ],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _age(since: str, now: datetime) -> str:
    try:
        return format_age((now - parse_time(since)).total_seconds())
    except ValueError:
        return "-"


def _aligned(rows: Sequence[Sequence[str]], *, right_from: int | None = None) -> str:
    """Rows in columns two spaces apart, from one column on right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if right_from is not None and column >= right_from else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


async def gather(api: ClusterApi, namespace: str | None) -> Report:
    """Reads everything that the report is made from.

    Args:
        api: read from.
        namespace: None: all.

    Raises:
        ClusterError: the API server does not give it.
    """
    cameras, groups, categories = await asyncio.gather(
        _list(api, CAMERAS, namespace), _list(api, GROUPS, namespace), _list(api, CATEGORIES, None)
    )
    return make_report(cameras, groups, categories, datetime.now(UTC))


async def _list(api: ClusterApi, resource: Any, namespace: str | None) -> list[Object]:
    for attempt in range(_LIST_ATTEMPTS):
        try:
            return [item async for page in api.list_pages(resource, namespace) for item in page.items]
        except ExpiredError:
            if attempt == _LIST_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of the subcommand."""
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="kubeconfig file (default $KUBECONFIG)")
    parser.add_argument("--context", default="", metavar="NAME", help="context of the kubeconfig (default: current)")
    parser.add_argument("-n", "--namespace", metavar="NS", help="only cameras of this namespace (default: all)")
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="format (default %(default)s)"
    )
    parser.add_argument(
        "-w", "--watch", action="store_true", help=f"show it again every {_WATCH_INTERVAL:g} s until interrupted"
    )


async def run(options: argparse.Namespace) -> int:
    """Shows the report; returns the exit code."""
    try:
        api = KubernetesApi(await load_configuration(options.kubeconfig, options.context))
    except OperatorError as error:
        sys.stderr.write(f"camera-operator report: {error}\n")
        return 1
    try:
        while True:
            report = await gather(api, options.namespace)
            text = render_json(report) if options.output == "json" else render_table(report)
            if options.watch and options.output == "table" and sys.stdout.isatty():
                text = f"\x1b[2J\x1b[H{text}"
            sys.stdout.write(text)
            sys.stdout.flush()
            if not options.watch:
                return 0
            await asyncio.sleep(_WATCH_INTERVAL)
    except NotFoundError as error:
        sys.stderr.write(f"camera-operator report: {error}; are the CRDs of camera-operator installed?\n")
        return 1
    except ClusterError as error:
        sys.stderr.write(f"camera-operator report: {error}\n")
        return 1
    finally:
        await api.close()
