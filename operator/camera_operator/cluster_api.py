"""The calls to the API server that the operator makes: a Protocol, and the client that makes them for real.

Objects go in and out as decoded JSON. All writes are counted, whatever their outcome.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast
from urllib.parse import quote, urlencode
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration
from yarl import URL

from camera_api import GROUP, VERSION
from camera_operator.errors import NotFoundError, OperatorError, UnavailableError, error_of_status

logger = logging.getLogger(__name__)

Object = dict[str, Any]

#: Owner of the worker objects' fields.
FIELD_MANAGER = "camera-operator"
#: Owner of the status fields: apart, so that neither kind of apply drops what the other has set.
STATUS_FIELD_MANAGER = "camera-operator-status"

#: Objects per LIST request. client-go's default; larger pages make single requests slow for everybody.
PAGE_SIZE = 500
#: A write that takes longer has failed for us. Together with the Lease's renew deadline of 7 s it stays within the
#: Lease's 12 s, so that no write of an old leader arrives after a new one has begun.
WRITE_TIMEOUT = 5.0
#: A page of 500 cameras takes 50 ms; a busy API server may take long.
LIST_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as the API server addresses it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in manifests, for example ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, an object or a subresource."""
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if namespace is not None and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part is not None]
        return "/".join(parts)


CAMERAS = Resource(GROUP, VERSION, "cameras", "Camera")
GROUPS = Resource(GROUP, VERSION, "cameragroups", "CameraGroup")
CATEGORIES = Resource(GROUP, VERSION, "cameracategories", "CameraCategory", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICES = Resource("", "v1", "services", "Service")
PODS = Resource("", "v1", "pods", "Pod")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a LIST. All pages of one LIST are of the same moment."""

    items: list[Object]
    resource_version: int  #: the moment


class ClusterApi(Protocol):
    """What the operator asks of an API server. Every call raises ``ClusterError``."""

    def list_pages(
        self, resource: Resource, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Page]:
        """All objects, page by page, as they were at one moment not before the call; ``ExpiredError``: start again.

        Args:
            resource: kind of the objects.
            namespace: None lists all namespaces.
            label_selector: as in the API; empty selects all.
            field_selector: as in the API; empty selects all.
        """
        ...

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object; ``NotFoundError``: there is none."""
        ...

    async def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """A new object; ``ConflictError``: there is one of that name."""
        ...

    async def replace(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """Another content; ``ConflictError``: it is not at ``metadata.resourceVersion`` any more."""
        ...

    async def apply(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply by ``FIELD_MANAGER``, forced: creates or adjusts.

        ``metadata.resourceVersion`` and ``metadata.uid`` are preconditions (``ConflictError``). Without the UID, an
        object that was deleted meanwhile is created again in spite of the version.
        """
        ...

    async def apply_status(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply of the status by ``STATUS_FIELD_MANAGER``, forced.

        ``metadata.resourceVersion`` is a precondition (``ConflictError``); ``metadata.uid`` is ignored here. It makes
        sure that a status never lands on a namesake, and that it was worked out from the specification it stands by.
        """
        ...

    async def merge_patch(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Object:
        """JSON merge patch."""
        ...

    async def resize_pod(self, namespace: str, name: str, container: str, resources: Mapping[str, Any]) -> Object:
        """Other requests and limits for a container that goes on running."""
        ...

    async def can_resize_pods(self) -> bool:
        """Whether the API server has the subresource ``resize`` of pods (Kubernetes 1.33)."""
        ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """Deletes this very object, dependents in the background.

        ``ConflictError``: it is another one by now; ``NotFoundError``: it is gone.
        """
        ...

    async def missing_kinds(self) -> tuple[str, ...]:
        """Kinds of this project's API group whose CRD is not installed."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A request before it is sent."""

    verb: str  #: as in RBAC and metrics: get, list, create, update, patch, apply, delete
    method: str
    path: str
    what: str  #: for error messages
    kind: str
    query: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    body: Mapping[str, Any] | None = None
    timeout: float = WRITE_TIMEOUT

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def url(self) -> str:
        """Path and query. The API server gives a write up when its sender does, or it might be carried out later."""
        limit = (("timeout", f"{self.timeout:g}s"),) if self.is_write else ()
        query = urlencode((*self.query, *limit))
        return f"{self.path}?{query}" if query else self.path


def _what(verb: str, resource: Resource, namespace: str | None, name: str = "") -> str:
    where = "/".join(part for part in (namespace, name) if part) or "in all namespaces"
    return f"{verb} {resource.kind} {where}"


def _key(manifest: Mapping[str, Any]) -> tuple[str | None, str]:
    metadata = manifest["metadata"]
    return metadata.get("namespace"), metadata["name"]


def apply_request(
    resource: Resource, manifest: Mapping[str, Any], *, manager: str, subresource: str | None = None
) -> Request:
    """A forced server-side apply."""
    namespace, name = _key(manifest)
    verb = f"apply {subresource}" if subresource else "apply"
    return Request(
        verb=verb.replace(" ", "_"),
        method="PATCH",
        path=resource.path(namespace, name, subresource),
        what=_what(verb, resource, namespace, name),
        kind=resource.kind,
        query=(("fieldManager", manager), ("force", "true")),
        content_type="application/apply-patch+yaml",
        body=manifest,
    )


def delete_request(resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str | None) -> Request:
    """A deletion with preconditions."""
    preconditions = {"uid": uid}
    if resource_version is not None:
        preconditions["resourceVersion"] = resource_version
    return Request(
        verb="delete",
        method="DELETE",
        path=resource.path(namespace, name),
        what=_what("delete", resource, namespace, name),
        kind=resource.kind,
        body={
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": preconditions,
        },
    )


async def load_configuration(kubeconfig: str = "", context: str = "") -> Configuration:
    """How to reach the cluster: a kubeconfig if one is named, else the pod's service account, else ``$KUBECONFIG``.

    Raises:
        OperatorError: there is neither, or it cannot be used.
    """
    configuration = Configuration()
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and not (kubeconfig or context)
    try:
        if in_cluster:
            kubernetes_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig or None,
                context=context or None,
                client_configuration=configuration,
                persist_config=False,
            )
    except (kubernetes_config.ConfigException, OSError, ValueError) as error:
        raise OperatorError(f"no access to a cluster: {error}") from error
    # With trust_env, aiohttp looks for ~/.netrc in a thread before each request, which is half of what a request costs.
    # Only proxies that the environment names need it.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
    return configuration


class _Sieve:
    """Of a stream that is read by ``iter_chunked``, the lines that somebody wants, one by one."""

    def __init__(self, stream: aiohttp.StreamReader, wants: Callable[[bytes], bool]) -> None:
        self._stream = stream
        self._wants = wants

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._stream.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if self._wants(line):
                    yield line + b"\n"


async def open_session(
    configuration: Configuration,
    *,
    revise: Callable[[URL, Any], Awaitable[Any]],
    wants: Callable[[URL, bytes], bool],
) -> aiohttp.ClientSession:
    """A session for a library that makes its own requests (kopf), with the same access as ``KubernetesApi``.

    The token is added per request, so that a rotated one is used at once.

    Args:
        configuration: how to reach the cluster.
        revise: makes of the URL and the decoded JSON of an answer what the library is to see of it.
        wants: whether the library is to see a line of an answer that it reads line by line, as it does watches.
    """

    class Response(aiohttp.ClientResponse):
        async def json(self, **options: Any) -> Any:
            return await revise(self.url, await super().json(**options))

    client = ApiClient(configuration)

    async def sift(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        response.content = cast("aiohttp.StreamReader", _Sieve(response.content, partial(wants, response.url)))
        return response

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        headers: dict[str, str] = {}
        await client.update_params_for_auth(headers, None, ["BearerToken"], "", request.method, None)
        request.headers.update(headers)
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=client.rest_client.ssl_context),
        # A watch event of a large object does not fit aiohttp's default of 64 KiB per line.
        read_bufsize=2**21,
        middlewares=(authorize, sift),
        response_class=Response,
    )


class KubernetesApi:
    """The real thing, over one pool of connections.

    Args:
        configuration: how to reach the cluster.
        count_write: called with kind and verb for every write that is sent.
        user_agent: how the API server's logs name this client.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        count_write: Callable[[str, str], None] = lambda _kind, _verb: None,
        user_agent: str = "camera-operator",
    ) -> None:
        self._client = ApiClient(configuration)
        self._count_write = count_write
        self._user_agent = user_agent

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def list_pages(
        self, resource: Resource, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Page]:
        """See ``ClusterApi``."""
        selectors = tuple(
            (key, value)
            for key, value in (("labelSelector", label_selector), ("fieldSelector", field_selector))
            if value
        )

        def ask(token: str) -> asyncio.Task[Object]:
            query = (("limit", str(PAGE_SIZE)), *selectors, *((("continue", token),) if token else ()))
            request = Request(
                verb="list",
                method="GET",
                path=resource.path(namespace),
                what=_what("list", resource, namespace),
                kind=resource.kind,
                query=query,
                timeout=LIST_TIMEOUT,
            )
            return asyncio.create_task(self._send(request), name=request.what)

        asked = ask("")
        try:
            while True:
                answer = await asked
                token = answer["metadata"].get("continue") or ""
                if token:
                    # The API server makes the next page while this one is worked on. Decoded it is only after that,
                    # since who works on a page does not wait: one page in memory at a time.
                    asked = ask(token)
                    await asyncio.sleep(0)
                yield Page(answer.get("items") or [], int(answer["metadata"]["resourceVersion"]))
                if not token:
                    return
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """See ``ClusterApi``."""
        what = _what("get", resource, namespace, name)
        return await self._send(Request("get", "GET", resource.path(namespace, name), what, resource.kind))

    async def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """See ``ClusterApi``."""
        namespace, name = _key(manifest)
        return await self._send(
            Request(
                verb="create",
                method="POST",
                path=resource.path(namespace),
                what=_what("create", resource, namespace, name),
                kind=resource.kind,
                query=(("fieldManager", FIELD_MANAGER),),
                body=manifest,
            )
        )

    async def replace(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """See ``ClusterApi``."""
        namespace, name = _key(manifest)
        return await self._send(
            Request(
                verb="update",
                method="PUT",
                path=resource.path(namespace, name),
                what=_what("update", resource, namespace, name),
                kind=resource.kind,
                query=(("fieldManager", FIELD_MANAGER),),
                body=manifest,
            )
        )

    async def apply(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """See ``ClusterApi``."""
        return await self._send(apply_request(resource, manifest, manager=FIELD_MANAGER))

    async def apply_status(self, resource: Resource, manifest: Mapping[str, Any]) -> Object:
        """See ``ClusterApi``."""
        return await self._send(apply_request(resource, manifest, manager=STATUS_FIELD_MANAGER, subresource="status"))

    async def merge_patch(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Object:
        """See ``ClusterApi``."""
        return await self._send(
            Request(
                verb="patch",
                method="PATCH",
                path=resource.path(namespace, name),
                what=_what("patch", resource, namespace, name),
                kind=resource.kind,
                query=(("fieldManager", FIELD_MANAGER),),
                content_type="application/merge-patch+json",
                body=patch,
            )
        )

    async def resize_pod(self, namespace: str, name: str, container: str, resources: Mapping[str, Any]) -> Object:
        """See ``ClusterApi``."""
        return await self._send(
            Request(
                verb="patch_resize",
                method="PATCH",
                path=PODS.path(namespace, name, "resize"),
                what=_what("resize", PODS, namespace, name),
                kind=PODS.kind,
                query=(("fieldManager", FIELD_MANAGER),),
                # A merge patch would replace the list of containers.
                content_type="application/strategic-merge-patch+json",
                body={"spec": {"containers": [{"name": container, "resources": resources}]}},
            )
        )

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """See ``ClusterApi``."""
        await self._send(delete_request(resource, namespace, name, uid=uid, resource_version=resource_version))

    async def missing_kinds(self) -> tuple[str, ...]:
        """See ``ClusterApi``."""
        request = Request(
            "get", "GET", f"/apis/{GROUP}/{VERSION}", f"look for the API {GROUP}/{VERSION}", "APIResourceList"
        )
        try:
            answer = await self._send(request)
        except NotFoundError:
            answer = {}
        served = {resource["name"] for resource in answer.get("resources", [])}
        return tuple(resource.kind for resource in (CAMERAS, GROUPS, CATEGORIES) if resource.plural not in served)

    async def can_resize_pods(self) -> bool:
        """See ``ClusterApi``."""
        answer = await self._send(Request("get", "GET", "/api/v1", "look for the API v1", "APIResourceList"))
        return any(resource["name"] == "pods/resize" for resource in answer.get("resources", []))

    async def read_text(self, path: str) -> str:
        """A page that is not JSON, such as ``/metrics`` of the API server."""
        _, body, _ = await self._exchange(Request("get", "GET", path, f"get {path}", path, timeout=LIST_TIMEOUT))
        return body.decode()

    async def _send(self, request: Request) -> Object:
        _, body, _ = await self._exchange(request)
        decoded: Object = json.loads(body)
        return decoded

    async def _exchange(self, request: Request) -> tuple[int, bytes, Mapping[str, str]]:
        if request.is_write:
            self._count_write(request.kind, request.verb)
        headers = {"Accept": "application/json", "Content-Type": request.content_type, "User-Agent": self._user_agent}
        await self._client.update_params_for_auth(headers, None, ["BearerToken"], request.path, request.method, None)
        try:
            async with asyncio.timeout(request.timeout):
                response = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                    request.method,
                    self._client.configuration.host + request.url,
                    headers=headers,
                    body=request.body,
                    _request_timeout=aiohttp.ClientTimeout(total=request.timeout),
                )
                body = await response.read()
        except TimeoutError as error:
            raise UnavailableError(request.what, 0, f"no answer within {request.timeout:g} s") from error
        except aiohttp.ClientError as error:
            raise UnavailableError(request.what, 0, type(error).__name__) from error
        if not 200 <= response.status < 300:  # noqa: PLR2004 - HTTP statuses
            raise error_of_status(request.what, response.status, _reason(body, response.reason), response.headers)
        return response.status, body, response.headers


def _reason(body: bytes, fallback: str | None) -> str:
    """The machine-readable reason of a ``Status``, and its message where that cannot quote an object.

    Messages about invalid objects quote the refused value, which may be a credential, so they are left out there.
    """
    try:
        status = json.loads(body)
        reason = str(status.get("reason") or fallback or "")
        causes = (status.get("details") or {}).get("causes") or []
    except (ValueError, AttributeError):
        return fallback or "unreadable answer"
    if reason in {"Invalid", "BadRequest"}:
        fields = ", ".join(sorted({str(cause.get("field")) for cause in causes if cause.get("field")}))
        return f"{reason} ({fields})" if fields else reason
    message = str(status.get("message") or "")
    return f"{reason}: {message}" if reason in {"Forbidden", "Conflict", "AlreadyExists"} and message else reason
