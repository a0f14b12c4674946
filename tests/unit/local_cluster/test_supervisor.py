import dataclasses
import io
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cluster import processes
from local_cluster.components import Component, base_environment
from local_cluster.errors import ClusterError, ComponentError
from local_cluster.paths import InstancePaths
from local_cluster.processes import COMPONENT_MARK, INSTANCE_MARK
from local_cluster.progress import Reporter
from local_cluster.supervisor import Supervisor

QUIET = Reporter(io.StringIO(), quiet=True)


def component(*argv: str, config_files: tuple[Path, ...] = (), healthy: bool = True) -> Component:
    return Component("sleep", argv or ("sleep", "60"), lambda: healthy, config_files)


@pytest.fixture
def supervisor(paths: InstancePaths) -> Iterator[Supervisor]:
    supervisor = Supervisor(paths)
    yield supervisor
    processes.stop(supervisor.all_processes(), grace=0)


def pid(supervisor: Supervisor) -> int:
    record = supervisor.running("sleep")
    assert record is not None
    return record.process.pid


def test_a_running_component_is_left_alone(supervisor: Supervisor) -> None:
    assert supervisor.ensure([component()], QUIET) == ["sleep"]
    before = pid(supervisor)
    assert supervisor.ensure([component()], QUIET) == []
    assert pid(supervisor) == before


def test_a_dead_component_is_started_again(supervisor: Supervisor) -> None:
    supervisor.ensure([component()], QUIET)
    before = pid(supervisor)
    supervisor.stop("sleep", grace=0)
    assert supervisor.ensure([component()], QUIET) == ["sleep"]
    assert pid(supervisor) != before


def test_another_command_line_restarts(supervisor: Supervisor) -> None:
    supervisor.ensure([component("sleep", "60")], QUIET)
    assert supervisor.ensure([component("sleep", "61")], QUIET) == ["sleep"]


def test_another_configuration_restarts(supervisor: Supervisor, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("a")
    supervisor.ensure([component(config_files=(config,))], QUIET)
    assert supervisor.ensure([component(config_files=(config,))], QUIET) == []
    config.write_text("b")
    assert supervisor.ensure([component(config_files=(config,))], QUIET) == ["sleep"]


def test_a_paused_component_is_resumed(supervisor: Supervisor) -> None:
    supervisor.ensure([component()], QUIET)
    supervisor.send("sleep", signal.SIGSTOP)
    supervisor.ensure([component()], QUIET)
    status = Path(f"/proc/{pid(supervisor)}/stat").read_text().rpartition(")")[2].split()[0]
    assert status in "SR"


def test_a_component_that_dies_is_an_error_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    dying = component("sh", "-c", "echo 'bind: address in use'; exit 1", healthy=False)
    with pytest.raises(ComponentError, match="sleep died while it started") as caught:
        supervisor.ensure([dying], QUIET)
    assert "bind: address in use" in caught.value.hint
    assert "sleep.log" in caught.value.hint


def test_a_component_that_never_becomes_healthy_is_an_error(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_cluster.supervisor.START_TIMEOUT", 0.0)
    with pytest.raises(ComponentError, match="runs but did not become healthy within 0 s"):
        supervisor.ensure([component(healthy=False)], QUIET)


def test_a_process_whose_record_was_never_written_is_stopped(supervisor: Supervisor, paths: InstancePaths) -> None:
    marks = {INSTANCE_MARK: str(paths.root), COMPONENT_MARK: "sleep"}
    stray = processes.spawn(["sleep", "60"], log=paths.log("sleep"), environment={**base_environment(), **marks})
    while processes.command_name(stray) != "sleep":
        pass
    supervisor.remove_strays([component()])
    assert not stray.is_alive()


def test_a_recorded_process_and_a_shim_are_no_strays(supervisor: Supervisor) -> None:
    # A shim inherits the marks of containerd but runs another program.
    shim = dataclasses.replace(component(), name="containerd")
    supervisor.ensure([component(), shim], QUIET)
    supervisor.remove_strays([component()])
    assert supervisor.running("sleep")
    assert supervisor.running("containerd")


def test_a_signal_to_a_component_that_does_not_run_is_an_error(supervisor: Supervisor) -> None:
    with pytest.raises(ClusterError, match="sleep does not run"):
        supervisor.send("sleep", signal.SIGTERM)
