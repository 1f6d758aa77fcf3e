"""`flowkit runs show`: one run, step by step: on the screen, as JSON, or as one page for a browser."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from flowkit import printable
from flowkit.commands import screen
from flowkit.commands.runs import finding
from flowkit.commands.verb import Verb
from flowkit.console import history_tree
from flowkit.console.paint import Paint
from flowkit.errors import ConfigError
from flowkit.history import document
from flowkit.history.tree import RunTree, StepTree, tree
from flowkit.spelling import did_you_mean

_EXAMPLES = (
    ("flowkit runs show", "the newest run"),
    ("flowkit runs show 3f2a reply", "one step of it, in full"),
    ("flowkit runs show 3f2a --html run.html", "one page with all of it, for a browser"),
    ("flowkit runs show --json | jq '.steps[].calls[].answer.text'", "for programs"),
)
#: Columns of a line that nobody reads on a screen.
_WIDE = 140


@click.command("show", cls=Verb, examples=_EXAMPLES)
@click.argument("run", required=False)
@click.argument("step", required=False)
@click.option("--full", is_flag=True, help="Shorten nothing.")
@click.option("--messages/--no-messages", default=True, help="With what was said, or the steps alone.")
@click.option("--html", metavar="FILE", help="Write one page with all of it; it needs no network.")
@finding.of_project
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, run: str | None, step: str | None, full: bool, messages: bool, html: str | None, flow: str | None, as_json: bool) -> int:
    """Show one run as a tree.

    RUN is the beginning of its id; without one, the newest. Long texts and long lists are shortened; with STEP, that step alone is shown,
    in full. What the record no longer holds is said to be missing.
    """
    if html is not None and as_json:
        raise click.UsageError("--html and --json exclude each other", click.get_current_context())
    with finding.record(flow) as kept:
        found = tree(kept, finding.one(kept, run), bodies=messages or html is not None)
    steps = found.steps if step is None else _chosen(found, step)
    if html is not None:
        _write_page(found, html)
        return 0
    if as_json:
        screen.out(printable.json_text(document.run(found, steps, messages=messages), indent=2) + "\n")
        return 0
    terminal = screen.terminal(sys.stdout)
    style = history_tree.Style(
        shutil.get_terminal_size().columns if terminal else _WIDE,
        Paint(on=screen.color(sys.stdout)),
        full=full or step is not None,
        messages=messages,
    )
    screen.out(history_tree.text(found, now=time.time() if terminal else None, style=style, steps=steps))
    return 0


def _chosen(found: RunTree, name: str) -> Sequence[StepTree]:
    """Return one step with what is inside it. Raises ConfigError."""
    if not found.step(name):
        known = list(dict.fromkeys(step.row.step for step in found.steps))
        hint = did_you_mean(name, known) or f"these began: {', '.join(known) or 'none'}"
        raise ConfigError(f"run {found.row.id} has no step {name!r}\n   hint: {hint}")
    return [step for step in found.steps if step.row.step == name or step.row.step.startswith(f"{name}/")]


def _write_page(found: RunTree, file: str) -> None:
    from flowkit.commands.runs.drawing import picture  # it may read the flow again, which few need
    from flowkit.report import page

    svg, why = picture(found)
    finding.write_private(Path(file), page(found, svg, why, now=time.time()), "--html")
    screen.say(f"wrote {file}")
