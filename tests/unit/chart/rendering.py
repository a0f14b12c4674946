"""The chart as helm renders it, for tests: the real program, no cluster."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_cluster import build
from local_cluster.progress import Reporter

REPOSITORY = Path(__file__).resolve().parents[3]
CHART = REPOSITORY / "charts" / "camera-operator"
RELEASE = "camera-operator"
NAMESPACE = "camera-system"

Object = dict[str, Any]
Values = Mapping[str, Any]


def find_helm() -> Path:
    """$HELM, or helm on PATH, or the one that the local cluster builds (minutes, once per machine).

    Raises:
        FileNotFoundError: $HELM names no program.
    """
    named = os.environ.get("HELM")
    found = shutil.which(named or "helm")
    if found:
        return Path(found)
    if named:
        raise FileNotFoundError(f"HELM={named} is no program")
    return build.ensure_kubebox(Reporter()) / "helm"


class Refused(Exception):  # noqa: N818 - it is the expected outcome of half of the tests
    """Helm refused the values or the templates; the text is what the user sees."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Runs helm on the chart."""

    helm: Path
    home: Path  #: where helm keeps its files

    def run(self, *arguments: str, values: Values | None = None) -> str:
        """Output of a helm command on the chart.

        Raises:
            Refused: it failed.
        """
        environment = {
            # No kubeconfig: a template test that asks a cluster is wrong.
            **{key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
            **{f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")},
        }
        result = subprocess.run(
            [str(self.helm), *arguments, "--values", "-"],
            input=json.dumps(values or {}),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise Refused(result.stdout + result.stderr)
        return result.stdout

    def text(self, values: Values | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
        """What ``helm template`` prints for a cluster in which the kinds are served already."""
        served = ("--api-versions", "camera-operator.io/v1alpha1/CameraCategory")
        return self.run("template", release, str(CHART), "--namespace", namespace, *served, values=values)

    def objects(self, values: Values | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE) -> "Objects":
        """The objects that ``helm template`` prints."""
        documents = yaml.safe_load_all(self.text(values, release=release, namespace=namespace))
        return Objects([document for document in documents if document])

    def refusal(self, values: Values) -> str:
        """Why helm refuses values; fails if it does not."""
        try:
            self.text(values)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"accepted: {values}")


@dataclass(frozen=True, slots=True)
class Objects:
    """Rendered objects."""

    all: list[Object]

    def __iter__(self) -> Iterator[Object]:
        return iter(self.all)

    def of(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [item for item in self.all if item["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Object:
        """The only object of a kind, or of a kind and name."""
        found = [item for item in self.of(kind) if name is None or item["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} and name {name}"
        return found[0]

    def names(self) -> set[tuple[str, str, str]]:
        """Kind, namespace (empty: cluster-scoped) and name of all."""
        return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in self.all}


def pod(objects: Objects) -> Object:
    """Specification of the operator's pods."""
    specification: Object = objects.one("Deployment")["spec"]["template"]["spec"]
    return specification


def container(objects: Objects) -> Object:
    """The operator's container."""
    (only,) = pod(objects)["containers"]
    result: Object = only
    return result


def environment(objects: Objects) -> dict[str, str]:
    """The operator's environment, values only."""
    return {entry["name"]: entry["value"] for entry in container(objects)["env"] if "value" in entry}
