"""Streams of H.264 and H.265 over RTSP and TCP without FFmpeg's RTSP, which takes three times the CPU.

FFmpeg asks the kernel six times for each RTP packet, of which a picture has 80. Here, what has come is received
at once. PyAV decodes the key frames.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.error

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_api.quantities import redact_url
from camera_worker.errors import StreamError
from camera_worker.ingest.av_errors import UNREACHABLE, answer_error
from camera_worker.ingest.pyav_source import PyAvOpener
from camera_worker.ingest.reachability import check_reachable
from camera_worker.ingest.rtsp.connection import Closed, RtspConnection
from camera_worker.ingest.rtsp.decode_times import DecodeTimes
from camera_worker.ingest.rtsp.depacketizer import MAGIC, AccessUnit, Depacketizer
from camera_worker.ingest.rtsp.messages import Message, ProtocolError, Session
from camera_worker.ingest.rtsp.parameter_set import geometry
from camera_worker.ingest.rtsp.sdp import VideoMedia, control_url, parse_video
from camera_worker.ingest.rtsp.transport import REQUESTED, Interleaving, is_goodbye, receiver_report
from camera_worker.ingest.source import KeyFrame, Picture, Stream, StreamInfo, StreamOpener, Timeouts

_OK, _UNAUTHORIZED = 200, 401
#: Seconds that the rest of a picture is left to come. Over a line of 100 Mbit/s the packets of one arrive within some
#: milliseconds, and each would wake the thread: for pictures of 14 packets this saves a third of the CPU.
_GATHER_S = 0.002


class _Elsewhere(Exception):  # noqa: N818 - decides who opens a stream, and tells of nothing wrong
    """A stream that is FFmpeg's: of another codec, or at another place."""


class RtspOpener:
    """Opens streams (a ``StreamOpener``): those over TCP itself, all others by PyAV.

    Args:
        other: opens what is no plain H.264 or H.265 over RTSP and TCP.
        clock: monotonic seconds.
    """

    def __init__(self, other: StreamOpener | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._other: StreamOpener = other or PyAvOpener()
        self._clock = clock

    def connect(self, source: AssignedSource, timeouts: Timeouts) -> None:
        """Makes sure that the camera's name resolves and its port accepts connections.

        Raises:
            StreamError: it does not.
        """
        check_reachable(source.main_url, timeouts.connect_s)

    def open(
        self, source: AssignedSource, credentials: Credentials | None, *, transport: str, timeouts: Timeouts
    ) -> Stream:
        """Opens a camera's main stream.

        Raises:
            StreamError: it cannot be opened.
        """
        is_ours = source.kind is SourceKind.RTSP and transport == "TCP" and source.main_url.startswith("rtsp://")
        if is_ours:
            with contextlib.suppress(_Elsewhere):
                return self._open(source.main_url, credentials, timeouts)
        return self._other.open(source, credentials, transport=transport, timeouts=timeouts)

    def _open(self, url: str, credentials: Credentials | None, timeouts: Timeouts) -> "RtspStream":
        shown, began = redact_url(url), self._clock()
        deadline = began + timeouts.open_s
        try:
            connection = RtspConnection(url, credentials, timeouts.connect_s, self._clock)
        except OSError as error:
            raise _connecting_error(error, shown) from None
        with contextlib.ExitStack() as on_error:
            on_error.callback(connection.close)
            try:
                stream = _play(connection, url, shown, timeouts=timeouts, deadline=deadline, clock=self._clock)
            except TimeoutError:
                waited = self._clock() - began
                message = f"{shown} accepted the connection, then gave no answer for {waited:.0f} s"
                raise StreamError(Fault.TIMED_OUT, message) from None
            except (Closed, OSError):
                message = f"{shown} closed the connection while the stream was set up"
                raise StreamError(Fault.DISCONNECTED, message) from None
            except ProtocolError:
                raise StreamError(Fault.STREAM_NOT_FOUND, f"{shown} answered with what is no video stream") from None
            except StreamError as failure:
                if failure.fault is Fault.AUTH_FAILED and credentials is None:
                    message = f"{failure.message}: it wants a user name, and none is set"
                    raise StreamError(failure.fault, message) from None
                raise
            on_error.callback(stream.close)
            stream.wait_for_first_packet()
            on_error.pop_all()
            return stream


class RtspPacket:
    """A packet of the stream. Outlives the next one."""

    __slots__ = ("_decode_ticks", "_stream", "_unit", "is_key", "size")

    def __init__(self, unit: AccessUnit, decode_ticks: int | None, stream: "RtspStream") -> None:
        self._unit = unit
        self._decode_ticks = decode_ticks
        self._stream = stream
        self.size = len(unit.data)
        self.is_key = unit.is_key

    @property
    def seconds(self) -> float | None:
        """Presentation time by the camera's clock."""
        return self._unit.ticks * self._stream.seconds_per_tick

    @property
    def decode_seconds(self) -> float | None:
        """Decoding time by the camera's clock; None: not known before it is clear how pictures are reordered."""
        ticks = self._decode_ticks
        return None if ticks is None else ticks * self._stream.seconds_per_tick

    def data(self) -> bytes:
        """The access unit."""
        return self._unit.data

    def decode(self) -> Picture | None:
        """The picture of a key frame."""
        return self._stream.decode(self._unit.data)

    def key_frame(self, kept: memoryview | None = None) -> KeyFrame:
        """The key frame, so that it outlives the packet."""
        info = self._stream.info
        return KeyFrame(info.codec, info.extradata, self._unit.data if kept is None else kept)


class RtspStream:
    """A stream that plays. For one thread.

    Args:
        connection: to the camera, which ends with the stream.
        media: what is played.
        depacketizer: of the video.
        keep_alive: method and URL of the request that keeps the session.
        session: of the camera.
        shown: URL without secrets.
        timeouts: how long the camera may be silent.
        clock: monotonic seconds.
        pause: lets seconds pass.
    """

    def __init__(
        self,
        connection: RtspConnection,
        media: VideoMedia,
        depacketizer: Depacketizer,
        keep_alive: tuple[str, str],
        session: Session,
        *,
        shown: str,
        timeouts: Timeouts,
        clock: Callable[[], float],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        extradata = media.extradata
        size = geometry(media.codec, extradata)
        width, height = (size.width, size.height) if size is not None else (0, 0)
        self.info = StreamInfo(media.codec, width, height, "TCP", extradata)
        self.seconds_per_tick = 1 / media.clock_rate
        self._connection = connection
        self._depacketizer = depacketizer
        self._keep_alive = keep_alive
        self._session = session
        self._shown = shown
        self._timeouts = timeouts
        self._clock = clock
        self._pause = pause
        self._report = receiver_report(depacketizer.channel + 1, secrets.randbits(32))
        self._keep_alive_at = clock() + session.timeout_s / 2
        self._decode_times = DecodeTimes(jump=2 * media.clock_rate)
        #: Made by the first picture.
        self._decoder: Any = None
        #: Pictures that came before are still to be read.
        self._has_ended = False

    def wait_for_first_packet(self) -> None:
        """Waits until video comes, so that a stream that stands delivers.

        Raises:
            StreamError: none does.
        """
        limit_s = self._timeouts.open_s
        deadline = self._clock() + limit_s
        # What came with the answer to PLAY is there before anything is received.
        self._take()
        while not self._depacketizer.has_packet:
            if self._has_ended:
                raise self._disconnected()
            if self._clock() >= deadline:
                raise self._stalled(limit_s)
            self._receive()

    def packets(self) -> Iterator[RtspPacket]:
        """Packets as they come.

        Raises:
            StreamError: the stream has stalled or ended.
        """
        clock, units, decode_times = self._clock, self._depacketizer.units, self._decode_times
        last, limit_s = clock(), self._timeouts.open_s
        while True:
            if units:
                while units:
                    unit = units.popleft()
                    yield RtspPacket(unit, decode_times.next(unit.ticks), self)
                # After the reader: what it took its time for is no silence of the camera.
                last, limit_s = clock(), self._timeouts.read_s
            if self._has_ended:
                raise self._disconnected()
            if self._depacketizer.is_within_picture:
                self._pause(_GATHER_S)
            self._receive()
            now = clock()
            if now >= self._keep_alive_at:
                self._send_keep_alive(now)
            if now - last >= limit_s and not units:
                raise self._stalled(limit_s)

    def lost_packets(self) -> int:
        """RTP packets that are missing since the last call, by their sequence numbers."""
        return self._depacketizer.lost_packets()

    def close(self) -> None:
        """Gives the connection up."""
        self._decoder = None
        with contextlib.suppress(OSError):
            self._connection.send("TEARDOWN", self._keep_alive[1], {"Session": self._session.identifier})
        self._connection.close()

    def decode(self, data: bytes) -> Picture | None:
        """The picture of a key frame; None: the decoder could make none."""
        # Loaded by the first picture: see there.
        from camera_worker.ingest.pyav_picture import PyAvPicture  # noqa: PLC0415

        context = self._decoder
        if context is None:
            context = self._decoder = _decoder(self.info)
        try:
            # A decoder that reorders would hold the frame back until the next one; drained, it gives it at once.
            frames = context.decode(av.Packet(data)) or context.decode(None)
        except (av.error.FFmpegError, ValueError):
            return None
        finally:
            # Nothing between two key frames is decoded: what the decoder knows of the last one is void.
            context.flush_buffers()
        return PyAvPicture(frames[0]) if frames else None

    def _receive(self) -> None:
        """Takes what has come, up to the stream's end."""
        try:
            self._connection.receive()
        except (Closed, OSError):
            self._has_ended = True
        else:
            self._take()

    def _take(self) -> None:
        try:
            self._parse()
        except (Closed, OSError, ProtocolError):
            self._has_ended = True

    def _parse(self) -> None:
        connection, take = self._connection, self._depacketizer.take
        buffer = connection.buffer
        while True:
            at = connection.at = take(buffer, connection.at, connection.end)
            if at == connection.end:
                return
            if buffer[at] != MAGIC:
                message = connection.next_message()
                if message is None:
                    return
                if message.status == _UNAUTHORIZED and connection.challenged(message):
                    self._keep_alive_at = self._clock()
            else:
                if is_goodbye(buffer, at, connection.end, self._depacketizer.channel + 1):
                    raise Closed
                if not connection.skip_data():
                    return

    def _send_keep_alive(self, now: float) -> None:
        self._keep_alive_at = now + self._session.timeout_s / 2
        try:
            self._connection.send(*self._keep_alive, {"Session": self._session.identifier})
            # To some cameras, requests are no sign of life, but these are.
            self._connection.send_data(self._report)
        except OSError:
            raise self._disconnected() from None

    def _stalled(self, silent_s: float) -> StreamError:
        return StreamError(Fault.STALLED, f"{self._shown}: connected, but no video for {silent_s:g} s")

    def _disconnected(self) -> StreamError:
        return StreamError(Fault.DISCONNECTED, f"{self._shown} closed the connection")


def _play(
    connection: RtspConnection,
    url: str,
    shown: str,
    *,
    timeouts: Timeouts,
    deadline: float,
    clock: Callable[[], float],
) -> RtspStream:
    """Sets the session up.

    Raises:
        StreamError: the camera refuses.
        _Elsewhere: it is for FFmpeg.
    """

    def ask(method: str, where: str, **headers: str) -> Message:
        answer = connection.request(method, where, headers, deadline)
        if answer.is_redirect:
            raise _Elsewhere
        if answer.status != _OK:
            raise answer_error(method, answer.status, shown, transport="TCP")
        return answer

    methods = ask("OPTIONS", url).header("public").upper().replace(",", " ").split()
    description = ask("DESCRIBE", url, Accept="application/sdp")
    media = parse_video(description.body.decode("utf-8", "replace"))
    if media is None:
        raise StreamError(Fault.STREAM_NOT_FOUND, f"{shown} has no video")
    if not media.codec or not media.is_plain:
        raise _Elsewhere
    base = description.header("content-base") or description.header("content-location") or url
    setup = ask("SETUP", control_url(base, media.control), Transport=REQUESTED)
    interleaving = Interleaving.parse(setup.header("transport"))
    if interleaving is None:
        raise StreamError(Fault.UNSUPPORTED_TRANSPORT, f"{shown} refuses TCP")
    session = Session.parse(setup.header("session"))
    depacketizer = Depacketizer(media.codec, interleaving.channel, media.payload_type)
    whole = control_url(base, media.session_control)
    connection.take_data = depacketizer.take
    ask("PLAY", whole, Session=session.identifier, Range="npt=0.000-")
    keep_alive = "GET_PARAMETER" if "GET_PARAMETER" in methods else "OPTIONS"
    return RtspStream(
        connection, media, depacketizer, (keep_alive, whole), session, shown=shown, timeouts=timeouts, clock=clock
    )


def _connecting_error(error: OSError, shown: str) -> StreamError:
    if isinstance(error, ConnectionRefusedError):
        return StreamError(Fault.CONNECTION_REFUSED, f"{shown} refused the connection")
    if error.errno in UNREACHABLE:
        return StreamError(Fault.UNREACHABLE, f"{shown}: {os.strerror(error.errno or 0)}")
    if isinstance(error, TimeoutError):
        return StreamError(Fault.TIMED_OUT, f"{shown} did not answer in time")
    return StreamError(Fault.DISCONNECTED, f"{shown} closed the connection")


def _decoder(info: StreamInfo) -> Any:
    context: Any = av.CodecContext.create(info.codec, "r")
    # One thread decodes one camera; more would only add memory and switching.
    context.thread_count = 1
    context.thread_type = "NONE"
    if info.extradata:
        context.extradata = info.extradata
    return context
