"""Turn what a step was asked and what it answered into lines of a data set, for tuning and for evaluation. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from flowkit.history.data import value
from flowkit.history.said import Answered
from flowkit.history.tree import CallTree, RunTree, StepTree

#: States of calls whose answer was taken, now or when it was paid for.
_TAKEN = frozenset({"answered", "reused"})
#: How flowkit begins to say that an answer is not what was asked for.
_AGAIN = ("Your answer does not have the form", "Your answer was not accepted")


def lines(run: RunTree, step: StepTree, *, everything: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of a call and its line, for each answer of a step that was accepted; with `everything`, for each that came."""
    output = value(step.row.output)
    for item, calls, status in _parts(step):
        finals = dict(_finals(calls))
        for call in calls:
            accepted = call.row.number in finals and call.row.state in _TAKEN and status == "succeeded"
            if call.answered is None or call.answered.lost or call.asked.lost or not (accepted or everything):
                continue
            found = _typed(call, call.answered)
            if accepted and len(finals) == 1:
                found = _output(output, step, item, found)
            first = finals[call.row.number] if accepted else call
            yield call.row.number, _line(run, step, call, first, call.answered, item=item, accepted=accepted, output=found)


def _parts(step: StepTree) -> Iterator[tuple[int | None, Sequence[CallTree], str]]:
    yield (None if step.row.item < 0 else step.row.item), step.calls, step.status
    for item in step.items:
        yield item.number, item.calls, item.status


def _finals(calls: Sequence[CallTree]) -> Iterator[tuple[int, CallTree]]:
    """Yield the numbers of calls that nothing more was asked about, each with the call that asked first what it answers.

    An answer that was asked for again is an answer to the first question: nobody wants to learn from what was wrong before.
    """
    turns: dict[int | None, list[CallTree]] = {}
    for call in calls:
        turns.setdefault(call.row.sample, []).append(call)
    for turn in turns.values():
        first = turn[0]
        for call, after in zip(turn, [*turn[1:], None], strict=True):
            how = _going_on(call, after) if after is not None else None
            if how is None:
                yield call.row.number, first
            if how != "again" and after is not None:
                first = after


def _going_on(call: CallTree, after: CallTree) -> Literal["again", "tool", "other"] | None:
    """Return how a question goes on from the one before it, None where it is a new one."""
    said, more = call.asked.messages, after.asked.messages
    if more == said:
        return "other" if call.row.name != after.row.name else None  # the next model of the step was asked instead
    if after.known < len(said):
        return None
    last: Mapping[str, Any] = more[-1]
    if last.get("role") == "tool":
        return "tool"
    return "again" if last.get("role") == "user" and str(last.get("content")).startswith(_AGAIN) else None


def _output(output: Any, step: StepTree, item: int | None, otherwise: Any) -> Any:
    """Return what the step made of its one answer, as far as the step tells."""
    if output is None:
        return otherwise
    if step.row.items is None:
        return output
    known = isinstance(output, list) and len(output) == step.row.items and item is not None
    return output[item] if known else otherwise


def _typed(call: CallTree, said: Answered) -> Any:
    """Return an answer as data where a schema was sent with the question; None where it is none."""
    schema = call.asked.schema
    if schema is None:
        return said.completion.text
    try:
        found = json.loads(said.completion.text)
    except ValueError:
        return None
    wrapped = isinstance(found, dict) and list(found) == ["value"] and list(schema.get("properties", ())) == ["value"]
    return found["value"] if wrapped else found


def _line(
    run: RunTree, step: StepTree, call: CallTree, first: CallTree, said: Answered, *, item: int | None, accepted: bool, output: Any
) -> dict[str, Any]:
    row = call.row
    found: dict[str, Any] = {
        "run": run.row.id,
        "flow": run.row.flow,
        "step": step.row.step,
        "item": item,
        "sample": row.sample,
        "messages": list(first.asked.messages),
        "text": said.completion.text,
        "output": output,
        "model": row.model,
        "returned": row.returned,
        "accepted": accepted,
        "simulated": bool(run.row.simulated),
        "fingerprint": run.row.fingerprint,
    }
    if said.completion.tool_calls:
        found["tool_calls"] = [{"name": each.name, "arguments": each.arguments} for each in said.completion.tool_calls]
    if "tools" in call.asked.params:
        found["tools"] = call.asked.params["tools"]
    return found
