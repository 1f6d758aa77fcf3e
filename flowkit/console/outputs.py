"""Turn a finished run into what `flowkit run` prints. Knows nothing of prices: a cost is known or null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowkit import printable

if TYPE_CHECKING:
    from flowkit.chat import Usage
    from flowkit.money import Cost
    from flowkit.results import Run, StepError, StepResult, ToolUse

SCHEMA = 1


def json(run: Run) -> str:
    """Return the one object of `--json`, also of a run that failed."""
    return printable.json_text(document(run), indent=2) + "\n"


def document(run: Run) -> dict[str, Any]:
    """Return what `--json` prints as data. `cost` is None, never 0, where a price is unknown; `attempts` is a number."""
    return {
        "schema": SCHEMA,
        "run": run.id,
        "flow": run.flow,
        "status": str(run.status),
        "simulated": run.simulated,
        "outputs": run.outputs,
        "steps": {id_: _step(step) for id_, step in run.steps.items()},
        "usage": usage(run.usage),
        "cost": cost(run.cost),
        "reused": reused(run),
        "error": run_error(run),
    }


def _step(step: StepResult) -> dict[str, Any]:
    found = {
        "status": str(step.status),
        "output": step.output,
        "model": step.model,
        "usage": usage(step.usage),
        "seconds": seconds(step.seconds),
        "first_token": seconds(step.first_token),
        "attempts": len(step.attempts),
        "cached": step.cached,
        "reused": step.reused,
        "cost": cost(step.cost),
        "error": error(step.error),
    }
    if step.tools:
        found["tools"] = [_tool(use) for use in step.tools]
    return found


def _tool(use: ToolUse) -> dict[str, Any]:
    return {
        "name": use.name,
        "arguments": use.arguments,
        "result": use.result if use.error is None else None,
        "error": use.error,
        "seconds": round(use.seconds, 6),
        "round": use.round,
        "item": use.item,
        "sample": use.sample,
    }


def seconds(measured: float | None) -> float | None:
    """Return a time as data: no finer than a clock tells."""
    return None if measured is None else round(measured, 6)


def usage(spent: Usage) -> dict[str, int | None]:
    """Return tokens and calls as data; a number of tokens that the server did not tell is None."""
    return {"input_tokens": spent.input_tokens, "output_tokens": spent.output_tokens, "calls": spent.calls}


def cost(spent: Cost) -> float | None:
    """Return US dollars that were paid now as data; None as soon as a part of them is unknown."""
    return None if spent.total is None else float(spent.total)


def reused(run: Run) -> int:
    """Return how many calls of a run took their answers from the record."""
    return sum(step.reused for step in run.steps.values())


def error(found: StepError | None) -> dict[str, str] | None:
    """Return an error of a step or an item as data."""
    return None if found is None else {"kind": found.kind, "message": found.message}


def run_error(run: Run) -> dict[str, Any] | None:
    """Return the error of a run as data, with the step that failed first."""
    return None if run.error is None else {"kind": run.error.kind, "message": run.error.message, "step": run.failed}


def human(outputs: Any, *, terminal: bool) -> str:
    """Return outputs for reading: one text raw, anything else as JSON.

    On a terminal nothing that a model wrote is obeyed: ESC and all other control characters but line ends and tabs become visible
    signs. Elsewhere the text is the text.
    """
    only = next(iter(outputs.values())) if isinstance(outputs, Mapping) and len(outputs) == 1 else outputs
    if not isinstance(only, str):
        return printable.json_text(outputs, indent=2) + "\n"
    shown = printable.block(only) if terminal else printable.encodable(only)
    return shown if shown.endswith("\n") else shown + "\n"
