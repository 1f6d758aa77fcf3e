"""How far a batch is, and what of that is kept, so that it goes on after any end. Knows no store and no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flowkit.batch.pulse import Spent


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
    spent: Spent = Spent()
    seconds: float = 0.0
    #: Covers the lines as they were written.
    lines: str = ""


class Journal(Protocol):
    """Keeps the progress of the batch that writes to one file."""

    def load(self) -> Progress | None:
        """Return what was saved last, None when this file was never written by a batch. Raises StoreError."""

    async def save(self, progress: Progress) -> None:
        """Keep it; durable when this returns. Raises StoreError."""

    async def spent(self) -> Spent | None:
        """Return what the whole batch took so far, in this process and others; None when that is not kept. Raises StoreError."""


@dataclass(slots=True)
class Tally:
    """Counts results as they are written, beside what all rows took."""

    succeeded: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    spent: Spent = Spent()

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return self.succeeded + sum(self.failed.values())

    def count(self, kind: str | None) -> None:
        """Count a row that failed in this way, or did not fail."""
        if kind is None:
            self.succeeded += 1
        else:
            self.failed[kind] = self.failed.get(kind, 0) + 1

    @classmethod
    def of(cls, progress: Progress) -> Tally:
        """Return the counts that go on from there."""
        return cls(progress.succeeded, dict(progress.failed), progress.spent)


#: What decides whose file it is; any of the rest may change, and then the batch starts over.
IDENTITY = ("flow", "data")
#: The fingerprint of the flow: what changed about it is said in words, which a fingerprint has none of.
MEANING = "the meaning of the flow"
#: Whether nothing of the record was to be used. It holds as long as the batch, also where the line that goes on does not say it.
FRESH = "--fresh"


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say in words what of a batch is no longer what it was."""
    said = []
    for name in dict.fromkeys((*before, *now)):
        if name in {MEANING, FRESH}:
            continue
        was, is_ = before.get(name, ""), now.get(name, "")
        if was != is_:
            said.append(f"{name}: {_shown(was)} before, {_shown(is_)} now")
    return said


def _shown(value: str) -> str:
    return value if len(value) <= 200 and value else value[:199] + "…" if value else "nothing"
