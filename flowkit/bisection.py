"""Find where a line of versions turned from good to bad with as few looks as possible. Knows numbers, and no version.

Versions are numbered from the newest, 0, which should be bad, to the oldest. Some cannot be looked at: they are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

State: TypeAlias = Literal["good", "bad", "skipped"]
#: How many versions next to the newest are looked at one by one: a break that was mended and came back lies there most often.
_NEAR: Final = 4


@dataclass(slots=True)
class Search:
    """Says which version to look at `next`, is `told` what it is, and knows the answer when `next` gives None.

    `good` is the number of a version that is said to be good. Also with it the nearest good one is looked for, further back each time,
    so that of several breaks the latest is found; what is far from now is most likely not in the cache either.
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
        if best is None and self.good is not None:
            return None
        end = self.count if best is None else best
        wanted = worst + 1 if worst < _NEAR else 2 * worst
        if best is None or (best == self.good and wanted < best):
            # Still walking back; a skipped version makes it the next one beside it.
            return self._near(min(wanted, end - 1), worst, end)
        return self._near((worst + best) // 2, worst, best)

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
