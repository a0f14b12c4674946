"""What a camera's picture monitor has learned, in files that may be anything."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.picture import effects
from camera_api.faults import Fault
from camera_worker.ingest import picture_store
from camera_worker.ingest.picture_store import PictureStore, Remembered

DOOR = Remembered("uid-door", "rtsp://192.0.2.7:554/door", 1280, 720, None)
MEMORY = bytes(range(256)) * 100


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    PictureStore(tmp_path / "memory").save(DOOR, MEMORY)

    assert PictureStore(tmp_path / "memory").load(DOOR) == MEMORY
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "other",
    [
        {"uid": "uid-gate"},
        {"source": "rtsp://192.0.2.8:554/door"},
        {"width": 1920},
        {"height": 1080},
        {"acknowledged_view": "2030-01-31"},
    ],
)
def test_it_is_of_no_use_to_another_camera_source_size_or_view(tmp_path: Path, other: dict[str, Any]) -> None:
    store = PictureStore(tmp_path)
    store.save(DOOR, MEMORY)
    asked = replace(DOOR, **other)
    if "uid" in other:
        # The file of another camera under this one's name.
        store._path(DOOR.uid).rename(store._path(asked.uid))

    assert store.load(asked) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\n" + data,
        lambda data: data.replace(b"uid-door", b"uid-dood"),
        lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
        lambda data: data + bytes(picture_store.MAX_FILE_BYTES),
    ],
)
def test_a_damaged_file_is_none(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = PictureStore(tmp_path)
    store.save(DOOR, MEMORY)
    path = store._path(DOOR.uid)
    path.write_bytes(damage(path.read_bytes()))

    assert store.load(DOOR) is None


def test_all_files_together_are_bounded_and_the_oldest_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_store, "MAX_BYTES", 5 * len(MEMORY))
    store = PictureStore(tmp_path)
    cameras = [replace(DOOR, uid=f"uid-{number}") for number in range(12)]
    for camera in cameras:
        store.save(camera, MEMORY)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= picture_store.MAX_BYTES

    assert [store.load(camera) is not None for camera in cameras] == [False] * 8 + [True] * 4


def test_too_much_is_not_kept(tmp_path: Path) -> None:
    store = PictureStore(tmp_path)
    store.save(DOOR, bytes(picture_store.MAX_FILE_BYTES))

    assert store.load(DOOR) is None


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    store = PictureStore(tmp_path / "file" / "memory")
    with caplog.at_level(logging.WARNING):
        store.save(DOOR, MEMORY)
        store.save(DOOR, MEMORY)

    assert store.load(DOOR) is None
    assert len(caplog.records) == 1


def test_a_restarted_worker_knows_the_view(tmp_path: Path, bench: Any, video: Any) -> None:
    object.__setattr__(bench.surroundings, "store", PictureStore(tmp_path))
    bench.run(bench.camera(), video(30.0))
    restarted = bench.camera()

    bench.run(restarted, video(8.0, effect=lambda _: effects.pan))

    assert [active.fault for active in restarted.health().faults] == [Fault.MOVED]


def test_an_acknowledgement_that_came_while_the_worker_was_away_is_followed(
    tmp_path: Path, bench: Any, video: Any
) -> None:
    object.__setattr__(bench.surroundings, "store", PictureStore(tmp_path))
    bench.run(bench.camera(), video(30.0))
    restarted = bench.camera(acknowledged_view="2030-01-31")

    bench.run(restarted, video(30.0, effect=lambda _: effects.pan))

    assert restarted.health().faults == ()


def test_a_killed_worker_has_lost_five_minutes_at_most(tmp_path: Path, bench: Any, video: Any) -> None:
    store = PictureStore(tmp_path)
    object.__setattr__(bench.surroundings, "store", store)
    kept: list[Path] = []
    bench.run(bench.camera(), video(320.0, lambda: kept.extend(tmp_path.iterdir()), key_every=250))

    assert len(kept) == 1
