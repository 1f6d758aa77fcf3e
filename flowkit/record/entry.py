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
from flowkit.lookup import SAMPLES, Flight
from flowkit.store import AttemptRow, Body, CallRow

if TYPE_CHECKING:
    from flowkit.record import RunRecord
    from flowkit.store.rows import Row

#: What a request used that no server counted, and what none cost.
_NONE = Usage()
_FREE = Decimal(0)


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
        self._run = record.run.id
        self._number = number
        self._asked = asked
        self._name = name
        self._request = request
        self._body = digest(asked.body)
        self._cache = cache
        self._started = self._clock()
        self._attempts = 0
        #: The request that is under way: its number, and when it left by the clock for people.
        self._sent: tuple[int, float] | None = None
        #: When this began, and how long after that the request left, by a clock that never jumps.
        self._began = asyncio.get_running_loop().time()
        self._left = 0.0
        #: What is kept of it now; None before it is.
        self._row: CallRow | None = None
        #: What its requests cost so far; None once a price is missing.
        self._cost: Decimal | None = _FREE
        self._flight: tuple[dict[str, Flight], asyncio.Future[None]] | None = None
        #: An answer that was paid before; then nothing is sent.
        self.reused: Completion | None = None
        if found is not None:
            self._reuse(*found)

    def _reuse(self, call: CallRow, completion: Completion) -> None:
        self.reused = completion
        row = self._as("reused", source=f"{call.run}:{call.number}", reply=call.reply, returned=call.returned, finish=call.finish)
        self._store.put(Body(self._body, self._asked.body), row)

    def _as(
        self,
        state: str,
        *,
        returned: str | None = None,
        reply: str | None = None,
        source: str | None = None,
        finish: str | None = None,
        error: str | None = None,
        message: str | None = None,
        seconds: float | None = None,
        usage: Usage = _NONE,
        cost: str | None = None,
    ) -> CallRow:
        """Return the row as it is from now on. It is written out, since `replace` takes three times as long."""
        asked, request = self._asked, self._request
        self._row = CallRow(
            self._run,
            self._number,
            request.step,
            request.item,
            request.sample,
            asked.key,
            asked.number // SAMPLES * request.samples + asked.number % SAMPLES,
            asked.url,
            self._name,
            asked.model,
            returned,
            self._cache,
            self._body,
            reply,
            state,
            source,
            finish,
            error,
            message,
            self._started,
            seconds,
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            cost,
        )
        return self._row

    def fly(self, flights: dict[str, Flight]) -> None:
        """Let other runs that ask the same wait for this one."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flights[self._asked.key] = (self._run, future)
        self._flight = (flights, future)

    def _land(self) -> None:
        if self._flight is not None:
            flights, future = self._flight
            self._flight = None
            if flights.get(self._asked.key, (None, None))[1] is future:
                del flights[self._asked.key]
            if not future.done():
                future.set_result(None)

    @property
    def _open(self) -> bool:
        """Whether it is kept, and has not ended. An answer that came is never taken back."""
        return self._row is not None and self._row.state == "open"

    async def sending(self) -> None:
        """Note that a request is about to leave; durable when this returns. Raises RunError, also for another call of this run."""
        self._attempts += 1
        self._left = self._elapsed()
        self._sent = self._attempts, self._clock()
        sent = AttemptRow(self._run, self._number, self._attempts, "sent", self._sent[1])
        if self._row is None:
            await self._durable(Body(self._body, self._asked.body), self._as("open"), sent)
        else:
            await self._durable(sent)
        if self._record.broken is not None:
            raise RunError(str(self._record.broken), kind="store")

    def attempted(self, attempt: Attempt) -> None:
        """Note how the request ended."""
        usage = attempt.usage or _NONE
        if attempt.usage is not None:
            self._cost = None if self._cost is None or attempt.cost is None else self._cost + attempt.cost
        if self._sent is not None:
            number, at = self._sent
            self._sent = None
            self._store.put(
                AttemptRow(
                    self._run,
                    self._number,
                    number,
                    attempt.outcome,
                    at,
                    attempt.status,
                    attempt.seconds,
                    attempt.waited,
                    attempt.first_token,
                    attempt.structured,
                    sound(attempt.message),
                    usage.input_tokens,
                    usage.output_tokens,
                    None if attempt.cost is None else str(attempt.cost),
                )
            )

    async def answered(self, completion: Completion) -> None:
        """Note the answer; durable when this returns. Raises RunError."""
        text = written(completion)
        reply = digest(text)
        row = self._as(
            "answered",
            reply=reply,
            returned=completion.model,
            finish=completion.finish,
            seconds=self._elapsed(),
            usage=completion.usage or _NONE,
            cost=None if self._cost is None or self._record.run.simulated else str(self._cost),
        )
        try:
            await self._durable(Body(reply, text), row)
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
        if self._open:
            self._store.put(self._as("failed", error=error.kind, message=sound(error.message), reply=reply, seconds=self._elapsed()))

    def cut(self, *, sent: bool) -> None:
        """Note that the run was cut while this was under way: what was `sent` may have been billed."""
        self._land()
        if self._sent is not None:
            outcome, message = ("cancelled", "cut short; it may have been billed") if sent else ("unsent", "stopped before it left")
            number, at = self._sent
            self._sent = None
            seconds = self._elapsed() - self._left
            self._store.put(AttemptRow(self._run, self._number, number, outcome, at, seconds=seconds, message=message))
        if self._open:
            self._store.put(self._as("cut", seconds=self._elapsed()))

    def anew(self) -> None:
        """Ask although there was an answer: it is of no use now. That of the other run stays what it was there."""
        self.reused = self._row = None

    def rejected(self) -> None:
        """Note that the answer was never accepted, so that it is not used again. One of another run was accepted there."""
        if self._row is not None and self._row.state == "answered":
            self._row = replace(self._row, state="rejected")
            self._store.put(self._row)

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _durable(self, *rows: Row) -> None:
        try:
            await self._store.commit(*rows)
        except StoreError as error:
            self._record.broken = self._record.broken or error
            self._record.recorder.told = str(error)
            raise RunError(str(error), kind="store") from error


def json_of(value: Any) -> str:
    """Return data as JSON text that UTF-8 can carry."""
    text = _ENCODER.encode(value)
    return text if text.isascii() or text == sound(text) else json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


#: Made once: to make one takes longer than to write a small value.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


def sound(text: str) -> str:
    """Return a text that UTF-8 can carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
