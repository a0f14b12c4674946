"""All cameras of one process and the loop that paces them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from camera_simulator.errors import ConfigError, UnknownCameraError
from camera_simulator.faults import NO_FAULT, Fault
from camera_simulator.gst import GLib, GstRtspServer
from camera_simulator.http_camera import HttpCamera
from camera_simulator.rtsp_camera import RtspCamera
from camera_simulator.stream import Library, Pacer, Shared
from camera_simulator.tls import self_signed_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from camera_simulator.camera import Camera
    from camera_simulator.config import CameraConfig

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_EXPIRE_SESSIONS_SECONDS: Final = 5
#: Threads that serve clients; a session's start holds one for some milliseconds.
_CLIENT_THREADS: Final = 4
#: When to try again to open a port that somebody else took while it was closed.
_RETRY_SECONDS: Final = 1.0
#: How long a request waits for the main loop before it is reported as stuck, seconds.
_CALL_TIMEOUT: Final = 30.0


class Simulator:
    """The cameras, safe to use from any thread: what touches GStreamer is done by the thread that made this object.

    Args:
        library: where clips come from.
        bind: host address the cameras listen on.
        first_port: cameras without a port of their own get the next free one from here.
        reserved_ports: never given to a camera.
    """

    def __init__(self, library: Library, bind: str, first_port: int, reserved_ports: frozenset[int]) -> None:
        self._library = library
        self._bind = bind
        self._first_port = first_port
        self._reserved = reserved_ports
        self._cameras: dict[str, Camera] = {}
        threads = GstRtspServer.RTSPThreadPool.new()
        threads.set_max_threads(_CLIENT_THREADS)
        self._shared = Shared(library, threads, Pacer())
        self._loop = GLib.MainLoop()
        self._main_thread = threading.get_ident()

    def run(self) -> None:
        """Serve until `stop` is called; to be called by the thread that made this object."""
        GLib.timeout_add_seconds(_EXPIRE_SESSIONS_SECONDS, self._expire_sessions)
        self._loop.run()
        for camera in self._cameras.values():
            camera.close()

    def stop(self) -> None:
        """End `run`."""
        self._loop.quit()

    def add(self, config: CameraConfig) -> dict[str, object]:
        """Add a camera, or replace the one of that name (its clients are disconnected then).

        Raises:
            ConfigError: its port is taken.
            FootageError: its clips cannot be made.
        """
        for spec in (config.clip, config.sub_clip):
            self._library.load(spec)
            self._library.load(spec, config.fault.behaviour.variant)
        return self._in_main_loop(lambda: self._add(config))

    def remove(self, name: str) -> None:
        """Remove a camera; its clients are disconnected and its port is closed.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        self._in_main_loop(lambda: self._remove(name))

    def set_fault(self, name: str, fault: Fault) -> dict[str, object]:
        """Switch a camera's fault; `NO_FAULT` puts it in good order.

        Raises:
            UnknownCameraError: there is none of that name.
            FootageError: the picture of the fault cannot be made.
        """
        config = self._in_main_loop(lambda: self._camera(name).config)
        for spec in (config.clip, config.sub_clip):
            self._library.load(spec, fault.behaviour.variant)
        return self._in_main_loop(lambda: self._set_fault(name, fault))

    def describe(self, name: str) -> dict[str, object]:
        """One camera's state.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        return self._in_main_loop(lambda: self._describe(self._camera(name)))

    def describe_all(self) -> list[dict[str, object]]:
        """Every camera's state, by name."""
        return self._in_main_loop(lambda: [self._describe(self._cameras[name]) for name in sorted(self._cameras)])

    def _in_main_loop(self, function: Callable[[], Result]) -> Result:
        if threading.get_ident() == self._main_thread:
            return function()
        results: list[Result] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def call() -> bool:
            try:
                results.append(function())
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread, whatever it is
                errors.append(error)
            done.set()
            return bool(GLib.SOURCE_REMOVE)

        GLib.idle_add(call, priority=GLib.PRIORITY_DEFAULT)
        if not done.wait(_CALL_TIMEOUT):
            raise TimeoutError(f"the main loop did not answer within {_CALL_TIMEOUT:g} s")
        if errors:
            raise errors[0]
        return results[0]

    def _camera(self, name: str) -> Camera:
        try:
            return self._cameras[name]
        except KeyError:
            raise UnknownCameraError(name) from None

    def _add(self, config: CameraConfig) -> dict[str, object]:
        previous = self._cameras.get(config.name)
        others = {camera.port: name for name, camera in self._cameras.items() if name != config.name}
        port = config.port or (previous.port if previous else self._free_port(others))
        if port in others:
            raise ConfigError(f"port: {port} is camera {others[port]}'s")
        if port in self._reserved:
            raise ConfigError(f"port: {port} is the port of the HTTP API")
        camera = self._make(config, (self._bind, port))
        if previous is not None:
            previous.close()
            del self._cameras[config.name]
        camera.open()
        self._cameras[config.name] = camera
        if config.fault != NO_FAULT:
            self._set_fault(config.name, config.fault)
        return self._describe(camera)

    def _make(self, config: CameraConfig, address: tuple[str, int]) -> Camera:
        if config.protocol == "http":
            return HttpCamera(config, address, self._library)
        certificate = self_signed_certificate(self._bind) if config.protocol == "rtsps" else None
        return RtspCamera(config, address, self._shared, certificate)

    def _free_port(self, taken: dict[int, str]) -> int:
        port = self._first_port
        while port in taken or port in self._reserved:
            port += 1
        return port

    def _remove(self, name: str) -> None:
        self._camera(name).close()
        del self._cameras[name]
        log.info("camera %s: removed", name)

    def _set_fault(self, name: str, fault: Fault) -> dict[str, object]:
        camera = self._camera(name)
        camera.set_fault(fault, on_end=lambda: self._end_fault(name))
        log.info("camera %s: fault %s", name, fault)
        return self._describe(camera)

    def _end_fault(self, name: str) -> None:
        try:
            self._set_fault(name, NO_FAULT)
        except ConfigError as error:
            log.warning("camera %s: still %s, trying again: %s", name, self._camera(name).fault, error)
            self._camera(name).call_later(_RETRY_SECONDS, lambda: self._end_fault(name))

    def _describe(self, camera: Camera) -> dict[str, object]:
        config = camera.config
        return {
            "name": config.name,
            "protocol": config.protocol,
            "port": camera.port,
            "auth": config.auth,
            "username": config.username,
            **camera.fault.to_json(),
            "clients": camera.clients,
            "streams": {
                key: {
                    "path": stream.path,
                    "clip": stream.spec.name,
                    "sessions": stream.sessions,
                    "framesSent": stream.frames_sent,
                }
                for key, stream in camera.streams.items()
            },
        }

    def _expire_sessions(self) -> bool:
        for camera in self._cameras.values():
            camera.expire_sessions()
        return bool(GLib.SOURCE_CONTINUE)
