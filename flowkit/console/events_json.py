"""Turn each event into one line of JSON, for `--events`. Keys are stable: new ones may come, none goes or changes its meaning.

Every object has `event` (the kind of the event) and `at` (seconds since the run began). Beside them:

| event             | keys |
|-------------------|------|
| `run_started`     | `run` `flow` `simulated` `steps`: id to the list of steps that it waits for |
| `step_started`    | `step` `item` `kind` `items` `model` |
| `step_delta`      | `step` `item` `text` `value`: what is known so far of a typed answer, `restart`: the text begins again, `sample` |
| `attempt_failed`  | `step` `item` `attempt` `delay` |
| `answer_repaired` | `step` `item` `how` |
| `tool_finished`   | `step` `item` `name` `arguments` `result` `error`: a text or null, `seconds` `round` `sample` |
| `item_finished`   | `step` `item` `status` `seconds` `usage` `cost` `reused` `error` |
| `step_finished`   | `step` `status` `seconds` `output` `model` `usage` `cost` `reused` `error` `attempts` `cached` `first_token` |
| `run_finished`    | `run` `flow` `status` `simulated` `seconds` `outputs` `usage` `cost` `reused` `error` |

`step` is a step id, or `step/inner` in a sub-flow; `item` the position in a `foreach` from 0, else null; `usage` as in `--json`;
`cost` is US dollars that were paid now, null where a part of them is unknown; `reused` counts calls whose answers were in the record;
`error` is null or `{kind, message}`, of a run also `step`; `attempt` is
`{number, model, outcome, seconds, message, status, first_token}`; `first_token` is in seconds from the request, null where nothing was
streamed; `sample` counts the samples of a step from 0, null where there is one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from flowkit import printable
from flowkit.console.outputs import cost, error, reused, run_error, seconds, usage
from flowkit.console.sink import Sink
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

if TYPE_CHECKING:
    from flowkit.chat import Attempt


class EventLines:
    """Writes each event as one line; `sink.failure` tells afterwards whether the reader went away."""

    def __init__(self, writer: TextIO) -> None:
        self.sink = Sink(writer)

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self.sink.write(line(event))


def line(event: Event) -> str:
    """Return one event as a line of JSON."""
    return printable.json_text(document(event)) + "\n"


def document(event: Event) -> dict[str, Any]:
    """Return one event as plain data, with the keys of the table above."""
    at = round(event.at, 6)
    match event:
        case RunStarted():
            steps = {step: list(needed) for step, needed in event.steps.items()}
            return {"event": "run_started", "at": at, "run": event.run, "flow": event.flow, "simulated": event.simulated, "steps": steps}
        case StepStarted():
            more: dict[str, Any] = {"kind": event.kind, "items": event.items, "model": event.model}
            return {"event": "step_started", "at": at, "step": event.step, "item": event.item} | more
        case StepDelta():
            more = {"text": event.text, "value": event.value, "restart": event.restart, "sample": event.sample}
            return {"event": "step_delta", "at": at, "step": event.step, "item": event.item} | more
        case AttemptFailed():
            more = {"attempt": _attempt(event.attempt), "delay": event.delay}
            return {"event": "attempt_failed", "at": at, "step": event.step, "item": event.item} | more
        case AnswerRepaired():
            return {"event": "answer_repaired", "at": at, "step": event.step, "item": event.item, "how": event.how}
        case ToolFinished():
            more = {"name": event.name, "arguments": event.arguments, "result": event.result if event.error is None else None}
            more |= {"error": event.error, "seconds": seconds(event.seconds), "round": event.round, "sample": event.sample}
            return {"event": "tool_finished", "at": at, "step": event.step, "item": event.item} | more
        case ItemFinished():
            return {"event": "item_finished", "at": at, "step": event.step, "item": event.item} | _ending(event)
        case StepFinished():
            more = {"output": event.output, "model": event.model, "attempts": event.attempts, "cached": event.cached}
            more["first_token"] = seconds(event.first_token)
            return {"event": "step_finished", "at": at, "step": event.step} | _ending(event) | more
        case RunFinished(run=run):
            return {
                "event": "run_finished",
                "at": at,
                "run": run.id,
                "flow": run.flow,
                "status": str(run.status),
                "simulated": run.simulated,
                "seconds": seconds(run.seconds),
                "outputs": run.outputs,
                "usage": usage(run.usage),
                "cost": cost(run.cost),
                "reused": reused(run),
                "error": run_error(run),
            }


def _ending(event: ItemFinished | StepFinished) -> dict[str, Any]:
    ending = {"status": str(event.status), "seconds": seconds(event.seconds)}
    return ending | {"usage": usage(event.usage), "cost": cost(event.cost), "reused": event.reused, "error": error(event.error)}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "seconds": seconds(attempt.seconds),
        "message": attempt.message,
        "status": attempt.status,
        "first_token": seconds(attempt.first_token),
    }
