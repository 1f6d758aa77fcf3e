"""Runs and batches as one list, each with how it stands. Knows rows, and no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

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


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """One batch of a list; `failed` counts rows by kind of error."""

    row: BatchRow
    status: str
    succeeded: int
    failed: Mapping[str, int]
    spent: Spent


def listed(kept: Kept, row: RunRow, steps: Mapping[str, int]) -> Listed:
    """Return a run as it stands in a list. Raises StoreError."""
    status = status_of(row, kept)
    shown = {("interrupted" if state == "running" and status != "running" else state): number for state, number in steps.items()}
    return Listed(row, status, spent_by(row, kept), shown)


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
    status = "interrupted" if row.status == "running" and not kept.alive(row.session) else row.status
    return ListedBatch(row, status, int(tallies.get("succeeded") or 0), kinds, spent)
