"""Time-outs of reads that block, on real containers of PyAV."""

import gc
import io
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import av
import av.error
import pytest

from camera_worker.ingest.read_timeout import ReadTimeout, ReadTimeouts

LIMIT_S = 0.3
#: What a container is filled with does not matter.
FORMAT = "u8"


@pytest.fixture
def server() -> Iterator[tuple[str, "_Late"]]:
    """A URL, and the connection of who opens it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        accepted: list[socket.socket] = []

        def accept() -> None:
            connection, _ = listener.accept()
            connection.sendall(bytes(100_000))
            accepted.append(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield url, _Late(accepted)
        thread.join()
        for connection in accepted:
            connection.close()


class _Late:
    def __init__(self, accepted: list[socket.socket]) -> None:
        self._accepted = accepted

    def sendall(self, data: bytes) -> None:
        self._accepted[0].sendall(data)


def watched(url: str, timeouts: ReadTimeouts) -> tuple[Any, ReadTimeout]:
    before = time.monotonic()
    container = av.open(url, format=FORMAT, timeout=(5.0, None))
    timeout = timeouts.watch(container, LIMIT_S, before)
    assert timeout is not None
    return container, timeout


def test_this_pyav_is_supported() -> None:
    assert ReadTimeouts().is_supported


def test_a_read_that_takes_too_long_ends(server: tuple[str, "_Late"]) -> None:
    timeouts = ReadTimeouts()
    container, timeout = watched(server[0], timeouts)
    began = time.monotonic()
    with pytest.raises(av.error.ExitError):
        for _ in container.demux():
            pass

    # All there was to read was there at once.
    assert LIMIT_S <= time.monotonic() - began <= LIMIT_S + 0.5
    assert timeout.has_expired
    container.close()


def test_reads_that_end_in_time_go_on_for_ever(server: tuple[str, "_Late"]) -> None:
    container, timeout = watched(server[0], ReadTimeouts())
    began = time.monotonic()
    for _ in container.demux():
        time.sleep(0.01)
        server[1].sendall(bytes(10_000))
        if time.monotonic() - began > 3 * LIMIT_S:
            break

    assert not timeout.has_expired
    container.close()


def test_a_reader_that_is_busy_itself_is_not_blamed_on_the_camera(server: tuple[str, "_Late"]) -> None:
    container, timeout = watched(server[0], ReadTimeouts())
    packets = container.demux()
    next(packets)
    time.sleep(2 * LIMIT_S)
    suspected = timeout.has_expired

    # There is plenty to read, so this read is quick.
    next(packets)
    assert suspected
    assert not timeout.was_exceeded(time.monotonic())
    container.close()


def test_what_is_let_go_is_watched_no_longer(server: tuple[str, "_Late"]) -> None:
    timeouts = ReadTimeouts()
    container, timeout = watched(server[0], timeouts)
    timeouts.forget(timeout)
    gone = weakref.ref(timeout)
    container.close()
    del timeout
    gc.collect()

    assert gone() is None


def test_where_the_numbers_are_not_found_pyav_is_left_to_itself() -> None:
    timeouts = ReadTimeouts()
    with av.open(io.BytesIO(bytes(64)), format=FORMAT, timeout=(5.0, 5.0)) as container:
        # Opened later than its own numbers say.
        assert timeouts.watch(container, LIMIT_S, time.monotonic()) is None

    assert not timeouts.is_supported
