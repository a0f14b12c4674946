"""Clips: one recipe, one file; encoded once; damage and missing parts are explained."""

import gzip
from pathlib import Path

import pytest

from camera_simulator import footage
from camera_simulator.bitstream import AccessUnit, Codec
from camera_simulator.errors import FootageError
from camera_simulator.footage import CLIPS, ClipLibrary, Variant, clip_file_name, encoder_arguments

SPEC = CLIPS["h264-720p"]
KEY = b"\x00\x00\x00\x01\x09\xf0\x00\x00\x00\x01\x67sps\x00\x00\x01\x65idr"
DELTA = b"\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x41slice"
GROUP = KEY + DELTA * 19


def library(folder: Path) -> ClipLibrary[AccessUnit]:
    return ClipLibrary(folder, lambda unit: unit)


def test_every_clip_and_variant_has_a_file_of_its_own() -> None:
    names = {clip_file_name(spec, variant) for spec in CLIPS.values() for variant in Variant}

    assert len(names) == len(CLIPS) * len(Variant)


def test_another_recipe_is_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clip_file_name(SPEC, Variant.MOVED)
    monkeypatch.setitem(footage._PICTURE_FILTERS, Variant.MOVED, "hflip")

    assert clip_file_name(SPEC, Variant.MOVED) != before


def test_another_source_is_another_file(tmp_path: Path) -> None:
    source = tmp_path / "video.avi"
    source.write_bytes(b"first")
    before = clip_file_name(SPEC, Variant.NORMAL, source)
    source.write_bytes(b"another")

    assert len({before, clip_file_name(SPEC, Variant.NORMAL, source), clip_file_name(SPEC, Variant.NORMAL)}) == 3


@pytest.mark.parametrize("spec", CLIPS.values(), ids=str)
def test_clips_have_a_key_frame_every_two_seconds_and_no_b_frames(spec: footage.ClipSpec) -> None:
    arguments = encoder_arguments(spec, Variant.NORMAL)

    if spec.codec is not Codec.MJPEG:
        assert arguments[arguments.index("-g") + 1] == str(2 * spec.fps)
        assert arguments[arguments.index("-bf") + 1] == "0"


def test_motion_jpeg_uses_the_tables_that_rtp_takes_for_granted() -> None:
    arguments = encoder_arguments(CLIPS["mjpeg-480p"], Variant.NORMAL)

    assert arguments[arguments.index("-huffman") + 1] == "default"


def test_clip_is_cut_into_groups_that_start_with_a_key_frame(tmp_path: Path) -> None:
    (tmp_path / clip_file_name(SPEC, Variant.NORMAL)).write_bytes(GROUP * 3 + KEY + DELTA)

    clip = library(tmp_path).load(SPEC)

    assert [len(group) for group in clip.groups] == [20, 20, 20]  # the last, unfinished one is left out
    assert all(group[0].is_key and not any(unit.is_key for unit in group[1:]) for group in clip.groups)
    assert clip.frame_seconds == pytest.approx(0.1)
    assert clip.header.data == b"\x00\x00\x00\x01\x67sps"


def test_clip_is_in_memory_once(tmp_path: Path) -> None:
    (tmp_path / clip_file_name(SPEC, Variant.NORMAL)).write_bytes(GROUP)
    clips = library(tmp_path)
    assert clips.loaded(SPEC, Variant.NORMAL) is None

    assert clips.load(SPEC) is clips.load(SPEC) is clips.loaded(SPEC, Variant.NORMAL)


def test_frozen_motion_jpeg_is_one_picture(tmp_path: Path) -> None:
    spec = CLIPS["mjpeg-480p"]
    jpegs = b"".join(b"\xff\xd8\xff" + bytes([number]) for number in range(20))
    (tmp_path / clip_file_name(spec, Variant.FROZEN)).write_bytes(jpegs)

    assert len(set(library(tmp_path).load(spec, Variant.FROZEN).groups[0])) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is damaged"), (DELTA, "is damaged"), (KEY + DELTA * 5, "no key frame every 20"),
     (GROUP + DELTA * 20, "no key frame every 20")],
)  # fmt: skip
def test_damaged_clip_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / clip_file_name(SPEC, Variant.NORMAL)
    path.write_bytes(content)

    with pytest.raises(FootageError, match=message) as error:
        library(tmp_path).load(SPEC)
    assert str(path) in str(error.value)


def test_missing_encoder_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(FootageError, match="apt install ffmpeg"):
        library(tmp_path).load(SPEC)


def test_missing_footage_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "_SOURCE_PLACES", (str(tmp_path),))

    with pytest.raises(FootageError, match="apt install opencv-doc"):
        footage.find_source(None, tmp_path)
    with pytest.raises(FootageError, match=r"the footage .*missing\.avi: No such file"):
        ClipLibrary(tmp_path, lambda unit: unit, source=tmp_path / "missing.avi").load(SPEC)


def test_compressed_footage_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages, cache = tmp_path / "packages", tmp_path / "cache"
    packages.mkdir()
    cache.mkdir()
    monkeypatch.setattr(footage, "_SOURCE_PLACES", (str(packages),))
    (packages / "vtest.avi.gz").write_bytes(gzip.compress(b"video"))

    assert footage.find_source(None, cache).read_bytes() == b"video"
    assert [path.name for path in cache.iterdir()] == ["vtest.avi"]


def test_failed_encoding_leaves_no_file_and_tells_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "ffmpeg"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'no such codec' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    source = tmp_path / "video.avi"
    source.touch()

    with pytest.raises(FootageError, match="ffmpeg could not encode h264-720p normal: no such codec"):
        ClipLibrary(tmp_path, lambda unit: unit, source).load(SPEC)
    assert not list(tmp_path.glob("*.h264*"))


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FootageError, match=r"cannot write clips to .*file/cache"):
        library(tmp_path / "file" / "cache").load(SPEC)
