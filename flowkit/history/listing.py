"""Runs and batches as one list, each with how it stands. Knows rows, and no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from flowkit import source
from flowkit.errors import Problems
from flowkit.history.data import value
from flowkit.history.tree import Kept, Spent, spent_by, status_of
from flowkit.money import Cost
from flowkit.store import BatchRow, RunRow


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of a list; `steps` counts those that began by their state."""

    row: RunRow
    status: str
    spent: Spent
    steps: Mapping[str, int]
    #: Steps of its flow, None where that is not known.
    of: int | None = None


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """One batch of a list; `failed` counts rows by kind of error."""

    row: BatchRow
    status: str
    succeeded: int
    failed: Mapping[str, int]
    spent: Spent


def listed(kept: Kept, row: RunRow, steps: Mapping[str, int], of: int | None = None) -> Listed:
    """Return a run as it stands in a list; `of` is the number of steps of its flow. Raises StoreError."""
    status = status_of(row, kept)
    shown = {("interrupted" if state == "running" and status != "running" else state): number for state, number in steps.items()}
    return Listed(row, status, spent_by(row, kept), shown, of)


def steps_of(row: RunRow, source_text: str | None) -> int | None:
    """Return how many steps a flow had, by the text of its files that was kept; None where it cannot be told."""
    files = value(source_text)
    if not isinstance(files, dict):
        return None
    path = Path(row.path).as_posix()
    name = max((str(name) for name in files if path == name or path.endswith(f"/{name}")), key=len, default=None)
    if name is None:
        return None
    root = source.parse(str(files[name]), path=Path(name), shown=name, problems=Problems()).root
    steps = root.get("steps") if isinstance(root, source.Mapping) else None
    return len(steps.entries) if isinstance(steps, source.Mapping) else None


def listed_batch(kept: Kept, row: BatchRow) -> ListedBatch:
    """Return a batch as it stands in a list."""
    said = value(row.tallies)
    tallies: Mapping[str, Any] = said if isinstance(said, dict) else {}
    failed, used = tallies.get("failed"), tallies.get("usage")
    usage: Mapping[str, Any] = used if isinstance(used, dict) else {}
    kinds = {str(kind): int(number) for kind, number in failed.items()} if isinstance(failed, dict) else {}
    cost = None if row.simulated else Cost(Decimal(str(tallies.get("cost") or 0)), int(tallies.get("unpriced") or 0))
    spent = Spent(
        int(usage.get("calls") or 0), int(tallies.get("reused") or 0), usage.get("input_tokens"), usage.get("output_tokens"), cost
    )
    if not row.simulated:  # what is noted of a batch that was killed is older than what it paid
        paid = kept.paid(row.id)
        spent = Spent(paid.calls, paid.reused, paid.input_tokens, paid.output_tokens, Cost(paid.cost, paid.unpriced), paid.maybe_billed)
    status = "interrupted" if row.status == "running" and not kept.alive(row.session) else row.status
    return ListedBatch(row, status, int(tallies.get("succeeded") or 0), kinds, spent)
