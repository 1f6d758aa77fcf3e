"""Write what changed between two runs. Knows no store, and obeys no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from flowkit import printable
from flowkit.console.paint import Paint
from flowkit.history import words
from flowkit.history.changes import Fact, RunChange, StepChange
from flowkit.money import money
from flowkit.store import RunRow

#: Facts that are shown although they are the same.
_ALWAYS = frozenset({"status", "seconds", "calls", "cost"})
_NAME = 14
#: Lines of a diff that are shown unless all are wanted.
_LINES = 24
_ONLY = {"first": "only in the first run", "second": "only in the second run"}


def text(before: RunRow, now: RunRow, found: RunChange, *, paint: Paint, full: bool) -> str:
    """Return what changed; what did not is a line."""
    lines = [
        f"{paint.removed('-')} {before.id}  {words.clock(before.started)}  {printable.line(before.flow)}",
        f"{paint.added('+')} {now.id}  {words.clock(now.started)}  {printable.line(now.flow)}",
        "",
        *_facts(found.facts, "  ", paint),
    ]
    for diff in (found.inputs, found.sources, found.outputs):
        lines += _diff(diff, "  ", paint, full=full)
    for step in found.steps:
        lines += ["", *_step(step, paint, full=full)] if not step.same else _step(step, paint, full=full)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _step(step: StepChange, paint: Paint, *, full: bool) -> Iterator[str]:
    name = paint.bold(printable.line(step.step) + ("" if step.item is None else f", item {step.item + 1}"))
    if step.where != "both":
        yield f"{'-' if step.where == 'first' else '+'} {name}  {_ONLY[step.where]}"
        return
    if step.same:
        yield f"= {name}  {paint.pale('the same')}"
        return
    yield f"~ {name}"
    yield from _facts(step.facts, "    ", paint)
    for setting in step.settings:
        yield from _fact(setting, "    ", paint)
    yield from _diff(step.messages, "    ", paint, full=full)
    yield from _diff(step.output, "    ", paint, full=full)


def _facts(facts: Sequence[Fact], indent: str, paint: Paint) -> Iterator[str]:
    for fact in facts:
        if not fact.same or (fact.name in _ALWAYS and fact.now is not None):
            yield from _fact(fact, indent, paint)


def _fact(fact: Fact, indent: str, paint: Paint) -> Iterator[str]:
    label = paint.pale(printable.pad(printable.line(fact.name), _NAME))
    before, now = (_shown(each, dollars=fact.name == "cost") for each in (fact.before, fact.now))
    if fact.same:
        yield f"{indent}{label}{now}"
    elif len(before) + len(now) < 80:
        yield f"{indent}{label}{paint.removed(before)} → {paint.added(now)}"
    else:
        yield f"{indent}{label}{paint.removed(f'- {before}')}"
        yield f"{indent}{'':{_NAME}}{paint.added(f'+ {now}')}"


def _shown(found: Any, *, dollars: bool) -> str:
    if dollars:
        return money(None if found is None else Decimal(str(found)))
    if found is None:
        return "none"
    return printable.line(found) if isinstance(found, str) else printable.json_text(found)


def _diff(lines: Sequence[str], indent: str, paint: Paint, *, full: bool) -> Iterator[str]:
    shown = lines if full else lines[:_LINES]
    for line in shown:
        said = printable.line(line)
        if line.startswith(("---", "+++", "@@")):
            yield f"{indent}{paint.pale(said)}"
        else:
            ink = {"-": paint.removed, "+": paint.added}.get(line[:1], str)
            yield f"{indent}{ink(said)}"
    if len(shown) < len(lines):
        yield paint.pale(f"{indent}… ({printable.plural(len(lines) - len(shown), 'more line')}, --full)")
