import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cluster import processes
from local_cluster.processes import COMPONENT_MARK, INSTANCE_MARK, Process, ProcessRecord

PATH = {"PATH": os.defpath}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(*argv: str, mark: str = "") -> Process:
        environment = {**PATH, INSTANCE_MARK: mark, COMPONENT_MARK: "sleep"} if mark else PATH
        process = processes.spawn(argv, log=tmp_path / "logs" / "out.log", environment=environment)
        started.append(process)
        return process

    yield run
    processes.stop(started, grace=0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def test_a_started_program_runs_in_a_session_of_its_own_in_the_root_folder(start: Callable[..., Process]) -> None:
    process = start("sleep", "60")
    wait_for(lambda: processes.command_name(process) == "sleep")
    assert process.is_alive()
    assert os.getsid(process.pid) == process.pid
    assert Path(f"/proc/{process.pid}/cwd").readlink() == Path("/")


def test_output_and_errors_are_appended_to_the_log(start: Callable[..., Process], tmp_path: Path) -> None:
    first = start("sh", "-c", "echo one")
    wait_for(lambda: not first.is_alive())
    second = start("sh", "-c", "echo two >&2")
    wait_for(lambda: not second.is_alive())
    assert (tmp_path / "logs" / "out.log").read_text() == "one\ntwo\n"


def test_a_process_that_inherited_the_pid_is_neither_alive_nor_signalled(start: Callable[..., Process]) -> None:
    process = start("sleep", "60")
    earlier = dataclasses.replace(process, start_ticks=process.start_ticks - 1)
    assert not earlier.is_alive()
    assert not earlier.send(signal.SIGKILL)
    assert process.is_alive()


def test_a_record_of_an_earlier_boot_is_not_alive(start: Callable[..., Process]) -> None:
    process = start("sleep", "60")
    assert not dataclasses.replace(process, boot_id="another").is_alive()


def test_a_zombie_is_not_alive(start: Callable[..., Process]) -> None:
    process = start("true")
    wait_for(lambda: not process.is_alive())
    assert Path(f"/proc/{process.pid}").exists(), "nobody reaped it, so it is a zombie"
    assert processes.stop([process], grace=0) == []
    assert not Path(f"/proc/{process.pid}").exists(), "stop reaps it"


def test_stop_kills_what_ignores_the_request(start: Callable[..., Process]) -> None:
    process = start("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    wait_for(lambda: processes.command_name(process) == "sh")
    assert processes.stop([process], grace=0.05) == []
    assert not process.is_alive()


def test_stop_ends_a_paused_process_without_waiting_for_the_kill(start: Callable[..., Process]) -> None:
    process = start("sleep", "60")
    process.send(signal.SIGSTOP)
    began = time.monotonic()
    assert processes.stop([process], grace=30) == []
    assert time.monotonic() - began < 15


def test_marked_processes_are_found_without_a_record(start: Callable[..., Process]) -> None:
    mine = start("sleep", "60", mark="/state/mine")
    start("sleep", "60", mark="/state/mine-too")
    wait_for(lambda: processes.command_name(mine) == "sleep")
    assert processes.marked(Path("/state/mine")) == [(mine, "sleep")]


def test_a_record_survives_being_written_and_read(tmp_path: Path) -> None:
    record = ProcessRecord(Process(4, 5, "boot"), "fingerprint", 6.5)
    record.save(tmp_path / "record.json")
    assert ProcessRecord.load(tmp_path / "record.json") == record


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": {"pid": 1}, "fingerprint": "", "started_at": 0}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    assert ProcessRecord.load(tmp_path / "record.json") is None


def test_a_missing_record_counts_as_none(tmp_path: Path) -> None:
    assert ProcessRecord.load(tmp_path / "record.json") is None
