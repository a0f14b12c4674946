"""Images without a registry: builds that are skipped when nothing changed, and loading into the node."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import base_image, build_context, containerd, machine, preflight
from local_cluster.errors import BuildError, ClusterError
from local_cluster.image_store import Buildah, Record, run
from local_cluster.paths import LOCAL_ROOT, InstancePaths

if TYPE_CHECKING:
    from local_cluster.instance import Instance
    from local_cluster.progress import Reporter, Step

DEFAULT_DOCKERFILE = LOCAL_ROOT.parent / "Dockerfile"
DEFAULT_CONTEXT = LOCAL_ROOT.parent.parent


@dataclass(frozen=True)
class Request:
    """An image to build.

    Attributes:
        target: stage of the Dockerfile.
        tag: name of the image.
        dockerfile: path of the Dockerfile; its build argument ``BASE_IMAGE`` is set to the local base image.
        context: folder that the Dockerfile copies from.
    """

    target: str
    tag: str
    dockerfile: Path = DEFAULT_DOCKERFILE
    context: Path = DEFAULT_CONTEXT


@dataclass(frozen=True)
class BuiltImage:
    """An image in the project's own store.

    Attributes:
        tag: its name.
        identity: hash of its configuration, hexadecimal.
    """

    tag: str
    identity: str


def build(request: Request, reporter: Reporter, *, rebuild_base: bool = False) -> BuiltImage:
    """Build an image, or do nothing when none of its inputs changed since it was built.

    Raises:
        PreflightError: a package is missing, or the user is not root.
        ClusterError: the Dockerfile or the context does not exist.
        BuildError: the build failed.
    """
    preflight.check_root("builds of images mount layers and change owners")
    preflight.check_packages(preflight.IMAGE_PACKAGES)
    if not request.dockerfile.is_file():
        raise ClusterError(f"there is no Dockerfile {request.dockerfile}")
    if not request.context.is_dir():
        raise ClusterError(f"there is no folder {request.context}")
    buildah = Buildah()
    with buildah.lock(reporter):
        base = base_image.ensure(buildah, reporter, rebuild=rebuild_base)
        ignore_file = _ignore_file(request)
        rules = build_context.parse_ignore_file(ignore_file.read_text()) if ignore_file else []
        inputs = build_context.digest(
            request.context, rules, extra=[request.target, request.dockerfile.read_text(), base]
        )
        record = Record(buildah.root / "built.json")
        known = record.get(request.tag)
        if known and known["inputs"] == inputs and buildah.image_id(request.tag) == known["identity"]:
            reporter.say(f"✓ {request.tag} is up to date")
            return BuiltImage(request.tag, known["identity"])
        buildah.remove_leftovers()
        with reporter.step(f"Building {request.tag} (target {request.target})") as step:
            _build(buildah, request, ignore_file, step)
        identity = buildah.image_id(request.tag)
        if identity is None:
            raise BuildError(f"the build of {request.tag} left no image")
        record.set(request.tag, {"inputs": inputs, "identity": identity})
        if buildah.limit_cache():
            reporter.say("Layers of earlier builds were removed to save disk; the next builds repeat all steps")
    return BuiltImage(request.tag, identity)


def load(instance: Instance, image: str, reporter: Reporter) -> None:
    """Make an image usable by the pods of a node; nothing is copied when it is there already.

    Args:
        instance: a node.
        image: name of an image that :func:`build` made, or path of a docker or OCI archive.
        reporter: shows the progress.

    Raises:
        ClusterError: the cluster has no node, or the image does not exist.
    """
    if not instance.is_node:
        raise ClusterError(
            f"the cluster {instance.name!r} has no node, so no image can be loaded", "use the profile node"
        )
    store = containerd.ImageStore(InstancePaths.of(instance.name))
    if Path(image).is_file():
        with reporter.step(f"Loading {image}"):
            store.load(Path(image))
        return
    buildah = Buildah()
    identity = buildah.image_id(image)
    if identity is None:
        raise ClusterError(
            f"there is no image {image!r}",
            "build it with build-image, or save it to an archive (docker save -o FILE) and load the file",
        )
    if store.loaded_id(image) == identity:
        reporter.say(f"✓ {image} is loaded already")
        return
    with (
        reporter.step(f"Loading {image}"),
        tempfile.TemporaryDirectory(dir=buildah.root, prefix=".load-") as folder,
    ):
        archive = Path(folder) / "image.tar"
        buildah.export(image, archive)
        store.load(archive, image, identity)


def _build(buildah: Buildah, request: Request, ignore_file: Path | None, step: Step) -> None:
    with tempfile.TemporaryDirectory(prefix="camera-operator-build-") as folder:
        options = [
            *("--isolation", "chroot", "--network", "host", "--layers", "--format", "docker"),
            *("--build-arg", f"BASE_IMAGE={base_image.BASE_IMAGE}", "--pull=false"),
            *("--target", request.target, "--tag", request.tag, "--file", str(request.dockerfile)),
        ]
        for mount in machine.build_mounts(Path(folder)):
            options += ["--volume", mount.as_option()]
        if ignore_file is not None:
            options += ["--ignorefile", str(ignore_file)]
        run(buildah.command("build", *options, str(request.context)), step)


def _ignore_file(request: Request) -> Path | None:
    """The rules for what belongs to the context; those beside the Dockerfile win, as with docker."""
    beside = request.dockerfile.with_name(f"{request.dockerfile.name}.dockerignore")
    return next((path for path in (beside, request.context / ".dockerignore") if path.is_file()), None)
