"""Where the demo runs: the local cluster, which builds its own images, or an existing one with a registry."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from city_demo.images import DOCKERFILE, IMAGES, REPOSITORY, Image

LOCAL_CLUSTER = REPOSITORY / "deploy" / "local" / "cluster"


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


class Target(Protocol):
    """A cluster that the demo is installed on."""

    def prepare(self) -> None:
        """Brings the cluster up, if that is the demo's business. Shows progress."""

    def provide_images(self) -> None:
        """Makes the images available to the cluster's nodes. Shows progress."""

    def image(self, image: Image) -> tuple[str, str]:
        """Repository and tag under which the cluster finds an image."""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl and returns what it printed.

        Raises:
            DemoError: it failed; the text holds its error output.
        """

    def helm(self, *arguments: str) -> str:
        """Runs helm, likewise."""

    @property
    def kubeconfig(self) -> Path:
        """The access to the cluster."""

    @property
    def kubectl_hint(self) -> str:
        """What a person types for kubectl."""


def _run(command: Sequence[str], *, stdin: str | None = None, environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)
    if result.returncode != 0:
        raise DemoError(f"{' '.join(command[:6])} … failed:\n{result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def _run_visibly(command: Sequence[str]) -> None:
    """Runs a command whose progress the user sees."""
    if subprocess.run(command, check=False).returncode != 0:
        raise DemoError(f"{' '.join(command[:4])} failed; the reason stands above")


class LocalTarget:
    """The single-node cluster of deploy/local."""

    kubectl_hint = "deploy/local/cluster kubectl"

    def __init__(self) -> None:
        # One answer per run, even if a file changes between the build and the installation.
        self._tags: dict[str, str] = {}

    def prepare(self) -> None:
        """Builds the cluster's binary if need be, and brings the node up."""
        _run_visibly([str(LOCAL_CLUSTER), "up", "--profile", "node"])

    def provide_images(self) -> None:
        """Builds what changed and loads it into the node's container runtime."""
        for image in IMAGES:
            repository, tag = self.image(image)
            reference = f"{repository}:{tag}"
            _run_visibly(
                [
                    str(LOCAL_CLUSTER),
                    *("build-image", "--target", image.target, "--tag", reference),
                    *("--file", str(DOCKERFILE), "--context", str(REPOSITORY)),
                ]
            )
        references = [":".join(self.image(image)) for image in IMAGES]
        _run_visibly([str(LOCAL_CLUSTER), "load-image", *references])

    def image(self, image: Image) -> tuple[str, str]:
        """Local name, and a tag by content."""
        return f"localhost/{image.name}", self._tags.setdefault(image.name, image.tag())

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The cluster's own kubectl."""
        return _run([str(LOCAL_CLUSTER), "kubectl", *arguments], stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """The cluster's own helm."""
        return _run([str(LOCAL_CLUSTER), "helm", *arguments])

    @property
    def kubeconfig(self) -> Path:
        """As the cluster wrote it."""
        return Path(_run([str(LOCAL_CLUSTER), "kubeconfig"]).strip())

    def down(self) -> None:
        """Takes the whole node down."""
        _run_visibly([str(LOCAL_CLUSTER), "down"])


@dataclass(frozen=True, slots=True)
class ExistingTarget:
    """A cluster of the user's, whose nodes pull from the user's registry."""

    kubeconfig: Path
    context: str | None
    registry: str
    image_tag: str

    @property
    def kubectl_hint(self) -> str:
        """With the context, where one was named."""
        return f"kubectl --context {self.context}" if self.context else "kubectl"

    def prepare(self) -> None:
        """Checks that the tools are there and the cluster answers."""
        for tool in ("kubectl", "helm"):
            if shutil.which(tool) is None:
                raise DemoError(f"{tool} is not on PATH; it is needed for an existing cluster")
        self.kubectl("version", "--request-timeout=10s")

    def provide_images(self) -> None:
        """Nothing: pushing is the user's business."""

    def image(self, image: Image) -> tuple[str, str]:
        """In the user's registry."""
        return f"{self.registry}/{image.name}", self.image_tag

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The user's kubectl."""
        context = ["--context", self.context] if self.context else []
        return _run(["kubectl", *context, *arguments], stdin=stdin, environment=self._environment())

    def helm(self, *arguments: str) -> str:
        """The user's helm."""
        context = ["--kube-context", self.context] if self.context else []
        return _run(["helm", *context, *arguments], environment=self._environment())

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


def _is_local(kubeconfig: str) -> bool:
    """Whether the user named the local cluster's own kubeconfig."""
    try:
        return Path(kubeconfig).samefile(LocalTarget().kubeconfig)
    except (DemoError, OSError):
        return False


def choose_target(
    *, kubeconfig: str | None, context: str | None, registry: str | None, image_tag: str | None
) -> LocalTarget | ExistingTarget:
    """The local cluster, unless an existing one is named.

    Raises:
        DemoError: an existing cluster is named, but not where its nodes find the images. This also keeps a KUBECONFIG
            that happens to be set from getting the demo installed.
    """
    if not context and (not kubeconfig or _is_local(kubeconfig)):
        return LocalTarget()
    if not registry:
        named = f"--context {context}" if context else "KUBECONFIG"
        raise DemoError(
            f"{named} names an existing cluster, but IMAGE_REGISTRY does not say where its nodes find the images.\n"
            "Build and push them, for example\n"
            + "".join(
                f"  docker build -f deploy/Dockerfile --target {image.target} "
                f"-t REGISTRY/{image.name}:TAG . && docker push REGISTRY/{image.name}:TAG\n"
                for image in IMAGES
            )
            + "and run  make demo IMAGE_REGISTRY=REGISTRY IMAGE_TAG=TAG.\n"
            "For the local cluster instead:  env -u KUBECONFIG make demo"
        )
    path = Path(kubeconfig.split(os.pathsep)[0]) if kubeconfig else Path.home() / ".kube" / "config"
    return ExistingTarget(path, context, registry, image_tag or "latest")
