"""Cameras that speak RTSP, by GStreamer's server, in the clear or over TLS.

Threads: everything here runs in the main loop's thread, except the callbacks that GStreamer makes while it serves a
client (`_on_...`). Those only read a field or post to the main loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camera_simulator.camera import Camera
from camera_simulator.errors import ConfigError
from camera_simulator.gst import GLib, Gst, GstRtsp, GstRtspServer
from camera_simulator.stream import VIEWER_ROLE, Shared, Stream, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from camera_simulator.config import CameraConfig


class RtspCamera(Camera):
    """A camera that speaks RTSP.

    Args:
        config: the camera as declared.
        address: host address and TCP port to listen on.
        shared: what all cameras share; the two normal clips are in memory.
        certificate: for RTSPS.
    """

    streams: Mapping[str, Stream]

    def __init__(
        self, config: CameraConfig, address: tuple[str, int], shared: Shared, certificate: Any | None = None
    ) -> None:
        super().__init__(config, address, self._listen)
        self._address = address
        self._certificate = certificate
        phase = config.scene_phase
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
        self._set_password(None)

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._server.client_filter(None, None))

    def kick(self) -> None:
        """Close every connection and session."""
        self._server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        self._server.get_session_pool().filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)

    def expire_sessions(self) -> None:
        """Forget sessions whose client has gone silent, as the protocol demands."""
        self._server.get_session_pool().cleanup()

    def _set_password(self, password: str | None) -> None:
        self._server.set_auth(_account(self.config, self._certificate, password))

    def _listen(self) -> Callable[[], None]:
        try:
            source_id = self._server.attach(None)
        except GLib.Error:
            source_id = 0
        if source_id == 0:
            raise ConfigError("port: {}:{} is taken or not allowed".format(*self._address))
        return lambda: GLib.source_remove(source_id)

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
        # It reaches the sinks of TCP only.
        for sink in _pipeline(context.media).children:
            if sink.get_factory().get_name() == "multiudpsink":
                sink.set_property("sync", False)
        source = source_of(context.media)
        for stream in self.streams.values():
            stream.play(source)

    def _on_pause(self, _client: Any, context: Any) -> None:
        source = source_of(context.media)
        for stream in self.streams.values():
            stream.pause(source)


def _account(config: CameraConfig, certificate: Any | None, password: str | None = None) -> Any:
    """The authentication of a camera, or None where it has none.

    Args:
        config: the camera.
        certificate: for TLS, which the server takes as a part of it.
        password: another password than the declared one; an open camera then wants one, too.
    """
    is_open = config.auth == "none" and password is None
    if is_open and certificate is None:
        return None
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_realm(config.realm)
    if certificate is not None:
        auth.set_tls_certificate(certificate)
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", VIEWER_ROLE)
    if is_open:
        auth.set_default_token(token)
        return auth
    username, password = config.username or "admin", password or config.password
    if config.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(username, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(username, password, token)
    return auth


def _pipeline(media: Any) -> Any:
    return media.get_element().get_parent()


def _network_pad(media: Any) -> Any:
    """Where a media's RTP packets leave for the network."""
    rtpbin = next(child for child in _pipeline(media).children if child.get_factory().get_name() == "rtpbin")
    return rtpbin.get_static_pad("send_rtp_src_0")
