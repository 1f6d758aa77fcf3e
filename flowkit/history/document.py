"""Turn trees and rows of history into JSON data, for programs. Knows what a key is called, and nothing of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowkit.history.data import moment, value
from flowkit.history.listing import Listed, ListedBatch
from flowkit.history.said import Answered
from flowkit.history.tree import CallTree, ItemTree, RunTree, Spent, StepTree
from flowkit.money import Cost
from flowkit.store import AttemptRow, NoteRow, RunRow

SCHEMA = 1


def listing(found: Sequence[Listed | ListedBatch]) -> dict[str, Any]:
    """Return the object of `runs ls --json`."""
    runs = [_listed(each) for each in found if isinstance(each, Listed)]
    return {"schema": SCHEMA, "runs": runs, "batches": [_batch(each) for each in found if isinstance(each, ListedBatch)]}


def _listed(found: Listed) -> dict[str, Any]:
    return {**header(found.row, found.status, found.spent), "steps": dict(found.steps)}


def _batch(found: ListedBatch) -> dict[str, Any]:
    row = found.row
    return {
        "batch": row.id,
        "flow": row.flow,
        "path": row.path,
        "status": found.status,
        "simulated": bool(row.simulated),
        "started": moment(row.started),
        "seconds": round(row.seconds, 6),
        "rows": row.rows,
        "succeeded": found.succeeded,
        "failed": dict(found.failed),
        "data": row.data,
        "out": row.out,
        "fingerprint": row.fingerprint,
        "version": row.version,
        **used(found.spent),
    }


def header(row: RunRow, status: str, spent: Spent) -> dict[str, Any]:
    """Return what is said of a run as a whole."""
    return {
        "run": row.id,
        "flow": row.flow,
        "path": row.path,
        "status": status,
        "simulated": bool(row.simulated),
        "started": moment(row.started),
        "seconds": round(row.seconds, 6),
        **used(spent),
        "fingerprint": row.fingerprint,
        "revision": row.revision,
        "dirty": None if row.dirty is None else bool(row.dirty),
        "version": row.version,
        "batch": row.batch,
        "row": row.row,
        "resumed": row.resumed,
        "error": error(row.error, row.message, step=row.failed),
    }


def used(spent: Spent) -> dict[str, Any]:
    """Return what was used. `cost` is None, never 0, as soon as a part of it is unknown; `cost_known` is that part's rest."""
    cost = spent.cost
    return {
        "usage": {"calls": spent.calls, "input_tokens": spent.input_tokens, "output_tokens": spent.output_tokens},
        "reused": spent.reused,
        "maybe_billed": spent.maybe_billed,
        "cost": None if cost is None else dollars(cost),
        "cost_known": None if cost is None else float(cost.known),
    }


def dollars(cost: Cost) -> float | None:
    """Return US dollars as a number, None where they are unknown."""
    return None if cost.total is None else float(cost.total)


def error(kind: str | None, message: str | None, **more: str | None) -> dict[str, Any] | None:
    """Return an error, None where there was none."""
    return None if kind is None else {"kind": kind, "message": message or "", **more}


def run(tree: RunTree, steps: Sequence[StepTree], *, messages: bool) -> dict[str, Any]:
    """Return the object of `runs show --json`."""
    row = tree.row
    return {
        "schema": SCHEMA,
        **header(row, tree.status, tree.spent),
        "inputs": value(row.inputs),
        "options": value(row.options),
        "outputs": value(row.outputs),
        "steps": [_step(step, messages=messages) for step in steps],
    }


def _step(step: StepTree, *, messages: bool) -> dict[str, Any]:
    row = step.row
    found = {
        "step": row.step,
        "item": None if row.item < 0 else row.item,
        "kind": row.kind,
        "status": step.status,
        "model": row.model,
        "at": round(row.at, 6),
        "seconds": round(row.seconds, 6),
        **used(step.spent),
        "error": error(row.error, row.message),
        "output": value(row.output),
        **_held(step.calls, step.notes, messages=messages),
    }
    if row.items is not None:
        found |= {"items": row.items, "results": [_item(item, messages=messages) for item in step.items]}
    return found


def _item(item: ItemTree, *, messages: bool) -> dict[str, Any]:
    row = item.row
    return {
        "item": item.number,
        "status": item.status,
        "at": None if row is None else round(row.at, 6),
        "seconds": None if row is None else round(row.seconds, 6),
        "error": None if row is None else error(row.error, row.message),
        **_held(item.calls, item.notes, messages=messages),
    }


def _held(calls: Sequence[CallTree], notes: Sequence[NoteRow], *, messages: bool) -> dict[str, Any]:
    return {
        "calls": [_call(call, messages=messages) for call in calls],
        "repairs": [note.text for note in notes if note.kind == "repair"],
        "tools": [value(note.text) for note in notes if note.kind == "tool"],
    }


def _call(call: CallTree, *, messages: bool) -> dict[str, Any]:
    row = call.row
    found: dict[str, Any] = {
        "call": row.number,
        "sample": row.sample,
        "state": row.state,
        "source": row.source,
        "key": row.key,
        "url": row.url,
        "name": row.name,
        "model": row.model,
        "returned": row.returned,
        "finish": row.finish,
        "started": moment(row.started),
        "seconds": None if row.seconds is None else round(row.seconds, 6),
        "usage": {
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "cached_tokens": row.cached_tokens,
            "reasoning_tokens": row.reasoning_tokens,
        },
        "error": error(row.error, row.message),
        "attempts": [attempt(each) for each in call.attempts],
    }
    if messages:
        found |= {
            "messages": None if call.asked.lost else list(call.asked.messages),
            "params": dict(call.asked.params),
            "answer": None if call.answered is None else answer(call.answered),
        }
    return found


def attempt(row: AttemptRow) -> dict[str, Any]:
    """Return one request."""
    return {
        "attempt": row.number,
        "outcome": row.outcome,
        "status": row.status,
        "started": moment(row.started),
        "seconds": None if row.seconds is None else round(row.seconds, 6),
        "waited": round(row.waited, 6),
        "first_token": None if row.first_token is None else round(row.first_token, 6),
        "structured": row.structured,
        "message": row.message,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost": None if row.cost is None else float(row.cost),
    }


def answer(found: Answered) -> dict[str, Any] | None:
    """Return a reply; None where its text is lost."""
    if found.lost:
        return None
    said = found.completion
    data: dict[str, Any] = {"text": said.text, "reasoning": said.reasoning, "refusal": said.refusal, "broken": found.broken}
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in said.tool_calls]
    extra: Mapping[str, Any] = {"tool_calls": calls, "warnings": list(said.warnings)}
    return {name: each for name, each in (data | dict(extra)).items() if each or name == "text"}
