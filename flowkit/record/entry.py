"""One call as it is kept: begun before it leaves, ended by what came, landed for those who wait for the same answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flowkit.chat import Attempt, ChatRequest, Completion, Usage
from flowkit.errors import RunError, StoreError
from flowkit.identity import Question, digest, written
from flowkit.store import AttemptRow, Body, CallRow

if TYPE_CHECKING:
    from flowkit.record import RunRecord


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
        #: What its requests cost so far; None once a price is missing.
        self._cost: Decimal | None = Decimal(0)
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
        if attempt.usage is not None:
            self._cost = None if self._cost is None or attempt.cost is None else self._cost + attempt.cost
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
                    message=sound(attempt.message),
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
            cost=None if self._cost is None or self._record.run.simulated else str(self._cost),
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
            body = json_of({"text": text, "broken": True})
            reply = digest(body)
            self._store.put(Body(reply, body))
        self._land()
        if self._begun and self._row.state == "open":  # an answer that came is never taken back
            self._end(
                replace(
                    self._row,
                    state="failed",
                    error=error.kind,
                    message=sound(error.message),
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


def json_of(value: Any) -> str:
    """Return data as JSON text that UTF-8 can carry."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text if text == sound(text) else json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def sound(text: str) -> str:
    """Return a text that UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
