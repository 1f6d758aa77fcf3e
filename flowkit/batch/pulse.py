"""How a batch goes at this moment, beyond the lines that are written: rows that ended, requests that failed, what is waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from flowkit import printable
from flowkit.chat import Usage
from flowkit.events import AttemptFailed, Event, ItemFinished, StepFinished
from flowkit.money import Cost
from flowkit.results import Run
from flowkit.store.rows import MAYBE_BILLED

#: Seconds for which a failure of a request still explains why little comes, above the wait that it led to.
_FRESH: Final = 30.0
#: Seconds after which the row that the others wait for is named.
_LONG: Final = 5.0
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Spent:
    """What rows took. `+` adds two."""

    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()
    #: Requests that left and came to no end, so that they may have been billed.
    maybe_billed: int = 0
    #: Calls whose answers were taken from the record.
    reused: int = 0

    @classmethod
    def of(cls, run: Run) -> Spent:
        """Return what a run took, however it ended."""
        attempts = (attempt for step in run.steps.values() for attempt in step.attempts)
        maybe = 0 if run.simulated else sum(each.outcome in MAYBE_BILLED and each.usage is None for each in attempts)
        return cls(run.usage, run.cost, maybe, sum(step.reused for step in run.steps.values()))

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.usage + other.usage, self.cost + other.cost, self.maybe_billed + other.maybe_billed, self.reused + other.reused)


@dataclass(slots=True)
class Pulse:
    """Counts while rows are at work. `clock` counts seconds since the batch began."""

    clock: Callable[[], float]
    #: Rows that ended in this process, written or not.
    finished: int = 0
    #: Requests that were answered.
    answered: int = 0
    #: Requests that failed, by what the server said or what became of them.
    failures: Counter[str] = field(default_factory=Counter)
    _slow_until: float = 0.0
    _oldest: int | None = None
    _since: float = 0.0

    def reader(self) -> Callable[[Event], None]:
        """Return what reads the events of one row."""
        items: Counter[str] = Counter()

        def read(event: Event) -> None:
            if isinstance(event, AttemptFailed):
                self._failed(event)
            elif isinstance(event, ItemFinished) and "/" not in event.step:
                items[event.step] += event.usage.calls
                self.answered += event.usage.calls
            elif isinstance(event, StepFinished) and "/" not in event.step and event.item is None:
                # A step counts its items, and a sub-flow its steps.
                self.answered += event.usage.calls - items.pop(event.step, 0)

        return read

    def _failed(self, event: AttemptFailed) -> None:
        attempt = event.attempt
        self.failures[attempt.outcome if attempt.status is None else str(attempt.status)] += 1
        self._slow_until = max(self._slow_until, self.clock() + (event.delay or 0.0) + _FRESH)

    def look(self, oldest: int | None) -> None:
        """Note which row the others wait for now."""
        if oldest != self._oldest:
            self._oldest, self._since = oldest, self.clock()

    def why(self, now: float) -> list[str]:
        """Say why it takes as long as it does; nothing where it just goes on."""
        said = []
        if self.failures and now <= self._slow_until:
            said.append(self._trouble())
        if self._oldest is not None and now - self._since >= _LONG:
            said.append(f"waiting for row {self._oldest:,} ({printable.seconds(now - self._since)})")
        return said

    def _trouble(self) -> str:
        failed = self.failures.total()
        of = printable.plural(self.answered + failed, "call")
        limited = self.failures[str(_TOO_MANY)]
        said = [f"slowed down: the server answered {_TOO_MANY} to {limited:,} of {of}"] if limited else []
        others = [f"{kind} {number:,}" for kind, number in self.failures.most_common() if kind != str(_TOO_MANY)]
        if others:
            said.append(f"{failed - limited:,} {'others' if limited else f'of {of}'} failed: {', '.join(others)}")
        return ", ".join(said)
