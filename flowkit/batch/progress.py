"""How far a batch is, and what of that is kept, so that it goes on after any end. Knows no store and no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flowkit.batch.answering import RowResult
from flowkit.chat import Usage
from flowkit.money import Cost


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch as far as its lines are written.

    `about` says what it is a batch of, each by a word that people know; `digest` covers the data up to the last row whose line is written.
    """

    about: Mapping[str, str]
    rows: int = 0
    bytes: int = 0
    digest: str = ""
    succeeded: int = 0
    #: Rows by kind of error.
    failed: Mapping[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    cost: Cost = Cost()
    #: Calls whose answers were taken from the record.
    reused: int = 0


class Journal(Protocol):
    """Keeps the progress of the batch that writes to one file."""

    def load(self) -> Progress | None:
        """Return what was saved last, None when this file was never written by a batch. Raises StoreError."""

    async def save(self, progress: Progress) -> None:
        """Keep it; durable when this returns. Raises StoreError."""


@dataclass(slots=True)
class Tally:
    """Counts results as they are written."""

    succeeded: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()
    reused: int = 0

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return self.succeeded + sum(self.failed.values())

    def add(self, result: RowResult) -> None:
        """Count one result."""
        self.count(None if result.error is None else result.error.kind)
        self.usage += result.usage
        self.cost += result.cost
        self.reused += result.reused

    def count(self, kind: str | None) -> None:
        """Count a row that failed in this way, or did not fail."""
        if kind is None:
            self.succeeded += 1
        else:
            self.failed[kind] = self.failed.get(kind, 0) + 1

    @classmethod
    def of(cls, progress: Progress) -> Tally:
        """Return the counts that go on from there."""
        return cls(progress.succeeded, dict(progress.failed), progress.usage, progress.cost, progress.reused)


#: What decides whose file it is; any of the rest may change, and then the batch starts over.
IDENTITY = ("flow", "data")


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say in words what of a batch is no longer what it was."""
    said = []
    for name in dict.fromkeys((*before, *now)):
        was, is_ = before.get(name, ""), now.get(name, "")
        if was != is_:
            said.append(f"{name}: {_shown(was)} before, {_shown(is_)} now")
    return said


def _shown(value: str) -> str:
    return value if len(value) <= 200 and value else value[:199] + "…" if value else "nothing"
