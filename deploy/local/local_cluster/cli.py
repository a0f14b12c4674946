"""The command line of the local cluster."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import build, images, preflight, status
from local_cluster.cluster import DEFAULT_NAME, Cluster
from local_cluster.errors import ClusterError
from local_cluster.instance import PROFILES, Instance
from local_cluster.paths import InstancePaths
from local_cluster.progress import Reporter
from local_cluster.teardown import take_down

if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSED_ON = ("kubectl", "helm")
_INTERRUPTED = 130
_EPILOG = """\
examples:
  cluster up                                  start a node, or heal the one that exists
  cluster up --profile control-plane --name t1    only etcd and kube-apiserver, for tests; several may run
  cluster build-image --target worker --tag localhost/camera-worker:dev
  cluster load-image localhost/camera-worker:dev
  cluster kubectl get pods -A                 every argument after kubectl is kubectl's
  cluster down                                stop it and remove every trace

environment:
  CAMERA_OPERATOR_CLUSTER   name of the instance when --name is not given (default: node)
  CAMERA_OPERATOR_STATE     folder of the instances (default: /var/lib/camera-operator)
  CAMERA_OPERATOR_DEBIAN_MIRROR   mirror for the base image (default: Debian's own)
  XDG_CACHE_HOME            folder of the binary, the base image and image layers (default: ~/.cache)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, rest = split_passed_on(given)
    options = _parser().parse_args(own)
    options.arguments = rest
    options.name = getattr(options, "name", None) or os.environ.get("CAMERA_OPERATOR_CLUSTER") or DEFAULT_NAME
    reporter = Reporter()
    try:
        return int(options.run(options, reporter))
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        if error.hint:
            print(f"  -> {error.hint}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ncluster: interrupted; run the same command again to go on, or `cluster down`", file=sys.stderr)
        return _INTERRUPTED


def split_passed_on(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the command line behind ``kubectl`` or ``helm``: what follows is theirs, options included.

    >>> split_passed_on(["--name", "t1", "kubectl", "-n", "default", "get", "pods"])
    (['--name', 't1', 'kubectl'], ['-n', 'default', 'get', 'pods'])
    >>> split_passed_on(["up", "--name", "helm"])
    (['up', '--name', 'helm'], [])
    """
    expects_value = False
    for index, argument in enumerate(arguments):
        if expects_value:
            expects_value = False
        elif argument == "--name":
            expects_value = True
        elif argument in _PASSED_ON:
            return list(arguments[: index + 1]), list(arguments[index + 1 :])
        elif not argument.startswith("-"):
            break
    return list(arguments), []


def _parser() -> argparse.ArgumentParser:
    name = argparse.ArgumentParser(add_help=False)
    # No default here: the subcommand's would win over a --name in front of it.
    name.add_argument("--name", default=argparse.SUPPRESS, help="name of the instance (default: node)")
    parser = argparse.ArgumentParser(
        prog="cluster",
        description="A real single-node Kubernetes on this machine, built from source, without a container registry.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[name],
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(word: str, run: object, text: str, description: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(word, help=text, description=description or text, parents=[name])
        added.set_defaults(run=run)
        return added

    _add_up(command("up", _up, "start a cluster, or heal the one that exists", _UP_TEXT))
    command("down", _down, "stop the cluster and remove every trace of it, data included")
    status_parser = command("status", _status, "show the components; exit code 0 only when all are healthy")
    status_parser.add_argument("--output", choices=("table", "json"), default="table", help="default: %(default)s")
    command("kubeconfig", _kubeconfig, "print the path of the kubeconfig (cluster-admin)")
    command("kubectl", _kubectl, "run kubectl on the cluster: cluster kubectl ARGUMENT...")
    command("helm", _helm, "run helm on the cluster: cluster helm ARGUMENT...")
    logs = command("logs", _logs, "print the end of a component's log, or the log files when none is named")
    logs.add_argument("component", nargs="?", help="for example kubelet")
    logs.add_argument("--lines", type=int, default=50, help="how many lines (default: %(default)s)")
    restart = command("restart", _restart, "restart one component")
    restart.add_argument("component", help="for example kubelet")
    _add_build_image(command("build-image", _build_image, "build an image by buildah, if its inputs changed"))
    load = command("load-image", _load_image, "make images usable by pods", _LOAD_TEXT)
    load.add_argument(
        "image", nargs="+", help="name of an image built by build-image, or path of a docker or OCI archive"
    )
    command("build", _build, "only build the Kubernetes binary")
    packages = command("packages", _packages, "print the Debian packages that are needed, one per line")
    packages.add_argument("--missing", action="store_true", help="only those that are not installed")
    return parser


_UP_TEXT = """Start a cluster. A running one is left alone, except that dead or frozen components, and those whose
configuration changed, are started again. The first time, Kubernetes is built from source (Go 1.26 or newer)."""
_LOAD_TEXT = """Copy images into the node's container runtime. An image that is there already is not copied again. Pods
must use imagePullPolicy IfNotPresent or Never, which is the default for any tag other than latest."""


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        help="node runs pods and needs root; control-plane is etcd and kube-apiserver only; workloads has "
        "kube-controller-manager and kube-scheduler, too, for nodes that are played (default: node)",
    )
    parser.add_argument(
        "--with-controller-manager", action="store_true", help="control-plane: run kube-controller-manager too"
    )
    parser.add_argument("--pod-cidr", metavar="CIDR", help="network of the pods (default: 10.244.0.0/22)")
    parser.add_argument("--service-cidr", metavar="CIDR", help="network of the cluster IPs (default: 10.96.0.0/16)")
    parser.add_argument(
        "--api-port",
        type=int,
        metavar="PORT",
        help="port of kube-apiserver (default: 6443 for a node, any free one for a control plane)",
    )


def _add_build_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", required=True, help="stage of the Dockerfile")
    parser.add_argument("--tag", required=True, help="name of the image, for example localhost/camera-worker:dev")
    parser.add_argument("-f", "--file", type=Path, default=images.DEFAULT_DOCKERFILE, help="default: deploy/Dockerfile")
    parser.add_argument("--context", type=Path, default=images.DEFAULT_CONTEXT, help="default: the repository")
    parser.add_argument("--rebuild-base", action="store_true", help="make the base image anew, with today's packages")


def _up(options: argparse.Namespace, reporter: Reporter) -> int:
    cluster = Cluster.up(
        profile=options.profile,
        name=options.name,
        controller_manager=options.with_controller_manager,
        pod_cidr=options.pod_cidr,
        service_cidr=options.service_cidr,
        api_port=options.api_port,
        reporter=reporter,
    )
    print(status.next_steps(cluster.instance))
    return 0


def _down(options: argparse.Namespace, reporter: Reporter) -> int:
    if not take_down(options.name, reporter):
        print(f"there is no local cluster {options.name!r}; nothing to do", file=sys.stderr)
    return 0


def _status(options: argparse.Namespace, _: Reporter) -> int:
    found = status.gather(Cluster.attach(options.name))
    print(found.as_json() if options.output == "json" else found.as_table())
    return 0 if found.healthy else 1


def _kubeconfig(options: argparse.Namespace, _: Reporter) -> int:
    print(_existing(options.name).kubeconfig)
    return 0


def _kubectl(options: argparse.Namespace, _: Reporter) -> int:
    return _pass_on("kubectl", options)


def _helm(options: argparse.Namespace, _: Reporter) -> int:
    return _pass_on("helm", options)


def _pass_on(tool: str, options: argparse.Namespace) -> int:
    cluster = Cluster.attach(options.name)
    program = str(cluster.program(tool))
    # Replaces this process, so that signals, the terminal and the exit code are the tool's own.
    os.execve(program, [program, *options.arguments], cluster.tool_environment())  # noqa: S606


def _logs(options: argparse.Namespace, _: Reporter) -> int:
    paths = _existing(options.name)
    logs = sorted(paths.logs.glob("*.log"))
    if options.component is None:
        print("\n".join(str(log) for log in logs))
        return 0
    log = paths.log(options.component)
    if log not in logs:
        names = ", ".join(known.stem for known in logs)
        raise ClusterError(f"there is no log of {options.component!r}", f"there are {names}")
    lines = log.read_text(errors="replace").splitlines()
    print("\n".join(lines[-options.lines :]))
    return 0


def _restart(options: argparse.Namespace, reporter: Reporter) -> int:
    cluster = Cluster.attach(options.name)
    with reporter.step(f"{options.component} restarted"):
        cluster.restart_component(options.component)
    return 0


def _build_image(options: argparse.Namespace, reporter: Reporter) -> int:
    built = images.build(
        images.Request(target=options.target, tag=options.tag, dockerfile=options.file, context=options.context),
        reporter,
        rebuild_base=options.rebuild_base,
    )
    print(f"{built.tag} {built.identity}")
    return 0


def _load_image(options: argparse.Namespace, reporter: Reporter) -> int:
    cluster = Cluster.attach(options.name)
    for image in options.image:
        images.load(cluster.instance, image, reporter)
    return 0


def _build(_: argparse.Namespace, reporter: Reporter) -> int:
    print(build.ensure_kubebox(reporter))
    return 0


def _packages(options: argparse.Namespace, _: Reporter) -> int:
    for package in (*preflight.NODE_PACKAGES, *preflight.IMAGE_PACKAGES):
        if not (options.missing and package.is_installed()):
            print(package.name)
    return 0


def _existing(name: str) -> InstancePaths:
    if Instance.load(name) is None:
        raise ClusterError(f"there is no local cluster {name!r}", f"start it: cluster --name {name} up")
    return InstancePaths.of(name)
