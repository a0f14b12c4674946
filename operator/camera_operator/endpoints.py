"""HTTP endpoints of the operator: ``/metrics``, ``/healthz``, ``/readyz``."""

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from camera_operator.errors import OperatorError

_REGISTRY = web.AppKey("registry", CollectorRegistry)


async def _metrics(request: web.Request) -> web.Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    # In a thread: with thousands of groups the text takes a while, and the loop renews the Lease meanwhile.
    body = await asyncio.to_thread(encode, request.app[_REGISTRY])
    return web.Response(body=body, headers={"Content-Type": content_type})


def _probe(trouble: Callable[[], str]) -> Callable[[web.Request], object]:
    async def answer(_request: web.Request) -> web.Response:
        text = trouble()
        return web.Response(text=f"{text or 'ok'}\n", status=503 if text else 200)

    return answer


def _listen(port: int) -> socket.socket:
    # One socket for IPv4 and IPv6: pods may have either, and with port 0 two sockets would get two ports.
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


class Endpoints:
    """The server.

    Args:
        registry: what ``/metrics`` shows.
        unhealthy: why the process should be restarted; empty: it should not.
        unready: why the process is of no use yet; empty: it is.
    """

    def __init__(
        self, registry: CollectorRegistry, *, unhealthy: Callable[[], str], unready: Callable[[], str]
    ) -> None:
        application = web.Application()
        application[_REGISTRY] = registry
        application.router.add_get("/metrics", _metrics)
        application.router.add_get("/healthz", _probe(unhealthy))  # type: ignore[arg-type]
        application.router.add_get("/readyz", _probe(unready))  # type: ignore[arg-type]
        self._runner = web.AppRunner(application, access_log=None)
        self.port = 0

    async def start(self, port: int) -> None:
        """Listens on all addresses.

        Args:
            port: 0 chooses a free one; ``self.port`` says which.

        Raises:
            OperatorError: the port is taken.
        """
        try:
            listener = _listen(port)
        except OSError as error:
            raise OperatorError(f"cannot listen on port {port}: {error.strerror}") from error
        self.port = listener.getsockname()[1]
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()
