"""FFmpeg's errors and log lines as faults of cameras."""

import errno

import av.error
import pytest

from camera_api.faults import Fault
from camera_worker.ingest.av_errors import opening_error, reading_error

SHOWN = "rtsp://192.0.2.7:554/door"
#: As PyAV raises it: with the whole URL.
SECRET = "rtsp://viewer:hunter2@192.0.2.7:554/door"
RTSP_LINE = "method {} failed: {}\n"


def ffmpeg(kind: type[Exception], number: int = 1) -> Exception:
    return kind(number, "text of FFmpeg", SECRET)


def diagnose(error: Exception, *lines: str, elapsed_s: float = 0.1, transport: str = "TCP") -> tuple[Fault, str]:
    logged = [(16, "rtsp", line) for line in lines]
    failure = opening_error(error, logged, SHOWN, transport=transport, elapsed_s=elapsed_s, limit_s=5.0)
    assert "hunter2" not in str(failure)
    assert failure.connected
    return failure.fault, failure.message


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, Fault.UNSUPPORTED_TRANSPORT),
        (401, Fault.AUTH_FAILED),
        (403, Fault.AUTH_FAILED),
        (404, Fault.STREAM_NOT_FOUND),
        (410, Fault.STREAM_NOT_FOUND),
        (415, Fault.UNSUPPORTED_CODEC),
        (453, Fault.DISCONNECTED),
        (461, Fault.UNSUPPORTED_TRANSPORT),
        (503, Fault.DISCONNECTED),
    ],
)
def test_the_status_that_a_camera_answered_is_the_reason(status: int, fault: Fault) -> None:
    found, message = diagnose(ffmpeg(av.error.InvalidDataError), RTSP_LINE.format("DESCRIBE", f"{status} (reason)"))

    assert found is fault
    assert message.startswith(f"{SHOWN} answered DESCRIBE")
    assert message.endswith(f"with {status}")


def test_the_last_answer_counts_since_the_first_may_only_ask_for_the_password() -> None:
    lines = RTSP_LINE.format("DESCRIBE", 401), RTSP_LINE.format("SETUP", 461)

    assert diagnose(ffmpeg(av.error.InvalidDataError), *lines) == (
        Fault.UNSUPPORTED_TRANSPORT,
        f"{SHOWN} answered SETUP over TCP with 461",
    )


def test_http_answers_are_read_too() -> None:
    fault, message = diagnose(ffmpeg(av.error.HTTPNotFoundError), "HTTP error 404 Not Found")

    assert (fault, message) == (Fault.STREAM_NOT_FOUND, f"{SHOWN} answered GET with 404")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (av.error.HTTPUnauthorizedError, Fault.AUTH_FAILED),
        (av.error.HTTPForbiddenError, Fault.AUTH_FAILED),
        (av.error.HTTPNotFoundError, Fault.STREAM_NOT_FOUND),
        (av.error.HTTPBadRequestError, Fault.UNSUPPORTED_TRANSPORT),
        (av.error.HTTPServerError, Fault.DISCONNECTED),
        (av.error.DecoderNotFoundError, Fault.UNSUPPORTED_CODEC),
        (av.error.ConnectionRefusedError, Fault.CONNECTION_REFUSED),
        (av.error.ConnectionResetError, Fault.DISCONNECTED),
        (av.error.BrokenPipeError, Fault.DISCONNECTED),
        (av.error.EOFError, Fault.DISCONNECTED),
        (av.error.ExitError, Fault.TIMED_OUT),
        (av.error.TimeoutError, Fault.TIMED_OUT),
    ],
)
def test_without_a_log_line_the_kind_of_error_is_the_reason(kind: type[Exception], fault: Fault) -> None:
    assert diagnose(ffmpeg(kind))[0] is fault


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.EHOSTUNREACH, Fault.UNREACHABLE),
        (errno.ENETUNREACH, Fault.UNREACHABLE),
        (errno.EPROTONOSUPPORT, Fault.UNSUPPORTED_TRANSPORT),
        (errno.EIO, Fault.DISCONNECTED),
    ],
)
def test_the_number_tells_network_errors_apart(number: int, fault: Fault) -> None:
    assert diagnose(ffmpeg(av.error.OSError, number))[0] is fault


def test_invalid_data_after_the_whole_time_is_a_silent_camera() -> None:
    fault, message = diagnose(ffmpeg(av.error.InvalidDataError), elapsed_s=5.02)

    assert (fault, message) == (
        Fault.TIMED_OUT,
        f"{SHOWN} accepted the connection, then gave no answer for 5 s",
    )


def test_invalid_data_with_an_end_is_a_camera_that_hung_up() -> None:
    assert diagnose(ffmpeg(av.error.InvalidDataError), "Failed reading RTSP data: End of file")[0] is Fault.DISCONNECTED


def test_invalid_data_at_once_is_no_video_stream() -> None:
    assert diagnose(ffmpeg(av.error.InvalidDataError))[0] is Fault.STREAM_NOT_FOUND


def test_a_port_that_speaks_no_tls_is_told_from_a_camera_that_hung_up() -> None:
    lines = [(16, "tls", "An unexpected TLS packet was received.\n")]
    error = ffmpeg(av.error.OSError, errno.EIO)
    failure = opening_error(error, iter(lines), SHOWN, transport="TCP", elapsed_s=0.1, limit_s=5.0)

    assert (failure.fault, failure.message) == (
        Fault.DISCONNECTED,
        f"{SHOWN}: no TLS connection came about; its port may be one without",
    )


def test_log_lines_are_quoted_in_no_message() -> None:
    _, message = diagnose(ffmpeg(av.error.OSError, errno.EIO), f"Connection to {SECRET} failed: Input/output error")

    assert message == f"{SHOWN} closed the connection while the stream was set up"


@pytest.mark.parametrize("kind", [av.error.ExitError, av.error.TimeoutError])
def test_a_read_that_times_out_is_a_stall(kind: type[Exception]) -> None:
    failure = reading_error(ffmpeg(kind), SHOWN, silent_s=5.0)

    assert (failure.fault, failure.message) == (Fault.STALLED, f"{SHOWN}: connected, but no video for 5 s")


@pytest.mark.parametrize("kind", [av.error.ConnectionResetError, av.error.InvalidDataError, av.error.OSError])
def test_any_other_end_of_reading_is_a_lost_connection(kind: type[Exception]) -> None:
    assert reading_error(ffmpeg(kind), SHOWN, silent_s=5.0).fault is Fault.DISCONNECTED
