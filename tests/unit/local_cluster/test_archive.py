import hashlib
import io
import json
import tarfile
from pathlib import Path

from local_cluster.archive import write_program_image


def test_an_archive_holds_one_program_that_runs_as_nobody(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")
    target = tmp_path / "image.tar"
    write_program_image(target, program=program, image="localhost/pause:local")
    with tarfile.open(target) as archive:
        files = {name: reader.read() for name in archive.getnames() if (reader := archive.extractfile(name))}
    manifest = json.loads(files["manifest.json"])[0]
    config = json.loads(files[manifest["Config"]])
    layer = files[manifest["Layers"][0]]
    assert manifest["RepoTags"] == ["localhost/pause:local"]
    assert manifest["Config"] == f"{hashlib.sha256(files[manifest['Config']]).hexdigest()}.json"
    assert config["config"] == {"Entrypoint": ["/pause"], "User": "65535:65535"}
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as content:
        assert [(entry.name, entry.mode) for entry in content] == [("pause", 0o755)]


def test_the_same_program_makes_the_same_archive(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")
    for name in ("a.tar", "b.tar"):
        write_program_image(tmp_path / name, program=program, image="localhost/pause:local")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
