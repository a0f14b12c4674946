import stat
from pathlib import Path

import pytest

from local_cluster import machine


def test_a_variable_wins_over_the_configuration_file() -> None:
    config = (
        "[global]\nindex-url = https://file.example/simple\nproxy = http://proxy.example:3128\n[install]\nuser = true\n"
    )
    settings = machine.pip_settings(config, {"PIP_INDEX_URL": "https://variable.example/simple", "PIP_USER": "1"})
    assert settings == {"index-url": "https://variable.example/simple", "proxy": "http://proxy.example:3128"}


def test_the_certificate_bundle_is_the_one_that_builds_see() -> None:
    assert machine.pip_settings("", {"PIP_CERT": "/opt/company/ca.pem"}) == {"cert": str(machine.CA_BUNDLE)}


def test_several_values_stay_on_one_line() -> None:
    config = "[global]\nfind-links =\n    /a\n    /b\n"
    assert machine.pip_settings(config, {}) == {"find-links": "/a /b"}


def test_a_machine_without_settings_needs_none() -> None:
    assert machine.pip_settings("", {}) == {}


def test_local_folders_of_packages_are_mounted_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "apt_settings", lambda: 'Acquire::Retries "3";\n')
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    mounts = machine.build_mounts(tmp_path, {"PIP_FIND_LINKS": f"{wheels} https://links.example/"})
    options = [mount.as_option() for mount in mounts]
    assert f"{wheels}:{wheels}:ro" in options
    assert f"{tmp_path}/pip.conf:/etc/pip.conf:ro" in options
    assert f"{tmp_path}/apt.conf:/etc/apt/apt.conf.d/95machine:ro" in options
    assert not any("links.example:" in option for option in options)
    assert stat.S_ISDIR(wheels.stat().st_mode)


def test_only_settings_for_downloads_are_taken_over_from_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "apt-config"
    fake.write_text(
        "#!/bin/sh\n"
        "echo 'APT::Architecture \"amd64\";'\n"
        "echo 'Acquire::http::Proxy \"http://proxy.example\";'\n"
        "echo 'Acquire::Check-Valid-Until \"false\";'\n"
        "echo 'Acquire::CompressionTypes::xz \"xz\";'\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.apt_settings() == (
        'Acquire::http::Proxy "http://proxy.example";\nAcquire::Check-Valid-Until "false";\n'
    )


def test_a_machine_without_apt_has_no_settings_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.apt_settings() == ""
