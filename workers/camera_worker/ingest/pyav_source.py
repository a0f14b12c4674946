"""Streams by PyAV (FFmpeg). All that FFmpeg says ends here: its error texts and log lines hold URLs with passwords."""

import contextlib
import logging
import re
import socket
import time
from collections.abc import Iterator
from errno import EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, EPROTONOSUPPORT
from fractions import Fraction
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import av
import av.error
import av.logging
import cv2
import numpy as np

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_api.quantities import redact_url
from camera_worker.errors import StreamError
from camera_worker.ingest.source import KeyFrame, Luma, StreamInfo, Timeouts

_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_UNREACHABLE = frozenset({EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN})
_MISSED = re.compile(r"RTP: missed (\d+) packets")
#: FFmpeg's statuses for RTSP and HTTP answers. Most specific first: the first that matches is the fault.
_ANSWERS: tuple[tuple[type[BaseException], Fault, str], ...] = (
    (av.error.HTTPUnauthorizedError, Fault.AUTH_FAILED, "answers 401 Unauthorized"),
    (av.error.HTTPForbiddenError, Fault.AUTH_FAILED, "answers 403 Forbidden"),
    (av.error.HTTPNotFoundError, Fault.STREAM_NOT_FOUND, "answers 404 Not Found"),
    (av.error.HTTPBadRequestError, Fault.UNSUPPORTED_TRANSPORT, "answers 400 Bad Request"),
    (av.error.HTTPOtherClientError, Fault.UNSUPPORTED_TRANSPORT, "refuses the transport (4xx)"),
    (av.error.HTTPServerError, Fault.DISCONNECTED, "answers with a server error (5xx)"),
    (av.error.DecoderNotFoundError, Fault.UNSUPPORTED_CODEC, "sends a codec that cannot be read"),
    (av.error.ProtocolNotFoundError, Fault.UNSUPPORTED_TRANSPORT, "wants a protocol that is not supported"),
    (ConnectionRefusedError, Fault.CONNECTION_REFUSED, "refuses the connection"),
    (av.error.ExitError, Fault.TIMED_OUT, "does not answer"),
    (TimeoutError, Fault.TIMED_OUT, "does not answer"),
    (EOFError, Fault.DISCONNECTED, "closes the connection"),
    (ConnectionError, Fault.DISCONNECTED, "closes the connection"),
    (BrokenPipeError, Fault.DISCONNECTED, "closes the connection"),
)


def open_stream(
    source: AssignedSource, credentials: Credentials | None, *, transport: str, timeouts: Timeouts
) -> "PyAvStream":
    """Opens a camera's main stream (a ``StreamOpener``).

    The name is resolved and a TCP connection made before FFmpeg gets the URL: FFmpeg's one error for a name that does
    not resolve, a route that does not exist and a host that stays silent would tell nobody what to mend.

    Raises:
        StreamError: it cannot be opened.
    """
    shown = redact_url(source.main_url)
    _probe(source.main_url, shown, timeouts.connect_s)
    began = time.monotonic()
    with contextlib.ExitStack() as on_error:
        try:
            container = av.open(
                _with_credentials(source.main_url, credentials),
                options=_options(source, transport, timeouts),
                # A stalled read first returns the frame that FFmpeg has held back, and fails only the second time.
                timeout=(timeouts.open_s, timeouts.read_s / 2),
            )
        except (OSError, ValueError, av.error.FFmpegError) as error:
            elapsed = time.monotonic() - began
            raise _translated(error, shown, elapsed=elapsed, limit=timeouts.open_s, transport=transport) from None
        on_error.callback(container.close)
        if not container.streams.video:
            raise StreamError(Fault.STREAM_NOT_FOUND, f"{shown} has no video")
        video = container.streams.video[0]
        context = video.codec_context
        if context.name is None or context.name == "none":
            raise StreamError(Fault.UNSUPPORTED_CODEC, f"{shown} sends video of an unknown codec")
        if not context.width:
            # The description came, but not one picture that would tell its size.
            raise StreamError(Fault.STALLED, f"{shown} sets the stream up, but sends no video")
        # One thread decodes one camera; more would only add memory and switching.
        context.thread_count = 1
        context.thread_type = "NONE"
        info = StreamInfo(context.name, context.width, context.height, transport)
        stream = PyAvStream(container, video, info, shown=shown, read_s=timeouts.read_s)
        on_error.pop_all()
        return stream


class PyAvPicture:
    """A decoded frame."""

    __slots__ = ("_frame",)

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def is_corrupt(self) -> bool:
        """Whether the decoder had to guess parts of it."""
        return bool(self._frame.is_corrupt)

    def luma(self) -> Luma:
        """The first plane, without a copy. Planar YUV: every codec of cameras."""
        plane = self._frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        return rows[:, : plane.width]


class PyAvPacket:
    """A packet of the stream; valid until the next one is read."""

    __slots__ = ("_packet", "_time_base", "is_key", "size")

    def __init__(self, packet: Any, time_base: Fraction) -> None:
        self._packet = packet
        self._time_base = time_base
        self.size: int = packet.size
        self.is_key: bool = packet.is_keyframe

    @property
    def seconds(self) -> float | None:
        """Presentation time by the camera's clock."""
        pts = self._packet.pts
        return None if pts is None else float(pts * self._time_base)

    def decode(self) -> PyAvPicture | None:
        """The picture of a key frame."""
        context = self._packet.stream.codec_context
        try:
            # Between two key frames nothing is decoded: what the decoder still knows of the last one is void.
            context.flush_buffers()
            frames = context.decode(self._packet) or context.decode(None)
        except (av.error.FFmpegError, ValueError):
            return None
        finally:
            context.flush_buffers()
        return PyAvPicture(frames[0]) if frames else None

    def key_frame(self) -> KeyFrame:
        """A copy that outlives the packet."""
        context = self._packet.stream.codec_context
        return KeyFrame(context.name, context.extradata or b"", bytes(self._packet))


def jpeg(key_frame: KeyFrame) -> bytes | None:
    """A key frame as JPEG, decoded by itself; None: it is damaged. May run in any thread."""
    context: Any = av.CodecContext.create(key_frame.codec, "r")
    context.thread_count = 1
    if key_frame.extradata:
        context.extradata = key_frame.extradata
    try:
        frames = context.decode(av.Packet(key_frame.data)) or context.decode(None)
    except (av.error.FFmpegError, ValueError):
        return None
    if not frames:
        return None
    encoded, data = cv2.imencode(".jpg", frames[0].to_ndarray(format="bgr24"))
    return data.tobytes() if encoded else None


class PyAvStream:
    """An open stream. For one thread: FFmpeg's container is not safe across threads."""

    def __init__(
        self,
        container: Any,
        video: Any,
        info: StreamInfo,
        *,
        shown: str,
        read_s: float,
    ) -> None:
        self._container = container
        self._video = video
        self._shown = shown
        self._read_s = read_s
        self._log: list[tuple[int, str, str]] = []
        self.info = info

    def packets(self) -> Iterator[PyAvPacket]:
        """Packets as they come.

        Raises:
            StreamError: the stream has stalled or ended.
        """
        time_base = self._video.time_base or Fraction(1, 90_000)
        with av.logging.Capture(local=True) as log:
            self._log = log
            try:
                for packet in self._container.demux(self._video):
                    if packet.size:
                        yield PyAvPacket(packet, time_base)
            except av.error.ExitError:
                raise StreamError(Fault.STALLED, f"no packet for {self._read_s:.0f} s from {self._shown}") from None
            except (OSError, av.error.FFmpegError):
                raise StreamError(Fault.DISCONNECTED, f"the connection to {self._shown} broke") from None
            raise StreamError(Fault.DISCONNECTED, f"{self._shown} ended the stream")

    def lost_packets(self) -> int:
        """RTP packets that are missing since the last call, by FFmpeg's log."""
        lines, self._log[:] = list(self._log), []
        return sum(int(match[1]) for _, _, text in lines if (match := _MISSED.search(text)))

    def close(self) -> None:
        """Gives the connection up."""
        # A camera that is gone makes TEARDOWN fail; there is nothing left to close then.
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()


def _probe(url: str, shown: str, timeout_s: float) -> None:
    """Makes sure that the host resolves and its port is open."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 554)
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise StreamError(Fault.DNS_FAILED, f"host name {host!r} does not resolve") from None
    error: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as probe:
            probe.settimeout(timeout_s)
            try:
                probe.connect(address)
            except OSError as failure:
                error = failure
            else:
                return
    if isinstance(error, ConnectionRefusedError):
        raise StreamError(Fault.CONNECTION_REFUSED, f"{host} port {port} refuses the connection")
    if error is not None and error.errno in _UNREACHABLE:
        raise StreamError(Fault.UNREACHABLE, f"no route to {host}")
    raise StreamError(Fault.TIMED_OUT, f"{shown}: no connection within {timeout_s:.0f} s")


def _with_credentials(url: str, credentials: Credentials | None) -> str:
    if credentials is None:
        return url
    user = quote(credentials.username, safe="")
    password = quote(credentials.password.get_secret_value(), safe="")
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))


def _options(source: AssignedSource, transport: str, timeouts: Timeouts) -> dict[str, str]:
    microseconds = str(round(timeouts.open_s * 1e6))
    # FFmpeg's default of 5 s costs 1.1 s an open; a camera's SDP says nearly all that is needed.
    common = {"analyzeduration": "200000", "probesize": "500000", "fflags": "nobuffer"}
    if source.kind is SourceKind.HTTP:
        return {**common, "timeout": microseconds}
    return {**common, "timeout": microseconds, "rtsp_transport": transport.lower(), "allowed_media_types": "video"}


def _translated(error: BaseException, shown: str, *, elapsed: float, limit: float, transport: str) -> StreamError:
    for kind, fault, text in _ANSWERS:
        if isinstance(error, kind):
            try_udp = transport == "TCP" and fault is Fault.UNSUPPORTED_TRANSPORT
            return StreamError(fault, f"{shown} {text}", try_udp=try_udp)
    number = getattr(error, "errno", None)
    if number in _UNREACHABLE:
        return StreamError(Fault.UNREACHABLE, f"no route to {urlsplit(shown).hostname}")
    if number == EPROTONOSUPPORT:
        return StreamError(Fault.UNSUPPORTED_TRANSPORT, f"{shown} refuses {transport}", try_udp=transport == "TCP")
    # FFmpeg calls it "invalid data" both when a host stays silent and when it answers with anything but a stream.
    if elapsed >= limit * 0.9:
        return StreamError(Fault.TIMED_OUT, f"{shown} accepted the connection and stayed silent for {elapsed:.0f} s")
    return StreamError(Fault.DISCONNECTED, f"{shown} closed the connection, or what listens there is no camera")


def quieten_libraries() -> None:
    """Called once per process, before threads start: FFmpeg's lines reach nobody but us, and OpenCV uses one thread.

    Lost packets are known from FFmpeg's warnings alone, so they are switched on; but some lines hold URLs.
    """
    libav = logging.getLogger("libav")
    libav.propagate = False
    libav.addHandler(logging.NullHandler())
    av.logging.set_level(av.logging.WARNING)
    cv2.setNumThreads(1)
