"""Keep one run: read its events, note its calls before they leave and when they end, and find answers that were paid before.

Knows a store by its contract, and neither the runner nor a server. Of a call this is kept, each in one commit at the latest:
`sent` before the request leaves, the outcome before anything below starts. What a process that died left as `sent` may have been billed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowkit.chat import Attempt, ChatRequest, Completion, Usage
from flowkit.endpoints import Endpoint
from flowkit.errors import RunError, StoreError
from flowkit.events import AnswerRepaired, Event, ItemFinished, StepFinished, StepStarted, ToolFinished
from flowkit.identity import Question, digest, written
from flowkit.lookup import Lookup, Recorder
from flowkit.provenance import Provenance
from flowkit.results import Run, Status, StepError
from flowkit.store import AttemptRow, Body, CallRow, ItemRow, NoteRow, RunRow, StepRow

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
        self._lookup = Lookup(recorder.store, recorder.clock, recorder.reuse, run, own=False)
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
            inputs=_json(run.inputs),
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
        before = self._store.run(id_)
        if before is not None:
            self._lookup.own = True
            self._row = replace(self._row, started=before.started, resumed=before.resumed + 1)
        # An id that somebody chose may be chosen by another process in this moment.
        if (before is not None or self._named) and not self._store.claim(self._row):
            raise StoreError(f"run {id_} goes on in another process; wait until it ends")
        if before is not None:
            self._calls = max((call.number for call in self._store.calls(id_)), default=0)
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
            outputs=None if run.status is not Status.SUCCEEDED else _json(run.outputs),
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
                self._note(event.step, event.item, "tool", event.at, _json({**said, "round": event.round, "sample": event.sample}))
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
        self._store.put(
            replace(
                row,
                status=event.status.value,
                output=_json(event.output) if event.status is Status.SUCCEEDED else None,
                model=event.model,
                error=error,
                message=message,
                seconds=event.seconds,
                attempts=event.attempts,
                reused=event.reused,
                input_tokens=event.usage.input_tokens,
                output_tokens=event.usage.output_tokens,
                cost=None if self.run.simulated or event.cost.unknown else str(event.cost.known),
            )
        )

    def _note(self, step: str, item: int | None, kind: str, at: float, text: str) -> None:
        self._notes += 1
        self._store.put(NoteRow(self.run.id, self._notes, step, item, kind, at, _sound(text)))

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
        while (found := lookup.find(asked, rule)) is None and rule.reuse:
            flight = flights.get(asked.key)
            if flight is None or flight.get_loop() is not loop:  # what another event loop waits for cannot be waited for here
                break
            await asyncio.wait([flight])
        entry = Entry(self, asked, endpoint.name, request, number, str(rule), found)
        if found is None and rule.reuse:
            entry.fly(flights)
        return entry


class Entry:
    """One call in the record."""

    #: What is used again was paid in another run, and counts there.
    replayed = False

    def __init__(
        self,
        record: RunRecord,
        asked: Question,
        name: str,
        request: ChatRequest,
        number: int,
        cache: str,
        found: tuple[CallRow, Completion] | None,
    ) -> None:
        self._record = record
        self._store = record.recorder.store
        self._clock = record.recorder.clock
        self._asked = asked
        self._attempts = 0
        self._sent: AttemptRow | None = None
        #: When this began, and how long after that the request left, by a clock that never jumps.
        self._began = asyncio.get_running_loop().time()
        self._left = 0.0
        self._begun = False
        self._flight: tuple[dict[str, asyncio.Future[None]], asyncio.Future[None]] | None = None
        #: An answer that was paid before; then nothing is sent.
        self.reused: Completion | None = None
        self._from: CallRow | None = None
        self._row = CallRow(
            run=record.run.id,
            number=number,
            step=request.step,
            item=request.item,
            sample=request.sample,
            key=asked.key,
            again=asked.number,
            url=asked.url,
            name=name,
            model=asked.model,
            returned=None,
            cache=cache,
            request=digest(asked.body),
            reply=None,
            state="open",
            source=None,
            finish=None,
            error=None,
            message=None,
            started=self._clock(),
            seconds=None,
            input_tokens=None,
            output_tokens=None,
            cached_tokens=None,
            reasoning_tokens=None,
            cost=None,
        )
        if found is not None:
            self._reuse(*found)

    def _reuse(self, call: CallRow, completion: Completion) -> None:
        self.reused, self._from = completion, call
        self._begin()
        self._end(
            replace(
                self._row, state="reused", source=f"{call.run}:{call.number}", reply=call.reply, returned=call.returned, finish=call.finish
            )
        )

    def fly(self, flights: dict[str, asyncio.Future[None]]) -> None:
        """Let others who ask the same wait for this one."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flights[self._asked.key] = future
        self._flight = (flights, future)

    def _land(self) -> None:
        if self._flight is not None:
            flights, future = self._flight
            self._flight = None
            if flights.get(self._asked.key) is future:
                del flights[self._asked.key]
            if not future.done():
                future.set_result(None)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._store.put(Body(self._row.request, self._asked.body), self._row)

    def _end(self, row: CallRow) -> None:
        self._row = row
        self._store.put(row)

    async def sending(self) -> None:
        """Note that a request is about to leave; durable when this returns. Raises RunError, also for another call of this run."""
        self._begin()
        self._attempts += 1
        self._left = self._elapsed()
        self._sent = AttemptRow(self._row.run, self._row.number, self._attempts, "sent", self._clock())
        self._store.put(self._sent)
        await self._durable()
        if self._record.broken is not None:
            raise RunError(str(self._record.broken), kind="store")

    def attempted(self, attempt: Attempt) -> None:
        """Note how the request ended."""
        usage = attempt.usage or Usage()
        if self._sent is not None:
            self._store.put(
                replace(
                    self._sent,
                    outcome=attempt.outcome,
                    status=attempt.status,
                    seconds=attempt.seconds,
                    waited=attempt.waited,
                    first_token=attempt.first_token,
                    structured=attempt.structured,
                    message=_sound(attempt.message),
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    cost=None if attempt.cost is None else str(attempt.cost),
                )
            )
            self._sent = None

    async def answered(self, completion: Completion) -> None:
        """Note the answer; durable when this returns. Raises RunError."""
        text = written(completion)
        usage = completion.usage or Usage()
        row = replace(
            self._row,
            state="answered",
            reply=digest(text),
            returned=completion.model,
            finish=completion.finish,
            seconds=self._elapsed(),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )
        self._store.put(Body(digest(text), text))
        self._end(row)
        try:
            await self._durable()
        finally:
            self._land()

    def failed(self, error: RunError) -> None:
        """Note that there is no answer. What came of one that broke off is kept."""
        text = getattr(error, "text", "")
        reply = None
        if text:
            body = _json({"text": text, "broken": True})
            reply = digest(body)
            self._store.put(Body(reply, body))
        self._land()
        if self._begun and self._row.state == "open":  # an answer that came is never taken back
            self._end(
                replace(
                    self._row,
                    state="failed",
                    error=error.kind,
                    message=_sound(error.message),
                    reply=reply,
                    seconds=self._elapsed(),
                )
            )

    def cut(self, *, sent: bool) -> None:
        """Note that the run was cut while this was under way: what was `sent` may have been billed."""
        self._land()
        if self._sent is not None:
            message = "cut short; it may have been billed" if sent else "stopped before it left"
            seconds = self._elapsed() - self._left
            self._store.put(replace(self._sent, outcome="cancelled" if sent else "unsent", seconds=seconds, message=message))
            self._sent = None
        if self._begun and self._row.state == "open":
            self._end(replace(self._row, state="cut", seconds=self._elapsed()))

    def rejected(self) -> None:
        """Note that the answer was never accepted, so that it is not used again."""
        if self._from is not None:
            self._store.reject(self._from.run, self._from.number)
        elif self._row.state == "answered":
            self._end(replace(self._row, state="rejected"))

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _durable(self) -> None:
        try:
            await self._store.commit()
        except StoreError as error:
            self._record.broken = self._record.broken or error
            raise RunError(str(error), kind="store") from error


def _error(error: StepError | None) -> tuple[str | None, str | None]:
    return (None, None) if error is None else (error.kind, _sound(error.message))


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text if text == _sound(text) else json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _sound(text: str) -> str:
    """Return a text that UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
