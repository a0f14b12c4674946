"""Cursors of the health report."""

import pytest

from camera_api.health import CameraHealth, Verdict
from camera_worker import health
from camera_worker.health import HealthStore


def of(name: str, verdict: Verdict = Verdict.WORKING) -> CameraHealth:
    return CameraHealth(namespace="city", name=name, uid=f"uid-{name}", verdict=verdict, since="2030-01-31T12:00:00Z")


@pytest.fixture
def store() -> HealthStore:
    return HealthStore("this-process")


def names(store: HealthStore, after: int | None, instance: str | None = "this-process") -> list[str]:
    return [camera.name for camera in store.report("w", instance, after).cameras]


def test_a_reader_without_a_cursor_gets_everything(store: HealthStore) -> None:
    store.put(of("a"))
    store.put(of("b"))

    report = store.report("w", None, None)

    assert (report.full, [camera.name for camera in report.cameras]) == (True, ["a", "b"])


def test_a_reader_with_a_cursor_gets_what_has_changed_since(store: HealthStore) -> None:
    store.put(of("a"))
    store.put(of("b"))
    cursor = store.cursor
    store.put(of("a", Verdict.FAULTY))

    report = store.report("w", "this-process", cursor)

    assert (report.full, [camera.name for camera in report.cameras]) == (False, ["a"])
    assert names(store, report.cursor) == []


def test_the_same_health_again_is_no_news(store: HealthStore) -> None:
    store.put(of("a"))
    cursor = store.cursor

    assert not store.put(of("a"))
    assert not store.has_news("this-process", cursor)


@pytest.mark.parametrize(("instance", "after"), [("another", 1), (None, 1), ("this-process", 99)])
def test_a_cursor_that_means_nothing_here_gets_everything(store: HealthStore, instance: str | None, after: int) -> None:
    store.put(of("a"))

    assert store.has_news(instance, after)
    assert store.report("w", instance, after).full


def test_removed_cameras_are_told_by_uid_and_only_once(store: HealthStore) -> None:
    store.put(of("a"))
    cursor = store.cursor
    store.remove("uid-a")

    report = store.report("w", "this-process", cursor)

    assert (report.removed, report.cameras) == (("uid-a",), ())
    assert store.report("w", "this-process", report.cursor).removed == ()


def test_a_camera_that_came_back_is_not_told_as_removed(store: HealthStore) -> None:
    store.put(of("a"))
    cursor = store.cursor
    store.remove("uid-a")
    store.put(of("a"))

    report = store.report("w", "this-process", cursor)

    assert (report.removed, len(report.cameras)) == ((), 1)


def test_readers_behind_forgotten_removals_get_everything(store: HealthStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_TOMBSTONES", 2)
    for name in ("a", "b", "c", "d"):
        store.put(of(name))
    before = store.cursor
    for name in ("a", "b", "c"):
        store.remove(f"uid-{name}")

    report = store.report("w", "this-process", before)

    assert (report.full, [camera.name for camera in report.cameras]) == (True, ["d"])


def test_an_acknowledged_revision_is_news(store: HealthStore) -> None:
    cursor = store.cursor
    store.acknowledge(7)

    assert store.has_news("this-process", cursor)
    assert store.report("w", "this-process", cursor).acknowledged_revision == 7
    assert not store.acknowledge(7)
