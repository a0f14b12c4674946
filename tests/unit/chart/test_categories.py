"""The thirteen ready-made categories: valid, distinct, and the users' own once they exist."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from camera_api import API_VERSION
from camera_api.analytics import TaskType
from camera_api.category import CameraCategorySpec, DecodePolicy
from camera_api.faults import Fault
from camera_api.quantities import parse_cpu, parse_duration
from unit.chart.rendering import CHART, REPOSITORY, Chart, Objects

FOLDER = REPOSITORY / "deploy" / "categories"
FILES = sorted(FOLDER.glob("*.yaml"))
NAMES = {
    "shops",
    "schools",
    "smart-city",
    "municipal-corporation",
    "hospitals",
    "petrol-pumps",
    "automobile",
    "development-authority",
    "highways-authority",
    "police-posts",
    "industry",
    "banks-atms",
    "bus-stands",
}


def read(path: Path) -> dict[str, Any]:
    """The manifest in a file."""
    manifest: dict[str, Any] = yaml.safe_load(path.read_text())
    return manifest


SPECS = {path.stem: CameraCategorySpec.model_validate(read(path)["spec"]) for path in FILES}


def test_there_is_one_file_per_category() -> None:
    assert {path.stem for path in FILES} == NAMES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_manifest_has_only_fields_of_the_kind(path: Path) -> None:
    manifest = read(path)
    assert manifest["apiVersion"] == API_VERSION
    assert manifest["kind"] == "CameraCategory"
    assert manifest["metadata"] == {"name": path.stem}
    # Models ignore unknown fields, so one that is misspelt would be missing from what is dumped again.
    spec = CameraCategorySpec.model_validate(manifest["spec"])
    assert spec.model_dump(mode="json", by_alias=True, exclude_unset=True) == manifest["spec"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_says_why_the_category_is_as_it_is(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_categories_differ() -> None:
    assert len({spec.model_dump_json(exclude={"display_name"}) for spec in SPECS.values()}) == len(NAMES)
    assert len({spec.display_name for spec in SPECS.values()}) == len(NAMES)


def test_every_category_has_tasks_and_those_that_need_a_place_wait_for_the_camera_to_give_it() -> None:
    placed = {TaskType.INTRUSION, TaskType.WRONG_WAY, TaskType.LINE_CROSSING}
    for name, spec in SPECS.items():
        assert spec.analytics.tasks, name
        for task in spec.analytics.tasks:
            assert task.type not in placed or task.enabled is False, (name, task.name)
            assert (task.min_count is not None) == (task.type is TaskType.CROWDING), (name, task.name)


def test_cpu_request_covers_the_measured_cost_of_the_decode_policy() -> None:
    # Millicores of 1080p25 with the picture detectors on each decoded frame.
    measured = {DecodePolicy.EVERY_KEY_FRAME: 14, DecodePolicy.KEY_FRAME_EVERY_10S: 5, DecodePolicy.NONE: 4}
    for name, spec in SPECS.items():
        cost = measured[spec.ingest.decode]
        assert cost < parse_cpu(spec.ingest.per_camera.cpu) <= 2.5 * cost, name


def test_a_worker_of_any_category_fits_on_a_small_node() -> None:
    for name, spec in SPECS.items():
        cameras = spec.ingest.max_cameras_per_worker * parse_cpu(spec.ingest.per_camera.cpu)
        assert parse_cpu(spec.ingest.overhead.cpu) + cameras < 1800, name


def test_banks_are_strictest() -> None:
    banks = SPECS["banks-atms"]
    assert banks.uptime_target == max(spec.uptime_target for spec in SPECS.values()) == 99
    assert banks.health.disabled_faults == []
    soonest = min(parse_duration(spec.health.offline_after) for spec in SPECS.values())
    assert parse_duration(banks.health.offline_after) == soonest


def test_highways_care_for_frame_rate_and_not_for_turning_cameras() -> None:
    highways = SPECS["highways-authority"].health
    assert highways.min_frames_per_second_ratio == max(s.health.min_frames_per_second_ratio for s in SPECS.values())
    assert Fault.LOW_FRAME_RATE not in highways.disabled_faults
    assert Fault.MOVED in highways.disabled_faults


def test_chart_has_the_same_files() -> None:
    copies = CHART / "files" / "categories"
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == {
        path.name: path.read_bytes() for path in FILES
    }


def test_chart_creates_none_unless_asked(default: Objects) -> None:
    assert default.of("CameraCategory") == []


def test_first_install_creates_none_and_says_so(chart: Chart) -> None:
    values = {"categories": {"create": True}}
    # A client-side dry run knows no cluster, and so no kinds.
    first_install = chart.run("install", "camera-operator", str(CHART), "--dry-run=client", values=values)
    assert "THE CATEGORIES ARE NOT CREATED YET" in first_install
    assert "\nkind: CameraCategory\n" not in first_install
    assert "\nkind: CameraCategory\n" in chart.text(values)


def test_chart_creates_them_outside_of_the_release(chart: Chart) -> None:
    rendered = chart.objects({"categories": {"create": True}}).of("CameraCategory")
    assert {category["metadata"]["name"] for category in rendered} == NAMES
    for category in rendered:
        # A hook's object is no part of the release: neither an upgrade nor an uninstall touches it.
        assert category["metadata"]["annotations"] == {
            "helm.sh/hook": "post-install,post-upgrade",
            "helm.sh/resource-policy": "keep",
            "argocd.argoproj.io/hook": "Skip",
        }
        source = read(FOLDER / f"{category['metadata']['name']}.yaml")
        assert json.dumps(category["spec"], sort_keys=True) == json.dumps(source["spec"], sort_keys=True)
