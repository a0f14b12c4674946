"""One camera on the wire: GStreamer's RTSP server, fed with encoded pictures by `playback`.

Threads: everything here runs in the main loop's thread except the callbacks GStreamer makes while it serves a client
(`_on_…`). Those only read a field or post to the
main loop: a client's thread waits there for the first picture, which the main loop sends.
"""

from __future__ import annotations

import itertools
import math
import secrets
import socket
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")

from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first

from camera_simulator.bitstream import AccessUnit, Codec  # noqa: E402
from camera_simulator.errors import ConfigError  # noqa: E402
from camera_simulator.faults import NO_FAULT, Behaviour, Fault, Listener  # noqa: E402
from camera_simulator.footage import Clip, ClipLibrary, ClipSpec, Variant  # noqa: E402
from camera_simulator.playback import Playback  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from camera_simulator.config import CameraConfig

Gst.init(None)

_SOURCE: Final = "source"
_ROLE: Final = "viewer"
_CAPS: Final = {
    Codec.H264: "video/x-h264,stream-format=byte-stream,alignment=au",
    Codec.H265: "video/x-h265,stream-format=byte-stream,alignment=au",
    Codec.MJPEG: "image/jpeg",
}
_PAYLOADERS: Final = {Codec.H264: "rtph264pay", Codec.H265: "rtph265pay", Codec.MJPEG: "rtpjpegpay"}
#: RFC 3551 gives Motion JPEG a number of its own; the others use the dynamic range.
_PAYLOAD_TYPES: Final = {Codec.H264: 96, Codec.H265: 96, Codec.MJPEG: 26}
#: How late a picture may be sent. One tick for all streams costs far less than a timer for each.
_TICK_MS: Final = 10
#: What a slow client may leave unread before the oldest pictures are dropped, bytes.
_QUEUE_BYTES: Final = 8_000_000

Library = ClipLibrary[Gst.Buffer]


def wrap_access_unit(unit: AccessUnit) -> Any:
    """An access unit as a buffer whose memory all streams share."""
    buffer = Gst.Buffer.new_wrapped(unit.data)
    if not unit.is_key:
        buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
    return buffer


class Pacer:
    """Wakes the streams that have something to send; without one it sleeps. For the main loop's thread."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()

    def add(self, stream: Stream) -> None:
        """Wake a stream when its pictures are due, until there are none to come."""
        if not self._streams:
            GLib.timeout_add(_TICK_MS, self._tick)
        self._streams.add(stream)

    def _tick(self) -> bool:
        now = time.monotonic()
        for stream in tuple(self._streams):
            if stream.next_due <= now:
                stream.send_due(now)
        self._streams = {stream for stream in self._streams if stream.next_due < math.inf}
        return bool(self._streams)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all cameras of a process share."""

    library: Library
    #: GStreamer's pool of threads that serve clients.
    threads: Any
    pacer: Pacer


class Stream:
    """One path of a camera; every session is fed from the same clip in memory, and nothing runs without one.

    Args:
        path: absolute path in the camera's addresses.
        spec: the clip.
        shared: what all cameras of the process share.
        phase: seconds the scene is ahead of that of other cameras.
    """

    def __init__(self, path: str, spec: ClipSpec, shared: Shared, phase: float) -> None:
        self.path = path
        self.spec = spec
        self.frames_sent = 0
        #: When the next picture is to be sent, monotonic seconds; infinite without a session.
        self.next_due = math.inf
        self.factory = GstRtspServer.RTSPMediaFactory.new()
        self._shared = shared
        self._phase = phase
        self._feeds: dict[Any, _Feed] = {}
        self._behaviour: Behaviour = NO_FAULT.behaviour
        self._since = 0.0
        self._offset = 0.0
        width, height, fps = spec.width, spec.height, spec.fps
        # A media for each session: a shared one that its last client has just left answers the next one with 503.
        self.factory.set_launch(
            f"( appsrc name={_SOURCE} is-live=true format=time leaky-type=downstream max-bytes={_QUEUE_BYTES} "
            f"caps={_CAPS[spec.codec]},width={width},height={height},framerate={fps}/1 "
            f"! {_PAYLOADERS[spec.codec]} name=pay0 pt={_PAYLOAD_TYPES[spec.codec]} mtu=1400 )"
        )
        # Of no effect until the server wants authentication.
        self.factory.set_permissions(_permissions())
        self.factory.connect("media-configure", self._on_media_configure)

    @property
    def sessions(self) -> int:
        """Clients that are being sent pictures, or would be if the camera did not stall."""
        return sum(feed.is_playing for feed in self._feeds.values())

    def apply(self, behaviour: Behaviour, now: float) -> None:
        """Change what is sent, at the next key frame; the variant is in memory already."""
        self._behaviour = behaviour
        self._since = now
        for feed in self._feeds.values():
            self._apply_to(feed, now)
        self._schedule()

    def set_offset(self, seconds: float) -> None:
        """Add this to the timestamps from now on."""
        self._offset = seconds

    def send_due(self, now: float) -> None:
        """Hand over what is due by now (monotonic seconds)."""
        for feed in list(self._feeds.values()):
            if feed.is_playing and feed.playback.next_due <= now:
                self._send(feed, feed.playback.due(now))
        self._schedule()

    def play(self, source: Any) -> None:
        """A session has asked for pictures; any thread may say so."""
        GLib.idle_add(self._set_playing, source, True, priority=GLib.PRIORITY_DEFAULT)

    def pause(self, source: Any) -> None:
        """A session wants no more pictures for now; any thread may say so."""
        GLib.idle_add(self._set_playing, source, False, priority=GLib.PRIORITY_DEFAULT)

    def _set_playing(self, source: Any, is_playing: bool) -> bool:
        if source in self._feeds:
            self._feeds[source].is_playing = is_playing
            self._schedule()
        return bool(GLib.SOURCE_REMOVE)

    def _schedule(self) -> None:
        playing = (feed.playback.next_due for feed in self._feeds.values() if feed.is_playing)
        self.next_due = min(playing, default=math.inf)
        if self.next_due < math.inf:
            self._shared.pacer.add(self)

    def _apply_to(self, feed: _Feed, now: float) -> None:
        variant = self._behaviour.variant
        feed.playback.show(variant, held_at=self._since if variant is Variant.FROZEN else None)
        if self._behaviour.sends_media:
            feed.playback.resume(now)
        else:
            feed.playback.stall()

    def _send(self, feed: _Feed, pictures: Iterable[tuple[Any, float]]) -> None:
        # Before PLAY the sinks wait for the time of a picture, however far ahead: a jump has to come later.
        offset = self._offset if feed.is_playing else 0.0
        for buffer, timestamp in pictures:
            if not feed.push(buffer, timestamp + offset):
                self._feeds.pop(feed.source, None)
                return
            self.frames_sent += 1

    def _on_media_configure(self, _factory: Any, media: Any) -> None:
        source = media.get_element().get_by_name(_SOURCE)
        media.connect("unprepared", self._on_unprepared, source)
        GLib.idle_add(self._start, source, priority=GLib.PRIORITY_DEFAULT)

    def _on_unprepared(self, _media: Any, source: Any) -> None:
        GLib.idle_add(self._feeds.pop, source, None, priority=GLib.PRIORITY_DEFAULT)

    def _start(self, source: Any) -> bool:
        now = time.monotonic()
        feed = self._feeds[source] = _Feed(source, Playback(self._clip, now, self._phase))
        self._apply_to(feed, now)
        if self._behaviour.sends_media:
            # The session description is made from the first picture; the next ones follow after PLAY.
            self._send(feed, itertools.islice(feed.playback.due(now), 1))
        else:
            # A camera whose encoder hangs still describes its stream, from the parameter sets.
            feed.push(self._clip(Variant.NORMAL).header, 0.0)
        return bool(GLib.SOURCE_REMOVE)

    def _clip(self, variant: Variant) -> Clip[Any]:
        clip = self._shared.library.loaded(self.spec, variant)
        # Loading may take an encoder many seconds and is done before a fault is applied.
        assert clip is not None, f"{self.spec.name} {variant.value} was not loaded"  # noqa: S101
        return clip


@dataclass(eq=False, slots=True)
class _Feed:
    """One session's way into GStreamer."""

    source: Any
    playback: Playback[Any]
    is_playing: bool = False

    def push(self, buffer: Any, timestamp: float) -> bool:
        """Hand over a picture (its memory is shared, not copied); False when the session is over."""
        copy = buffer.copy_region(Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.MEMORY, 0, buffer.get_size())
        copy.pts = copy.dts = int(timestamp * Gst.SECOND)
        return bool(self.source.emit("push-buffer", copy) == Gst.FlowReturn.OK)


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
        self._port = _Port(self._server, address)

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
        # None, which is false, ends the timer.
        timer.set_callback(lambda *_: function())
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
        source = context.media.get_element().get_by_name(_SOURCE)
        for stream in self.streams.values():
            stream.play(source)

    def _on_pause(self, _client: Any, context: Any) -> None:
        source = context.media.get_element().get_by_name(_SOURCE)
        for stream in self.streams.values():
            stream.pause(source)


class _Port:
    """A TCP port that can be open, really closed, or open and silent."""

    def __init__(self, server: Any, address: tuple[str, int]) -> None:
        self._server = server
        self._address = address
        self._state = Listener.CLOSED
        self._source_id = 0
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
            try:
                self._source_id = self._server.attach(None)
            except GLib.Error:
                self._source_id = 0
            if self._source_id == 0:
                raise ConfigError("port: {}:{} is taken or not allowed".format(*self._address))
        self._state = state

    def _close(self) -> None:
        if self._source_id:
            GLib.source_remove(self._source_id)
            self._source_id = 0
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


def _network_pad(media: Any) -> Any:
    """Where a media's RTP packets leave for the network."""
    pipeline = media.get_element().get_parent()
    rtpbin = next(child for child in pipeline.children if child.get_factory().get_name() == "rtpbin")
    return rtpbin.get_static_pad("send_rtp_src_0")


def new_thread_pool(max_threads: int) -> Any:
    """Threads that serve clients: one is held while a client waits for a stream to start."""
    pool = GstRtspServer.RTSPThreadPool.new()
    pool.set_max_threads(max_threads)
    return pool


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
    token.set_string("media.factory.role", _ROLE)
    username, password = config.username or "admin", password or config.password
    if config.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(username, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(username, password, token)
    return auth


def _permissions() -> Any:
    permissions = GstRtspServer.RTSPPermissions.new()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(_ROLE, permission, True)
    return permissions
