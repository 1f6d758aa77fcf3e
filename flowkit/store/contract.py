"""What a store can do, whatever it is made of. The runner never meets it: it knows a ledger, and events have readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flowkit.store.rows import AttemptRow, BatchRow, CallRow, ItemRow, NoteRow, Paid, Row, RunRow, StepRow


class Answers(Protocol):
    """What was answered before."""

    def answered(self, key: str) -> Sequence[CallRow]:
        """Return the answered calls with this key, the newest first."""

    def body(self, name: str) -> str | None:
        """Return a text by its digest, None when it is not there (or no longer what it was)."""

    def usual(self, step: str, path: str) -> tuple[int, float | None]:
        """Return how many answers a step of a flow file has in real runs, and the output tokens of one on average."""


class Store(Answers, Protocol):
    """Keeps rows. A row that is put again under the same key takes the place of the one before."""

    @property
    def where(self) -> str:
        """The place of the store, for people."""

    @property
    def session(self) -> str:
        """The id of this process among all that write here."""

    def put(self, *rows: Row) -> None:
        """Take rows to be written, in order. They are durable after the next `commit`, and soon without one."""

    async def commit(self, *rows: Row) -> None:
        """Take rows, and return when these and all that was put so far are durable. Raises StoreError."""

    def flush(self) -> None:
        """Return when all that was put so far is durable; blocks. Raises StoreError."""

    def close(self) -> None:
        """Write what is left and let go. Raises StoreError."""

    # -- owners ----------------------------------------------------------------------------------------------

    def alive(self, session: str) -> bool:
        """Whether the process of a session still runs."""

    def claim(self, run: RunRow) -> bool:
        """Write a run that goes on here, unless a process that lives has it; whether it did. Durable when it returns. Raises StoreError."""

    def claim_batch(self, batch: BatchRow) -> bool:
        """Write a batch that goes on here, unless a process that lives has it; whether it did. Durable then. Raises StoreError."""

    # -- calls -----------------------------------------------------------------------------------------------

    # -- history; the newest first where there is an order in time. All raise StoreError ---------------------

    def run(self, id: str) -> RunRow | None:  # noqa: A002 - what it is called
        """Return a run by its whole id."""

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
        """Return runs. `prefix` begins their id; rows of batches only with `rows`, or those of one `batch` in their order."""

    def steps(self, run: str) -> list[StepRow]:
        """Return the steps of a run that began, in the order in which they did."""

    def items(self, run: str) -> list[ItemRow]:
        """Return the items of a run that ended."""

    def calls(self, run: str) -> list[CallRow]:
        """Return the calls of a run in their order."""

    def attempts(self, run: str) -> list[AttemptRow]:
        """Return the requests of a run in their order."""

    def notes(self, run: str) -> list[NoteRow]:
        """Return the notes of a run in their order."""

    def before(self, call: CallRow, path: str, *, limit: int = 50) -> list[CallRow]:
        """Return earlier calls of the same step in runs of the same flow file (and in this run), the newest first."""

    def batches(self, *, out: str | None = None) -> list[BatchRow]:
        """Return batches, or those that write to one file."""

    def batch(self, id: str) -> BatchRow | None:  # noqa: A002 - what it is called
        """Return a batch by its whole id."""

    def paid(self, batch: str) -> Paid:
        """Return what all rows of a batch took so far, those that were cut or have no line yet among them."""

    def forget(self, runs: Sequence[str], batches: Sequence[str] = ()) -> int:
        """Delete runs with all that belongs to them, and what no other run needs; return the bytes that were freed. Raises StoreError."""
