"""A local cluster as one object: what the command line does, and what tests import."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from local_cluster import build, cgroups, configs, containerd, network, preflight, processes
from local_cluster.archive import write_program_image
from local_cluster.components import Blueprint, Component
from local_cluster.errors import ClusterError, CommandError, ComponentError, PreflightError
from local_cluster.instance import (
    Instance,
    Profile,
    create_instance,
    lock_instance,
    profile_of,
    refuse_changes,
    remove_folder,
)
from local_cluster.paths import InstancePaths
from local_cluster.progress import Reporter
from local_cluster.supervisor import START_TIMEOUT, Supervisor
from local_cluster.teardown import take_down

DEFAULT_NAME = "node"
_NODE_POLL_INTERVAL = 0.1


class Cluster:
    """A cluster of this machine that has been created.

    Use :meth:`up` to start one (or to heal and return one that exists) and :meth:`attach` for one that exists.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.paths = InstancePaths.of(instance.name)
        self.supervisor = Supervisor(self.paths)
        self._binaries = Path(instance.binaries)
        self.blueprint = Blueprint(instance, self.paths, self._binaries)

    @classmethod
    def up(
        cls,
        *,
        profile: Profile | None = None,
        name: str = DEFAULT_NAME,
        controller_manager: bool = False,
        pod_cidr: str | None = None,
        service_cidr: str | None = None,
        api_port: int | None = None,
        reporter: Reporter | None = None,
    ) -> Self:
        """Start a cluster, or heal one that exists: what runs as it should is left alone.

        Args:
            profile: ``node`` (the default for a new cluster), ``control-plane`` or ``workloads``.
            name: name of the instance.
            controller_manager: let a control plane run kube-controller-manager too (garbage collection, aggregated
                roles, default service accounts).
            pod_cidr: network of the pods, for a new node.
            service_cidr: network of the cluster IPs, for a new cluster.
            api_port: TCP port of kube-apiserver, for a new cluster.
            reporter: shows the progress; silent by default.

        Raises:
            PreflightError: the machine lacks something.
            BuildError: the Kubernetes binary could not be built.
            ComponentError: a component did not become healthy.
            ClusterError: the instance exists with another profile.
        """
        reporter = reporter or Reporter(quiet=True)
        paths = InstancePaths.of(name)
        preflight.check(profile_of(name, profile))
        binaries = build.ensure_kubebox(reporter)
        with lock_instance(paths):
            instance = Instance.load(name)
            if instance is None:
                instance = create_instance(
                    name,
                    profile or "node",
                    pod_cidr=pod_cidr,
                    service_cidr=service_cidr,
                    api_port=api_port,
                    controller_manager=controller_manager,
                )
                _check_or_forget(instance)
            else:
                refuse_changes(instance, pod_cidr=pod_cidr, service_cidr=service_cidr, api_port=api_port)
            if instance.binaries != str(binaries):
                instance = replace(instance, binaries=str(binaries))
                instance.save()
            cluster = cls(instance)
            cluster._start(reporter)
        return cluster

    @classmethod
    def attach(cls, name: str = DEFAULT_NAME) -> Self:
        """A cluster that exists, whether or not it is healthy.

        Raises:
            ClusterError: it does not exist.
        """
        instance = Instance.load(name)
        if instance is None or not Path(instance.binaries, "kubebox").exists():
            raise ClusterError(f"there is no local cluster {name!r}", f"start it: cluster --name {name} up")
        return cls(instance)

    @property
    def name(self) -> str:
        """Name of the instance."""
        return self.instance.name

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with the rights of cluster-admin."""
        return self.paths.kubeconfig

    @property
    def apiserver_url(self) -> str:
        """Base URL of kube-apiserver."""
        return self.instance.api_url

    def components(self) -> list[Component]:
        """All components, in the order in which they start."""
        return [component for group in self.blueprint.components() for component in group]

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess.run
        """Run kubectl as cluster-admin and return its output.

        Raises:
            CommandError: it failed; its error output is in the message.
        """
        return self._tool("kubectl", arguments, stdin=input)

    def helm(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess.run
        """Run helm as cluster-admin and return its output.

        Raises:
            CommandError: it failed; its error output is in the message.
        """
        return self._tool("helm", arguments, stdin=input)

    def program(self, name: str) -> Path:
        """Path of kubectl, helm or a component."""
        return self._binaries / name

    def tool_environment(self) -> dict[str, str]:
        """The caller's environment, with kubectl and helm directed to this cluster and to folders of their own."""
        home = self.paths.tool_homes
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(home / "kube-cache"),
            **{f"HELM_{kind}_HOME": str(home / f"helm-{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")},
        }

    def kill_component(self, name: str, signal_number: int = signal.SIGKILL) -> None:
        """Send a signal to a component, by default the one that nothing survives.

        Raises:
            ClusterError: it does not run.
        """
        self.supervisor.send(name, signal_number)

    def pause_component(self, name: str) -> None:
        """Freeze a component: it keeps its connections and answers nobody, until it is resumed or restarted."""
        self.kill_component(name, signal.SIGSTOP)

    def resume_component(self, name: str) -> None:
        """Let a paused component go on."""
        self.kill_component(name, signal.SIGCONT)

    def stop_component(self, name: str) -> None:
        """Stop a component in an orderly way and leave it stopped, until it is restarted or ``up`` is called."""
        self.supervisor.stop(name)

    def restart_component(self, name: str) -> None:
        """Stop a component if it runs, start it, and wait until it is healthy.

        Raises:
            ClusterError: the cluster has no such component.
            ComponentError: it did not become healthy.
        """
        component = next((component for component in self.components() if component.name == name), None)
        if component is None:
            names = ", ".join(component.name for component in self.components())
            raise ClusterError(f"{name!r} is no component of this cluster", f"it has {names}")
        self.supervisor.stop(name)
        self.supervisor.start(component)

    def down(self, reporter: Reporter | None = None) -> None:
        """Stop everything and remove all traces, data included."""
        take_down(self.name, reporter or Reporter(quiet=True))

    def _start(self, reporter: Reporter) -> None:
        groups = self.blueprint.components()
        everything = [component for group in groups for component in group]
        self.supervisor.remove_strays(everything)
        running = {component.name for component in everything if self.supervisor.running(component.name)}
        preflight.check_instance(self.instance, running)
        if self.instance.is_node:
            self._prepare_node(reporter)
        self.supervisor.ensure(groups[0], reporter)
        if self.instance.is_node:
            self._load_pause_image()
        self.supervisor.ensure(groups[1], reporter)
        if self.instance.is_node:
            self.kubectl("apply", "--server-side", "-f", "-", input=configs.bootstrap_manifests())
        for group in groups[2:]:
            self.supervisor.ensure(group, reporter)
        with reporter.step("Cluster ready"):
            self._wait_for_defaults()

    def _prepare_node(self, reporter: Reporter) -> None:
        with reporter.step("Network and control groups ready"):
            if self.instance.boot_id != processes.boot_id():
                # Read before anything changes them, and once per boot: a second `up` would remember our own values.
                self.instance = _with_sysctls(self.instance)
                self.instance.save()
            cgroups.create()
            containerd.write_network_config(
                self.paths,
                bridge=network.BRIDGE,
                pod_cidr=self.instance.pod_cidr,
                gateway=self.instance.gateway,
            )
            network.bring_up(self.instance)

    def _load_pause_image(self) -> None:
        store = containerd.ImageStore(self.paths)
        if containerd.PAUSE_IMAGE not in store.names():
            archive = self.paths.root / "pause.tar"
            write_program_image(archive, program=self.program("pause"), image=containerd.PAUSE_IMAGE)
            store.load(archive)
            archive.unlink()

    def _wait_for_defaults(self) -> None:
        """Wait for what users take for granted: the default namespace, its service account and the node."""
        wanted = {"namespace default": "/api/v1/namespaces/default"}
        if self.instance.has_controllers:
            wanted["service account default"] = "/api/v1/namespaces/default/serviceaccounts/default"
        if self.instance.is_node:
            wanted[f"node {self.name}"] = f"/api/v1/nodes/{self.name}"
        deadline = time.monotonic() + START_TIMEOUT
        for what, path in wanted.items():
            while not _is_ready(self.blueprint.api.get(path)):
                if time.monotonic() > deadline:
                    raise ComponentError(f"{what} did not become ready", f"the logs are in {self.paths.logs}")
                time.sleep(_NODE_POLL_INTERVAL)

    def _tool(self, tool: str, arguments: tuple[str, ...], *, stdin: str | None) -> str:
        result = subprocess.run(
            [str(self.program(tool)), *arguments],
            input=stdin,
            env=self.tool_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise CommandError(
                f"{tool} {' '.join(arguments)}: {result.stderr.strip()}",
                returncode=result.returncode,
                stderr=result.stderr,
            )
        return result.stdout


def _is_ready(found: dict[str, Any] | None) -> bool:
    """Whether an object exists and, where it has a Ready condition (a node), is ready."""
    if found is None:
        return False
    if found.get("kind") != "Node":
        return True
    conditions = found.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _with_sysctls(instance: Instance) -> Instance:
    return replace(instance, sysctls=network.read_sysctls(), boot_id=processes.boot_id())


def _check_or_forget(instance: Instance) -> None:
    """Check a new instance before anything is started; decisions that turn out to be impossible are not kept."""
    try:
        preflight.check_instance(instance, set())
    except PreflightError:
        remove_folder(InstancePaths.of(instance.name))
        raise
