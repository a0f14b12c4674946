"""Time is counted once, whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from camera_api.faults import Fault
from camera_worker.ingest.uptime import Uptime

MOMENTS = st.floats(0.0, 1e6)
STEPS = st.lists(st.tuples(st.sampled_from(["up", "fault", "skip"]), MOMENTS), max_size=50)


@given(STEPS)
def test_up_and_faulty_add_up_to_observed_and_never_shrink(steps: list[tuple[str, float]]) -> None:
    uptime = Uptime(0.0)
    seen = (0.0, 0.0, 0.0)
    for kind, moment in steps:
        match kind:
            case "up":
                uptime.is_up(moment)
            case "fault":
                uptime.has_faults([Fault.STALLED], moment)
            case _:
                uptime.skip(moment)
        now = (uptime.up, uptime.by_fault[Fault.STALLED], uptime.observed)
        assert all(after >= before for before, after in zip(seen, now, strict=True))
        seen = now

    assert abs(uptime.up + uptime.by_fault[Fault.STALLED] - uptime.observed) < 1e-3
    assert uptime.observed <= max([0.0, *(moment for _, moment in steps)]) + 1e-3
