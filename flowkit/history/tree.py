"""Put the rows of one run together: the run, its steps, their items, calls, requests and notes. Knows no database and no screen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from flowkit.chat import Usage
from flowkit.history.said import Answered, Asked, answered, asked
from flowkit.money import Cost
from flowkit.store import MAYBE_BILLED, AttemptRow, CallRow, ItemRow, NoteRow, Paid, RunRow, StepRow

_T = TypeVar("_T")


class Kept(Protocol):
    """What is read of a store."""

    def alive(self, session: str) -> bool:
        """Whether the process of a session still runs."""

    def paid(self, batch: str) -> Paid:
        """Return what all rows of a batch took so far."""

    def steps(self, run: str) -> list[StepRow]:
        """Return the steps of a run that began."""

    def items(self, run: str) -> list[ItemRow]:
        """Return the items of a run that ended."""

    def calls(self, run: str) -> list[CallRow]:
        """Return the calls of a run in their order."""

    def attempts(self, run: str) -> list[AttemptRow]:
        """Return the requests of a run in their order."""

    def notes(self, run: str) -> list[NoteRow]:
        """Return the notes of a run in their order."""

    def body(self, name: str) -> str | None:
        """Return a text by its digest."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used: calls that were answered now and before, tokens, US dollars, and calls that may have been billed for nothing."""

    calls: int = 0
    reused: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    #: None where nothing is paid, because it is simulated.
    cost: Cost | None = None
    maybe_billed: int = 0


@dataclass(frozen=True, slots=True)
class CallTree:
    """One question, as it was sent, and what came of it. Its first `known` messages are those of the question before it."""

    row: CallRow
    asked: Asked
    answered: Answered | None
    attempts: tuple[AttemptRow, ...]
    known: int = 0
    simulated: bool = False

    @property
    def spent(self) -> Spent:
        """What its requests used."""
        return spent(self.attempts, reused=int(used_again(self.row)), simulated=self.simulated)


@dataclass(frozen=True, slots=True)
class ItemTree:
    """One item of a `foreach`. `row` is None as long as it did not end."""

    number: int
    row: ItemRow | None
    calls: tuple[CallTree, ...]
    notes: tuple[NoteRow, ...]

    @property
    def status(self) -> str:
        """How it ended, or that it did not."""
        return "running" if self.row is None else self.row.status


@dataclass(frozen=True, slots=True)
class StepTree:
    """One step, or one of its runs where it stands in a sub-flow that runs once per item."""

    row: StepRow
    status: str
    items: tuple[ItemTree, ...]
    calls: tuple[CallTree, ...]
    notes: tuple[NoteRow, ...]

    @property
    def name(self) -> str:
        """The path of the step, with the item of the step that runs its sub-flow."""
        return self.row.step if self.row.item < 0 else f"{self.row.step}, item {self.row.item + 1}"

    @property
    def depth(self) -> int:
        """How many sub-flows it is inside of."""
        return self.row.step.count("/")

    def every_call(self) -> Iterable[CallTree]:
        """Yield its calls, those of items too."""
        yield from self.calls
        for item in self.items:
            yield from item.calls

    @property
    def spent(self) -> Spent:
        """What its own calls used."""
        calls = list(self.every_call())
        reused = sum(used_again(call.row) for call in calls)
        return spent([each for call in calls for each in call.attempts], reused=reused, simulated=any(call.simulated for call in calls))


@dataclass(frozen=True, slots=True)
class RunTree:
    """One run with all that is kept of it. `sources` are the texts of its files by their path."""

    row: RunRow
    status: str
    spent: Spent
    steps: tuple[StepTree, ...]
    sources: Mapping[str, str]

    def step(self, name: str) -> tuple[StepTree, ...]:
        """Return a step by its path, in all of its runs; none where there is none."""
        return tuple(step for step in self.steps if step.row.step == name)


def status_of(row: RunRow, kept: Kept) -> str:
    """Return how a run stands: one whose process died in the middle was interrupted, though nobody could write that down."""
    return "interrupted" if row.status == "running" and not kept.alive(row.session) else row.status


def used_again(call: CallRow) -> bool:
    """Whether the answer of another run was taken; what a run that went on had answered itself is its own."""
    return call.state == "reused" and not went_on(call)


def went_on(call: CallRow) -> bool:
    """Whether a run took up an answer that it had before it went on."""
    return call.state == "reused" and (call.source or "").partition(":")[0] == call.run


def spent_by(row: RunRow, kept: Kept) -> Spent:
    """Return what a run used. Its own row tells only of what its last process saw to the end."""
    if row.status == "succeeded" and not row.resumed:
        cost = None if row.simulated else Cost(Decimal(row.cost or 0), row.unpriced)
        return Spent(row.calls, row.reused, row.input_tokens, row.output_tokens, cost)
    calls = kept.calls(row.id)
    reused = sum(used_again(call) for call in calls)
    return spent(kept.attempts(row.id), reused=reused, simulated=bool(row.simulated))


def spent(attempts: Sequence[AttemptRow], *, reused: int = 0, simulated: bool = False) -> Spent:
    """Return what requests used. Of those that may have been billed nobody knows the cost; those that are simulated have none."""
    usage, cost = Usage(), Cost()
    for each in attempts:
        usage += Usage(each.input_tokens, each.output_tokens, calls=int(each.outcome == "ok"))
        if each.cost is not None:
            cost += Cost(Decimal(each.cost))
        elif each.outcome == "ok" or _maybe_billed(each):
            cost += Cost.of(None)
    maybe = sum(map(_maybe_billed, attempts))
    if simulated:
        return Spent(usage.calls, reused, usage.input_tokens, usage.output_tokens)
    return Spent(usage.calls, reused, usage.input_tokens, usage.output_tokens, cost, maybe)


def _maybe_billed(attempt: AttemptRow) -> bool:
    return attempt.outcome in MAYBE_BILLED and attempt.input_tokens is None and attempt.output_tokens is None


def tree(kept: Kept, row: RunRow, *, bodies: bool = True) -> RunTree:
    """Return one run whole; without `bodies`, no text of a request or reply is read. Raises StoreError."""
    status = status_of(row, kept)
    texts: Callable[[str], str | None] = kept.body if bodies else lambda _: None
    attempts: dict[int, list[AttemptRow]] = {}
    for each in kept.attempts(row.id):
        attempts.setdefault(each.call, []).append(each)
    calls = _Grouped((call.row.step, call.row.item, call) for call in _calls(row, kept.calls(row.id), attempts, texts))
    notes = _Grouped((note.step, note.item, note) for note in kept.notes(row.id))
    items: dict[str, list[ItemRow]] = {}
    for item in kept.items(row.id):
        items.setdefault(item.step, []).append(item)
    steps = []
    for step in _ordered(kept.steps(row.id)):
        ended = items.pop(step.step, []) if step.items is not None else []
        state = "interrupted" if step.status == "running" and status != "running" else step.status
        steps.append(StepTree(step, state, *_parts(step, ended, calls, notes)))
    whole = [each for those in attempts.values() for each in those]
    reused = sum(used_again(call.row) for step in steps for call in step.every_call())
    found = spent(whole, reused=reused, simulated=bool(row.simulated))
    return RunTree(row, status, found, tuple(steps), _sources(None if row.source is None else kept.body(row.source)))


def _parts(
    step: StepRow, ended: Sequence[ItemRow], calls: _Grouped[CallTree], notes: _Grouped[NoteRow]
) -> tuple[tuple[ItemTree, ...], tuple[CallTree, ...], tuple[NoteRow, ...]]:
    """Return the items of a step with what belongs to each, and what belongs to none of them."""
    if step.items is None:
        which = None if step.item < 0 else step.item
        return (), calls.take(step.step, which), notes.take(step.step, which)
    rows = {item.item: item for item in ended}
    numbers = sorted(rows.keys() | calls.items(step.step) | notes.items(step.step))
    items = tuple(ItemTree(n, rows.get(n), calls.take(step.step, n), notes.take(step.step, n)) for n in numbers)
    return items, calls.take(step.step, None), notes.take(step.step, None)


class _Grouped(Generic[_T]):
    """What belongs to steps and items, each taken once: of a run inside several items only one number is kept, or none."""

    def __init__(self, found: Iterable[tuple[str, int | None, _T]]) -> None:
        self._held: dict[str, dict[int | None, list[_T]]] = {}
        for step, item, each in found:
            self._held.setdefault(step, {}).setdefault(item, []).append(each)

    def items(self, step: str) -> set[int]:
        """Return the items of a step that something is left of."""
        return {item for item in self._held.get(step, {}) if item is not None}

    def take(self, step: str, item: int | None) -> tuple[_T, ...]:
        """Return what belongs there, in its order, and forget it."""
        return tuple(self._held.get(step, {}).pop(item, ()))


def _calls(
    run: RunRow, rows: Sequence[CallRow], attempts: Mapping[int, Sequence[AttemptRow]], body: Callable[[str], str | None]
) -> Iterable[CallTree]:
    before: dict[tuple[str, int | None, int | None], Asked] = {}
    for row in rows:
        request = asked(body(row.request))
        turn = (row.step, row.item, row.sample)
        last = before.get(turn, request).messages
        known = len(last) if turn in before and request.messages[: len(last)] == last else 0
        before[turn] = request
        reply = None if row.reply is None else answered(body(row.reply))
        yield CallTree(row, request, reply, tuple(attempts.get(row.number, ())), known, bool(run.simulated))


def _ordered(rows: Sequence[StepRow]) -> list[StepRow]:
    """Return steps as they began, those of a sub-flow below the step that runs it, item by item."""
    known = {row.step for row in rows}
    inside: dict[str, list[StepRow]] = {}
    for row in rows:
        parent = row.step.rpartition("/")[0]
        while parent and parent not in known:  # the flow of a tool: `step/tool/inner`, where no row stands for the tool
            parent = parent.rpartition("/")[0]
        inside.setdefault(parent, []).append(row)
    found: list[StepRow] = []

    def add(parent: str) -> None:
        below = sorted(inside.pop(parent, ()), key=lambda row: (row.item, row.at))
        last = {row.step: place for place, row in enumerate(below)}
        for place, row in enumerate(below):
            found.append(row)
            if last[row.step] == place:
                add(row.step)

    add("")
    return found


def _sources(text: str | None) -> Mapping[str, str]:
    try:
        found = json.loads(text) if text is not None else {}
    except ValueError:
        return {}
    return {str(name): str(said) for name, said in found.items()} if isinstance(found, dict) else {}
