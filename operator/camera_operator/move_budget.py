"""Rations the moves of cameras that nothing forces: some at once, and so many in an hour, for each group."""

from camera_operator.decide.model import ObjectKey
from camera_operator.decide.moves import MOVES_PER_PASS

#: A sum of fractions may miss a whole number by so much, and the time to wait for the rest be too short to pass.
_HAIR = 1e-6


class MoveBudget:
    """A token bucket for each group. It is empty at first: an operator that has just begun to lead moves nothing.

    Args:
        per_hour: moves in an hour.
    """

    def __init__(self, per_hour: int) -> None:
        self._rate = per_hour / 3600
        self._most = float(min(MOVES_PER_PASS, per_hour))
        self._tokens: dict[ObjectKey, tuple[float, float]] = {}  # number and when it was so

    def allowed(self, group: ObjectKey, now: float) -> int:
        """Moves that a group may make now, which is monotonic seconds."""
        tokens, since = self._tokens.setdefault(group, (0.0, now))
        tokens = min(tokens + (now - since) * self._rate, self._most)
        self._tokens[group] = (tokens, now)
        return int(tokens + _HAIR)

    def spend(self, group: ObjectKey, moves: int) -> None:
        """Moves that a group has made."""
        tokens, since = self._tokens.get(group, (0.0, 0.0))
        self._tokens[group] = (max(tokens - moves, 0.0), since)

    def next_after(self, group: ObjectKey) -> float | None:
        """Seconds until a group may move a camera; None: it never may, or it may already.

        What holds a move back that is allowed is something else, and tells when it is over.
        """
        tokens, _ = self._tokens.get(group, (0.0, 0.0))
        missing = 1.0 - tokens - _HAIR
        return missing / self._rate if self._rate > 0 and missing > 0 else None

    def forget(self, group: ObjectKey) -> None:
        """The group exists no more."""
        self._tokens.pop(group, None)

    def start_over(self) -> None:
        """This process begins to lead."""
        self._tokens.clear()
