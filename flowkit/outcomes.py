"""Sum up what recorded runs of one meaning of a flow gave: how many, how well, at what price, how fast. Knows rows, and no store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from flowkit.store import RunRow


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Real runs that ended. Tokens, cost and seconds are of one run, over those that took no answer from the record, if there are any.

    None is unknown: nobody counted, or no price is known.
    """

    runs: int
    succeeded: int
    tokens: float | None
    cost: Decimal | None
    seconds: float | None

    @property
    def rate(self) -> float:
        """Which part of them succeeded."""
        return self.succeeded / self.runs


def outcomes(rows: Iterable[RunRow]) -> Outcomes | None:
    """Return what runs gave together, None where none ended. An interrupted run says nothing of its flow."""
    ended = [row for row in rows if not row.simulated and row.status in ("succeeded", "failed")]
    if not ended:
        return None
    succeeded = [row for row in ended if row.status == "succeeded"]
    paid = [row for row in succeeded if row.calls and not row.reused] or succeeded
    return Outcomes(len(ended), len(succeeded), _tokens(paid), _cost(paid), median(row.seconds for row in paid) if paid else None)


def _tokens(rows: Sequence[RunRow]) -> float | None:
    counted = [(row.input_tokens or 0) + (row.output_tokens or 0) for row in rows if row.input_tokens is not None]
    return sum(counted) / len(counted) if counted else None


def _cost(rows: Sequence[RunRow]) -> Decimal | None:
    known = [Decimal(row.cost) for row in rows if row.cost is not None and not row.unpriced]
    return sum(known, Decimal(0)) / len(known) if known else None
