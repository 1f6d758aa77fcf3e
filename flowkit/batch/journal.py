"""Keep in the record how far a batch is, by the file that it writes. Knows the store by its contract."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from decimal import Decimal

from flowkit.batch.progress import Progress
from flowkit.batch.pulse import Spent
from flowkit.chat import Usage
from flowkit.errors import StoreError
from flowkit.lookup import Recorder
from flowkit.money import Cost
from flowkit.store import BatchRow, CallRow, RunRow

#: Where the lines go that are printed: such a batch is kept, and cannot go on.
PRINTED = "-"
#: How the record says that a batch ended: as a run would, and `finished` when all rows were run and some of them failed.
_STATUS = {"finished": "succeeded", "stopped": "interrupted"}


class StoreJournal:
    """The batch that writes to one file. `recorder` gives the record that is open now.

    A batch has an id of its own, by which its rows are found in the record; one that goes on keeps it.
    """

    def __init__(
        self, recorder: Callable[[], Recorder | None], *, out: str, flow: str, path: str, fingerprint: str, data: str, simulated: bool
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._open = recorder
        self._found: BatchRow | None = None
        self._claimed = False
        now = self._recorder()
        self._row = BatchRow(
            id=self.id,
            session=now.store.session,
            flow=flow,
            path=path,
            fingerprint=fingerprint,
            data=data,
            out=out,
            options="{}",
            status="running",
            simulated=int(simulated),
            started=now.clock(),
            seconds=0.0,
            rows=0,
            bytes=0,
            digest="",
            tallies="{}",
            version=now.version,
        )

    def _recorder(self) -> Recorder:
        found = self._open()
        assert found is not None, "there is a record, or there would be no journal"
        return found

    def load(self) -> Progress | None:
        """Return how far the batch came that wrote to the file last, None when there was none. Raises StoreError."""
        if self._row.out == PRINTED:
            return None
        self._found = next(iter(self._recorder().store.batches(out=self._row.out)), None)
        return None if self._found is None else _progress(self._found)

    async def end(self, status: str) -> None:
        """Note how the batch ended: finished, failed, interrupted or stopped. Durable when this returns. Raises StoreError."""
        failed = bool(json.loads(self._row.tallies).get("failed"))
        self._row = replace(self._row, status="finished" if failed and status == "finished" else _STATUS.get(status, status))
        store = self._recorder().store
        store.put(self._row)
        await store.commit()

    async def spent(self) -> Spent | None:
        """Return what the requests of all rows took, by the record; None for simulated ones, which are not in it. Raises StoreError."""
        if self._row.simulated:
            return None
        store = self._recorder().store
        await store.commit()
        paid = store.paid(self.id)
        usage = Usage(paid.input_tokens, paid.output_tokens, calls=paid.calls)
        return Spent(usage, Cost(paid.cost, paid.unpriced), paid.maybe_billed, paid.reused)

    def last_run(self) -> tuple[RunRow, str | None, list[CallRow]] | None:
        """Return a row of the batch that was loaded as it ran, the text of its files and its calls; None where none is kept."""
        store = self._recorder().store
        row = None if self._found is None else next(iter(store.runs(batch=self._found.id, limit=1)), None)
        return None if row is None else (row, None if row.source is None else store.body(row.source), store.calls(row.id))

    def reopen(self, recorder: Callable[[], Recorder | None]) -> None:
        """Take the record that is open from now on."""
        self._open = recorder

    def go_on(self) -> None:
        """Take what was loaded for this batch."""
        if self._found is not None:
            self.id = self._found.id
            self._row = replace(self._row, id=self.id, started=self._found.started)

    async def save(self, progress: Progress, status: str = "running") -> None:
        """Keep how far the batch is; durable when this returns.

        Raises:
            StoreError: the first time also when another process writes to the same file.
        """
        store = self._recorder().store
        self._row = replace(
            self._row,
            session=store.session,
            status=status,
            options=json.dumps(dict(progress.about), ensure_ascii=False),
            rows=progress.rows,
            bytes=progress.bytes,
            digest=progress.digest,
            seconds=progress.seconds,
            tallies=_tallies(progress),
        )
        if self._claimed:
            store.put(self._row)
            await store.commit()
            return
        other = self._found
        if other is not None and other.id != self.id and other.status == "running" and store.alive(other.session):
            raise StoreError(f"{self._row.out} is written by another process now; wait until it ends")
        if not store.claim_batch(self._row):
            raise StoreError(f"batch {self.id} goes on in another process; wait until it ends")
        self._claimed = True


def _tallies(progress: Progress) -> str:
    spent = progress.spent
    said = {
        "succeeded": progress.succeeded,
        "failed": dict(progress.failed),
        "usage": asdict(spent.usage),
        "cost": str(spent.cost.known),
        "unpriced": spent.cost.unknown,
        "maybe_billed": spent.maybe_billed,
        "reused": spent.reused,
        "lines": progress.lines,
    }
    return json.dumps(said, separators=(",", ":"))


def _progress(row: BatchRow) -> Progress:
    said = json.loads(row.tallies)
    cost = Cost(Decimal(said["cost"]), said["unpriced"])
    return Progress(
        json.loads(row.options),
        row.rows,
        row.bytes,
        row.digest,
        said["succeeded"],
        said["failed"],
        Spent(Usage(**said["usage"]), cost, said.get("maybe_billed", 0), said["reused"]),
        row.seconds,
        said.get("lines", ""),
    )
