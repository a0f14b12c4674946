import json
import re
from pathlib import Path

import pytest

from local_cluster import cli, preflight
from local_cluster.paths import LOCAL_ROOT, InstancePaths
from local_cluster.status import ClusterStatus, ComponentStatus

COMMANDS = (
    "up", "down", "status", "kubeconfig", "kubectl", "helm", "logs", "restart", "build-image", "load-image", "build",
    "packages",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS if command not in ("kubectl", "helm"))])
def test_every_command_explains_itself(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--help"])
    assert ended.value.code == 0
    help_text = capsys.readouterr().out
    assert "usage: cluster" in help_text
    assert "--name" in help_text


def test_the_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = re.findall(r"^    ([a-z-]+)(?=\s)", capsys.readouterr().out, re.MULTILINE)
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize(
    ("given", "own", "passed_on"),
    [
        (["kubectl", "-n", "x", "get", "pods"], ["kubectl"], ["-n", "x", "get", "pods"]),
        (["--name", "t1", "kubectl", "--help"], ["--name", "t1", "kubectl"], ["--help"]),
        (["--name=t1", "helm", "list", "--name", "x"], ["--name=t1", "helm"], ["list", "--name", "x"]),
        (["--name", "helm", "up"], ["--name", "helm", "up"], []),
        (["logs", "kubectl"], ["logs", "kubectl"], []),
        ([], [], []),
    ],
)
def test_what_follows_kubectl_and_helm_is_theirs(given: list[str], own: list[str], passed_on: list[str]) -> None:
    assert cli.split_passed_on(given) == (own, passed_on)


@pytest.mark.parametrize(
    "command", [["status"], ["kubeconfig"], ["kubectl", "get", "pods"], ["logs"], ["restart", "etcd"]]
)
@pytest.mark.parametrize("place", ["in front", "behind", "environment"])
def test_a_cluster_that_does_not_exist_is_an_error_that_says_how_to_start_it(
    command: list[str], place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "environment":
        monkeypatch.setenv("CAMERA_OPERATOR_CLUSTER", "gone")
    elif place == "in front" or command[0] == "kubectl":
        command = ["--name", "gone", *command]
    else:
        command = [*command, "--name", "gone"]
    assert cli.main(command) == 1
    error = capsys.readouterr().err
    assert "there is no local cluster 'gone'" in error
    assert "cluster --name gone up" in error


def test_taking_down_what_does_not_exist_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["down"]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_an_interrupted_creation_is_taken_down(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    paths = InstancePaths.of("half")
    paths.pki.mkdir(parents=True)
    assert cli.main(["down", "--name", "half"]) == 0
    assert not state.exists()


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("local_cluster.cli.take_down", interrupt)
    assert cli.main(["down"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_package_list_for_the_setup_is_the_one_that_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["packages"]) == 0
    printed = capsys.readouterr().out.split()
    lines = (LOCAL_ROOT / "packages.txt").read_text().splitlines()
    assert sorted(printed) == sorted(line for line in lines if not line.startswith("#"))
    assert len(printed) == len(preflight.NODE_PACKAGES) + len(preflight.IMAGE_PACKAGES)


def status(*, healthy: bool) -> ClusterStatus:
    return ClusterStatus(
        name="t1",
        profile="node",
        healthy=healthy,
        endpoint="https://10.244.0.1:6443",
        kubeconfig="/state/t1/kubeconfig",
        state="/state/t1",
        disk_bytes=1_500_000,
        node="Ready" if healthy else "NotReady",
        components=[
            ComponentStatus("etcd", 12, 61.0, healthy=True),
            ComponentStatus("kubelet", 13 if healthy else None, 5.0 if healthy else None, healthy=healthy),
        ],
    )


def test_the_status_of_a_healthy_cluster_says_what_to_type_next() -> None:
    table = status(healthy=True).as_table()
    assert "cluster      t1 (node): healthy" in table
    assert "deploy/local/cluster --name t1 kubectl get pods -A" in table
    assert re.search(r"etcd +12 +1 min 01 s +yes", table)


def test_the_status_of_an_unhealthy_cluster_says_how_to_heal_it() -> None:
    table = status(healthy=False).as_table()
    assert "NOT healthy" in table
    assert "cluster --name t1 up heals it" in table
    assert re.search(r"kubelet +- +- +NO", table)


def test_the_status_is_readable_by_programs() -> None:
    decoded = json.loads(status(healthy=False).as_json())
    assert decoded["healthy"] is False
    assert decoded["components"][1] == {"name": "kubelet", "pid": None, "up_seconds": None, "healthy": False}
