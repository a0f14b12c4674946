"""TCP ports for servers that are started here."""

import random
import socket
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


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True
