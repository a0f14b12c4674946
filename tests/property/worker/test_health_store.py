"""Readers who follow cursors see what a full report would tell, whatever happens meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from camera_api.category import DecodePolicy
from camera_api.health import CameraHealth, HealthReport, Verdict
from camera_worker.health import HealthStore

UIDS = st.sampled_from([f"uid-{number}" for number in range(5)])
CHANGES = st.one_of(
    st.tuples(st.just("put"), UIDS, st.sampled_from(Verdict)),
    st.tuples(st.just("remove"), UIDS, st.none()),
    st.tuples(st.just("acknowledge"), st.integers(1, 9), st.none()),
    st.tuples(st.just("decode"), st.sampled_from(["", "KeyFrameEvery10s", "None"]), st.none()),
)


class Reader:
    """Follows the cursor as the operator does."""

    def __init__(self) -> None:
        self.known: dict[str, CameraHealth] = {}
        self.revision = 0
        self.decode_reduced_to: DecodePolicy | None = None
        self.cursor: tuple[str, int] | None = None

    def poll(self, store: HealthStore) -> HealthReport:
        instance, after = self.cursor or (None, None)
        report = store.report("worker", instance, after)
        if report.full:
            self.known.clear()
        self.known.update({camera.uid: camera for camera in report.cameras})
        for uid in report.removed:
            self.known.pop(uid, None)
        self.revision = report.acknowledged_revision
        self.decode_reduced_to = report.decode_reduced_to
        self.cursor = (report.instance, report.cursor)
        return report


def apply(store: HealthStore, change: tuple[str, str | int, Verdict | None]) -> None:
    match change:
        case ("put", str(uid), Verdict() as verdict):
            store.put(CameraHealth(namespace="city", name=uid, uid=uid, verdict=verdict, since="2030-01-31T12:00:00Z"))
        case ("remove", str(uid), _):
            store.remove(uid)
        case ("acknowledge", int(revision), _):
            store.acknowledge(revision)
        case ("decode", str(policy), _):
            store.reduce_decoding(DecodePolicy(policy) if policy else None)


@given(st.lists(st.one_of(CHANGES, st.just("poll")), max_size=80))
def test_following_cursors_equals_a_full_report(events: list[object]) -> None:
    store, reader = HealthStore("this-process"), Reader()
    for event in events:
        if event == "poll":
            reader.poll(store)
        else:
            apply(store, event)  # type: ignore[arg-type]
    reader.poll(store)

    full = store.report("worker", None, None)
    assert reader.known == {camera.uid: camera for camera in full.cameras}
    assert reader.revision == full.acknowledged_revision
    assert reader.decode_reduced_to is full.decode_reduced_to


@given(st.lists(CHANGES, max_size=40))
def test_a_reader_is_woken_exactly_when_there_is_something_to_tell(
    changes: list[tuple[str, str | int, Verdict | None]],
) -> None:
    store, reader = HealthStore("this-process"), Reader()
    reader.poll(store)
    for change in changes:
        before = (dict(reader.known), reader.revision, reader.decode_reduced_to)
        apply(store, change)
        woken = store.has_news(*reader.cursor) if reader.cursor else True
        reader.poll(store)
        assert woken or (dict(reader.known), reader.revision, reader.decode_reduced_to) == before


@given(st.lists(CHANGES, max_size=40), st.text(max_size=8), st.integers(0, 10**6))
def test_a_report_of_any_cursor_is_never_both_partial_and_wrong(
    changes: list[tuple[str, str | int, Verdict | None]], instance: str, after: int
) -> None:
    store = HealthStore("this-process")
    for change in changes:
        apply(store, change)

    report = store.report("worker", instance, after)

    assert report.full
