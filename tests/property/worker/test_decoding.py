"""What holds for the ladder of decoding whatever the CPU does."""

from hypothesis import given
from hypothesis import strategies as st

from camera_api.category import DecodePolicy
from camera_worker.decoding import LADDER, STEP_BACK_AFTER, STEP_DOWN_AFTER, DecodeLadder, Strain, stricter

SHARES = st.one_of(st.none(), st.floats(0, 1))
STRAINS = st.builds(Strain, st.floats(0, 2), st.one_of(st.none(), st.floats(0, 1)), SHARES)
#: Runs of equal windows, or chance would hardly ever show a minute of calm.
WINDOWS = st.lists(st.tuples(STRAINS, st.integers(1, 3 * STEP_BACK_AFTER)), max_size=12).map(
    lambda runs: [strain for strain, number in runs for _ in range(number)]
)
POLICIES = st.sampled_from(LADDER)


@given(WINDOWS, POLICIES)
def test_steps_are_taken_in_order_and_for_a_reason(windows: list[Strain], asked: DecodePolicy) -> None:
    ladder = DecodeLadder()
    bad = calm = 0
    for number, strain in enumerate(windows):
        before = ladder.level
        bad = bad + 1 if strain.shortage else 0
        calm = calm + 1 if strain.is_calm else 0
        has_stepped = ladder.judge(strain, asked, 5.0 * number)
        assert has_stepped == (ladder.level != before)
        # What is decoded goes down one step of what can be asked for at a time, and up likewise.
        effective = [max(level, LADDER.index(asked)) for level in (before, ladder.level)]
        assert abs(effective[1] - effective[0]) <= 1
        if ladder.level > before:
            assert bad >= STEP_DOWN_AFTER
            bad = 0
        if ladder.level < before:
            assert calm >= STEP_BACK_AFTER or ladder.level == 0
            calm = 0


@given(WINDOWS, POLICIES)
def test_a_reduction_that_is_reported_is_one(windows: list[Strain], asked: DecodePolicy) -> None:
    ladder = DecodeLadder()
    for number, strain in enumerate(windows):
        ladder.judge(strain, asked, 5.0 * number)
        if ladder.reduced_to is not None:
            assert stricter(ladder.reduced_to, asked) is ladder.reduced_to is not asked


@given(STRAINS)
def test_no_measurement_is_both_a_shortage_and_calm(strain: Strain) -> None:
    assert not (strain.shortage and strain.is_calm)
