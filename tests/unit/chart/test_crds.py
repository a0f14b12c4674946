"""The chart's copies of the kinds: the rendered ones, upgraded with the release and kept when it goes."""

import yaml

from camera_api import render_crds
from unit.chart.rendering import CHART, REPOSITORY, Chart, Objects

COPIES = CHART / "files" / "crds"


def test_copies_are_as_the_models_render_them() -> None:
    assert render_crds.main(["--check", str(COPIES)]) == 0


def test_no_copy_is_left_over() -> None:
    assert {path.name for path in COPIES.iterdir()} == {render_crds.file_name(kind) for kind in render_crds.KINDS}


def test_kinds_reach_the_cluster_unchanged(default: Objects) -> None:
    rendered = {crd["metadata"]["name"]: crd for crd in default.of("CustomResourceDefinition")}
    assert len(rendered) == len(render_crds.KINDS)
    for path in (REPOSITORY / "crds" / "manifests").glob("*.yaml"):
        source = yaml.safe_load(path.read_text())
        assert rendered[source["metadata"]["name"]]["spec"] == source["spec"]


def test_kinds_are_kept_when_the_release_is_uninstalled(default: Objects) -> None:
    for crd in default.of("CustomResourceDefinition"):
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_kinds_go_with_the_release_if_asked_for(chart: Chart) -> None:
    crds = chart.objects({"crds": {"keep": False}}).of("CustomResourceDefinition")
    assert len(crds) == len(render_crds.KINDS)
    assert all("helm.sh/resource-policy" not in crd["metadata"].get("annotations", {}) for crd in crds)


def test_kinds_can_be_left_to_others(chart: Chart) -> None:
    assert chart.objects({"crds": {"enabled": False}}).of("CustomResourceDefinition") == []


def test_kinds_are_templates_because_helm_never_upgrades_its_crds_folder() -> None:
    assert not (CHART / "crds").exists()
