"""Find the answer to a question in the record, by the rule for what may be used again. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from flowkit.chat import ChatRequest, Completion
from flowkit.endpoints import Endpoint
from flowkit.identity import Question, again, question, restored
from flowkit.results import Run
from flowkit.store import Answers, CallRow, Store

#: What may be used again: `on` all, `off` nothing but what a run that goes on had itself,
#: `asked` where the flow says `cache: true` or an age.
Reuse: TypeAlias = Literal["on", "off", "asked"]


#: The run that asks a question now, and what ends when it has its answer or none.
Flight: TypeAlias = tuple[str, asyncio.Future[None]]
#: Where a question stands: its step, its item, its sample.
Place: TypeAlias = tuple[str, int | None, int | None]
#: More than a step can have samples.
SAMPLES = 10_000


@dataclass(slots=True)
class Recorder:
    """What all runs of a runtime share: the store, the rule for reuse, and the questions that are under way."""

    store: Store
    version: str
    clock: Callable[[], float]
    reuse: Reuse = "asked"
    flights: dict[str, Flight] = field(default_factory=dict)
    #: Ids of runs that go on in this process.
    running: set[str] = field(default_factory=set)
    #: Why the record could not be written, as the run that failed for it says.
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether answers of other runs may be used for a call, and up to which age in seconds."""

    reuse: bool
    age: float | None = None

    def __str__(self) -> str:
        return f"{self.age:g}" if self.age is not None else "on" if self.reuse else "off"


class Lookup:
    """Knows what one run asked so far and which answers it took, so that the record never makes one call of two.

    The same question asked again at one place (a step, its item, its sample) has the next number, as the rounds of a `repeat` do. At two
    places it is two calls: each takes an answer of its own, first the one that was given at the same place, whichever comes first.
    `before`: the run goes on, and had so many calls.
    """

    def __init__(self, store: Answers, clock: Callable[[], float], reuse: Reuse, run: Run, *, before: int = 0) -> None:
        self.before = before
        self._store = store
        self._clock = clock
        self._reuse = reuse
        self._run = run
        self._asked: dict[tuple[str, Place], int] = {}
        self._taken: set[tuple[str, int]] = set()

    def question(self, endpoint: Endpoint, request: ChatRequest) -> Question:
        """Return what is asked now. Raises ModelRejected when it cannot be asked."""
        first = question(endpoint, request, simulated=self._run.simulated)
        which = (first.key, _place(request))
        number = self._asked.get(which, 0)
        self._asked[which] = number + 1
        return self._numbered(first, number, request)

    def _numbered(self, first: Question, number: int, request: ChatRequest) -> Question:
        number = number * SAMPLES + (request.sample or 0)
        return again(first, number) if number else first

    def knows(self, endpoint: Endpoint, request: ChatRequest, rule: Rule) -> bool:
        """Whether there is an answer to what may be asked next; it is neither counted nor taken."""
        first = question(endpoint, request, simulated=self._run.simulated)
        asked = self._numbered(first, self._asked.get((first.key, _place(request)), 0), request)
        return next(self._usable(asked, rule, _place(request)), None) is not None

    def rule(self, cache: bool | float | None) -> Rule:
        """Return what may be used for a step. `cache` is what the flow says of it."""
        reuse = self._reuse
        if self._run.simulated or cache is False or reuse == "off":
            return Rule(False)
        if cache is None or cache is True:
            return Rule(reuse == "on" or cache is True)
        return Rule(True, float(cache))

    def find(self, asked: Question, rule: Rule, request: ChatRequest) -> tuple[CallRow, Completion] | None:
        """Return the answer that may be used, and take it: the newest of the same place, else the newest of any."""
        found = next(self._usable(asked, rule, _place(request)), None)
        if found is not None:
            self._taken.add((found[0].run, found[0].number))
        return found

    def _usable(self, asked: Question, rule: Rule, place: Place) -> Iterator[tuple[CallRow, Completion]]:
        if not rule.reuse and not self.before:
            return
        now, run = self._clock(), self._run.id
        rows = sorted(self._store.answered(asked.key), key=lambda call: (call.step, call.item, call.sample) != place)
        for call in rows:
            own = call.run == run and call.number <= self.before
            if (call.run, call.number) in self._taken or (call.run == run and not own):
                continue
            same = own and (call.step, call.item, call.sample) == place
            if not same and (not rule.reuse or (rule.age is not None and not 0 <= now - call.started <= rule.age)):
                continue
            text = None if call.reply is None else self._store.body(call.reply)
            if text is None:
                continue
            try:
                yield call, restored(text)
            except ValueError:
                continue


def _place(request: ChatRequest) -> Place:
    return request.step, request.item, request.sample
