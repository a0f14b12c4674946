"""Which worker's pod is replaced next when the template of a group's workers has changed.

One at a time: the next one only when all that were replaced have their cameras back. Until then the rest goes on with
what it has. A worker that is down has nothing to lose and goes first, or a broken image could not be mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Cameras of a replaced worker that need not come back, as a part of those that worked before: some fail by themselves.
_MISSING_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Replica:
    """A worker in a rollout."""

    name: str
    is_current: bool  #: template and pods are the present ones
    is_down: bool  #: nothing of it watches a camera
    is_held: bool  #: it has to wait for the canary groups
    is_reporting: bool  #: it has a ready pod that reports on its latest assignment
    cameras: int  #: that it has
    working: int  #: of these
    working_before: int | None  #: of those that it had when its template was changed; None: it never was

    @property
    def wanted_back(self) -> int:
        """Cameras that have to work before the next worker is replaced."""
        if self.working_before is None:
            return 0
        spare = max(1, round(_MISSING_SHARE * self.working_before)) if self.working_before > 1 else 0
        return min(self.working_before, self.cameras) - spare

    @property
    def is_back(self) -> bool:
        """Whether it does again what it did before."""
        return self.is_reporting and self.working >= self.wanted_back


@dataclass(frozen=True, slots=True)
class Rollout:
    """What may be done now, and how far it is."""

    allowed: frozenset[str] = frozenset()  #: workers whose template may be written and whose pods be replaced
    outdated: int = 0  #: workers that are not yet as they should be
    held: bool = False  #: whether they wait for the canary groups
    waits_for: Replica | None = None  #: a replaced worker whose cameras have not come back

    @property
    def is_complete(self) -> bool:
        """Whether all workers are as they should be, with their cameras back."""
        return not self.outdated and self.waits_for is None


#: A rollout of nothing.
COMPLETE = Rollout()


def next_step(replicas: Sequence[Replica]) -> Rollout:
    """Decides about the workers of one group and role.

    Args:
        replicas: all of them, in the order in which they are to be replaced.
    """
    outdated = [replica for replica in replicas if not replica.is_current]
    missing = next((replica for replica in replicas if replica.is_current and not replica.is_back), None)
    free = [replica for replica in outdated if not replica.is_held]
    down = frozenset(replica.name for replica in free if replica.is_down)
    if down:
        allowed = down
    elif missing is None:
        allowed = frozenset(replica.name for replica in free[:1])
    else:
        allowed = frozenset()
    return Rollout(allowed, len(outdated), held=bool(outdated) and not free, waits_for=missing)
