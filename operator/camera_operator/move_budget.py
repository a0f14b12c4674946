"""Rations the moves of cameras that nothing forces: some at once, and so many in an hour, for each group."""

from camera_operator.decide.model import ObjectKey
from camera_operator.decide.moves import MOVES_PER_PASS


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
        return int(tokens)

    def spend(self, group: ObjectKey, moves: int) -> None:
        """Moves that a group has made."""
        tokens, since = self._tokens.get(group, (0.0, 0.0))
        self._tokens[group] = (max(tokens - moves, 0.0), since)

    def next_after(self, group: ObjectKey) -> float | None:
        """Seconds until a group may move one camera more; None: it never may."""
        if self._rate <= 0:
            return None
        tokens, _ = self._tokens.get(group, (0.0, 0.0))
        return max(1.0 - tokens, 0.0) / self._rate

    def forget(self, group: ObjectKey) -> None:
        """The group exists no more."""
        self._tokens.pop(group, None)

    def start_over(self) -> None:
        """This process begins to lead."""
        self._tokens.clear()
