from pathlib import Path

import pytest

from local_cluster import mounts

MOUNT_INFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:30 / /state/node/kubelet rw shared:2 - tmpfs tmpfs rw
41 40 0:31 / /state/node/kubelet/pods/a\\040b rw - tmpfs tmpfs rw
42 22 0:32 / /state/node2/kubelet rw - tmpfs tmpfs rw
"""


def test_mount_points_may_contain_blanks() -> None:
    assert mounts.mount_points(MOUNT_INFO)[2] == Path("/state/node/kubelet/pods/a b")


def test_mounts_of_a_folder_come_latest_first_without_those_of_its_namesakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNT_INFO)
    monkeypatch.setattr(mounts, "_MOUNT_INFO", tmp_path / "mountinfo")
    assert mounts.below(Path("/state/node")) == [
        Path("/state/node/kubelet/pods/a b"),
        Path("/state/node/kubelet"),
    ]
