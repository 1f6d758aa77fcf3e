"""What a batch looks like while it goes on and when it is over, in words and as data. Knows no clock and no screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowkit import printable
from flowkit.batch import RowError, Spent, Tally
from flowkit.console import outputs

SCHEMA = 1


@dataclass(slots=True)
class Board:
    """A batch as it stands. `kept` rows were written by an earlier process, `total` is None where nobody knows it."""

    flow: str
    tally: Tally
    total: int | None = None
    kept: int = 0
    simulated: bool = False
    #: Seconds that earlier processes took.
    before: float = 0.0
    #: Rows that ended in this process, also those whose lines wait for an earlier one, and calls that were answered.
    finished: int = 0
    calls: int = 0
    #: Why it takes as long as it does, in words.
    why: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """Rows whose lines are written."""
        return self.tally.rows

    @property
    def done(self) -> int:
        """Rows that ended, written or not."""
        return max(self.rows, self.kept + self.finished)

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return sum(self.tally.failed.values())

    def rate(self, now: float) -> float | None:
        """Return rows a second since this process began; None before the first."""
        done = self.done - self.kept
        return done / now if done > 0 and now > 0 else None

    def line(self, now: float) -> str:
        """Return how far it is after `now` seconds."""
        parts = [self._of()]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        rate = self.rate(now)
        if rate is not None:
            parts.append(f"{_rate(rate)} rows/s")
        usage = self.tally.spent.usage
        calls = max(self.calls, usage.calls)
        if calls:
            parts.append(printable.plural(calls, "call"))
        if usage.input_tokens is not None or usage.output_tokens is not None:
            parts.append(f"{printable.count(usage.input_tokens or 0)} tokens in, {printable.count(usage.output_tokens or 0)} out")
        if usage.calls and not self.simulated:
            parts.append(str(self.tally.spent.cost))
        if rate is not None and self.total is not None and self.done < self.total:
            parts.append(f"{printable.seconds((self.total - self.done) / rate)} left")
        return " · ".join(parts)

    def _of(self) -> str:
        written = f", {self.rows:,} written" if self.rows < self.done else ""
        if not self.total:
            return f"{self.done:,} rows{written}"
        return f"{self.done:,} of {self.total:,} rows ({self.done * 100 // self.total} %){written}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a batch ended: `finished`, `failed` (--fail-fast), `stopped` by an error that all rows would meet, or `interrupted`."""

    status: str
    seconds: float
    data: str
    out: Path | None
    error: RowError | None = None


def summary(board: Board, ending: Ending) -> str:
    """Return the summary for people."""
    tally = board.tally
    simulated = " (simulated)" if board.simulated else ""
    rate = board.rate(ending.seconds)
    speed = f", {_rate(rate)} rows/s" if rate is not None else ""
    of = f" of {board.total:,}" if board.total is not None and board.total != board.rows else ""
    rows = "row" if board.rows == 1 and not of else "rows"
    lines = [f"{board.flow}{simulated}: {ending.status}, {board.rows:,}{of} {rows} in {printable.seconds(ending.seconds)}{speed}"]
    lines.append(f"  succeeded  {tally.succeeded:,}")
    if tally.failed:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in _sorted(tally.failed).items())
        lines.append(f"  failed     {board.failed:,}: {kinds}")
    if board.kept:
        lines.append(f"  kept       {board.kept:,} of these were there before")
    if board.total is not None and board.total > board.rows:
        lines.append(f"  left       {board.total - board.rows:,}")
    spent = tally.spent
    lines.append(f"  spent      {_spent(spent)}")
    if spent.reused:
        lines.append(f"  reused     {printable.plural(spent.reused, 'answer')} from the record")
    if (spent.usage.calls or spent.maybe_billed) and not board.simulated:
        lines.append(f"  cost       {spent.cost}")
    return "\n".join(lines)


def document(board: Board, ending: Ending) -> dict[str, Any]:
    """Return the summary as data. `rows` are all in the file, `seconds` and what was spent include what earlier processes took."""
    tally, rate = board.tally, board.rate(ending.seconds)
    spent = tally.spent
    total = spent.cost.total
    error = ending.error
    return {
        "schema": SCHEMA,
        "flow": board.flow,
        "data": ending.data,
        "out": None if ending.out is None else str(ending.out),
        "status": ending.status,
        "simulated": board.simulated,
        "rows": board.rows,
        "succeeded": tally.succeeded,
        "failed": _sorted(tally.failed),
        "kept": board.kept,
        "left": None if board.total is None else max(board.total - board.rows, 0),
        "usage": outputs.usage(spent.usage),
        "maybe_billed": spent.maybe_billed,
        "reused": spent.reused,
        "cost": None if total is None or board.simulated else float(total),
        "unpriced_calls": spent.cost.unknown,
        "seconds": outputs.seconds(board.before + ending.seconds),
        "rows_per_second": None if rate is None else round(rate, 3),
        "error": None if error is None else {"kind": error.kind, "message": error.message, "step": error.step, "place": error.place},
    }


def _sorted(failed: dict[str, int]) -> dict[str, int]:
    """Return kinds of failure, the most frequent first."""
    return dict(sorted(failed.items(), key=lambda each: (-each[1], each[0])))


def _spent(spent: Spent) -> str:
    usage = spent.usage
    said = printable.plural(usage.calls, "call")
    if usage.input_tokens is not None or usage.output_tokens is not None:
        said += f", {usage.input_tokens or 0:,} tokens in, {usage.output_tokens or 0:,} out"
    return f"{said}, {spent.maybe_billed:,} maybe billed without an answer" if spent.maybe_billed else said


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"
