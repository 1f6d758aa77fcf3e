"""Keep, from the events of a run, what each step is doing now. Knows no clock and no screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowkit.console.spent import Spent
from flowkit.events import (
    AnswerRepaired,
    AttemptFailed,
    Event,
    ItemFinished,
    RunFinished,
    RunStarted,
    StepDelta,
    StepFinished,
    StepStarted,
    ToolFinished,
)
from flowkit.results import Run, Status, StepError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Wait:
    """A request that will be made again at `until` seconds of the run, and the kind of error that it failed with."""

    until: float
    kind: str


@dataclass(slots=True)
class Row:
    """One step as it stands. A step of a sub-flow that runs once per item of its caller is one row, `begun` and `ended` often."""

    id: str
    status: Status = Status.PENDING
    begun: int = 0
    ended: int = 0
    started: float | None = None
    seconds: float | None = None
    #: Of a `foreach`: how many there are, how many ended, how many of these failed.
    items: int | None = None
    done: int = 0
    lost: int = 0
    spent: Spent = field(default_factory=Spent)
    #: Requests in all, known at the end; the number of the last one that failed; failed ones so far.
    attempts: int = 0
    last_attempt: int = 0
    retries: int = 0
    waiting: dict[int | None, Wait] = field(default_factory=dict)
    #: Characters of streamed text so far.
    received: int = 0
    repairs: int = 0
    tools: int = 0
    cached: bool = False
    error: StepError | None = None

    @property
    def depth(self) -> int:
        """How many sub-flows the step is inside of."""
        return self.id.count("/")

    @property
    def progress(self) -> tuple[int, int] | None:
        """How many of how many are done, of a step that is many; else None."""
        if self.items is not None:
            return self.done, self.items
        return (self.ended, self.begun) if self.begun > 1 else None

    def elapsed(self, now: float) -> float | None:
        """Return seconds from its start until now or its end; None before."""
        if self.status is Status.RUNNING and self.started is not None:
            return now - self.started
        return self.seconds

    def next_wait(self, now: float) -> Wait | None:
        """Return the request that is made again first, of those that still wait."""
        return min((wait for wait in self.waiting.values() if wait.until > now), key=lambda wait: wait.until, default=None)


class Board:
    """The state of a run, brought up to date by each event in turn."""

    def __init__(self) -> None:
        self.flow = ""
        self.simulated = False
        #: The run, once it is over.
        self.run: Run | None = None
        self.rows: dict[str, Row] = {}
        self._order: list[str] = []

    def apply(self, event: Event) -> None:
        """Take one event."""
        match event:
            case RunStarted():
                self.flow, self.simulated = event.flow, event.simulated
                self._order = list(event.steps)
                self.rows = {id_: Row(id_) for id_ in event.steps}
            case StepStarted():
                _start(self._row(event.step), event)
            case StepDelta():
                row = self._row(event.step)
                row.received += len(event.text)
                row.waiting.pop(event.item, None)
            case AttemptFailed():
                row = self._row(event.step)
                row.last_attempt, row.retries = event.attempt.number, row.retries + 1
                row.waiting.pop(event.item, None)
                if event.delay is not None:
                    row.waiting[event.item] = Wait(event.at + event.delay, event.attempt.outcome)
            case AnswerRepaired():
                self._row(event.step).repairs += 1
            case ToolFinished():
                self._row(event.step).tools += 1
            case ItemFinished():
                row = self._row(event.step)
                row.done += 1
                row.lost += event.status is Status.FAILED
                row.spent += Spent.of(event)
                row.waiting.pop(event.item, None)
            case StepFinished():
                _finish(self._row(event.step), event)
            case RunFinished():
                self.run = event.run
                for row in self.rows.values():
                    if row.status is Status.RUNNING:
                        row.status, row.seconds = Status.FAILED, event.at - (row.started or 0.0)
                        row.error = StepError("cancelled", "the run ended first")

    def ordered(self) -> Iterable[Row]:
        """Yield all steps in the order in which they could run, those of a sub-flow below the step that runs it."""
        return (self.rows[id_] for id_ in self._order)

    def spent(self) -> Spent:
        """Return what the run has spent as far as it is known: of a step that ended, else of its items, else of the steps inside it."""
        if self.run is not None:
            return Spent.by(self.run)
        inside: dict[str, Spent] = {}
        for id_ in reversed(self._order):  # the steps inside a step come before it here
            row = self.rows[id_]
            known = row.spent if row.ended or row.spent else inside.get(id_, row.spent)
            parent = id_.rpartition("/")[0]
            if known:
                inside[parent] = inside[parent] + known if parent in inside else known
        return inside.get("", Spent())

    def _row(self, id_: str) -> Row:
        """Return the row of a step; that of a step inside a sub-flow is made when the step is first heard of."""
        row = self.rows.get(id_)
        if row is None:
            row = self.rows[id_] = Row(id_)
            self._order.insert(self._end_of(id_.rpartition("/")[0]), id_)
        return row

    def _end_of(self, parent: str) -> int:
        """Return the position behind a step and all that is inside it."""
        if parent not in self.rows:
            return len(self._order)
        position = self._order.index(parent) + 1
        while position < len(self._order) and self._order[position].startswith(f"{parent}/"):
            position += 1
        return position


def _start(row: Row, event: StepStarted) -> None:
    if event.item is not None and row.items is not None:
        return  # one item of a foreach, whose step has begun already
    row.begun += 1
    row.status = Status.RUNNING
    if row.started is None:
        row.started = event.at
    if event.items is not None:
        row.items = (row.items or 0) + event.items


def _finish(row: Row, event: StepFinished) -> None:
    row.ended += 1
    row.attempts += event.attempts
    row.cached = event.cached and (row.cached or row.ended == 1)
    row.waiting.clear()
    if event.error is not None:
        row.error = event.error
    if row.begun <= 1:
        row.status, row.seconds, row.spent = event.status, event.seconds, Spent.of(event)
        return
    if row.items is None:
        row.spent += Spent.of(event)
    if row.ended >= row.begun:
        row.status = Status.FAILED if row.error is not None else event.status
        row.seconds = event.at - (row.started or 0.0)
