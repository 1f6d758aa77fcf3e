"""Keep one run: read its events, note its calls before they leave and when they end, and find answers that were paid before.

Knows a store by its contract, and neither the runner nor a server. Of a call this is kept, each in one commit at the latest:
`sent` before the request leaves, the outcome before anything below starts. What a process that died left as `sent` may have been billed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from flowkit.chat import ChatRequest
from flowkit.endpoints import Endpoint
from flowkit.errors import StoreError
from flowkit.events import AnswerRepaired, Event, ItemFinished, StepFinished, StepStarted, ToolFinished
from flowkit.identity import digest
from flowkit.lookup import Lookup, Recorder
from flowkit.provenance import Provenance
from flowkit.record.entry import Entry, json_of, sound
from flowkit.results import Run, Status, StepError
from flowkit.store import Body, ItemRow, NoteRow, RunRow, StepRow


class RunRecord:
    """One run as it is kept. It is a ledger to the runner, and a reader of events."""

    #: Servers are asked.
    offline = False

    def __init__(
        self, recorder: Recorder, run: Run, provenance: Provenance, *, batch: str | None = None, row: int | None = None, named: bool = False
    ) -> None:
        self.recorder = recorder
        self.run = run
        self._store = recorder.store
        self._lookup = Lookup(recorder.store, recorder.clock, recorder.reuse, run)
        self._named = named
        self._notes = 0
        self._calls = 0
        #: Why nothing more may leave: something of this run could not be written.
        self.broken: StoreError | None = None
        self._steps: dict[tuple[str, int], StepRow] = {}
        self._row = RunRow(
            id=run.id,
            session=self._store.session,
            flow=run.flow,
            path=provenance.path,
            fingerprint=provenance.fingerprint,
            source=None if provenance.source is None else digest(provenance.source),
            status="running",
            simulated=int(run.simulated),
            inputs=json_of(run.inputs),
            options=provenance.options,
            outputs=None,
            error=None,
            message=None,
            failed=None,
            started=recorder.clock(),
            seconds=0.0,
            calls=0,
            reused=0,
            input_tokens=None,
            output_tokens=None,
            cost=None,
            unpriced=0,
            revision=provenance.revision,
            dirty=None if provenance.dirty is None else int(provenance.dirty),
            version=recorder.version,
            batch=batch,
            row=row,
        )
        self._source = provenance.source

    # -- the run ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Note that the run begins, or goes on.

        Raises:
            StoreError: another process that lives has it, or the store cannot be written.
        """
        running, id_ = self.recorder.running, self.run.id
        if id_ in running:
            raise StoreError(f"run {id_} goes on already")
        # A row of a batch has an id by its number, so that it finds itself again; any other id that nobody chose is a new one.
        fresh = not self._named and self._row.batch is None
        before = None if fresh else self._store.run(id_)
        if before is not None:
            self._row = replace(self._row, started=before.started, resumed=before.resumed + 1)
        # An id that somebody chose may be chosen by another process in this moment.
        if (before is not None or self._named) and not self._store.claim(self._row):
            raise StoreError(f"run {id_} goes on in another process; wait until it ends")
        if before is not None:
            self._calls = max((call.number for call in self._store.calls(id_)), default=0)
            self._lookup.before = self._calls
            self._notes = max((note.number for note in self._store.notes(id_)), default=0)
        running.add(id_)
        source = [] if self._source is None or self._row.source is None else [Body(self._row.source, self._source)]
        self._store.put(*source, self._row)

    async def end(self) -> None:
        """Note how the run ended. It is durable when this returns. Raises StoreError."""
        run = self.run
        error = run.error or StepError("", "")
        status = "interrupted" if error.kind == "cancelled" and run.status is not Status.SUCCEEDED else run.status.value
        self._row = replace(
            self._row,
            status=status,
            outputs=None if run.status is not Status.SUCCEEDED else json_of(run.outputs),
            error=error.kind or None,
            message=error.message or None,
            failed=run.failed,
            seconds=run.seconds,
            calls=run.usage.calls,
            reused=sum(step.reused for step in run.steps.values()),
            input_tokens=run.usage.input_tokens,
            output_tokens=run.usage.output_tokens,
            cost=None if run.simulated else str(run.cost.known),
            unpriced=run.cost.unknown,
        )
        self._store.put(self._row)
        self.recorder.running.discard(run.id)
        await self._store.commit()

    # -- events ----------------------------------------------------------------------------------------------

    def read(self, event: Event) -> None:
        """Keep what happened."""
        match event:
            case StepStarted():
                self._started(event)
            case StepFinished():
                self._finished(event)
            case ItemFinished():
                self._store.put(
                    ItemRow(
                        self.run.id, event.step, event.item, event.status.value, *_error(event.error), event.at, event.seconds, event.reused
                    )
                )
            case AnswerRepaired():
                self._note(event.step, event.item, "repair", event.at, event.how)
            case ToolFinished():
                said = {
                    "name": event.name,
                    "arguments": event.arguments,
                    "result": event.result,
                    "error": event.error,
                    "seconds": event.seconds,
                }
                self._note(event.step, event.item, "tool", event.at, json_of({**said, "round": event.round, "sample": event.sample}))
            case _:
                pass

    def _started(self, event: StepStarted) -> None:
        item = -1 if event.item is None else event.item
        row = StepRow(
            self.run.id,
            event.step,
            item,
            event.kind,
            "running",
            None,
            event.model,
            None,
            None,
            event.at,
            0.0,
            0,
            0,
            None,
            None,
            None,
            event.items,
        )
        self._steps[event.step, item] = row
        self._store.put(row)

    def _finished(self, event: StepFinished) -> None:
        item = -1 if event.item is None else event.item
        row = self._steps.pop((event.step, item), None)
        if row is None:
            return  # it never began
        error, message = _error(event.error)
        usage = event.usage
        self._store.put(
            StepRow(
                row.run,
                row.step,
                row.item,
                row.kind,
                event.status.value,
                json_of(event.output) if event.status is Status.SUCCEEDED else None,
                event.model,
                error,
                message,
                row.at,
                event.seconds,
                event.attempts,
                event.reused,
                usage.input_tokens,
                usage.output_tokens,
                None if self.run.simulated or event.cost.unknown else str(event.cost.known),
                row.items,
            )
        )

    def _note(self, step: str, item: int | None, kind: str, at: float, text: str) -> None:
        self._notes += 1
        self._store.put(NoteRow(self.run.id, self._notes, step, item, kind, at, sound(text)))

    # -- calls -----------------------------------------------------------------------------------------------

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Entry:
        """Return the entry of one call, with an answer that was paid before if there is one that may be used.

        Of the same question that is under way in another run, the answer is waited for.
        """
        lookup = self._lookup
        asked, rule = lookup.question(endpoint, request), lookup.rule(cache)
        flights = self.recorder.flights
        self._calls += 1
        number = self._calls
        loop = asyncio.get_running_loop()
        while (found := lookup.find(asked, rule, request)) is None and rule.reuse:
            run, flight = flights.get(asked.key, (self.run.id, None))
            # The same question elsewhere in this run is another call; what another event loop waits for cannot be waited for here.
            if flight is None or run == self.run.id or flight.get_loop() is not loop:
                break
            await asyncio.wait([flight])
        entry = Entry(self, asked, endpoint.name, request, number, str(rule), found)
        if found is None and rule.reuse and asked.key not in flights:
            entry.fly(flights)
        return entry

    def knows(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Whether a question could be answered from the record now."""
        return self._lookup.knows(endpoint, request, self._lookup.rule(cache))


def _error(error: StepError | None) -> tuple[str | None, str | None]:
    return (None, None) if error is None else (error.kind, sound(error.message))
