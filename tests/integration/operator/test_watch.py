"""The cache follows a real API server through the gaps of its watches."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from camera_operator.cache import Cache
from camera_operator.cluster_api import CAMERAS, KubernetesApi, load_configuration
from camera_operator.watch import Watcher
from operator_city import City, eventually

pytestmark = pytest.mark.integration


class Line:
    """A connection to the API server that can be cut, as a network can.

    Args:
        host: of the API server.
        port: of the API server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._forwards: set[asyncio.Task[None]] = set()
        self.port = 0

    async def mend(self) -> None:
        """Lets everything pass."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Ends what is connected; nobody connects any more."""
        if self._server is not None:
            self._server.close()
        for task in self._forwards:
            task.cancel()
        await asyncio.gather(*self._forwards, return_exceptions=True)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._forwards.add(task)
        task.add_done_callback(self._forwards.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, other_writer))
                tasks.create_task(_copy(other_reader, writer))
        except* ConnectionError:
            pass
        finally:
            writer.close()
            other_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


class Follower:
    """A cache of the city's namespace, with kopf behind the line."""

    def __init__(self, line: Line, watcher: Watcher, cache: Cache, group: tuple[str, str]) -> None:
        self.line = line
        self.watcher = watcher
        self.cache = cache
        self._group = group

    async def holds(self, *names: str, within_s: float = 10) -> None:
        """Waits until the cache holds exactly these cameras."""

        async def probe() -> bool:
            return self.cache.is_synced and [each.name for each in self.cache.cameras(self._group)] == sorted(names)

        await eventually(probe, within_s, f"the cache holds {', '.join(names) or 'nothing'}")


@pytest.fixture
async def follower(city: City) -> AsyncIterator[Follower]:
    others = asyncio.all_tasks()
    configuration = await load_configuration(str(city.cluster.kubeconfig))
    line = Line("127.0.0.1", int(configuration.host.rpartition(":")[2]))
    await line.mend()
    configuration.host = f"https://127.0.0.1:{line.port}"
    api = KubernetesApi(configuration)
    cache = Cache((city.namespace,))
    # No regular sweep is to hide what the watches lose.
    watcher = Watcher(
        configuration, api, cache, changed=lambda _group: None, namespaces=(city.namespace,), resync=86_400.0
    )
    tasks = await watcher.start()
    sweeps = asyncio.create_task(watcher.sweep_for_ever())
    try:
        yield Follower(line, watcher, cache, (city.namespace, "shops"))
        assert not [task for task in tasks if task.done()]
    finally:
        sweeps.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeps
        await watcher.stop()
        await api.close()
        await line.cut()
        # kopf leaves nothing behind.
        assert asyncio.all_tasks() - {asyncio.current_task()} <= others


async def test_a_watch_that_is_cut_goes_on_where_it_was(city: City, follower: Follower) -> None:
    await city.add_camera("a", secret="login")
    await follower.holds("a")
    await follower.line.cut()
    await city.add_camera("b", secret="login")
    await city.remove(CAMERAS, "a")
    await follower.line.mend()
    await follower.holds("b")


async def test_what_is_deleted_before_a_watch_has_expired_is_found(
    city: City, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kopf")
    for name in ("a", "b", "c"):
        await city.add_camera(name, secret="login")
    await follower.holds("a", "b", "c")
    await follower.line.cut()
    await city.remove(CAMERAS, "a")
    await city.remove(CAMERAS, "b")
    await city.add_camera("b", secret="login")
    # What an API server remembers of the past it forgets when it starts: whoever asks for it gets a 410.
    city.cluster.restart_component("kube-apiserver")
    await follower.line.mend()
    await follower.holds("b", "c", within_s=30)
    camera = follower.cache.camera((city.namespace, "b"))
    assert camera is not None
    assert camera.uid == await uid(city, "b")
    expired = f"Restarting the watch-stream for cameras.v1alpha1.camera-operator.io in '{city.namespace}'."
    assert expired in caplog.messages
    await city.add_camera("d", secret="login")
    await follower.holds("b", "c", "d")


async def uid(city: City, name: str) -> str:
    """UID of a camera."""
    found = await city.api.get(CAMERAS, city.namespace, name)
    return str(found["metadata"]["uid"])
