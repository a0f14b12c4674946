"""One camera on the wire: a port, an account, two streams, and a fault that can be switched.

Threads: everything here runs in the main loop's thread, except the callbacks that GStreamer makes while it serves a
client (`_on_...`). Those only read a field or post to the main loop.
"""

from __future__ import annotations

import secrets
import time
import zlib
from typing import TYPE_CHECKING, Any

from camera_simulator.faults import NO_FAULT, Behaviour, Fault, Listener
from camera_simulator.gst import GLib, Gst, GstRtsp, GstRtspServer
from camera_simulator.port import Port
from camera_simulator.stream import VIEWER_ROLE, Shared, Stream, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from camera_simulator.config import CameraConfig


class Camera:
    """One camera: its own TCP port, two streams, an account, and a fault that can be switched.

    Args:
        config: the camera as declared.
        address: host address and TCP port to listen on.
        shared: what all cameras share; the two normal clips are in memory.
    """

    def __init__(self, config: CameraConfig, address: tuple[str, int], shared: Shared) -> None:
        self.config = config
        self.port = address[1]
        self.fault = NO_FAULT
        self._behaviour: Behaviour = NO_FAULT.behaviour
        self._jumped = False
        self._timers: list[Any] = []
        # Cameras with the same clip show different moments, the same ones in every run.
        phase = zlib.crc32(config.name.encode()) % 3600
        self.streams = {
            "main": Stream(f"/{config.name}/main", config.clip, shared, phase),
            "sub": Stream(f"/{config.name}/sub", config.sub_clip, shared, phase),
        }
        self._server = GstRtspServer.RTSPServer.new()
        self._server.set_address(address[0])
        self._server.set_service(str(address[1]))
        self._server.set_thread_pool(shared.threads)
        self._server.connect("client-connected", self._on_client_connected)
        mounts = self._server.get_mount_points()
        for stream in self.streams.values():
            mounts.add_factory(stream.path, stream.factory)
        self._server.set_auth(_account(config))
        self._port = Port(self._server, address)

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._server.client_filter(None, None))

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
            self._server.set_auth(_account(self.config, password))
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

    def kick(self) -> None:
        """Close every connection and session."""
        self._server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        self._server.get_session_pool().filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)

    def expire_sessions(self) -> None:
        """Forget sessions whose client has gone silent, as the protocol demands."""
        self._server.get_session_pool().cleanup()

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

    def _on_client_connected(self, _server: Any, client: Any) -> None:
        client.connect("pre-describe-request", self._on_pre_describe)
        client.connect("pre-setup-request", self._on_pre_setup)
        client.connect("pre-play-request", self._on_pre_play)
        client.connect("play-request", self._on_play)
        client.connect("pause-request", self._on_pause)

    def _on_pre_describe(self, _client: Any, _context: Any) -> Any:
        status = self._behaviour.describe_status
        return GstRtsp.RTSPStatusCode.OK if status is None else GstRtsp.RTSPStatusCode(status)

    def _on_pre_setup(self, _client: Any, context: Any) -> Any:
        if self._behaviour.udp_only:
            found, transport = context.request.get_header(GstRtsp.RTSPHeaderField.TRANSPORT, 0)
            if found == GstRtsp.RTSPResult.OK and "TCP" in transport.upper():
                return GstRtsp.RTSPStatusCode.UNSUPPORTED_TRANSPORT
        return GstRtsp.RTSPStatusCode.OK

    def _on_pre_play(self, _client: Any, context: Any) -> Any:
        if not self._behaviour.sends_media:
            # What the session was described from waits to be sent, as its first picture.
            packets = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
            _network_pad(context.media).add_probe(packets, self._on_packets)
        return GstRtsp.RTSPStatusCode.OK

    def _on_packets(self, _pad: Any, _info: Any) -> Any:
        return Gst.PadProbeReturn.REMOVE if self._behaviour.sends_media else Gst.PadProbeReturn.DROP

    def _on_play(self, _client: Any, context: Any) -> None:
        # Pictures are paced here already, and their timestamps may jump: the sinks must not wait for a clock.
        # The server switches that on with every PLAY, so it is switched off after each.
        context.media.set_rate_control(False)
        source = source_of(context.media)
        for stream in self.streams.values():
            stream.play(source)

    def _on_pause(self, _client: Any, context: Any) -> None:
        source = source_of(context.media)
        for stream in self.streams.values():
            stream.pause(source)


def _account(config: CameraConfig, password: str | None = None) -> Any:
    """The authentication of a camera, or None where it has none.

    Args:
        config: the camera.
        password: another password than the declared one; an open camera then wants one, too.
    """
    if config.auth == "none" and password is None:
        return None
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_realm(f"IP Camera({zlib.crc32(config.name.encode()):08X})")
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", VIEWER_ROLE)
    username, password = config.username or "admin", password or config.password
    if config.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(username, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(username, password, token)
    return auth


def _network_pad(media: Any) -> Any:
    """Where a media's RTP packets leave for the network."""
    pipeline = media.get_element().get_parent()
    rtpbin = next(child for child in pipeline.children if child.get_factory().get_name() == "rtpbin")
    return rtpbin.get_static_pad("send_rtp_src_0")
