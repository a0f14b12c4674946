"""What holds for every sequence of pictures."""

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from camera_api.faults import Fault
from camera_worker.picture.evidence import Suspicion
from camera_worker.picture.layout import Layout, Mask
from camera_worker.picture.monitor import CLEAR_AFTER, RAISE_AFTER, KeyFrameFacts, PictureMonitor, _Run
from camera_worker.picture.reference import Remedian
from camera_worker.picture.shift import Shift

#: Nobody looked for a while.
GAP = "gap"
NAMES = st.sampled_from([None, Fault.BLACK, Fault.COVERED, Fault.MOVED])


@given(st.lists(st.one_of(NAMES, st.just(GAP)), max_size=60))
def test_a_fault_is_raised_after_three_bad_and_cleared_after_six_good_key_frames_or_one_after_a_gap(
    pictures: list[Fault | str | None],
) -> None:
    run = _Run(RAISE_AFTER)
    bad, good = 0, CLEAR_AFTER
    expected = False
    for at, fault in enumerate(pictures):
        if isinstance(fault, str) and fault == GAP:
            run.interrupted()
            bad, good = 0, CLEAR_AFTER - 1
        elif not isinstance(fault, Fault):
            run.good(float(at))
            bad, good = 0, good + 1
        else:
            run.bad(Suspicion(fault, "measured"), float(at))
            bad, good = bad + 1, 0
        expected = (expected or bad >= RAISE_AFTER) and good < CLEAR_AFTER
        assert (run.active is not None) is expected


@given(st.lists(NAMES, min_size=1, max_size=60))
def test_a_fault_began_before_it_was_recognised_and_bears_a_name_that_was_seen(pictures: list[Fault | None]) -> None:
    run = _Run(RAISE_AFTER)
    since: float | None = None
    for at, fault in enumerate(pictures):
        if fault is None:
            run.good(float(at))
        else:
            run.bad(Suspicion(fault, "measured"), float(at))
        if run.active is None:
            since = None
            continue
        assert run.active.fault in pictures[: at + 1]
        assert run.active.since <= at - RAISE_AFTER + 1
        assert since is None or run.active.since == since
        since = run.active.since


@given(st.lists(st.integers(0, 8), min_size=3, max_size=30), st.booleans())
def test_what_is_elsewhere_in_every_picture_is_never_raised(places: list[int], is_shift: bool) -> None:
    run = _Run(RAISE_AFTER)
    for at, place in enumerate(places):
        lost = np.zeros((9, 16), np.bool_)
        lost[(place + at) % 9 if at % 2 else 8 - place] = True
        shift = Shift(0.05 * (-1) ** at, 0.0) if is_shift else None
        before = run._row[-1] if run._row else None
        suspicion = Suspicion(Fault.MOVED, "measured", _layout(lost), shift)
        run.bad(suspicion, float(at))
        if before is not None and not suspicion.continues(before):
            assert len(run._row) == 1
    assert not is_shift or run.active is None


def _layout(lost: Mask) -> Layout:
    """One in which all blocks count."""
    everywhere = np.ones_like(lost)
    likeness = np.where(lost, 0.0, 1.0).astype(np.float32)
    share = float(lost.mean())
    return Layout(likeness, everywhere, everywhere, lost, share, max_lost=0.45, bold_lost_share=share, is_lost=True)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 255).map(lambda level: np.full((180, 320), level, np.uint8)),
            arrays.arrays(np.uint8, (9, 16)).map(lambda blocks: np.kron(blocks, np.ones((20, 20), np.uint8))),
            st.integers(0, 99).map(lambda seed: np.random.default_rng(seed).integers(0, 256, (180, 320), np.uint8)),
        ),
        min_size=1,
        max_size=16,
    ),
    st.sampled_from([None, False, True]),
)
def test_no_picture_stops_the_monitor(pictures: list[np.ndarray], infrared: bool | None) -> None:
    monitor = PictureMonitor()
    for at, picture in enumerate(pictures):
        findings = monitor.observe(picture, KeyFrameFacts(float(at), is_infrared=infrared))
        assert len({finding.fault for finding in findings}) == len(findings)
        for finding in findings:
            assert 0 <= finding.since <= at
            assert finding.message
    PictureMonitor().restore_memory(monitor.export_memory())


@given(st.lists(st.integers(0, 255), min_size=9, max_size=9))
def test_the_remedian_lies_in_the_middle_third(levels: list[int]) -> None:
    remedian = Remedian()
    results = [remedian.add(np.full((1, 1), level, np.uint8)) for level in levels]
    assert results[-1] is not None
    result = int(results[-1][0, 0])
    assert sorted(levels)[3] <= result <= sorted(levels)[5]


def _memory() -> bytes:
    monitor = PictureMonitor()
    blocks = np.random.default_rng(0).integers(0, 255, (45, 80)).astype(np.uint8)
    picture = np.kron(blocks, np.ones((4, 4), np.uint8))
    for at in range(10):
        monitor.observe(picture, KeyFrameFacts(float(at), is_infrared=at > 8))
    return monitor.export_memory()


MEMORY = _memory()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(MEMORY) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_memory_is_taken_or_refused_and_never_stops_the_worker(changes: list[tuple[int, int]]) -> None:
    data = bytearray(MEMORY)
    for place, value in changes:
        data[place] = value
    monitor = PictureMonitor()
    with contextlib.suppress(ValueError):
        monitor.restore_memory(bytes(data))
    monitor.observe(np.full((180, 320), 90, np.uint8), KeyFrameFacts(0.0))
