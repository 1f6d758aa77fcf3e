"""`flowkit runs export`: the questions and answers of a step as a data set, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowkit import printable
from flowkit.commands import screen
from flowkit.commands.runs import finding
from flowkit.commands.verb import Verb
from flowkit.errors import ConfigError
from flowkit.history import dataset
from flowkit.history.tree import tree
from flowkit.spelling import did_you_mean
from flowkit.store import RunRow

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

_EXAMPLES = (
    ("flowkit runs export reply -o reply.jsonl", "of the newest run"),
    ("flowkit runs export reply --flow flows/triage.flow.yaml -o reply.jsonl", "of all runs of a flow, the oldest first"),
    ("flowkit runs export draft 3f2a 91bc --all | jq 'select(.accepted | not)'", "also what was not accepted"),
)


@click.command("export", cls=Verb, examples=_EXAMPLES)
@click.argument("step")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--flow", metavar="FLOW", help="Of all runs of this flow, by its file or name; rows of batches too.")
@click.option("--all", "everything", is_flag=True, help="Also answers that were not accepted, and those of failed steps.")
@click.option("-o", "--output", metavar="FILE", help="Write there, for this user alone, instead of to stdout.")
def command(*, step: str, runs: tuple[str, ...], flow: str | None, everything: bool, output: str | None) -> int:
    """Export the answers of a step as JSON lines.

    Each line has `messages` as they were sent, the `text` of the answer, the `output` that the step made of it, and where it comes from:
    for tuning a model, and for evaluation. Answers that were used again stand once. Simulated runs are left out unless they are named.
    """
    if runs and flow is not None:
        raise click.UsageError("name runs, or a flow", click.get_current_context())
    with finding.record(flow) as kept:
        chosen = _of_flow(kept, flow) if flow is not None else [finding.one(kept, name) for name in runs or (None,)]
        found = list(_lines(kept, step, chosen, everything=everything))
        if not found:
            _refuse_unknown(kept, step, chosen)
    text = "".join(f"{line}\n" for line in found)
    if output is None:
        screen.out(text)
    else:
        finding.write_private(Path(output), text, "-o")
    if not found:
        screen.say("no answer of that step was accepted; --all exports the others too")
    elif output is not None:
        screen.say(f"wrote {printable.plural(len(found), 'line')} to {output}")
    return 0


def _of_flow(kept: Looking, flow: str) -> Sequence[RunRow]:
    """Return all runs of a flow that asked a server, the oldest first. Raises ConfigError."""
    rows = kept.runs(path=str(Path(flow).resolve()), rows=True) if finding.is_file(flow) else kept.runs(flow=flow, rows=True)
    found = [row for row in reversed(rows) if not row.simulated]
    if not found:
        raise ConfigError(f"no run of {flow!r} is recorded" + (" that asked a server" if rows else ""))
    return found


def _lines(kept: Looking, step: str, runs: Sequence[RunRow], *, everything: bool) -> Iterator[str]:
    """Yield the lines. What one run took from another stands once."""
    seen: set[tuple[str, int]] = set()
    for row in runs:
        for part in (run := tree(kept, row)).step(step):
            sources = {call.row.number: _source(row.id, call.row.number, call.row.source) for call in part.every_call()}
            for number, line in dataset.lines(run, part, everything=everything):
                if sources[number] not in seen:
                    seen.add(sources[number])
                    yield printable.json_text(line)


def _source(run: str, number: int, source: str | None) -> tuple[str, int]:
    """Return which paid call an answer is of."""
    if source is None:
        return run, number
    owner, _, paid = source.rpartition(":")
    return owner, int(paid)


def _refuse_unknown(kept: Looking, step: str, runs: Sequence[RunRow]) -> None:
    known = dict.fromkeys(row.step for run in runs for row in kept.steps(run.id))
    if step not in known:
        hint = did_you_mean(step, list(known)) or f"there are: {', '.join(known) or 'none'}"
        raise ConfigError(f"no step {step!r} ran there\n   hint: {hint}")
