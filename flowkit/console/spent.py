"""Add up what calls took, and say it in one line: paid calls, answers from the record, tokens, cost. Knows no event's fate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowkit import printable
from flowkit.chat import Usage
from flowkit.money import Cost

if TYPE_CHECKING:
    from flowkit.events import ItemFinished, StepFinished
    from flowkit.results import Run


def stopped(run: Run) -> str | None:
    """Say what ended a run that no step failed: `interrupted` by a person, `stopped` by a limit of time or cost; None where one did."""
    if run.error is None or run.failed:
        return None
    return {"cancelled": "interrupted", "timeout": "stopped", "limit": "stopped"}.get(run.error.kind)


@dataclass(frozen=True, slots=True)
class Spent:
    """What was paid now, and how many answers were taken from the record instead. `+` adds two."""

    usage: Usage = field(default_factory=Usage)
    reused: int = 0
    cost: Cost = Cost()

    @classmethod
    def of(cls, ended: ItemFinished | StepFinished) -> Spent:
        """Return what a step or an item took."""
        return cls(ended.usage, ended.reused, ended.cost)

    @classmethod
    def by(cls, run: Run) -> Spent:
        """Return what a run took."""
        return cls(run.usage, sum(step.reused for step in run.steps.values()), run.cost)

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.usage + other.usage, self.reused + other.reused, self.cost + other.cost)

    def __bool__(self) -> bool:
        return bool(self.usage.calls or self.reused)

    @property
    def partly(self) -> str:
        """`3 of 5 cached` where some answers came from the record and some did not, else empty."""
        return f"{self.reused} of {self.reused + self.usage.calls} cached" if self.reused and self.usage.calls else ""

    def parts(self, *, simulated: bool) -> list[str]:
        """Return what people read at the end of a run. What is simulated costs nothing, so nothing is said of it."""
        said = [printable.plural(self.usage.calls, "call")]
        if self.reused:
            said.append(f"{self.reused:,} from the record")
        if (tokens := self.tokens) is not None:
            said.append(f"{tokens:,} tokens")
        if not simulated and (self.usage.calls or self.reused or self.cost.unknown):
            text = str(self.cost)
            said.append(f"cost {text}" if text.startswith("unknown") else text)
        return said

    @property
    def tokens(self) -> int | None:
        """Tokens sent and answered; None where no server counted."""
        usage = self.usage
        if usage.input_tokens is None and usage.output_tokens is None:
            return None
        return (usage.input_tokens or 0) + (usage.output_tokens or 0)
