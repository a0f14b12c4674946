import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from yarl import URL

from camera_operator.cache import Cache, Scope
from camera_operator.cluster_api import CAMERAS, PODS, SECRETS, Page
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

    async def kopf_lists(self, path: str) -> Any:
        """What kopf sees of a LIST that the API server has answered with one object."""
        listed = {"kind": "CameraList", "metadata": {"resourceVersion": "1", "continue": "x"}, "items": [{"a": "b"}]}
        return await self.watcher.stand_in(URL(f"https://api{path}?limit=1"), listed)

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
    post.watcher.take(CAMERAS, "ADDED", post.add_camera("a"))
    post.watcher.take(CAMERAS, "ADDED", post.add_camera("b"))
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


CAMERA_PATH = "/apis/camera-operator.io/v1alpha1/cameras"


async def test_a_list_of_kopf_s_fills_the_cache_and_kopf_watches_from_there() -> None:
    post = Post()
    for name in "abc":
        last = post.add_camera(name)
    seen = await post.kopf_lists(CAMERA_PATH)
    assert post.names() == ["a", "b", "c"]
    version = last["metadata"]["resourceVersion"]
    assert seen == {"kind": "CameraList", "metadata": {"resourceVersion": version}, "items": []}


async def test_a_list_after_a_410_finds_what_was_deleted_in_the_gap() -> None:
    post = Post()
    post.add_camera("a")
    post.add_camera("b")
    await post.kopf_lists(CAMERA_PATH)
    post.api.remove(CAMERAS, "city", "a")
    post.changed.clear()
    await post.kopf_lists(CAMERA_PATH)
    assert (post.names(), post.changed) == (["b"], [SHOPS])


async def test_kopf_watches_from_no_list_that_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("camera_operator.watch.asyncio.sleep", sleep)
    post = Post()
    post.add_camera("a")
    errors: list[ClusterError] = [UnavailableError("list", 503, "x"), ExpiredError("list", 410, "x")]
    post.api.fail = lambda _verb, _kind, _name: errors.pop() if errors else None
    assert (await post.kopf_lists(CAMERA_PATH))["items"] == []
    assert post.names() == ["a"]
    # A snapshot that is gone is no reason to wait; an API server that does not answer is.
    assert len(pauses) == 1


async def test_answers_about_other_things_stay_as_they_are() -> None:
    post = Post(("city",))
    for path in ("/apis", "/api/v1/namespaces/elsewhere/pods", CAMERA_PATH):
        assert (await post.kopf_lists(path))["items"] == [{"a": "b"}]
    failed = {"kind": "Status", "code": 403}
    url = URL("https://api/apis/camera-operator.io/v1alpha1/namespaces/city/cameras")
    assert await post.watcher.stand_in(url, failed) is failed
    assert post.cache.unswept == post.cache.scopes


@pytest.mark.parametrize("event_type", ["ADDED", "MODIFIED"])
def test_kopf_sees_no_event_that_the_cache_knows(event_type: str) -> None:
    post = Post()
    url = URL(f"https://api{CAMERA_PATH}?watch=true")
    first, other = post.add_camera("a"), post.add_camera("b")
    post.watcher.take(CAMERAS, "ADDED", first)

    def is_news(raw: dict[str, Any]) -> bool:
        return post.watcher.is_news(url, json.dumps({"type": event_type, "object": raw}).encode())

    assert not is_news(first)
    assert is_news(other)
    later = {**first, "metadata": {**first["metadata"], "resourceVersion": "9999"}}
    assert is_news(later)
    post.watcher.take(CAMERAS, "MODIFIED", later)
    assert not is_news(first)


def test_kopf_sees_all_other_lines() -> None:
    post = Post()
    added = post.add_camera("a")
    post.watcher.take(CAMERAS, "ADDED", added)
    for event_type in ("DELETED", "BOOKMARK", "ERROR"):
        line = json.dumps({"type": event_type, "object": added}).encode()
        assert post.watcher.is_news(URL(f"https://api{CAMERA_PATH}?watch=true"), line)
    assert post.watcher.is_news(URL("https://api/apis?x=y"), b"not JSON")


async def test_kinds_are_listed_one_after_another() -> None:
    post = Post()
    for name in "abcdef":
        post.add_camera(name)
    at_once, most = 0, 0
    pages = post.api.list_pages

    async def list_pages(*arguments: Any, **options: Any) -> AsyncIterator[Page]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        async for page in pages(*arguments, **options):
            await asyncio.sleep(0)
            yield page
        at_once -= 1

    post.api.list_pages = list_pages  # type: ignore[method-assign]
    await asyncio.gather(*(post.watcher.sweep_until_done(scope) for scope in post.cache.scopes))
    assert (most, post.cache.is_synced) == (1, True)


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
