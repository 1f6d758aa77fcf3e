"""`flowkit run`: run one flow, show what happens on stderr, and print what it gave on stdout."""

from __future__ import annotations

import click

from flowkit.commands.keeping import Keeping, keeping
from flowkit.commands.opening import BY_TYPE, Opening, options, sorted_out
from flowkit.commands.running import Ready, Shown, run_to_end, shown
from flowkit.commands.verb import Verb

_EXAMPLES = (
    ("flowkit run flows/triage.flow.yaml -i ticket=@ticket.txt", "an input from a file"),
    ("flowkit run flows/triage.flow.yaml -i ticket='Help!' -i tone=formal -m fast=ollama/qwen3:8b", "with another model"),
    ("flowkit run flows/triage.flow.yaml --inputs inputs.json --simulate replies.yaml", "no model is asked"),
    ("flowkit run flows/triage.flow.yaml --inputs - --json < inputs.json | jq .outputs", "for programs"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow", required=False)
@options
@keeping
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Ask no model: answer from a file, else by type.")
@shown
def command(opening: Opening, *, keeping: Keeping, simulate: str | None, shown: Shown) -> int:
    """Run a flow and print its outputs.

    The file is checked whole before anything is called. One text output is printed raw, several as JSON. Progress goes to stderr.
    Answers that are in the record cost nothing; what does not reach its end goes on with `flowkit resume`.

    Exit codes: 0 ok; 1 a step failed; 2 wrong file, input or configuration, nothing was called; 3 server, key or quota; 4 a limit;
    130 interrupted.
    """
    opening, simulate = sorted_out(opening, simulate)
    if opening.seed and simulate is None:
        raise click.UsageError("--seed is for --simulate; for a model, --set defaults.params.seed=1", click.get_current_context())

    def ready() -> Ready:
        flow = opening.open(simulate=simulate, keeping=keeping)
        values = opening.values(flow.plan, "flowkit run {}")
        return Ready(flow, values, keeping.limits, bool(keeping.record))

    return run_to_end(opening.flow, ready, shown, simulated=simulate is not None)
