"""Streams by PyAV (FFmpeg). What FFmpeg says ends here: its error texts and log lines hold URLs with passwords."""

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import av
import av.error

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_api.quantities import redact_url
from camera_worker.errors import StreamError
from camera_worker.ingest.av_errors import LogLine, opening_error, reading_error
from camera_worker.ingest.ffmpeg_log import FFMPEG_LOG
from camera_worker.ingest.http_digest import digest_header
from camera_worker.ingest.reachability import answers_http, check_reachable
from camera_worker.ingest.read_timeout import ReadTimeout, ReadTimeouts
from camera_worker.ingest.source import KeyFrame, Picture, StreamInfo, Timeouts

_MISSED = re.compile(r"RTP: missed (\d+) packets")
#: FFmpeg cuts longer user info of RTSP URLs off (rtsp.c: auth[128]), and a cut password may lock the account.
_MAX_USER_INFO = 127
#: Log lines between two calls of ``lost_packets``; a broken stream writes many.
_MAX_LINES = 2000
#: A camera decides what is sent, so it must not make the worker open files or other protocols.
_RTSP_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls"
_HTTP_PROTOCOLS = "http,https,tcp,tls"
_HTTP_FORMATS = "mpjpeg,mpegts,mjpeg,h264,hevc"


class PyAvOpener:
    """Opens streams (a ``StreamOpener``)."""

    def __init__(self) -> None:
        self._reads = ReadTimeouts()

    def connect(self, source: AssignedSource, timeouts: Timeouts) -> None:
        """Makes sure that the camera's name resolves and its port accepts connections.

        Raises:
            StreamError: it does not.
        """
        check_reachable(source.main_url, timeouts.connect_s)

    def open(
        self, source: AssignedSource, credentials: Credentials | None, *, transport: str, timeouts: Timeouts
    ) -> "PyAvStream":
        """Opens a camera's main stream.

        Raises:
            StreamError: it cannot be opened.
        """
        shown = redact_url(source.main_url)
        url = _with_credentials(source, credentials, shown)
        options = _options(source, transport, timeouts)
        began = time.monotonic()
        with contextlib.ExitStack() as on_error:
            try:
                container = self._container(url, options, transport, timeouts, shown)
            except StreamError as failure:
                if source.kind is not SourceKind.HTTP:
                    raise
                header = _http_remedy(failure, source, credentials, timeouts, shown)
                again = {**options, "headers": header}
                container = self._container(source.main_url, again, transport, timeouts, shown)
            on_error.callback(container.close)
            video = _video(container, shown)
            if not video.codec_context.width and time.monotonic() - began >= timeouts.open_s:
                raise StreamError(Fault.STALLED, f"{shown}: connected, but no video for {timeouts.open_s:g} s")
            reads = None
            if self._reads.is_supported:
                reads = self._reads.watch(container, timeouts.open_s, began)
                on_error.callback(self._reads.forget, reads)
            return PyAvStream(
                container, video, transport, shown=shown, read_s=timeouts.read_s, reads=reads, owned=on_error.pop_all()
            )

    def _container(self, url: str, options: dict[str, str], transport: str, timeouts: Timeouts, shown: str) -> Any:
        began = time.monotonic()
        with FFMPEG_LOG.lines() as lines:
            try:
                return av.open(
                    url,
                    options=options,
                    timeout=(timeouts.open_s, None if self._reads.is_supported else timeouts.read_s),
                )
            except (OSError, ValueError, av.error.FFmpegError) as error:
                elapsed = time.monotonic() - began
                failure = opening_error(
                    error, lines, shown, transport=transport, elapsed_s=elapsed, limit_s=timeouts.open_s
                )
                if failure.fault is Fault.AUTH_FAILED and not urlsplit(url).username and "headers" not in options:
                    failure = StreamError(failure.fault, f"{failure.message}: it wants a user name, and none is set")
                # Not chained: the text of PyAV's error holds the URL.
                raise failure from None


class PyAvPacket:
    """A packet of the stream; valid until the next one is read."""

    __slots__ = ("_packet", "_seconds_per_tick", "is_key", "size")

    def __init__(self, packet: Any, size: int, seconds_per_tick: float) -> None:
        self._packet = packet
        self._seconds_per_tick = seconds_per_tick
        self.size = size
        self.is_key: bool = packet.is_keyframe

    @property
    def seconds(self) -> float | None:
        """Presentation time by the camera's clock."""
        pts = self._packet.pts
        return None if pts is None else pts * self._seconds_per_tick

    @property
    def decode_seconds(self) -> float | None:
        """Decoding time by the camera's clock."""
        dts = self._packet.dts
        return None if dts is None else dts * self._seconds_per_tick

    def data(self) -> memoryview:
        """The access unit, without a copy."""
        return memoryview(self._packet)

    def decode(self) -> Picture | None:
        """The picture of a key frame."""
        # Loaded by the first picture: see there.
        from camera_worker.ingest.pyav_picture import PyAvPicture  # noqa: PLC0415

        context = self._packet.stream.codec_context
        try:
            # A decoder that reorders would hold the frame back until the next one; drained, it gives it at once.
            frames = context.decode(self._packet) or context.decode(None)
        except (av.error.FFmpegError, ValueError):
            return None
        finally:
            # Nothing between two key frames is decoded: what the decoder knows of the last one is void.
            context.flush_buffers()
        return PyAvPicture(frames[0]) if frames else None

    def key_frame(self, kept: memoryview | None = None) -> KeyFrame:
        """The key frame, so that it outlives the packet."""
        context = self._packet.stream.codec_context
        # A copy: the packet itself would hold the stream, with its decoder, after its end.
        return KeyFrame(context.name, context.extradata or b"", bytes(self._packet) if kept is None else kept)


class PyAvStream:
    """An open stream. For one thread: FFmpeg's container is not safe across threads."""

    def __init__(
        self,
        container: Any,
        video: Any,
        transport: str,
        *,
        shown: str,
        read_s: float,
        reads: ReadTimeout | None,
        owned: contextlib.ExitStack,
    ) -> None:
        context = video.codec_context
        # One thread decodes one camera; more would only add memory and switching.
        context.thread_count = 1
        context.thread_type = "NONE"
        if context.name == "mjpeg":
            # Its decoder flags no damage: it would give a picture of which the rest is grey, and that be learned.
            context.options = {"err_detect": "explode"}
        self.info = StreamInfo(context.name, context.width, context.height, transport, context.extradata or b"")
        self._container = container
        self._video = video
        self._shown = shown
        self._read_s = read_s
        self._reads = reads
        self._owned = owned
        self._lines: list[LogLine] = []
        self._lost = 0

    def packets(self) -> Iterator[PyAvPacket]:
        """Packets as they come.

        Raises:
            StreamError: the stream has stalled or ended.
        """
        seconds_per_tick = float(self._video.time_base or 1 / 90_000)
        reads = self._reads
        is_first = True
        with self._losses() as lines:
            self._lines = lines
            try:
                for packet in self._container.demux(self._video):
                    # FFmpeg's parser holds one frame back, and a time-out brings that one first, as if it had come now.
                    if reads is not None and reads.has_expired and reads.was_exceeded(time.monotonic()):
                        raise self._stalled(reads.limit_s)
                    if is_first:
                        is_first = False
                        if reads is not None:
                            reads.limit_s = self._read_s
                    size = packet.size
                    # FFmpeg ends a stream by an empty packet.
                    if size:
                        yield PyAvPacket(packet, size, seconds_per_tick)
                    if len(lines) > _MAX_LINES:
                        self._read_lines()
            except (OSError, ValueError, av.error.FFmpegError) as error:
                raise reading_error(error, self._shown, silent_s=self._read_s) from None
            if reads is not None and reads.has_expired:
                raise self._stalled(reads.limit_s)
        raise StreamError(Fault.DISCONNECTED, f"{self._shown} closed the connection")

    def lost_packets(self) -> int:
        """RTP packets that are missing since the last call, by FFmpeg's log."""
        self._read_lines()
        lost, self._lost = self._lost, 0
        return lost

    def close(self) -> None:
        """Gives the connection up."""
        # A camera that is gone makes TEARDOWN fail; there is nothing left to close then.
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._owned.close()

    def _losses(self) -> contextlib.AbstractContextManager[list[LogLine]]:
        """The lines that tell of missing packets. TCP brings all that was sent, and FFmpeg does not count there."""
        return FFMPEG_LOG.lines() if self.info.transport == "UDP" else contextlib.nullcontext([])

    def _stalled(self, silent_s: float) -> StreamError:
        return StreamError(Fault.STALLED, f"{self._shown}: connected, but no video for {silent_s:g} s")

    def _read_lines(self) -> None:
        self._lost += sum(int(match[1]) for _, _, text in self._lines if (match := _MISSED.search(text)))
        self._lines.clear()


def _video(container: Any, shown: str) -> Any:
    if not container.streams.video:
        raise StreamError(Fault.STREAM_NOT_FOUND, f"{shown} has no video")
    video = container.streams.video[0]
    # PyAV makes no context where FFmpeg has no decoder.
    if video.codec_context is None or video.codec_context.name in {None, "none"}:
        raise StreamError(Fault.UNSUPPORTED_CODEC, f"{shown} sends video in a codec that cannot be read")
    return video


def _http_remedy(
    failure: StreamError, source: AssignedSource, credentials: Credentials | None, timeouts: Timeouts, shown: str
) -> str:
    """A line of the request's header by which a stream may be had after all.

    Raises:
        StreamError: there is none; ``failure``, or what it really is.
    """
    if failure.fault is Fault.TIMED_OUT and answers_http(source.main_url, timeouts.connect_s):
        # FFmpeg does not tell whether it has waited for an answer or for video.
        raise StreamError(Fault.STALLED, f"{shown}: connected, but no video for {timeouts.open_s:g} s")
    if failure.fault is Fault.AUTH_FAILED and credentials is not None:
        header = digest_header(source.main_url, credentials, timeouts.connect_s)
        if header is not None:
            return header
    raise failure


def _with_credentials(source: AssignedSource, credentials: Credentials | None, shown: str) -> str:
    if credentials is None:
        return source.main_url
    user = quote(credentials.username, safe="")
    password = quote(credentials.password.get_secret_value(), safe="!$&'()*+,;=")
    user_info = f"{user}:{password}"
    if source.kind is SourceKind.RTSP and len(user_info) > _MAX_USER_INFO:
        raise StreamError(
            Fault.AUTH_FAILED,
            f"{shown} was not asked: user name and password together are longer than {_MAX_USER_INFO - 1} bytes "
            "(three for each byte that a URL does not allow)",
        )
    parts = urlsplit(source.main_url)
    return urlunsplit(parts._replace(netloc=f"{user_info}@{parts.netloc}"))


def _options(source: AssignedSource, transport: str, timeouts: Timeouts) -> dict[str, str]:
    common = {
        "timeout": str(round(timeouts.open_s * 1e6)),
        # The first packet tells enough, so the picture is there 0.2 s earlier than with a longer look.
        "analyzeduration": "200000",
        # Cameras sign their certificates themselves. Said, because FFmpeg 9 checks them unless told otherwise.
        "tls_verify": "0",
    }
    if source.kind is SourceKind.HTTP:
        return {**common, "protocol_whitelist": _HTTP_PROTOCOLS, "format_whitelist": _HTTP_FORMATS}
    return {
        **common,
        "probesize": "32",
        "rtsp_transport": transport.lower(),
        "allowed_media_types": "video",
        "protocol_whitelist": _RTSP_PROTOCOLS,
        # A key frame comes in a burst; the kernel's default loses part of it.
        **({"buffer_size": "1048576"} if transport == "UDP" else {}),
    }
