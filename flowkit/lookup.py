"""Find the answer to a question in the record, by the rule for what may be used again. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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


@dataclass(slots=True)
class Recorder:
    """What all runs of a runtime share: the store, the rule for reuse, and the questions that are under way."""

    store: Store
    version: str
    clock: Callable[[], float]
    reuse: Reuse = "asked"
    flights: dict[str, asyncio.Future[None]] = field(default_factory=dict)
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
    """Knows which questions one run asked so far, so that the same one asked again is another call. `own`: the run goes on."""

    def __init__(self, store: Answers, clock: Callable[[], float], reuse: Reuse, run: Run, *, own: bool) -> None:
        self.own = own
        self._store = store
        self._clock = clock
        self._reuse = reuse
        self._run = run
        self._asked: dict[tuple[str, int | None], int] = {}

    def question(self, endpoint: Endpoint, request: ChatRequest) -> Question:
        """Return what is asked now. Raises ModelRejected when it cannot be asked."""
        first = question(endpoint, request, simulated=self._run.simulated)
        which = (first.key, request.sample)
        before = self._asked.get(which, 0)
        self._asked[which] = before + 1
        number = before * request.samples + (request.sample or 0)
        return again(first, number) if number else first

    def rule(self, cache: bool | float | None) -> Rule:
        """Return what may be used for a step. `cache` is what the flow says of it."""
        reuse = self._reuse
        if self._run.simulated or cache is False or reuse == "off":
            return Rule(False)
        if cache is None or cache is True:
            return Rule(reuse == "on" or cache is True)
        return Rule(True, float(cache))

    def find(self, asked: Question, rule: Rule) -> tuple[CallRow, Completion] | None:
        """Return the newest answer that may be used: of this very run whatever the rule, for it goes on; else as the rule says."""
        if not rule.reuse and not self.own:
            return None
        store, now = self._store, self._clock()
        for call in store.answered(asked.key):
            if call.run != self._run.id and (not rule.reuse or (rule.age is not None and not 0 <= now - call.started <= rule.age)):
                continue
            text = None if call.reply is None else store.body(call.reply)
            if text is None:
                continue
            try:
                return call, restored(text)
            except ValueError:
                continue
        return None
