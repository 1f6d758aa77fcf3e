"""Keep the calls of one run for its cassettes, whatever else keeps them. Changes nothing about the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flowkit.cassettes.tapes import Call
from flowkit.chat import Attempt, ChatRequest, Completion, Usage
from flowkit.endpoints import Endpoint
from flowkit.errors import ModelError, RunError
from flowkit.identity import digest, question, written
from flowkit.money import Cost
from flowkit.prices import Tariff, cost
from flowkit.runner import Entry, Ledger

#: Keeps the questions of one repeat apart from those of the next, so that none takes the answer of another from the record.
_REPEAT = 1_000_000


#: Finds what a call costs; None where nobody said it.
Price = Callable[[Endpoint, ChatRequest], Tariff | None]


@dataclass(slots=True)
class Tape:
    """What was asked and answered so far, in one run or in several that belong together: a flow and its judges.

    `usage` and `cost` are those of answers that were there before, so that nobody paid them now; `reused` is how many.
    """

    calls: list[Call] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()
    reused: int = 0
    _asked: dict[tuple[str, str, int | None, int | None], int] = field(default_factory=dict)

    def numbered(self, body: str, step: str, request: ChatRequest) -> int:
        """Return how often the same question was asked before at the same place."""
        which = (digest(body), step, request.item, request.sample)
        before = self._asked.get(which, 0)
        self._asked[which] = before + 1
        return before


def _unknown(_endpoint: Endpoint, _request: ChatRequest) -> Tariff | None:
    return None


class Recording:
    """A ledger around another one, or around none.

    `head` stands before the names of steps: the judge of a test is told from its flow. `repeat` counts runs of the same case; each has
    answers of its own.
    """

    offline = False

    def __init__(self, inner: Ledger | None, tape: Tape | None = None, *, head: str = "", repeat: int = 0, price: Price = _unknown) -> None:
        self._inner = inner
        self.tape = Tape() if tape is None else tape
        self._head = head
        self._repeat = repeat
        self.price = price

    @property
    def calls(self) -> list[Call]:
        """What was asked and answered so far."""
        return self.tape.calls

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Entry:
        """Return the entry of a call, which is kept here too when it is answered."""
        asked = question(endpoint, request)
        said: dict[str, Any] = json.loads(asked.body)
        number = self.tape.numbered(asked.body, self._head + request.step, request)
        call = Call(self._head + request.step, said, number, request.item, request.sample, asked.url)
        inner = None if self._inner is None else await self._inner.open(endpoint, self._own(request), cache=cache)
        if inner is not None and inner.reused is not None:
            self._reused(endpoint, request, inner.reused)
        return _Taped(self.tape, call, inner)

    def _reused(self, endpoint: Endpoint, request: ChatRequest, known: Completion) -> None:
        usage = known.usage or Usage(calls=1)
        self.tape.reused += 1
        self.tape.usage += usage
        self.tape.cost += Cost.of(cost(self.price(endpoint, request), usage))

    def _own(self, request: ChatRequest) -> ChatRequest:
        if not self._repeat:
            return request
        sample = self._repeat * request.samples + (request.sample or 0)
        return replace(request, sample=sample, samples=request.samples * _REPEAT)

    def knows(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Pass it on."""
        return self._inner is not None and self._inner.knows(endpoint, request, cache=cache)


class _Taped:
    """One call that is being recorded."""

    replayed = False

    def __init__(self, tape: Tape, call: Call, inner: Entry | None) -> None:
        self._tape = tape
        self._call = call
        self._inner = inner
        self._kept: Call | None = None
        self.reused = None if inner is None else inner.reused
        if self.reused is not None:
            self._keep(self.reused)

    def _keep(self, completion: Completion) -> None:
        self._kept = replace(self._call, reply=json.loads(written(replace(completion, id=None))))
        self._tape.calls.append(self._kept)

    async def sending(self) -> None:
        """Pass it on."""
        if self._inner is not None:
            await self._inner.sending()

    def attempted(self, attempt: Attempt) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.attempted(attempt)

    async def answered(self, completion: Completion) -> None:
        """Keep the answer, and pass it on."""
        self._keep(completion)
        if self._inner is not None:
            await self._inner.answered(completion)

    def failed(self, error: RunError) -> None:
        """Keep the error of a server, since what the flow did then is to be seen again, and pass it on."""
        if isinstance(error, ModelError):
            said = {"kind": error.kind, "message": error.message, "status": error.status}
            self._tape.calls.append(replace(self._call, error={k: v for k, v in said.items() if v is not None}))
        if self._inner is not None:
            self._inner.failed(error)

    def cut(self, *, sent: bool) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.cut(sent=sent)

    def anew(self) -> None:
        """Forget the answer that is of no use now, and pass it on."""
        self.reused = None
        self._tape.reused -= 1
        self._tape.calls = [call for call in self._tape.calls if call is not self._kept]
        if self._inner is not None:
            self._inner.anew()

    def rejected(self) -> None:
        """Pass it on; it was answered all the same."""
        if self._inner is not None:
            self._inner.rejected()
