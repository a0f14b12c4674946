import pytest

from camera_operator.decide.moves import MOVES_PER_PASS
from camera_operator.move_budget import MoveBudget

LOBBY, HALL = ("city", "lobby"), ("city", "hall")


def test_an_operator_that_begins_to_lead_moves_nothing_at_first() -> None:
    budget = MoveBudget(60)
    assert budget.allowed(LOBBY, 1000.0) == 0
    assert budget.allowed(LOBBY, 1059.0) == 0
    assert budget.allowed(LOBBY, 1060.0) == 1


def test_moves_gather_up_to_what_one_pass_may_make() -> None:
    budget = MoveBudget(60)
    budget.allowed(LOBBY, 0.0)
    assert budget.allowed(LOBBY, 36_000.0) == MOVES_PER_PASS
    budget.spend(LOBBY, MOVES_PER_PASS)
    assert budget.allowed(LOBBY, 36_000.0) == 0
    assert budget.next_after(LOBBY) == pytest.approx(60)


def test_no_more_are_made_in_an_hour_than_are_allowed() -> None:
    budget = MoveBudget(60)
    made = 0
    for second in range(3600):
        now = budget.allowed(LOBBY, float(second))
        budget.spend(LOBBY, now)
        made += now
    assert 58 <= made <= 60


def test_each_group_has_its_own() -> None:
    budget = MoveBudget(60)
    for group in (LOBBY, HALL):
        budget.allowed(group, 0.0)
    budget.allowed(LOBBY, 120.0)
    budget.spend(LOBBY, 2)
    assert budget.allowed(HALL, 120.0) == 2


def test_nothing_moves_when_no_move_is_allowed_in_an_hour() -> None:
    budget = MoveBudget(0)
    budget.allowed(LOBBY, 0.0)
    assert budget.allowed(LOBBY, 1e6) == 0
    assert budget.next_after(LOBBY) is None


def test_a_new_leader_and_a_group_that_is_gone_start_over() -> None:
    budget = MoveBudget(60)
    budget.allowed(LOBBY, 0.0)
    budget.start_over()
    assert budget.allowed(LOBBY, 600.0) == 0
    budget.allowed(LOBBY, 660.0)
    budget.forget(LOBBY)
    assert budget.allowed(LOBBY, 661.0) == 0


def test_a_group_that_may_move_waits_for_nothing() -> None:
    """What holds the move back is something else: to look again at once would be to look for ever."""
    budget = MoveBudget(60)
    budget.allowed(LOBBY, 0.0)
    budget.allowed(LOBBY, 60.0)
    assert budget.next_after(LOBBY) is None
