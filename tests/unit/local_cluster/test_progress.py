import io

import pytest

from local_cluster.progress import Reporter, elapsed


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (9.96, "10.0 s"), (12.3, "12 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s")]
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_without_a_terminal_a_long_step_shows_life_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    with Reporter(stream, clock=clock).step("Compiling") as step:
        for second in range(1, 32):
            clock.now = 100.0 + second
            step.update(f"package {second}")
        step.outcome = "all of them"
    assert stream.getvalue().splitlines() == [
        "… Compiling (15 s): package 15",
        "… Compiling (30 s): package 30",
        "✓ Compiling: all of them (31 s)",
    ]


def test_on_a_terminal_the_line_is_renewed_in_place() -> None:
    clock, stream = Clock(), Terminal()
    with Reporter(stream, clock=clock).step("Compiling") as step:
        clock.now += 1
        step.update("a")
    assert stream.getvalue().count("\n") == 1
    assert "\r\x1b[K… Compiling (1.0 s): a" in stream.getvalue()


def test_a_failed_step_is_marked_and_its_error_passes() -> None:
    clock, stream = Clock(), io.StringIO()
    with pytest.raises(KeyError), Reporter(stream, clock=clock).step("Compiling"):
        raise KeyError
    assert stream.getvalue() == "✗ Compiling (0.0 s)\n"


def test_a_quiet_reporter_writes_nothing() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream, quiet=True)
    with reporter.step("Compiling") as step:
        step.update("a", force=True)
    reporter.say("b")
    assert stream.getvalue() == ""
