import asyncio
from datetime import UTC, datetime

import pytest

from camera_operator.cluster_api import LEASES, WRITE_TIMEOUT
from camera_operator.errors import ClusterError, DeniedError, NotLeadingError, UnavailableError
from camera_operator.leader import LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, Leader
from fakes import FakeApi


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def candidate(api: FakeApi, clock: Clock, identity: str, changes: list[bool] | None = None) -> Leader:
    return Leader(
        api,
        namespace="system",
        name="lease",
        identity=identity,
        on_change=(changes if changes is not None else []).append,
        clock=clock,
        now=lambda: datetime.fromtimestamp(clock.now, UTC),
    )


def leads(leader: Leader) -> bool:
    return leader.is_leading


def holder(api: FakeApi) -> str:
    return str(api.objects(LEASES)[0]["spec"]["holderIdentity"])


def down(_verb: str, _kind: str, _name: str) -> ClusterError:
    return UnavailableError("renew", 503, "ServiceUnavailable")


async def test_the_first_candidate_leads_and_the_second_stands_by(api: FakeApi, clock: Clock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.step()
    await second.step()
    assert (first.is_leading, second.is_leading) == (True, False)
    assert second.holder == "a"
    first.require()
    with pytest.raises(NotLeadingError):
        second.require()


async def test_a_renewed_lease_is_never_taken_over(api: FakeApi, clock: Clock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    for _ in range(100):
        await first.step()
        await second.step()
        assert not leads(second)
        clock.now += RETRY_PERIOD
    assert api.objects(LEASES)[0]["spec"]["leaseTransitions"] == 0


async def test_a_lease_that_is_not_renewed_is_taken_over_after_its_duration(api: FakeApi, clock: Clock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.step()
    await second.step()
    clock.now += LEASE_DURATION - 0.1
    await second.step()
    assert not leads(second)
    clock.now += 0.2
    await second.step()
    assert leads(second)
    assert holder(api) == "b"
    assert api.objects(LEASES)[0]["spec"]["leaseTransitions"] == 1


async def test_the_duration_counts_by_the_own_clock_from_when_the_lease_was_seen(api: FakeApi, clock: Clock) -> None:
    await candidate(api, clock, "a").step()
    clock.now += 10 * LEASE_DURATION
    late = candidate(api, clock, "b")
    await late.step()
    assert not leads(late)


async def test_an_old_leader_has_stopped_writing_before_another_may_begin(api: FakeApi, clock: Clock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.step()
    await second.step()
    while not second.is_leading:
        last_write_begins = clock.now if first.is_leading else None
        clock.now += 0.25
        await second.step()
        if last_write_begins is not None:
            last_write_ends = last_write_begins + WRITE_TIMEOUT
    assert last_write_ends <= clock.now


async def test_a_leader_outlives_a_short_outage(api: FakeApi, clock: Clock) -> None:
    changes: list[bool] = []
    leader = candidate(api, clock, "a", changes)
    await leader.step()
    api.fail = down
    clock.now += RETRY_PERIOD
    await leader.step()
    assert leads(leader)
    api.fail = lambda *_: None
    clock.now += RETRY_PERIOD
    await leader.step()
    clock.now += RENEW_DEADLINE - 0.1
    assert leads(leader)
    assert changes == [True]


async def test_a_leader_that_cannot_renew_stops_and_comes_back(api: FakeApi, clock: Clock) -> None:
    changes: list[bool] = []
    leader = candidate(api, clock, "a", changes)
    await leader.step()
    api.fail = down
    clock.now += RENEW_DEADLINE
    # Even before it notices: the permission runs out by itself.
    assert not leads(leader)
    await leader.step()
    api.fail = lambda *_: None
    await leader.step()
    assert leads(leader)
    assert changes == [True, False, True]


async def test_a_renewal_that_comes_too_late_counts_as_a_new_beginning(api: FakeApi, clock: Clock) -> None:
    """Whatever was asked for meanwhile was refused, so everybody has to be told to start over."""
    changes: list[bool] = []
    leader = candidate(api, clock, "a", changes)
    await leader.step()

    def slow(verb: str, _kind: str, _name: str) -> None:
        clock.now += RENEW_DEADLINE / 2 - 0.1 if verb in {"get", "update"} else 0.0

    api.fail = slow
    clock.now += RETRY_PERIOD
    await leader.step()
    assert leads(leader)
    assert changes == [True, False, True]


async def test_a_leader_whose_lease_was_taken_stops_at_once(api: FakeApi, clock: Clock) -> None:
    leader = candidate(api, clock, "a")
    await leader.step()
    lease = api.objects(LEASES)[0]
    api.put(LEASES, {**lease, "spec": {**lease["spec"], "holderIdentity": "b"}})
    await leader.step()
    assert not leads(leader)


async def test_a_released_lease_is_taken_at_once(api: FakeApi, clock: Clock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.step()
    await second.step()
    await first.release()
    assert not leads(first)
    await second.step()
    assert leads(second)


async def test_releasing_does_not_touch_the_lease_of_another(api: FakeApi, clock: Clock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.step()
    await second.step()
    clock.now += LEASE_DURATION + 1
    await second.step()
    await first.release()
    assert holder(api) == "b"


async def test_of_two_that_try_at_once_one_leads(api: FakeApi, clock: Clock) -> None:
    candidates = [candidate(api, clock, name) for name in "abc"]
    await asyncio.gather(*(each.step() for each in candidates))
    assert sum(each.is_leading for each in candidates) == 1


async def test_missing_rights_are_named_once(api: FakeApi, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    api.fail = lambda *_: DeniedError("get Lease system/lease", 403, "Forbidden")
    leader = candidate(api, clock, "a")
    for _ in range(3):
        await leader.step()
    told = (
        "the Lease could not be taken or renewed: get Lease system/lease: HTTP 403 Forbidden;"
        " the operator's Role must allow get, create and update of leases"
    )
    assert [record.getMessage() for record in caplog.records] == [told]
