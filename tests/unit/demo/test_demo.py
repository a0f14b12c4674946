import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from camera_api.camera import CameraSpec
from camera_api.category import CameraCategorySpec
from camera_api.group import CameraGroupSpec
from city_demo.images import IMAGES, REPOSITORY, Image
from city_demo.steps import CATEGORIES, MANIFESTS
from city_demo.targets import DemoError, ExistingTarget, LocalTarget, choose_target

Object = dict[str, Any]


def objects(path: Path, kind: str) -> list[Object]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item["kind"] == kind]


def simulated_cameras() -> dict[str, Object]:
    (config,) = objects(MANIFESTS / "simulator.yaml", "ConfigMap")
    return {camera["name"]: camera for camera in json.loads(config["data"]["cameras.json"])}


@pytest.fixture(scope="module")
def cameras() -> list[Object]:
    return objects(MANIFESTS / "city.yaml", "Camera")


def test_the_city_has_a_group_of_each_shipped_category(cameras: list[Object]) -> None:
    categories = {
        item["metadata"]["name"] for file in CATEGORIES.glob("*.yaml") for item in objects(file, "CameraCategory")
    }
    groups = {
        item["metadata"]["name"]: CameraGroupSpec(**item["spec"])
        for item in objects(MANIFESTS / "city.yaml", "CameraGroup")
    }

    assert len(categories) == 13
    assert {group.category for group in groups.values()} == categories
    assert {camera["spec"]["group"] for camera in cameras} == set(groups)
    assert len(cameras) == 26


def test_every_shipped_category_is_valid_and_named_for_people() -> None:
    for file in CATEGORIES.glob("*.yaml"):
        for item in objects(file, "CameraCategory"):
            assert CameraCategorySpec(**item["spec"]).display_name


def test_every_camera_but_one_is_simulated_on_the_port_that_its_url_names(cameras: list[Object]) -> None:
    simulated = simulated_cameras()
    elsewhere = []
    for camera in cameras:
        name, source = camera["metadata"]["name"], CameraSpec(**camera["spec"]).source.rtsp
        assert source is not None
        main, sub = urlsplit(source.url), urlsplit(source.sub_stream_url or "")
        if main.hostname != "simulator.city-simulator":
            elsewhere.append(name)
            continue
        assert (main.port, main.path) == (simulated[name]["port"], f"/{name}/main")
        assert (sub.port, sub.path) == (simulated[name]["port"], f"/{name}/sub")

    assert elsewhere == ["lake-front-walk"]
    assert len(simulated) == 25


def test_every_secret_that_a_camera_names_is_there(cameras: list[Object]) -> None:
    secrets = {item["metadata"]["name"] for item in objects(MANIFESTS / "city.yaml", "Secret")}

    assert {camera["spec"]["credentialsSecretRef"]["name"] for camera in cameras} == secrets


def test_an_image_tag_changes_with_its_inputs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("city_demo.images.REPOSITORY", tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "main.py").write_text("one")
    image = Image("worker", "camera-worker", ("source",))
    first = image.tag()

    (tmp_path / "other.py").write_text("unrelated")
    assert image.tag() == first

    (tmp_path / "source" / "main.py").write_text("two")
    assert image.tag() != first


def test_every_input_of_an_image_exists() -> None:
    for image in IMAGES:
        for name in image.inputs:
            assert (REPOSITORY / name).exists(), name


def test_the_local_cluster_is_the_default() -> None:
    assert isinstance(choose_target(kubeconfig=None, context=None, registry=None, image_tag=None), LocalTarget)


def test_an_existing_cluster_without_a_registry_is_refused_before_anything_is_touched() -> None:
    with pytest.raises(DemoError, match="IMAGE_REGISTRY"):
        choose_target(kubeconfig=None, context="production", registry=None, image_tag=None)


def test_an_existing_cluster_takes_its_images_from_the_registry() -> None:
    target = choose_target(kubeconfig="/k", context="staging", registry="registry.example/x", image_tag="1.2")

    assert isinstance(target, ExistingTarget)
    assert target.image(IMAGES[0]) == ("registry.example/x/camera-operator", "1.2")
