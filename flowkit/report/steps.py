"""Write the steps of a run: items, calls with every message and answer, requests, repairs and tools. Knows no page around them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal

from flowkit import printable
from flowkit.history import words
from flowkit.history.data import value
from flowkit.history.said import text_of
from flowkit.history.tree import CallTree, ItemTree, Spent, StepTree
from flowkit.money import money
from flowkit.report.markup import folded, text
from flowkit.store import AttemptRow, NoteRow

#: Steps and items up to which they are open from the start.
_OPEN_STEPS, _OPEN_ITEMS = 8, 3
_KINDS = {"system": "system", "developer": "system", "user": "user", "assistant": "answer", "tool": "tool"}
_STATES = {"rejected": "not accepted", "cut": "cut short", "open": "no answer is known"}
_OUTCOMES = {"sent": "sent, nothing is known of it: maybe billed", "cancelled": "cut short: maybe billed", "unsent": "never left"}


def section(steps: Sequence[StepTree]) -> list[str]:
    """Return all steps; open those that failed, and all of them where they are few."""
    return [part for step in steps for part in _step(step, opened=len(steps) <= _OPEN_STEPS or step.status == "failed")]


def _step(step: StepTree, *, opened: bool) -> Iterator[str]:
    row = step.row
    facts = [row.kind, *([row.model] if row.model else [])]
    facts += [printable.plural(row.items, "item")] if row.items is not None else []
    facts += [words.took(row.seconds)] if row.seconds else []
    facts += _spent(step.spent)
    yield f'<details class="step"{" open" if opened else ""}><summary><span class="{text(step.status)}">{_state(step.status)}</span>'
    yield f'<b>{text(step.name)}</b><span class="fact">{text(" · ".join(facts))}</span></summary><div class="inner">'
    if row.error:
        yield _trouble(step.status, row.error, row.message)
    yield from _held(step.calls, step.notes, row.message)
    for item in step.items:
        yield from _item(item, opened=len(step.items) <= _OPEN_ITEMS or item.status == "failed")
    found = value(row.output)
    if found is not None and all(call.answered is None or call.answered.text != found for call in step.calls):
        said = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, indent=2)
        yield folded("output of the step", said, kind="plain", opened=not any(step.every_call()))
    yield "</div></details>"


def _item(item: ItemTree, *, opened: bool) -> Iterator[str]:
    took = words.took(item.row.seconds) if item.row is not None else ""
    yield f'<details class="item"{" open" if opened else ""}><summary><span class="{text(item.status)}">{_state(item.status)}</span> '
    yield f'item {item.number + 1} <span class="fact">{took}</span></summary>'
    if item.row is not None and item.row.error:
        yield _trouble(item.status, item.row.error, item.row.message)
    yield from _held(item.calls, item.notes, None if item.row is None else item.row.message)
    yield "</details>"


def _state(status: str) -> str:
    return f"{words.sign(status)} {text(status)}"


def _spent(found: Spent) -> list[str]:
    return [words.spent(found)] if found.calls or found.reused or found.maybe_billed else []


def _trouble(status: str, kind: str, message: str | None) -> str:
    odd = "" if status == "failed" else " odd"
    return f'<p class="trouble{odd}"><b>{text(kind)}</b>: {text(message or "")}</p>'


def _held(calls: Sequence[CallTree], notes: Sequence[NoteRow], told: str | None) -> Iterator[str]:
    """Yield calls and notes. An error with the message that was `told` already is not told again."""
    for number, call in enumerate(calls, 1):
        yield from _call(call, f"call {number}" if len(calls) > 1 else "call", told)
    for note in notes:
        found = value(note.text) if note.kind == "tool" else None
        if isinstance(found, dict):
            called = f"{found.get('name', '')}({printable.json_text(found.get('arguments'))})"
            said = f"{called}\n\n{found.get('error') or found.get('result', '')}"
            yield folded("tool", said, kind="wrong" if found.get("error") else "tool", note=f"round {found.get('round', 1)}")
        else:
            yield folded("repair", note.text, kind="tool")


def _call(call: CallTree, name: str, told: str | None) -> Iterator[str]:
    row = call.row
    yield f'<div class="asked"><p class="head"><b>{name}</b> <span class="fact">{text(" · ".join(_facts(call)))}</span></p>'
    if call.asked.lost:
        yield '<p class="nothing">the text of the request is no longer in the record</p>'
    elif call.known:
        yield f'<p class="nothing">{printable.plural(call.known, "message")} as in the call before, then:</p>'
    for message in call.asked.messages[call.known :]:
        role = str(message.get("role", "message"))
        yield folded(role, text_of(message), kind=_KINDS.get(role, "plain"))
    if call.asked.params:
        yield folded("parameters", json.dumps(call.asked.params, ensure_ascii=False, indent=2), kind="plain", opened=False)
    if len(call.attempts) > 1 or any(each.outcome != "ok" for each in call.attempts):
        yield from _attempts(call.attempts)
    if row.error and row.message != told:
        yield _trouble("failed", row.error, row.message)
    yield from _answer(call)
    yield "</div>"


def _facts(call: CallTree) -> Iterator[str]:
    row = call.row
    yield row.name
    if row.returned and row.returned != row.model:
        yield f"answered by {row.returned}"
    if row.sample is not None:
        yield f"sample {row.sample + 1}"
    if row.state == "reused":
        yield words.reuse(row)
    elif row.state in _STATES:
        yield _STATES[row.state]
    if row.seconds is not None and row.state != "reused":
        yield words.took(row.seconds)
    if row.state != "reused":
        yield from (each for each in (words.tokens(call.spent), words.cost(call.spent)) if each)
    if row.cached_tokens:
        yield f"{printable.count(row.cached_tokens)} tokens from the server's cache"
    if row.finish and row.finish != "stop":
        yield f"ended with {row.finish}"


def _answer(call: CallTree) -> Iterator[str]:
    found = call.answered
    if found is None:
        return
    if found.lost:
        yield '<p class="nothing">the text of the answer is no longer in the record</p>'
        return
    if found.completion.reasoning:
        yield folded("reasoning", found.completion.reasoning, kind="plain", opened=False)
    bad = found.broken or call.row.state == "rejected"
    yield folded("broken off" if found.broken else "answer", found.text, kind="wrong" if bad else "answer")
    for warning in found.completion.warnings:
        yield folded("odd", warning, kind="tool")


def _attempts(attempts: Sequence[AttemptRow]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr><th>attempt</th><th>outcome</th><th class="n">status</th><th class="n">waited</th>'
    yield '<th class="n">took</th><th class="n">first token</th><th class="n">cost</th><th>said</th></tr></thead><tbody>'
    for each in attempts:
        state = "succeeded" if each.outcome == "ok" else "failed"
        yield f'<tr><td>{each.number}</td><td class="{state}">{text(_OUTCOMES.get(each.outcome, each.outcome))}</td>'
        cells = (
            "" if each.status is None else str(each.status),
            words.took(each.waited) if each.waited >= words.WAIT else "",
            "" if each.seconds is None else words.took(each.seconds),
            "" if each.first_token is None else words.took(each.first_token),
            "" if each.cost is None else money(Decimal(each.cost)),
        )
        yield "".join(f'<td class="n">{text(cell)}</td>' for cell in cells)
        yield f"<td>{text(each.message)}</td></tr>"
    yield "</tbody></table></div>"
