"""TCP ports for servers that are started here."""

import contextlib
import random
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Final

#: Below the range the kernel takes ports of outgoing connections from: a port must stay free while a server is down.
_PORTS: Final = range(20_000, 32_000)
#: Seconds for a connection on this machine.
_CONNECT_S: Final = 1.0


def free_port() -> int:
    """A port nobody listens on at present."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port")


@contextlib.contextmanager
def hanging_up() -> Iterator[int]:
    """A port that takes a request and closes the connection, as of a device whose server has crashed."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="hanging up")
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True
