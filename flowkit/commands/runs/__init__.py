"""`flowkit runs`: look at what was kept of runs; nothing is called, and nothing but `rm` changes anything."""

from __future__ import annotations

import click

from flowkit.commands.runs import diff, export, ls, rm, show
from flowkit.commands.verb import Verbs

_EXAMPLES = (
    ("flowkit runs ls", "the newest runs"),
    ("flowkit runs show", "the newest run, step by step"),
    ("flowkit runs show 3f2a --html run.html", "one page with all of it, for a browser"),
    ("flowkit runs diff 3f2a 91bc", "what changed between two runs"),
    ("flowkit runs export reply -o reply.jsonl", "the questions and answers of a step as a data set"),
    ("flowkit runs rm --older-than 30d", "make room"),
)


@click.group(cls=Verbs, examples=_EXAMPLES)
def command() -> None:
    """List, show, compare, export and delete recorded runs."""


for each in (ls, show, diff, export, rm):
    command.add_command(each.command)
