import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_cluster import build, cgroups, preflight
from local_cluster.errors import PreflightError
from local_cluster.instance import Instance
from local_cluster.preflight import Package


def fake_go(folder: Path, version: str) -> None:
    go = folder / "go"
    go.write_text(
        f'#!/bin/sh\nif [ "$*" = "env GOVERSION" ]; then echo {version}; else echo {folder}/a; echo {folder}/b; fi\n'
    )
    go.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26)), ("go1.27rc1", (1, 27)), ("go1.26-custom", (1, 26)), ("go2.0", (2, 0)), ("", (0, 0))],
)
def test_versions_of_go_are_read_as_go_writes_them(text: str, version: tuple[int, int]) -> None:
    assert build.parse_go_version(text) == version


def test_a_missing_go_names_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(PreflightError, match="Go toolchain is missing") as caught:
        build.find_go()
    assert "KUBECONFIG" in caught.value.hint


def test_an_old_go_names_its_version_and_the_wanted_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_go(tmp_path, "go1.24.4")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(PreflightError, match=r"go1\.24\.4, but Go 1\.26 is needed"):
        build.find_go()


def test_a_new_enough_go_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_go(tmp_path, "go1.30.1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert build.find_go() == str(tmp_path / "go")


def test_a_full_disk_is_refused_before_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_go(tmp_path, "go1.30.1")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2_500_000_000))
    with pytest.raises(PreflightError, match=r"needs 6 GB of disk, but .* has 2\.5 GB left"):
        build.check_build_space(str(tmp_path / "go"))


def test_another_source_makes_another_binary(tmp_path: Path) -> None:
    for name in build.SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = build.source_digest(tmp_path)
    (tmp_path / "go.mod").write_text("changed")
    assert build.source_digest(tmp_path) != before


def test_the_version_of_kubernetes_is_that_of_the_go_module() -> None:
    assert build.kubernetes_version().startswith("v1.")


def test_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    packages = (Package("here", "sh", "a shell"), Package("gone", "no-such-program", "a test"))
    with pytest.raises(PreflightError, match=r"gone \(a test\)") as caught:
        preflight.check_packages(packages)
    assert caught.value.hint.endswith("apt-get install --no-install-recommends gone")


def test_a_package_may_provide_a_file(tmp_path: Path) -> None:
    assert Package("a", str(tmp_path), "").is_installed()
    assert not Package("a", str(tmp_path / "none"), "").is_installed()


def test_an_ordinary_user_is_told_to_use_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PreflightError, match="root is needed") as caught:
        preflight.check("node")
    assert "sudo" in caught.value.hint


def test_a_control_plane_does_not_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(build, "is_built", lambda: True)
    preflight.check("control-plane")


def test_too_little_disk_for_the_state_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100_000_000))
    with pytest.raises(PreflightError, match=r"control-plane profile needs 0\.5 GB .* 0\.1 GB left") as caught:
        preflight.check("control-plane")
    assert "CAMERA_OPERATOR_STATE" in caught.value.hint


def test_another_system_than_linux_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(PreflightError, match="needs Linux, not Darwin"):
        preflight.check("control-plane")


def test_a_taken_port_is_named_with_the_component_that_needs_it(control_plane: Instance) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        control_plane.ports["etcd-client"] = port
        with pytest.raises(PreflightError, match=f"TCP port {port} on 127.0.0.1, which etcd needs, is taken"):
            preflight.check_instance(control_plane, running=set())
        preflight.check_instance(control_plane, running={"etcd"})


def test_missing_cgroup_controllers_are_named(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io memory\n")
    with pytest.raises(PreflightError, match="lacks the cgroup controllers cpuset, pids"):
        cgroups.check(tmp_path)


def test_both_versions_of_cgroups_are_fine(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma\n")
    cgroups.check(second)
    first = tmp_path / "first"
    for controller in ("cpu,cpuacct", "cpuset", "memory", "pids"):
        (first / controller).mkdir(parents=True)
    cgroups.check(first)


def test_version_2_hands_kubelets_controllers_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpuset cpu memory\n")
    cgroups.create(tmp_path)
    assert (tmp_path / "camera-operator").is_dir()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"
