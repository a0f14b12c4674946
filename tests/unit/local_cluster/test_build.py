from pathlib import Path

import pytest

from local_cluster import build
from local_cluster.paths import KUBEBOX_SOURCE, KWOK_SOURCE
from local_cluster.progress import Reporter


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The source folders of the builds; instead of Go, a build only makes the file that Go would."""
    done: list[Path] = []

    def run(command: list[str], *_: object, source: Path = KUBEBOX_SOURCE) -> str:
        target = Path(command[command.index("-o") + 1])
        target.mkdir()
        (target / Path(command[-1]).name).touch()
        done.append(source)
        return ""

    monkeypatch.setattr(build, "find_go", lambda: "go")
    monkeypatch.setattr(build, "_run_go", run)
    return done


def test_kwok_is_built_once_from_its_own_folder(builds: list[Path]) -> None:
    program = build.ensure_kwok(Reporter(quiet=True))
    assert program.name == "kwok"
    assert program.exists()
    assert build.ensure_kwok(Reporter(quiet=True)) == program
    assert builds == [KWOK_SOURCE]
    assert not build.is_built(), "the Kubernetes binary is another one"


def test_another_version_of_kwok_takes_the_place_of_the_former(
    builds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = build.ensure_kwok(Reporter(quiet=True))
    for name in build.KWOK_SOURCES:
        (tmp_path / name).write_text("another version")
    monkeypatch.setattr(build, "KWOK_SOURCE", tmp_path)
    assert build.ensure_kwok(Reporter(quiet=True)).exists()
    assert builds == [KWOK_SOURCE, tmp_path]
    assert not former.exists()


def test_the_binary_of_the_cluster_does_not_depend_on_kwok(tmp_path: Path) -> None:
    for name in build.SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((KUBEBOX_SOURCE / name).read_bytes())
    assert build.source_digest(tmp_path) == build.source_digest()
    assert build.source_digest(KWOK_SOURCE, build.KWOK_SOURCES) != build.source_digest()
