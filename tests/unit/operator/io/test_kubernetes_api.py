"""The real client against a server that answers what API servers answer in trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from yarl import URL

from camera_operator import cluster_api
from camera_operator.cluster_api import (
    CAMERAS,
    CATEGORIES,
    PODS,
    SECRETS,
    STATEFUL_SETS,
    KubernetesApi,
    apply_request,
    delete_request,
    open_session,
)
from camera_operator.errors import (
    ClusterError,
    ConflictError,
    DeniedError,
    ExpiredError,
    NotFoundError,
    RejectedError,
    UnavailableError,
)
from camera_operator.metrics import Metrics

SECRET = {"metadata": {"namespace": "city", "name": "login"}, "data": {"password": "aHVudGVyMg=="}}
Answer = Callable[[web.Request], web.Response]


class Server:
    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.answer: Answer = lambda _request: web.json_response({})
        self.silent = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests.append(request)
        if self.silent:
            await asyncio.Event().wait()
        return self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


def configuration(server: Server) -> Configuration:
    found = Configuration()
    found.host = server.url
    found.api_key["BearerToken"] = "Bearer first"
    return found


@pytest.fixture
async def api(server: Server) -> AsyncIterator[KubernetesApi]:
    api = KubernetesApi(configuration(server))
    yield api
    await api.close()


def status(code: int, reason: str, **more: object) -> Answer:
    return lambda _request: web.json_response({"kind": "Status", "reason": reason, **more}, status=code)


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "BadRequest", RejectedError),
        (401, "Unauthorized", DeniedError),
        (403, "Forbidden", DeniedError),
        (404, "NotFound", NotFoundError),
        (409, "Conflict", ConflictError),
        (410, "Expired", ExpiredError),
        (422, "Invalid", RejectedError),
        (429, "TooManyRequests", UnavailableError),
        (500, "InternalError", UnavailableError),
        (503, "ServiceUnavailable", UnavailableError),
    ],
)
async def test_every_status_has_its_error(
    api: KubernetesApi, server: Server, code: int, reason: str, error: type[ClusterError]
) -> None:
    server.answer = status(code, reason)
    with pytest.raises(error) as raised:
        await api.apply(SECRETS, SECRET)
    assert type(raised.value) is error
    assert str(raised.value).startswith(f"apply Secret city/login: HTTP {code} {reason}")


async def test_the_server_says_how_long_to_wait(api: KubernetesApi, server: Server) -> None:
    server.answer = lambda _request: web.json_response({}, status=429, headers={"Retry-After": "7"})
    with pytest.raises(UnavailableError) as raised:
        await api.get(SECRETS, "city", "login")
    assert raised.value.retry_after == 7.0


async def test_a_refusal_names_the_fields_and_quotes_no_value(api: KubernetesApi, server: Server) -> None:
    server.answer = status(
        422,
        "Invalid",
        message='Secret "login" is invalid: data[x]: Invalid value: "hunter2"',
        details={"causes": [{"field": "data[x]", "message": 'Invalid value: "hunter2"'}]},
    )
    with pytest.raises(RejectedError) as raised:
        await api.apply(SECRETS, SECRET)
    assert str(raised.value) == "apply Secret city/login: HTTP 422 Invalid (data[x])"


async def test_an_answer_that_is_no_json_is_an_error_too(api: KubernetesApi, server: Server) -> None:
    server.answer = lambda _request: web.Response(status=502, text="<html>bad gateway</html>")
    with pytest.raises(UnavailableError, match="HTTP 502"):
        await api.get(SECRETS, "city", "login")


async def test_silence_ends_in_time(api: KubernetesApi, server: Server) -> None:
    server.silent = True
    request = cluster_api.Request("get", "GET", "/x", "get x", "x", timeout=0.05)
    with pytest.raises(UnavailableError, match=r"get x: no answer within 0\.05 s"):
        await api._send(request)


async def test_no_connection_is_unavailable(server: Server) -> None:
    nowhere = configuration(server)
    nowhere.host = "http://127.0.0.1:1"
    api = KubernetesApi(nowhere)
    with pytest.raises(UnavailableError, match="ClientConnectorError"):
        await api.get(SECRETS, "city", "login")
    await api.close()


async def test_writes_are_counted_and_reads_are_not(server: Server) -> None:
    metrics = Metrics()
    api = KubernetesApi(configuration(server), count_write=metrics.count_write)
    await api.apply(SECRETS, SECRET)
    await api.apply_status(CAMERAS, SECRET)
    await api.merge_patch(PODS, "city", "p", {})
    await api.get(SECRETS, "city", "login")
    server.answer = status(500, "InternalError")
    with pytest.raises(UnavailableError):
        await api.apply(SECRETS, SECRET)
    await api.close()
    counted = {
        (sample.labels["kind"], sample.labels["verb"]): sample.value
        for metric in metrics.registry.collect()
        if metric.name == "camera_operator_api_writes"
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counted == {("Secret", "apply"): 2.0, ("Camera", "apply_status"): 1.0, ("Pod", "patch"): 1.0}


async def unrevised(_url: URL, answer: Any) -> Any:
    return answer


async def test_what_a_library_sees_of_an_answer_may_be_something_else(server: Server) -> None:
    async def revise(url: URL, answer: Any) -> Any:
        return {"path": url.path, "was": answer}

    server.answer = lambda _request: web.json_response({"items": [1]})
    async with (
        await open_session(configuration(server), revise=revise, wants=lambda _url, _line: True) as session,
        session.get(f"{server.url}/pods?limit=1") as response,
    ):
        assert await response.json() == {"path": "/pods", "was": {"items": [1]}}


@pytest.mark.parametrize("size", [1, 3, 1024])
async def test_a_library_sees_the_lines_of_a_watch_that_are_wanted(server: Server, size: int) -> None:
    server.answer = lambda _request: web.Response(body=b"one\ntwo\nthree\nfour\n")

    def wants(url: URL, line: bytes) -> bool:
        return url.path == "/pods" and line.startswith(b"t")

    async with (
        await open_session(configuration(server), revise=unrevised, wants=wants) as session,
        session.get(f"{server.url}/pods?watch=true") as response,
    ):
        lines = [line async for line in response.content.iter_chunked(size)]
    assert lines == [b"two\n", b"three\n"]


async def test_a_rotated_token_is_used_at_once(server: Server) -> None:
    rotating = configuration(server)
    tokens = iter(("second", "third", "fourth"))

    def rotate(found: Configuration) -> None:
        found.api_key["BearerToken"] = f"Bearer {next(tokens)}"

    # The package annotates the hook as None.
    rotating.refresh_api_key_hook = rotate  # type: ignore[assignment]
    api = KubernetesApi(rotating)
    await api.get(SECRETS, "city", "login")
    await api.get(SECRETS, "city", "login")
    await api.close()
    async with (
        await open_session(rotating, revise=unrevised, wants=lambda _url, _line: True) as session,
        session.get(server.url),
    ):
        pass
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer second",
        "Bearer third",
        "Bearer fourth",
    ]


async def test_lists_are_read_in_pages(api: KubernetesApi, server: Server) -> None:
    def answer(request: web.Request) -> web.Response:
        token = request.query.get("continue", "")
        metadata = {"resourceVersion": "10", **({} if token else {"continue": "more"})}
        return web.json_response({"metadata": metadata, "items": [{"page": token}]})

    server.answer = answer
    pages = [page async for page in api.list_pages(PODS, None, label_selector="a=b")]
    assert [page.items for page in pages] == [[{"page": ""}], [{"page": "more"}]]
    assert {request.query["labelSelector"] for request in server.requests} == {"a=b"}
    assert {request.query["limit"] for request in server.requests} == {"500"}


async def test_missing_kinds_are_named(api: KubernetesApi, server: Server) -> None:
    server.answer = lambda _request: web.json_response({"resources": [{"name": "cameras"}, {"name": "cameras/status"}]})
    assert await api.missing_kinds() == ("CameraGroup", "CameraCategory")
    server.answer = status(404, "NotFound")
    assert await api.missing_kinds() == ("Camera", "CameraGroup", "CameraCategory")


def test_paths_are_those_of_the_api() -> None:
    assert SECRETS.path("city", "login") == "/api/v1/namespaces/city/secrets/login"
    assert CAMERAS.path(None) == "/apis/camera-operator.io/v1alpha1/cameras"
    assert CAMERAS.path("city", "a", "status") == "/apis/camera-operator.io/v1alpha1/namespaces/city/cameras/a/status"
    assert CATEGORIES.path("city", "shops") == "/apis/camera-operator.io/v1alpha1/cameracategories/shops"
    assert STATEFUL_SETS.path("city") == "/apis/apps/v1/namespaces/city/statefulsets"


async def test_the_api_server_gives_a_write_up_when_its_sender_does(api: KubernetesApi, server: Server) -> None:
    server.answer = lambda _request: web.json_response(SECRET)
    await api.apply(SECRETS, SECRET)
    await api.get(SECRETS, "city", "login")
    assert [request.query.get("timeout") for request in server.requests] == ["5s", None]


def test_requests_carry_their_preconditions() -> None:
    applied = apply_request(SECRETS, SECRET, manager="m")
    assert applied.query == (("fieldManager", "m"), ("force", "true"))
    assert applied.content_type == "application/apply-patch+yaml"
    deleted = delete_request(SECRETS, "city", "login", uid="u", resource_version="9")
    assert deleted.body is not None
    assert deleted.body["preconditions"] == {"uid": "u", "resourceVersion": "9"}
