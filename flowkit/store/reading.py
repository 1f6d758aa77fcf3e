"""Read rows back, and notice those that are no longer what was written. Knows SQL, and no file."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, TypeVar

from flowkit.errors import StoreError
from flowkit.identity import digest
from flowkit.store.rows import MAYBE_BILLED, AttemptRow, BatchRow, Body, CallRow, ItemRow, NoteRow, Paid, Row, RunRow, Served, StepRow
from flowkit.store.writing import COLUMNS, checksum

_R = TypeVar("_R", bound=Row)
_SELECT = {row: f"SELECT {', '.join(names)}, crc FROM {row.TABLE}" for row, names in COLUMNS.items()}  # noqa: S608 - our own names


class Damaged(StoreError):
    """The file is no longer what was written."""


class Reading(ABC):
    """The half of a SQLite store that reads."""

    #: Rows that were left out of lists, because they are no longer what was written.
    unreadable: int = 0

    @property
    @abstractmethod
    def where(self) -> str:
        """The path of the file."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Lend the connection that reads. Raises StoreError."""

    def select(
        self, row: type[_R], where: str = "1", values: Sequence[Any] = (), *, tail: str = "", connection: sqlite3.Connection | None = None
    ) -> list[_R]:
        """Return the rows of one table. Raises StoreError: Damaged when one is no longer what was written."""
        statement = f"{_SELECT[row]} WHERE {where} {tail}"
        if connection is not None:
            return [self._checked(row, one) for one in connection.execute(statement, values)]
        with self.reading() as own:
            return [self._checked(row, one) for one in own.execute(statement, values)]

    def sound(self, row: type[_R], where: str, values: Sequence[Any], *, tail: str = "") -> list[_R]:
        """Return the rows of one table that are what was written; `unreadable` counts the others. Raises StoreError."""
        found = []
        statement = f"{_SELECT[row]} WHERE {where} {tail}"
        with self.reading() as own:
            for one in own.execute(statement, values):
                try:
                    found.append(self._checked(row, one))
                except Damaged:
                    self.unreadable += 1
        return found

    def _checked(self, row: type[_R], values: tuple[Any, ...]) -> _R:
        own, said = values[:-1], values[-1]
        if checksum(own) != said:
            raise Damaged(
                f"the record {self.where} is damaged: a row of {row.TABLE} is no longer what was written; move the file away to begin anew"
            )
        return row(*own)

    # -- calls -----------------------------------------------------------------------------------------------

    def answered(self, key: str) -> Sequence[CallRow]:
        """Return the answered calls with this key, the newest first; one that is damaged is none."""
        try:
            found = self.sound(CallRow, "key = ? AND state = 'answered'", (key,), tail="ORDER BY started DESC")
        except StoreError:
            return ()
        return [call for call in found if call.key == key]  # an index that is damaged leads to other rows

    def body(self, name: str) -> str | None:
        """Return a text by its digest, None when it is not there, or no longer what it was."""
        try:
            found = self.select(Body, "hash = ?", (name,))
        except StoreError:
            return None
        return found[0].text if found and digest(found[0].text) == name else None

    # -- history ---------------------------------------------------------------------------------------------

    def run(self, id: str) -> RunRow | None:  # noqa: A002 - what it is called
        """Return a run by its whole id."""
        return next(iter(self.select(RunRow, "id = ?", (id,))), None)

    def runs(
        self,
        *,
        path: str | None = None,
        flow: str | None = None,
        status: str | None = None,
        fingerprint: str | None = None,
        since: float | None = None,
        prefix: str | None = None,
        batch: str | None = None,
        rows: bool = False,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Return runs, the newest first; those of one batch in their order."""
        asked = {"path = ?": path, "flow = ?": flow, "status = ?": status, "fingerprint = ?": fingerprint, "started >= ?": since}
        asked |= {"substr(id, 1, length(?1)) = ?1": prefix} if prefix is not None else {}
        where = [text for text, value in asked.items() if value is not None]
        values = [value for value in asked.values() if value is not None]
        if prefix is not None:  # bound by number, so it stands first
            where = [where[-1], *where[:-1]]
            values = [values[-1], *values[:-1]]
        if batch is not None:
            where.append("batch = ?")
            values.append(batch)
        elif not rows and prefix is None:
            where.append("batch IS NULL")
        tail = "ORDER BY row" if batch is not None else "ORDER BY started DESC, id"
        return self.sound(RunRow, " AND ".join(where) or "1", values, tail=tail if limit is None else f"{tail} LIMIT {limit:d}")

    def steps(self, run: str) -> list[StepRow]:
        """Return the steps of a run, in the order in which they began."""
        return self.select(StepRow, "run = ?", (run,), tail="ORDER BY at, step, item")

    def items(self, run: str) -> list[ItemRow]:
        """Return the items of a run."""
        return self.select(ItemRow, "run = ?", (run,), tail="ORDER BY step, item")

    def calls(self, run: str) -> list[CallRow]:
        """Return the calls of a run."""
        return self.select(CallRow, "run = ?", (run,), tail="ORDER BY number")

    def attempts(self, run: str) -> list[AttemptRow]:
        """Return the requests of a run."""
        return self.select(AttemptRow, "run = ?", (run,), tail="ORDER BY call, number")

    def notes(self, run: str) -> list[NoteRow]:
        """Return the notes of a run."""
        return self.select(NoteRow, "run = ?", (run,), tail="ORDER BY number")

    def before(self, call: CallRow, path: str, *, limit: int = 50) -> list[CallRow]:
        """Return earlier calls of the same step in runs of the same flow file, the newest first."""
        runs = "run IN (SELECT id FROM runs WHERE path = ? AND simulated = 0)"
        return self.select(
            CallRow,
            f"step = ? AND {runs} AND NOT (run = ? AND number >= ?) AND started <= ?",
            (call.step, path, call.run, call.number, call.started),
            tail=f"ORDER BY started DESC LIMIT {limit:d}",
        )

    def usual(self, step: str, path: str) -> tuple[int, float | None]:
        """Return how many answers a step of a flow file has, and the tokens of one on average."""
        statement = (
            "SELECT count(output_tokens), avg(output_tokens) FROM calls WHERE step = ? AND state = 'answered'"
            " AND run IN (SELECT id FROM runs WHERE path = ? AND simulated = 0)"
        )
        with self.reading() as connection:
            number, mean = connection.execute(statement, (step, path)).fetchone()
        return int(number), mean

    def served(self, *, run: str | None = None, batch: str | None = None) -> list[Served]:
        """Return which models answered: in one run, in one batch, or at all; the newest first. Simulated ones are none."""
        where, values = "1", tuple[str, ...]()
        if run is not None:
            where, values = "run = ?", (run,)
        elif batch is not None:
            where, values = "run IN (SELECT id FROM runs WHERE batch = ?)", (batch,)
        statement = (
            f"SELECT url, name, returned, max(started) FROM calls WHERE {where} AND state IN ('answered', 'rejected')"  # noqa: S608 - as above
            " AND returned IS NOT NULL AND url NOT LIKE 'simulated:%' GROUP BY url, name, returned ORDER BY 4 DESC"
        )
        with self.reading() as connection:
            return [Served(*row) for row in connection.execute(statement, values)]

    def batches(self, *, out: str | None = None) -> list[BatchRow]:
        """Return batches, the newest first."""
        where, values = ("1", ()) if out is None else ("out = ?", (out,))
        return self.select(BatchRow, where, values, tail="ORDER BY started DESC")

    def batch(self, id: str) -> BatchRow | None:  # noqa: A002 - what it is called
        """Return a batch by its whole id."""
        return next(iter(self.select(BatchRow, "id = ?", (id,))), None)

    def paid(self, batch: str) -> Paid:
        """Return what all rows of a batch took so far, also those that were cut. Any number of rows takes the same memory."""
        # The runs of rows are called `batch.row`, and `/` stands behind `.`: a range of the key.
        within, bounds = "run >= ? AND run < ?", (f"{batch}.", f"{batch}/")
        calls = unpriced = maybe = 0
        sent: int | None = None
        came: int | None = None
        cost = Decimal(0)
        with self.reading() as connection:
            statement = f"SELECT outcome, input_tokens, output_tokens, cost FROM attempts WHERE {within}"  # noqa: S608 - as above
            for outcome, input_tokens, output_tokens, dollars in connection.execute(statement, bounds):
                calls += outcome == "ok"
                unclear = outcome in MAYBE_BILLED and input_tokens is None and output_tokens is None
                maybe += unclear
                if input_tokens is not None:
                    sent = (sent or 0) + input_tokens
                if output_tokens is not None:
                    came = (came or 0) + output_tokens
                if dollars is not None:
                    cost += Decimal(dollars)
                else:
                    unpriced += unclear or outcome == "ok" or input_tokens is not None or output_tokens is not None
        return Paid(calls, sent, came, cost, unpriced, maybe, self._taken(within, bounds))

    def _taken(self, within: str, bounds: tuple[str, str]) -> int:
        """Return how many questions were answered by other runs; a run that went on may have taken the same answer twice."""
        statement = f"SELECT run, key, source FROM calls WHERE {within} AND state = 'reused' ORDER BY run"  # noqa: S608 - as above
        number, last, known = 0, "", set[str]()
        with self.reading() as connection:
            for run, key, source in connection.execute(statement, bounds):
                if run != last:
                    last, known = run, set()
                if str(source).rpartition(":")[0] != run and key not in known:
                    known.add(key)
                    number += 1
        return number
