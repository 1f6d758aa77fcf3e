"""Write one run as a tree: its steps, what was said in each, and how each request went. Knows no store, and obeys no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from flowkit import printable
from flowkit.console.paint import Paint
from flowkit.history import words
from flowkit.history.data import value
from flowkit.history.said import text_of
from flowkit.history.tree import CallTree, ItemTree, RunTree, Spent, StepTree
from flowkit.store import NoteRow

#: Lines of a text that are shown, and items of a step, unless all are wanted.
_LINES = 3
_ITEMS = 5
#: Columns in which the names of roles stand.
_ROLE = 10


@dataclass(frozen=True, slots=True)
class Style:
    """How much is shown, and how. `columns` is the room of a line, where texts are shortened at all."""

    columns: int
    paint: Paint
    full: bool = False
    messages: bool = True


def text(tree: RunTree, *, now: float | None, style: Style, steps: Sequence[StepTree] | None = None) -> str:
    """Return the run, or only the `steps` of it. `now` None: times without what they are relative to."""
    lines = [*_header(tree, now, style)]
    for step in tree.steps if steps is None else steps:
        lines += ["", *_step(step, style)] if style.messages else _step(step, style)
    return "\n".join(line.rstrip() for line in lines) + "\n"


# -- the run -----------------------------------------------------------------------------------------------


def _header(tree: RunTree, now: float | None, style: Style) -> Iterator[str]:
    row, paint = tree.row, style.paint
    state = paint.state(tree.status, f"{words.sign(tree.status)} {tree.status}")
    yield f"{paint.bold(printable.line(row.flow))}  {state}{' (simulated)' if row.simulated else ''}  run {row.id}"
    when = words.clock(row.started) + (f" ({words.ago(row.started, now)})" if now is not None else "")
    took = f", took {words.took(row.seconds)}" if row.seconds else ""
    resumed = f", resumed {printable.plural(row.resumed, 'time')}" if row.resumed else ""
    yield f"  {when}{took}{resumed}"
    yield f"  {words.spent(tree.spent)}"
    dirty = " with changes that were not committed" if row.dirty else ""
    facts = [f"revision {words.revision(row).rstrip('+')}{dirty}"] if row.revision else []
    facts += [f"fingerprint {row.fingerprint[: words.SHORT]}"] if row.fingerprint else []
    yield f"  {', '.join([*facts, f'flowkit {row.version}'])}"
    yield paint.pale(f"  {printable.line(row.path)}" + (f"  row {row.row} of batch {row.batch}" if row.batch else ""))
    if row.error:
        at = f" at {row.failed!r}" if row.failed else ""
        yield paint.state("failed", f"  {row.error}{at}: ") + printable.line(row.message or "")
    if style.messages:
        yield from _said("inputs", _json(row.inputs), "  ", style)
        if row.options not in {"", "{}"}:
            yield from _said("options", _json(row.options), "  ", style)


def _json(text: str) -> str:
    found = value(text)
    return printable.json_text(found) if found is not None else text


# -- steps -------------------------------------------------------------------------------------------------


def _step(step: StepTree, style: Style) -> Iterator[str]:
    row, paint = step.row, style.paint
    indent = "  " * step.depth
    name = step.name
    facts = [row.kind, *([row.model] if row.model else []), *_spent(step.spent)]
    facts += [printable.plural(row.items, "item")] if row.items is not None else []
    facts += [words.took(row.seconds)] if row.seconds else []
    mark = paint.state(step.status, words.sign(step.status))
    yield f"{indent}{mark} {paint.bold(printable.line(name))}  {paint.pale(printable.line(' · '.join(facts)))}"
    inside = f"{indent}    "
    if row.error:
        yield from _failed(step.status, row.error, row.message, inside, style)
    if not style.messages:
        return
    yield from _held(step.calls, step.notes, inside, style, _Above(row.message))
    shown = step.items if style.full else _telling(step.items)
    first = next((call.asked.messages for item in shown for call in item.calls), ())
    for item in shown:
        took = f"  {words.took(item.row.seconds)}" if item.row is not None else ""
        yield f"{inside}{paint.state(item.status, words.sign(item.status))} item {item.number + 1}{paint.pale(took)}"
        if item.row is not None and item.row.error:
            yield from _failed(item.status, item.row.error, item.row.message, f"{inside}  ", style)
        said = "" if item.row is None else item.row.message
        above = _Above(said, first if item is not shown[0] and not style.full else (), shown[0].number)
        yield from _held(item.calls, item.notes, f"{inside}  ", style, above)
    if left := len(step.items) - len(shown):
        failed = sum(item.status == "failed" for item in step.items) - sum(item.status == "failed" for item in shown)
        yield paint.pale(f"{inside}… ({printable.plural(left, 'more item')}{f', {failed} failed' if failed else ''}, --full)")
    if row.output is not None and not any(step.every_call()):
        yield from _said("output", _json(row.output), inside, style)


def _telling(items: Sequence[ItemTree]) -> Sequence[ItemTree]:
    """Return a few items: those that did not end well, else the first."""
    few = sorted(items, key=lambda item: (item.row is not None and item.row.error is None, item.number))[:_ITEMS]
    return sorted(few, key=lambda item: item.number)


def _failed(status: str, kind: str, message: str | None, indent: str, style: Style) -> Iterator[str]:
    first, *rest = printable.block(message or "").split("\n")
    yield f"{indent}{style.paint.state(status, kind)}: {first}"
    yield from (f"{indent}  {line}" for line in rest)


def _spent(found: Spent) -> list[str]:
    return [words.spent(found)] if found.calls or found.reused or found.maybe_billed else []


@dataclass(frozen=True, slots=True)
class _Above:
    """What stands above a call: an error that was `told`, and messages of item `of`, of which those that are `like` need no word."""

    told: str | None = None
    like: Sequence[Any] = ()
    of: int = 0

    def skipped(self, call: CallTree) -> tuple[int, str]:
        """Return how many of its first messages stand above, and where."""
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(call.asked.messages, self.like, strict=False)))
        return (same, f"as in item {self.of + 1}") if same > call.known else (call.known, "as before")


def _held(calls: Sequence[CallTree], notes: Sequence[NoteRow], indent: str, style: Style, above: _Above) -> Iterator[str]:
    several = len(calls) > 1
    for number, call in enumerate(calls, 1):
        yield from _call(call, number if several else None, indent, style, above)
    for note in notes:
        if note.kind == "tool":
            found = value(note.text)
            yield from _said("tool", words.tool(found) if isinstance(found, dict) else note.text, indent, style)
        else:
            yield from _said("repair", note.text, indent, style)


def _call(call: CallTree, number: int | None, indent: str, style: Style, above: _Above) -> Iterator[str]:
    row, paint = call.row, style.paint
    facts = [f"sample {row.sample + 1}"] if row.sample is not None else []
    facts += [_model(call)] if number is not None or (row.returned and row.returned != row.model) else []
    facts += [words.reuse(row)] if row.state == "reused" else []
    facts += [{"rejected": "not accepted", "cut": "cut short", "open": "no answer is known"}[row.state]] if row.state in _ODD else []
    if number is not None or facts:
        head = f"call {number}" if number is not None else "call"
        yield f"{indent}{paint.pale(printable.line(': '.join([head, ', '.join(facts)]) if facts else head))}"
    if call.asked.lost:
        yield from _said("request", "its text is no longer in the record", indent, style)
    skipped, where = above.skipped(call)
    if skipped:
        yield paint.pale(f"{indent}{'':{_ROLE}}({printable.plural(skipped, 'message')} {where})")
    for message in call.asked.messages[skipped:]:
        yield from _said(str(message.get("role", "message")), text_of(message), indent, style)
    yield from _attempts(call, indent, style)
    if row.error and row.message not in {each.message for each in call.attempts} | {above.told}:
        yield from _said("error", f"{row.error}: {row.message or ''}", indent, style)
    if call.answered is not None:
        if call.answered.completion.reasoning:
            yield from _said("reasoning", call.answered.completion.reasoning, indent, style)
        label = "broken off" if call.answered.broken else "answer"
        yield from _said(label, "its text is no longer in the record" if call.answered.lost else call.answered.text, indent, style)


_ODD = frozenset({"rejected", "cut", "open"})


def _model(call: CallTree) -> str:
    row = call.row
    return row.name if row.returned in {None, row.model} else f"{row.name}, answered by {row.returned}"


def _attempts(call: CallTree, indent: str, style: Style) -> Iterator[str]:
    """Yield requests, where there is more to say than that one was answered."""
    dull = len(call.attempts) == 1 and call.attempts[0].outcome == "ok" and call.attempts[0].waited < words.WAIT
    if dull and not style.full:
        return
    for each in call.attempts:
        said = words.attempt(each)
        yield f"{indent}{style.paint.pale(printable.pad('attempt', _ROLE))}{said if each.outcome == 'ok' else style.paint.warning(said)}"


def _said(role: str, said: str, indent: str, style: Style) -> Iterator[str]:
    """Yield a text behind a word that says whose it is, shortened unless all is wanted."""
    lines = printable.block(said).rstrip("\n").split("\n")
    shown = lines if style.full else lines[:_LINES]
    room = max(style.columns - len(indent) - _ROLE, 20)
    for at, line in enumerate(shown):
        label = style.paint.role(printable.pad(printable.line(role), _ROLE)) if at == 0 else " " * _ROLE
        yield f"{indent}{label}{line if style.full else printable.clip(line, room)}"
    hidden = len(lines) - len(shown)
    cut = any(printable.width(line) > room for line in shown) and not style.full
    if hidden:
        yield style.paint.pale(f"{indent}{'':{_ROLE}}… ({printable.plural(hidden, 'more line')}, --full)")
    elif cut and len(lines) == 1 and printable.width(lines[0]) > 2 * room:
        yield style.paint.pale(f"{indent}{'':{_ROLE}}… ({len(lines[0])} characters, --full)")
