"""FFmpeg's log: heard by those who need it, and by nobody else."""

import contextlib
import logging.handlers
import threading
import time
from collections.abc import Callable, Iterator

import av
import av.error
import av.logging
import pytest

from camera_worker.ingest.ffmpeg_log import FFMPEG_LOG, quieten_ffmpeg

REFUSAL = "method DESCRIBE failed: 404 Not Found"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    level = av.logging.get_level()
    quieten_ffmpeg()
    yield
    av.logging.set_level(level)


@pytest.fixture
def handler() -> Iterator[logging.handlers.BufferingHandler]:
    # A handler of our own: pytest's listen at loggers that do not propagate, too.
    handler = logging.handlers.BufferingHandler(capacity=100)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def say(text: str, level: int = av.logging.ERROR) -> None:
    av.logging.log(level, "rtsp", text)


def in_another_thread(action: Callable[[], None]) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


def test_two_cameras_that_answer_the_same_are_both_heard() -> None:
    heard = []
    for _ in range(2):
        with FFMPEG_LOG.lines() as lines:
            say(REFUSAL)
        heard.append([text for _, _, text in lines])

    assert heard == [[REFUSAL], [REFUSAL]]


def test_lines_below_warnings_are_not_heard() -> None:
    with FFMPEG_LOG.lines() as lines:
        say("missed", av.logging.WARNING)
        say("id=0 len=1400", av.logging.INFO)

    assert [text for _, _, text in lines] == ["missed"]


def test_who_listens_hears_its_own_thread_only(handler: logging.handlers.BufferingHandler) -> None:
    with FFMPEG_LOG.lines() as lines:
        in_another_thread(lambda: say("rtsp://viewer:hunter2@192.0.2.7 failed"))

    assert lines == []
    assert handler.buffer == []


def test_one_that_stops_does_not_silence_the_others() -> None:
    with FFMPEG_LOG.lines() as lines:
        with FFMPEG_LOG.lines():
            pass
        say(REFUSAL)

    assert [text for _, _, text in lines] == [REFUSAL]


def test_ffmpeg_is_not_listened_to_when_nobody_needs_it(
    handler: logging.handlers.BufferingHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="a way out"), FFMPEG_LOG.lines():
        raise ValueError("a way out")

    with av.logging.Capture(local=True) as lines:
        say("rtsp://viewer:hunter2@192.0.2.7 failed")

    # PyAV's callback, which takes the interpreter's lock for every line, is not there.
    assert lines == []
    assert handler.buffer == []
    assert "hunter2" not in "".join(capfd.readouterr())


def test_a_line_that_comes_as_the_last_one_stops_to_listen_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    ends_at = time.monotonic() + 1.0

    def talk() -> None:
        # FFmpeg's own lines, since those come without the interpreter's lock.
        decoder = av.CodecContext.create("h264", "r")
        while time.monotonic() < ends_at:
            with contextlib.suppress(av.error.FFmpegError):
                decoder.decode(av.Packet(b"\0\0\0\1\x65" + b"\x88" * 100))

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    while time.monotonic() < ends_at:
        with FFMPEG_LOG.lines():
            pass
    for thread in threads:
        thread.join()

    assert capfd.readouterr() == ("", "")
