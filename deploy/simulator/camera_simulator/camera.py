"""One camera: a port, an account, two streams, and a fault that can be switched; how it speaks is up to a subclass.

Threads: everything here runs in the main loop's thread, except what says otherwise.
"""

from __future__ import annotations

import abc
import secrets
import time
from typing import TYPE_CHECKING, Any

from camera_simulator.faults import NO_FAULT, Behaviour, Fault, Listener
from camera_simulator.gst import GLib
from camera_simulator.port import Port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from camera_simulator.config import CameraConfig
    from camera_simulator.footage import ClipSpec


class Feed(abc.ABC):
    """One path of a camera."""

    path: str  #: absolute, in the camera's addresses
    spec: ClipSpec
    frames_sent: int

    @property
    @abc.abstractmethod
    def sessions(self) -> int:
        """Clients that are being sent pictures, or would be if the camera did not stall."""

    @abc.abstractmethod
    def apply(self, behaviour: Behaviour, now: float) -> None:
        """Change what is sent, at the next key frame; the variant is in memory already."""

    @abc.abstractmethod
    def set_offset(self, seconds: float) -> None:
        """Add this to the timestamps from now on."""


class Camera(abc.ABC):
    """One camera: its own TCP port, two streams, an account, and a fault that can be switched.

    Args:
        config: the camera as declared.
        address: host address and TCP port to listen on.
        listen: opens that port, and returns what closes it.
    """

    streams: Mapping[str, Feed]

    def __init__(
        self, config: CameraConfig, address: tuple[str, int], listen: Callable[[], Callable[[], None]]
    ) -> None:
        self.config = config
        self.port = address[1]
        self.fault = NO_FAULT
        self._behaviour: Behaviour = NO_FAULT.behaviour
        self._jumped = False
        self._timers: list[Any] = []
        self._port = Port(listen, address)

    @property
    @abc.abstractmethod
    def clients(self) -> int:
        """Open connections."""

    @abc.abstractmethod
    def kick(self) -> None:
        """Close every connection and session."""

    @abc.abstractmethod
    def expire_sessions(self) -> None:
        """Forget sessions whose client has gone silent."""

    @abc.abstractmethod
    def _set_password(self, password: str | None) -> None:
        """Want this password, also where none was wanted before; None: the declared one."""

    def open(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the port is taken or not allowed.
        """
        self._port.set(Listener.OPEN)

    def close(self) -> None:
        """Stop listening and drop all clients."""
        self._stop_timers()
        self._port.set(Listener.CLOSED)
        self.kick()

    def set_fault(self, fault: Fault, on_end: Callable[[], None]) -> None:
        """Switch to a fault, or to none.

        Args:
            fault: the fault; the clip variants it shows are in memory.
            on_end: called when `forSeconds` is over.

        Raises:
            ConfigError: the port was taken by somebody else while it was closed.
        """
        behaviour = fault.behaviour
        self._port.set(behaviour.listener)
        self._stop_timers()
        if behaviour.password_changed != self._behaviour.password_changed:
            password = secrets.token_hex(16) if behaviour.password_changed else None
            self._set_password(password)
        self._behaviour = behaviour
        self._jumped = behaviour.clock_jumps
        now = time.monotonic()
        self.fault = NO_FAULT if fault.is_single_act else fault
        for stream in self.streams.values():
            stream.apply(behaviour, now)
            stream.set_offset(fault.offset_seconds if self._jumped else 0.0)
        if behaviour.closes_sessions:
            self.kick()
        if fault.every_seconds is not None:
            self.call_later(fault.every_seconds, self._repeat)
        if fault.for_seconds is not None:
            self.call_later(fault.for_seconds, on_end)

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function after a time, unless the fault changes or the camera is closed before."""
        timer = GLib.timeout_source_new(round(seconds * 1000))

        def call(*_: Any) -> bool:
            self._timers.remove(timer)
            function()
            return bool(GLib.SOURCE_REMOVE)

        timer.set_callback(call)
        timer.attach(None)
        self._timers.append(timer)

    def _repeat(self) -> None:
        if self._behaviour.clock_jumps:
            self._jumped = not self._jumped
            for stream in self.streams.values():
                stream.set_offset(self.fault.offset_seconds if self._jumped else 0.0)
        else:
            self.kick()
        if self.fault.every_seconds is not None:
            self.call_later(self.fault.every_seconds, self._repeat)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.destroy()
        self._timers.clear()
