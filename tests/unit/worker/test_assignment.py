"""The assignment's file, mounted as kubelet does: ..data is a symbolic link that is swapped."""

import os
from pathlib import Path
from typing import Any

import pytest

from camera_api.assignment import ASSIGNMENT_KEY, Assignment, Credentials, Role
from camera_worker.assignment import AssignmentWatcher, read_assignment
from camera_worker.errors import AssignmentError


class Mount:
    """A Secret's volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self.path = folder / ASSIGNMENT_KEY

    def write(self, text: str) -> None:
        self._number += 1
        version = self.folder / f"..version_{self._number}"
        version.mkdir()
        (version / ASSIGNMENT_KEY).write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        os.replace(link, self.folder / "..data")  # noqa: PTH105 - what kubelet does
        if not self.path.is_symlink():
            self.path.symlink_to(f"..data/{ASSIGNMENT_KEY}")


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


@pytest.fixture
def taken() -> list[Assignment]:
    return []


@pytest.fixture
def watcher(mount: Mount, taken: list[Assignment]) -> AssignmentWatcher:
    return AssignmentWatcher(mount.path, taken.append)


def test_a_swap_of_the_link_is_noticed(
    mount: Mount, watcher: AssignmentWatcher, taken: list[Assignment], make_assignment: Any
) -> None:
    for revision in (1, 2):
        mount.write(make_assignment(revision=revision).to_secret_text())
        watcher.look()
        watcher.look()

    assert [assignment.revision for assignment in taken] == [1, 2]


def test_before_the_first_file_the_worker_waits_and_says_so_once(
    watcher: AssignmentWatcher, mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        watcher.look()
        watcher.look()

    assert watcher.trouble == f"{mount.path}: No such file or directory"
    assert len(caplog.records) == 1


def test_a_broken_file_keeps_what_is_in_force_and_shows_no_content(
    mount: Mount, make_assignment: Any, assigned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[Assignment] = []
    watcher = AssignmentWatcher(mount.path, taken.append)
    secret = Credentials.model_validate({"username": "viewer", "password": "hunter2"})
    text = make_assignment(assigned(credentials=secret)).to_secret_text()
    mount.write(text)
    watcher.look()
    mount.write(text.replace('"revision":1', '"revision":"hunter2"'))
    watcher.look()

    assert len(taken) == 1
    assert "revision" in watcher.trouble
    assert "hunter2" not in watcher.trouble + caplog.text

    mount.write(text)
    watcher.look()
    assert (watcher.trouble, len(taken)) == ("", 2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"role": Role.ANALYTICS}, "role: this worker does ingest, not analytics"),
        ({"twice": True}, "cameras: uid uid-door is there more than once"),
    ],
)
def test_an_assignment_that_is_not_for_this_worker_is_refused(
    tmp_path: Path, make_assignment: Any, assigned: Any, change: dict[str, Any], named: str
) -> None:
    cameras = [assigned()] * (2 if change.pop("twice", False) else 1)
    path = tmp_path / ASSIGNMENT_KEY
    path.write_text(make_assignment(*cameras, **change).to_secret_text())

    with pytest.raises(AssignmentError, match=named):
        read_assignment(path)
