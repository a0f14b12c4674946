"""A sub stream that is held and released, on a scripted camera; its thread's work is done in the test's thread."""

from typing import Any

import pytest
from pydantic import SecretStr

from camera_api.assignment import AssignedSource, Credentials, SourceKind
from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.slots import OpenSlots
from camera_worker.ingest.sub_stream import LINGER_S, SubStream

CLOSED = StreamError(Fault.DISCONNECTED, "rtsp://192.0.2.7:554/sub closed the connection")
LOCKED_OUT = StreamError(Fault.AUTH_FAILED, "rtsp://192.0.2.7:554/sub answered DESCRIBE with 401")
SOURCE = AssignedSource(kind=SourceKind.RTSP, main_url="rtsp://192.0.2.7:554/main", sub_url="rtsp://192.0.2.7:554/sub")


class Pull:
    """A sub stream whose waits move the clock."""

    def __init__(self, bench: Any, assigned: Any) -> None:
        self.bench = bench
        self.assigned = assigned(source=SOURCE)
        self.opened: list[str] = []
        self.waits: list[float] = []
        clock = bench.clock
        self.stream = SubStream(self.assigned, self, OpenSlots(8), clock, clock.wall)
        lock: Any = self.stream._lock
        lock.wait = self._wait
        # The thread is the test's.
        self.stream._thread = self  # type: ignore[assignment]

    def is_alive(self) -> bool:
        return True

    def connect(self, source: AssignedSource, timeouts: Any) -> None:
        self.opened.append(source.main_url)
        self.bench.opener.connect(source, timeouts)

    def open(self, source: AssignedSource, credentials: Any, *, transport: str, timeouts: Any) -> Any:
        return self.bench.opener.open(source, credentials, transport=transport, timeouts=timeouts)

    def run(self, *script: Any) -> None:
        self.bench.opener.script = list(script)
        self.bench.opener.exhausted = self.stream.release
        self.stream._run()

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.bench.clock.now += seconds
        return False


@pytest.fixture
def pull(bench: Any, assigned: Any) -> Pull:
    return Pull(bench, assigned)


def test_the_sub_stream_is_pulled_by_its_own_url(pull: Pull, video: Any) -> None:
    pull.stream.hold()

    pull.run(video(4.0))

    assert pull.opened[0] == "rtsp://192.0.2.7:554/sub"
    assert pull.bench.opener.tries[0][1] == "TCP"


def test_parameters_are_known_while_it_is_pulled(pull: Pull, video: Any) -> None:
    seen: list[Any] = []
    pull.stream.hold()

    pull.run(video(1.0, lambda: seen.append(pull.stream.feed.parameters)))

    assert seen[0].codec == "h264"
    assert pull.stream.feed.parameters is None


def test_the_pull_ends_some_time_after_the_last_reader(pull: Pull, video: Any) -> None:
    pull.stream.hold()
    clip = video(2.0, lambda: None)

    def leave() -> None:
        pull.stream.release()
        # Another reader in time changes nothing, and leaves again.
        pull.stream.hold()
        pull.stream.release()
        clip.ends = None

    clip.ends = leave
    left_at = pull.bench.clock.now + 2.0
    pull.run(clip, video(60.0))

    assert not pull.stream.is_alive
    assert LINGER_S <= pull.bench.clock.now - left_at <= LINGER_S + 2


def test_a_lost_sub_stream_is_opened_again_while_it_is_held(pull: Pull, video: Any) -> None:
    pull.stream.hold()

    pull.run(video(2.0, CLOSED), CLOSED, video(2.0))

    assert len(pull.opened) >= 3
    assert 0.7 <= pull.waits[0] <= 1.3


def test_a_refused_password_is_not_tried_again_with_each_reader(pull: Pull) -> None:
    pull.stream.hold()
    pull.bench.opener.script = [LOCKED_OUT]
    pull.stream._wait_for_turn()
    with pytest.raises(StreamError):
        pull.stream._pull()
    pull.stream._failed(LOCKED_OUT)
    assert "401" in pull.stream.trouble
    pull.stream.release()
    pull.run()
    tried = len(pull.bench.opener.tries)

    for _ in range(3):
        pull.stream._thread = pull  # type: ignore[assignment]
        pull.stream.hold()
        assert "401" in pull.stream.trouble
        pull.stream.release()
        pull.bench.clock.now += LINGER_S
        pull.stream._run()

    assert len(pull.bench.opener.tries) == tried == 1


def test_another_password_is_tried_at_once(pull: Pull, video: Any) -> None:
    pull.stream.hold()
    pull.stream._wait_for_turn()
    pull.bench.opener.script = [LOCKED_OUT]
    with pytest.raises(StreamError):
        pull.stream._pull()
    pull.stream._failed(LOCKED_OUT)
    credentials = Credentials(username="viewer", password=SecretStr("another"))

    pull.stream.update(pull.assigned.model_copy(update={"credentials": credentials}))

    tried_at = pull.bench.clock.now
    pull.run(video(1.0))
    assert pull.bench.opener.tries[1][0] == tried_at
    assert pull.bench.opener.tries[1][2] == credentials


def test_a_released_camera_is_let_go_at_once(pull: Pull, video: Any) -> None:
    pull.stream.hold()

    pull.run(video(3.0, pull.stream.stop), video(60.0))

    assert not pull.stream.is_alive
    assert len(pull.opened) == 1
    assert pull.stream.trouble == "the camera is no longer assigned to this worker, or the worker ends"
    pull.stream.hold()
    assert not pull.stream.is_alive, "nobody can begin it again"


def test_a_sub_stream_that_is_no_longer_declared_is_let_go(pull: Pull, video: Any) -> None:
    without = pull.assigned.model_copy(update={"source": SOURCE.model_copy(update={"sub_url": None})})
    pull.stream.hold()

    pull.run(video(3.0, lambda: pull.stream.update(without)), video(60.0))

    assert not pull.stream.is_alive
    assert len(pull.opened) == 1
