"""The operator as a process against a real API server, in a namespace of its own for each test.

There is no kubelet and no controller: ``City.start_worker`` plays the StatefulSet controller, kubelet and worker, and
``City.run_workers`` does so for all workers.
"""

import asyncio
import base64
import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from aiohttp import web

from camera_api.assignment import ASSIGNMENT_KEY, Assignment
from camera_api.health import ActiveFault, CameraHealth, HealthReport, Verdict
from camera_operator.cluster_api import (
    CAMERAS,
    CATEGORIES,
    GROUPS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    KubernetesApi,
    Resource,
)
from camera_operator.errors import NotFoundError
from camera_operator.specs import names
from local_cluster import Cluster
from users import Users

Object = dict[str, Any]

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
WORKERS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
#: Where all pods are.
NODE = "node-1"
CHART = Path(__file__).resolve().parents[1] / "charts" / "camera-operator"


async def eventually(probe: Callable[[], Awaitable[Any]], within_s: float, what: str) -> Any:
    """The first result of the probe that is true.

    Raises:
        AssertionError: there is none in time.
    """
    deadline = time.monotonic() + within_s
    while True:
        result = await probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        await asyncio.sleep(0.05)


def _in_pod(kubeconfig: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments of Python and environment for a process that finds the files of a pod's service account elsewhere."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    certificate = kubeconfig.with_suffix(".crt")
    certificate.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    server = urlsplit(cluster["server"])
    code = (
        "import sys; from kubernetes.aio.config import incluster_config as files; "
        "files.SERVICE_TOKEN_FILENAME, files.SERVICE_CERT_FILENAME = sys.argv[1:3]; del sys.argv[1:3]; "
        "from camera_operator.__main__ import main; sys.exit(main())"
    )
    environment = {"KUBERNETES_SERVICE_HOST": server.hostname or "", "KUBERNETES_SERVICE_PORT": str(server.port)}
    return ["-c", code, user["tokenFile"], str(certificate)], environment


class OperatorProcess:
    """``camera-operator run`` as a process.

    Args:
        kubeconfig: how it reaches the cluster.
        namespace: that it serves, and where its Lease is.
        log: file of its log lines.
        flags: further flags.
        in_pod: whether it reaches the cluster as in a pod: the kubeconfig names the server, its certificate and a
            token file, which is read again each minute.
    """

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, *flags: str, in_pod: bool = False) -> None:
        self.log = log
        start, environment = _in_pod(kubeconfig) if in_pod else (["-m", "camera_operator"], {})
        access = () if in_pod else ("--kubeconfig", str(kubeconfig))
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, *start, "run", "--worker-image", "camera-worker:test", *access),
                    *("--watch-namespaces", namespace, "--namespace", namespace, "--http-port", "0", *flags),
                ],
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
            )

    async def metric(self, pattern: str) -> float | None:
        """Sum of the samples whose name and labels match; None: it does not answer yet."""
        text = await self.get("/metrics")
        if text is None:
            return None
        samples = re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
        return sum(float(value) for name, value in samples if re.fullmatch(pattern, name))

    async def writes(self) -> float | None:
        """Writes so far, without the Lease's."""
        return await self.metric(r'camera_operator_api_writes_total\{kind="(?!Lease).*')

    async def get(self, path: str) -> str | None:
        """Text of an endpoint; None: it does not answer."""
        port = self._port()
        if port is None:
            return None
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
                return await response.text()
        except aiohttp.ClientConnectionError:
            return None

    def _port(self) -> int | None:
        found = re.search(r"are on port (\d+)", self.log.read_text())
        return int(found[1]) if found else None

    async def leads(self) -> bool:
        """Whether it holds the Lease."""
        assert self.process.poll() is None, self.log.read_text()
        leading = await self.metric("camera_operator_leader")
        return leading == 1.0

    def stop(self) -> int:
        """Asks it to end; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """Ends it without warning."""
        self.process.kill()
        self.process.wait(30)


class Worker:
    """Plays a worker: answers health polls for the assignment that its pod was told of.

    Args:
        assignment: read at its start and at each ``deliver``.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.health: dict[str, CameraHealth] = {}
        self.cursor = 0
        self.port = 0
        self._changed = asyncio.Event()
        self._instance = secrets.token_hex(4)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listens."""
        application = web.Application()
        application.router.add_get("/v1/health", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self._tell()

    async def stop(self) -> None:
        """Is gone."""
        if self._runner is not None:
            await self._runner.cleanup()

    def deliver(self, assignment: Assignment) -> None:
        """What kubelet and the worker do when the assignment changes."""
        self.assignment = assignment
        kept = {camera.uid for camera in assignment.cameras}
        self.health = {uid: health for uid, health in self.health.items() if uid in kept}
        self._tell()

    def report(self, name: str, verdict: Verdict, *faults: ActiveFault) -> None:
        """A camera's health has changed."""
        camera = next(camera for camera in self.assignment.cameras if camera.name == name)
        since = faults[0].since if faults else "2030-01-31T12:00:00Z"
        self.health[camera.uid] = CameraHealth(
            namespace=camera.namespace, name=name, uid=camera.uid, verdict=verdict, since=since, faults=faults
        )
        self._tell()

    def _tell(self) -> None:
        self.cursor += 1
        self._changed.set()

    async def _answer(self, request: web.Request) -> web.Response:
        token = self.assignment.bearer_token.get_secret_value()
        if request.headers.get("Authorization") != f"Bearer {token}":
            return web.Response(status=401)
        if request.query.get("instance") == self._instance and request.query.get("after") == str(self.cursor):
            self._changed.clear()
            try:
                async with asyncio.timeout(float(request.query.get("wait", 0))):
                    await self._changed.wait()
            except TimeoutError:
                pass
        report = HealthReport(
            worker=self.assignment.worker,
            instance=self._instance,
            acknowledged_revision=self.assignment.revision,
            cursor=self.cursor,
            full=True,
            cameras=tuple(self.health.values()),
        )
        return web.Response(text=report.model_dump_json(by_alias=True), content_type="application/json")


class City(Users):
    """A namespace with a category of its own, and the hands of users, kubelet and workers in it."""

    def __init__(self, cluster: Cluster, api: KubernetesApi, namespace: str, folder: Path) -> None:
        super().__init__(api, namespace)
        self.cluster = cluster
        self.folder = folder
        self._operators: list[OperatorProcess] = []
        self._workers: list[Worker] = []

    async def start_operator(
        self, *flags: str, kubeconfig: Path | None = None, wait: bool = True, in_pod: bool = False
    ) -> OperatorProcess:
        """A further operator; waits until it leads if asked to."""
        log = self.folder / f"operator-{len(self._operators)}.log"
        log.touch()
        operator = OperatorProcess(kubeconfig or self.cluster.kubeconfig, self.namespace, log, *flags, in_pod=in_pod)
        self._operators.append(operator)
        if wait:
            await eventually(operator.leads, 30, "the operator leads")
        return operator

    async def camera(self, name: str) -> Object:
        """A camera's status."""
        found = await self.api.get(CAMERAS, self.namespace, name)
        status: Object = found.get("status") or {}
        return status

    async def group(self, name: str = "shops") -> Object:
        """A group's status."""
        found = await self.api.get(GROUPS, self.namespace, name)
        status: Object = found.get("status") or {}
        return status

    async def camera_is(self, name: str, state: str, reason: str | None = None, within_s: float = 10) -> Object:
        """Waits for a camera's state; returns its status."""

        async def probe() -> Object | None:
            status = await self.camera(name)
            right = status.get("state") == state and reason in (None, status.get("reason"))
            return status if right else None

        found: Object = await eventually(probe, within_s, f"{name} is {state} {reason or ''}")
        return found

    async def assignments(self) -> dict[str, Assignment]:
        """Assignments of all workers that have all their parts."""
        parts = [
            {item["metadata"]["name"] for item in await self._worker_objects(resource)}
            for resource in (SERVICES, STATEFUL_SETS)
        ]
        return {
            item["metadata"]["name"]: Assignment.from_secret_text(base64.b64decode(item["data"][ASSIGNMENT_KEY]))
            for item in await self._worker_objects(SECRETS)
            if item["metadata"]["name"] in parts[0] & parts[1]
        }

    async def assigned(self, *cameras: str, within_s: float = 10) -> dict[str, Assignment]:
        """Waits until exactly these cameras are assigned; returns the assignments."""

        async def probe() -> dict[str, Assignment] | None:
            found = await self.assignments()
            present = sorted(camera.name for assignment in found.values() for camera in assignment.cameras)
            return (found or {"": None}) if present == sorted(cameras) else None  # type: ignore[dict-item]

        found: dict[str, Assignment] = await eventually(probe, within_s, f"{', '.join(cameras)} are assigned")
        return found

    async def versions(self) -> dict[str, str]:
        """resourceVersion of every object of the namespace that the operator may write."""
        resources = (SECRETS, SERVICES, STATEFUL_SETS, PODS, CAMERAS, GROUPS)
        return {
            f"{resource.kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for resource in resources
            async for page in self.api.list_pages(resource, self.namespace)
            for item in page.items
        }

    async def quiet(self, operator: OperatorProcess, for_s: float = 1.0) -> float:
        """Waits until the operator has written nothing for a while; returns its writes so far."""
        last, since = await operator.writes(), time.monotonic()
        while last is None or time.monotonic() - since < for_s:
            await asyncio.sleep(0.1)
            now = await operator.writes()
            if now != last:
                last, since = now, time.monotonic()
        return last

    async def start_worker(self, name: str) -> Worker:
        """A pod of the worker, Running and Ready, and the process in it."""
        stateful_set = await self.api.get(STATEFUL_SETS, self.namespace, name)
        worker = Worker((await self.assignments())[name])
        await worker.start()
        self._workers.append(worker)
        template = stateful_set["spec"]["template"]
        key = {"namespace": self.namespace, "name": names.pod_name(name)}
        spec = {**template["spec"], "nodeName": NODE}
        for container in spec["containers"]:
            for port in container.get("ports", ()):
                port["containerPort"] = worker.port
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], **key}, "spec": spec}
        await self.api.create(PODS, pod)
        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await self.api.apply_status(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": key, "status": status})
        return worker

    async def run_workers(self) -> None:
        """Until it is cancelled, starts and ends workers as StatefulSets say, and delivers what Secrets say.

        A worker finds every camera in good order.
        """
        workers: dict[str, Worker] = {}
        while True:
            wanted = {item["metadata"]["name"] for item in await self._worker_objects(STATEFUL_SETS)}
            for pod in await self.pods():
                name = pod["metadata"]["name"].removesuffix("-0")
                if name not in wanted or "deletionTimestamp" in pod["metadata"]:
                    await workers.pop(name).stop()
                    await self._end_pod(pod["metadata"]["name"])
            for name, assignment in (await self.assignments()).items():
                # Whatever has gone since it was listed is seen in the next round.
                with contextlib.suppress(KeyError, NotFoundError):
                    worker = workers.get(name) or workers.setdefault(name, await self.start_worker(name))
                    if worker.assignment != assignment:
                        worker.deliver(assignment)
                    for camera in worker.assignment.cameras:
                        if camera.uid not in worker.health:
                            worker.report(camera.name, Verdict.WORKING)
            await asyncio.sleep(0.1)

    async def _end_pod(self, name: str) -> None:
        """There is no kubelet that would say that its containers have ended."""
        command = ("delete", "pod", name, "-n", self.namespace, "--grace-period=0", "--force", "--wait=false")
        await asyncio.to_thread(self.cluster.kubectl, *command)

    def kubeconfig_of_chart(self, folder: Path) -> Path:
        """Access with the rights that the chart grants the operator for this namespace, and no others."""
        values = [f"watchNamespaces={{{self.namespace}}}", f"leaseName={self.namespace}"]
        rendered = self.cluster.helm(
            *("template", self.namespace, str(CHART), "--namespace", self.namespace),
            *("--show-only", "templates/rbac-operator.yaml", "--show-only", "templates/serviceaccount.yaml"),
            *(argument for value in values for argument in ("--set", value)),
        )
        self.cluster.kubectl("apply", "-f", "-", input=rendered)
        account = next(
            document["metadata"]["name"]
            for document in yaml.safe_load_all(rendered)
            if document and document["kind"] == "ServiceAccount"
        )
        token = self.new_token(account)
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def new_token(self, account: str, *options: str) -> str:
        """A token of a service account; options are those of ``kubectl create token``."""
        return self.cluster.kubectl("create", "token", account, "-n", self.namespace, *options).strip()

    async def pods(self) -> list[Object]:
        """Pods of all workers."""
        return await self._worker_objects(PODS)

    async def clean_up(self) -> None:
        """Ends all processes and removes what would be in the way of other tests."""
        for operator in self._operators:
            if operator.process.poll() is None:
                operator.kill()
        for worker in self._workers:
            await worker.stop()
        categories = [item["metadata"] async for page in self.api.list_pages(CATEGORIES, None) for item in page.items]
        for metadata in categories:
            if metadata["name"].startswith(self.category):
                await self.api.delete(CATEGORIES, "", metadata["name"], uid=metadata["uid"])

    async def _worker_objects(self, resource: Resource) -> list[Object]:
        pages = self.api.list_pages(resource, self.namespace, label_selector=WORKERS)
        return [item async for page in pages for item in page.items]


#: Makes a city that ends with the block.
NewCity = Callable[[], AbstractAsyncContextManager[City]]
