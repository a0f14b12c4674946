"""One path of a camera: feeds GStreamer's RTSP server with encoded pictures, paced by `playback`.

Threads: everything here runs in the main loop's thread, except what says otherwise and the callbacks that GStreamer
makes while it serves a client (`_on_...`), which only post to the main loop: a client's thread waits there for the
first picture, which the main loop sends.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from camera_simulator.bitstream import AccessUnit, Codec
from camera_simulator.camera import Feed
from camera_simulator.faults import NO_FAULT, Behaviour
from camera_simulator.footage import Clip, ClipLibrary, ClipSpec, Variant
from camera_simulator.gst import GLib, Gst, GstRtspServer
from camera_simulator.playback import Playback

if TYPE_CHECKING:
    from collections.abc import Iterable

_SOURCE: Final = "source"
#: Whoever has the camera's password.
VIEWER_ROLE: Final = "viewer"
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
#: How much may wait inside GStreamer before the oldest pictures are dropped, bytes.
_QUEUE_BYTES: Final = 8_000_000

Library = ClipLibrary[Gst.Buffer]


def wrap_access_unit(unit: AccessUnit) -> Any:
    """An access unit as a buffer whose memory all streams share."""
    buffer = Gst.Buffer.new_wrapped(unit.data)
    if not unit.is_key:
        buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
    return buffer


def unwrap_access_unit(buffer: Any) -> AccessUnit:
    """A copy of what `wrap_access_unit` was given."""
    is_key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
    return AccessUnit(buffer.extract_dup(0, buffer.get_size()), is_key=is_key)


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


class Stream(Feed):
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
        self._feeds: dict[Any, _Session] = {}
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

    def _apply_to(self, feed: _Session, now: float) -> None:
        variant = self._behaviour.variant
        feed.playback.show(variant, held_at=self._since if variant is Variant.FROZEN else None)
        if self._behaviour.sends_media:
            feed.playback.resume(now)
        else:
            feed.playback.stall()

    def _send(self, feed: _Session, pictures: Iterable[tuple[Any, float]]) -> None:
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
        feed = self._feeds[source] = _Session(source, Playback(self._clip, now, self._phase))
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
class _Session:
    """One session's way into GStreamer."""

    source: Any
    playback: Playback[Any]
    is_playing: bool = False

    def push(self, buffer: Any, timestamp: float) -> bool:
        """Hand over a picture (its memory is shared, not copied); False when the session is over."""
        copy = buffer.copy_region(Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.MEMORY, 0, buffer.get_size())
        copy.pts = copy.dts = int(timestamp * Gst.SECOND)
        return bool(self.source.emit("push-buffer", copy) == Gst.FlowReturn.OK)


def source_of(media: Any) -> Any:
    """The element that a media's pictures come from; it identifies the session."""
    return media.get_element().get_by_name(_SOURCE)


def _permissions() -> Any:
    permissions = GstRtspServer.RTSPPermissions.new()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(VIEWER_ROLE, permission, True)
    return permissions
