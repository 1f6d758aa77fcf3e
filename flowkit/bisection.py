"""Find where a line of versions turned from good to bad with as few looks as possible. Knows numbers, and no version.

Versions are numbered from the newest, 0, which should be bad, to the oldest. Some cannot be looked at: they are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

State: TypeAlias = Literal["good", "bad", "skipped"]


@dataclass(slots=True)
class Search:
    """Says which version to look at `next`, is `told` what it is, and knows the answer when `next` gives None.

    `good` is the number of a version that is said to be good; without it one is looked for, further back each time: what lies close is
    looked at first, since what is far from now is most likely not in the cache.
    """

    count: int
    good: int | None = None
    states: dict[int, State] = field(default_factory=dict)

    @property
    def worst(self) -> int | None:
        """The oldest version that is known to be bad, newer than all good ones."""
        end = self.best if self.best is not None else self.count
        return max((at for at, state in self.states.items() if state == "bad" and at < end), default=None)

    @property
    def best(self) -> int | None:
        """The newest version that is known to be good."""
        return min((at for at, state in self.states.items() if state == "good"), default=None)

    def told(self, at: int, state: State) -> None:
        """Take what a version is."""
        self.states[at] = state

    def next(self) -> int | None:
        """Return the version to look at, None at the end: see `between`, or there is no bad or no good version."""
        if 0 not in self.states:
            return 0
        worst, best = self.worst, self.best
        if worst is None:
            # The newest is good, or cannot be looked at.
            return None
        if self.good is not None and self.good not in self.states:
            return self.good
        if best is None:
            return None if self.good is not None else self._further(worst)
        return self._near((worst + best) // 2, worst, best)

    def _further(self, worst: int) -> int | None:
        """Return a version about twice as far back as the last bad one; skipped ones make it the next beside them."""
        wanted = min(max(2 * worst, worst + 1), self.count - 1)
        return self._near(wanted, worst, self.count)

    def _near(self, wanted: int, after: int, before: int) -> int | None:
        """Return the version nearest to the wanted one, strictly between two, of which nothing is known yet."""
        free = [at for at in range(after + 1, before) if at not in self.states]
        return min(free, key=lambda at: (abs(at - wanted), at), default=None)

    @property
    def between(self) -> tuple[int, ...]:
        """The versions one of which brought the change, the oldest last; more than one where the others could not be looked at."""
        worst, best = self.worst, self.best
        if worst is None or best is None:
            return ()
        return tuple(range(worst, best))
