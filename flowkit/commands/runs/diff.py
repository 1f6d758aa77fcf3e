"""`flowkit runs diff`: two runs side by side."""

from __future__ import annotations

import sys
from typing import Any

import click

from flowkit import printable
from flowkit.commands import screen
from flowkit.commands.runs import finding
from flowkit.commands.verb import Verb
from flowkit.console import history_changes
from flowkit.console.paint import Paint
from flowkit.history import document
from flowkit.history.changes import Fact, RunChange, StepChange, compare
from flowkit.history.tree import RunTree, tree

_EXAMPLES = (
    ("flowkit runs diff 3f2a 91bc", "from one run to another"),
    ("flowkit runs diff 3f2a", "to the newest"),
    ("flowkit runs diff 3f2a 91bc --json | jq '.steps[] | select(.same | not)'", "for programs"),
)


@click.command("diff", cls=Verb, examples=_EXAMPLES)
@click.argument("first")
@click.argument("second", required=False)
@click.option("--full", is_flag=True, help="Shorten no difference.")
@finding.of_project
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, first: str, second: str | None, full: bool, flow: str | None, as_json: bool) -> int:
    """Show what changed from one run to another.

    Runs are named by the beginning of their id; without a second, the newest is meant. Of each step: how it ended, the model that was
    asked and the one that answered, parameters, messages and output. `=` is the same, `~` changed.
    """
    with finding.record(flow) as kept:
        before, now = tree(kept, finding.one(kept, first)), tree(kept, finding.one(kept, second))
    found = compare(before, now)
    if as_json:
        screen.out(printable.json_text(_document(before, now, found), indent=2) + "\n")
    else:
        screen.out(history_changes.text(before.row, now.row, found, paint=Paint(on=screen.color(sys.stdout)), full=full))
    return 0


def _document(before: RunTree, now: RunTree, found: RunChange) -> dict[str, Any]:
    return {
        "schema": document.SCHEMA,
        "first": document.header(before.row, before.status, before.spent),
        "second": document.header(now.row, now.status, now.spent),
        "changed": {fact.name: _fact(fact) for fact in found.facts if not fact.same},
        "inputs": list(found.inputs),
        "outputs": list(found.outputs),
        "sources": list(found.sources),
        "steps": [_step(step) for step in found.steps],
    }


def _step(step: StepChange) -> dict[str, Any]:
    return {
        "step": step.step,
        "item": step.item,
        "in": step.where,
        "same": step.same,
        "changed": {fact.name: _fact(fact) for fact in step.facts if not fact.same},
        "params": {fact.name: _fact(fact) for fact in step.settings},
        "messages": list(step.messages),
        "output": list(step.output),
    }


def _fact(fact: Fact) -> dict[str, Any]:
    return {"first": fact.before, "second": fact.now}
