from datetime import UTC, datetime
from typing import Any

from builders import group
from camera_operator.cluster_api import EVENTS
from camera_operator.decide.events import EventReason, Occurrence
from camera_operator.errors import ClusterError, NotLeadingError, UnavailableError
from camera_operator.events import APART, GATHER_FOR, SERIES_FOR, EventRecorder
from fakes import FakeApi

LOBBY = group()


class Desk:
    """A recorder with a clock of its own."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.now = 0.0
        self.leading = True
        self.recorder = EventRecorder(
            self.api,
            instance="operator-0",
            require_leading=self.require_leading,
            clock=lambda: self.now,
            now=lambda: datetime(2030, 1, 31, 12, tzinfo=UTC),
        )

    def require_leading(self) -> None:
        if not self.leading:
            raise NotLeadingError("not leading")

    def stalled(self, *names: str) -> None:
        self.recorder.record(LOBBY, [Occurrence(EventReason.CAMERAS_FAULTY, name, "Stalled") for name in names])

    async def after(self, seconds: float) -> list[dict[str, Any]]:
        """The events that there are so many seconds later."""
        self.now += seconds
        await self.recorder.write_due()
        return self.api.objects(EVENTS)


async def test_a_burst_becomes_one_event_about_the_group() -> None:
    desk = Desk()
    desk.stalled("a", "b")
    assert await desk.after(GATHER_FOR / 2) == []
    desk.stalled("c")

    (event,) = await desk.after(GATHER_FOR / 2)

    assert event["note"] == "3 cameras became faulty: Stalled 3 (a, b, c)."
    assert (event["type"], event["reason"]) == ("Warning", "CamerasFaulty")
    assert event["regarding"]["kind"] == "CameraGroup"
    assert event["regarding"]["uid"] == LOBBY.uid
    assert event["eventTime"] == "2030-01-31T12:00:00.000000Z"


async def test_what_goes_on_happening_is_told_once_a_minute() -> None:
    desk = Desk()
    desk.stalled("a")
    await desk.after(GATHER_FOR)
    for second in range(int(APART) - 1):
        desk.stalled(f"camera-{second}")
        assert len(await desk.after(1)) == 1

    events = await desk.after(1)

    assert sorted(event["note"][:10] for event in events) == ["1 camera b", "59 cameras"]


async def test_the_same_again_counts_a_series_up() -> None:
    desk = Desk()
    for _ in range(3):
        desk.stalled("a")
        events = await desk.after(APART)

    (event,) = events
    assert event["series"]["count"] == 3
    desk.stalled("a")
    assert len(await desk.after(SERIES_FOR)) == 2


async def test_a_forgotten_event_is_written_anew_the_next_time() -> None:
    desk = Desk()
    desk.stalled("a")
    (event,) = await desk.after(GATHER_FOR)
    desk.api.remove(EVENTS, LOBBY.namespace, event["metadata"]["name"])
    desk.stalled("a")
    assert await desk.after(APART) == []

    desk.stalled("a")

    assert len(await desk.after(APART)) == 1


async def test_a_standby_writes_none_and_a_new_leader_tells_no_old_news() -> None:
    desk = Desk()
    desk.stalled("a")
    desk.leading = False
    assert await desk.after(GATHER_FOR) == []
    desk.stalled("b")
    desk.recorder.drop_all()
    desk.leading = True

    assert await desk.after(APART) == []


async def test_an_event_that_is_refused_is_no_trouble() -> None:
    desk = Desk()

    def fail(verb: str, kind: str, _name: str) -> ClusterError | None:
        return UnavailableError(f"{verb} {kind}", 500, "InternalError")

    desk.api.fail = fail
    desk.stalled("a")
    await desk.after(GATHER_FOR)
    desk.api.fail = lambda _verb, _kind, _name: None
    desk.stalled("b")

    (event,) = await desk.after(GATHER_FOR)

    assert "(b)" in event["note"]
