import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import Configuration
from yarl import URL

from camera_operator.cache import Cache, Scope
from camera_operator.cluster_api import CAMERAS, PODS, SECRETS
from camera_operator.errors import ClusterError, ExpiredError, UnavailableError
from camera_operator.specs import names
from camera_operator.watch import Watcher, wait_for_kinds
from fakes import FakeApi

SHOPS = ("city", "shops")
ALL_CAMERAS = Scope(CAMERAS, None)


class Post:
    """A watcher without kopf, and what it tells."""

    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        self.api = FakeApi()
        self.cache = Cache(namespaces)
        self.changed: list[tuple[str, str]] = []
        self.synced = 0
        self.watcher = Watcher(
            Configuration(), self.api, self.cache, changed=self.changed.append, synced=self.count, namespaces=namespaces
        )

    def count(self) -> None:
        self.synced += 1

    def add_camera(self, name: str) -> dict[str, Any]:
        spec = {"group": "shops", "source": {"rtsp": {"url": "rtsp://cam/main"}}}
        return self.api.put(CAMERAS, {"metadata": {"namespace": "city", "name": name}, "spec": spec})

    def names(self) -> list[str]:
        return [camera.name for camera in self.cache.cameras(SHOPS)]

    async def request(self, url: str) -> None:
        """kopf makes a request."""
        trace = self.watcher._trace()
        trace.freeze()
        parameters = aiohttp.TraceRequestStartParams("GET", URL(url), {})  # type: ignore[arg-type]
        await trace.on_request_start.send(None, None, parameters)  # type: ignore[arg-type]

    def due(self) -> list[Scope]:
        return [self.watcher._due.get_nowait() for _ in range(self.watcher._due.qsize())]


async def test_a_sweep_finds_what_no_event_has_told() -> None:
    post = Post()
    for name in "abc":
        post.add_camera(name)
    await post.watcher.sweep(ALL_CAMERAS)
    assert post.names() == ["a", "b", "c"]
    assert set(post.changed) == {SHOPS}


async def test_a_sweep_finds_deletions_that_were_lost_across_a_gap() -> None:
    post = Post()
    post.watcher.take(CAMERAS, None, post.add_camera("a"))
    post.watcher.take(CAMERAS, None, post.add_camera("b"))
    post.api.remove(CAMERAS, "city", "a")
    post.changed.clear()
    await post.watcher.sweep(ALL_CAMERAS)
    assert post.names() == ["b"]
    assert post.changed == [SHOPS]


async def test_a_sweep_without_news_tells_nobody() -> None:
    post = Post()
    post.watcher.take(CAMERAS, "ADDED", post.add_camera("a"))
    post.changed.clear()
    await post.watcher.sweep(ALL_CAMERAS)
    assert post.changed == []


async def test_events_are_taken_over_as_they_come() -> None:
    post = Post()
    added = post.add_camera("a")
    post.watcher.take(CAMERAS, "ADDED", added)
    assert post.names() == ["a"]
    gone = {**added, "metadata": {**added["metadata"], "resourceVersion": "9999"}}
    post.watcher.take(CAMERAS, "DELETED", gone)
    assert post.names() == []


async def test_the_cache_is_complete_once_when_all_scopes_are_swept() -> None:
    post = Post(("city", "port"))
    for scope in post.cache.scopes:
        assert post.synced == 0
        await post.watcher.sweep(scope)
    for scope in post.cache.scopes:
        await post.watcher.sweep(scope)
    assert post.synced == 1


async def test_other_people_s_pods_and_helm_s_secrets_stay_out() -> None:
    post = Post()
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_GROUP: "shops", names.LABEL_WORKER: "w"}
    post.api.put(PODS, {"metadata": {"namespace": "city", "name": "ours", "labels": labels}})
    post.api.put(PODS, {"metadata": {"namespace": "city", "name": "theirs"}})
    post.api.put(SECRETS, {"metadata": {"namespace": "city", "name": "login"}, "type": "Opaque"})
    post.api.put(SECRETS, {"metadata": {"namespace": "city", "name": "helm"}, "type": "helm.sh/release.v1"})
    await post.watcher.sweep(Scope(PODS, None))
    await post.watcher.sweep(Scope(SECRETS, None))
    assert list(post.cache.workers(SHOPS)["w"].pods) == ["ours"]
    assert set(post.cache._secrets.entries) == {("city", "login")}


async def test_each_watch_that_follows_a_list_asks_for_a_sweep() -> None:
    post = Post()
    base = "https://api/apis/camera-operator.io/v1alpha1/cameras"
    await post.request(f"{base}?limit=500")
    await post.request(f"{base}?limit=500&continue=x")
    assert post.due() == []
    await post.request(f"{base}?watch=true&resourceVersion=7")
    assert post.due() == [ALL_CAMERAS]


async def test_a_watch_that_goes_on_where_it_was_asks_for_none() -> None:
    post = Post()
    await post.request("https://api/apis/camera-operator.io/v1alpha1/cameras?watch=true&resourceVersion=7")
    assert post.due() == []


async def test_requests_about_other_things_ask_for_no_sweep() -> None:
    post = Post(("city",))
    for path in ("/apis", "/api/v1/namespaces/elsewhere/pods"):
        await post.request(f"https://api{path}?limit=500")
        await post.request(f"https://api{path}?watch=true")
    assert post.due() == []


async def run_sweeps(post: Post, until: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the sweeps without their pauses."""
    sleep = asyncio.sleep

    async def no_pause(seconds: float) -> None:
        # The pause between regular sweeps is the only one of minutes; that one stays.
        await sleep(3600 if seconds > 40 else 0)

    monkeypatch.setattr("camera_operator.watch.asyncio.sleep", no_pause)
    task = asyncio.create_task(post.watcher.sweep_for_ever())
    async with asyncio.timeout(10):
        while not until():
            await sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_sweep_that_fails_is_repeated_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post()
    post.add_camera("a")
    errors: list[ClusterError] = [UnavailableError("list", 503, "x"), ExpiredError("list", 410, "x")]
    post.api.fail = lambda _verb, _kind, _name: errors.pop() if errors else None
    post.watcher.ask_for_sweep(ALL_CAMERAS)
    await run_sweeps(post, lambda: post.names() == ["a"], monkeypatch)


async def test_a_scope_that_waits_is_not_swept_twice() -> None:
    post = Post()
    for _ in range(3):
        post.watcher.ask_for_sweep(ALL_CAMERAS)
    assert post.due() == [ALL_CAMERAS]


async def test_missing_kinds_are_named_once_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    api.missing = ("Camera", "CameraGroup")
    pauses = 0

    async def sleep(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 3:
            api.missing = ()

    await wait_for_kinds(api, sleep)
    told = (
        "waiting for the cluster: the CRDs of Camera, CameraGroup are not installed;"
        " install the chart with crds.enabled=true or apply the folder crds/manifests"
    )
    assert [record.getMessage() for record in caplog.records] == [told]
