"""A camera's TCP port, for the main loop's thread."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from camera_simulator.errors import ConfigError
from camera_simulator.faults import Listener
from camera_simulator.gst import GLib

if TYPE_CHECKING:
    from collections.abc import Callable


class Port:
    """A TCP port that can be open, really closed, or open and silent; closed at first.

    Args:
        listen: opens the port and returns what closes it; raises ConfigError.
        address: host address and port.
    """

    def __init__(self, listen: Callable[[], Callable[[], None]], address: tuple[str, int]) -> None:
        self._listen = listen
        self._address = address
        self._state = Listener.CLOSED
        self._stop: Callable[[], None] | None = None
        self._silent: _SilentListener | None = None

    def set(self, state: Listener) -> None:
        """Change what the port does.

        Raises:
            ConfigError: the port is taken or not allowed; it is closed then.
        """
        if state is self._state:
            return
        self._close()
        if state is Listener.SILENT:
            self._silent = _SilentListener(self._address)
        elif state is Listener.OPEN:
            self._stop = self._listen()
        self._state = state

    def _close(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None
        if self._silent is not None:
            self._silent.close()
            self._silent = None
        self._state = Listener.CLOSED


class _SilentListener:
    """Accepts connections and never answers."""

    def __init__(self, address: tuple[str, int]) -> None:
        try:
            self._socket = socket.create_server(address, backlog=128)
        except OSError as error:
            raise ConfigError("port: {}:{}: {}".format(*address, error.strerror)) from None
        self._connections: list[socket.socket] = []
        self._watch = GLib.io_add_watch(self._socket, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, self._accept)

    def close(self) -> None:
        """Close the port and what was accepted."""
        GLib.source_remove(self._watch)
        self._socket.close()
        for connection in self._connections:
            connection.close()

    def _accept(self, *_: Any) -> bool:
        self._forget_closed()
        connection, _address = self._socket.accept()
        connection.setblocking(False)
        self._connections.append(connection)
        return bool(GLib.SOURCE_CONTINUE)

    def _forget_closed(self) -> None:
        for connection in list(self._connections):
            try:
                # Reads what clients ask; only the end of a connection is of interest.
                ended = not connection.recv(65_536)
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            if ended:
                connection.close()
                self._connections.remove(connection)
