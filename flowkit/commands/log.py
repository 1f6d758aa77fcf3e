"""`flowkit log`: list the commits that changed what a flow means, each with what its recorded runs gave."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from flowkit import __version__, printable, project
from flowkit.commands import screen
from flowkit.commands.past import Past, Turn
from flowkit.commands.verb import Verb
from flowkit.commands.versions import Reader
from flowkit.console import past as shown
from flowkit.console.paint import Paint
from flowkit.git import Repository
from flowkit.outcomes import Outcomes, outcomes
from flowkit.store import RunRow, home, open_existing

_EXAMPLES = (
    ("flowkit log flows/triage.flow.yaml", "the last changes of what it means, and how its runs went"),
    ("flowkit log flows/triage.flow.yaml -n 1 --json | jq '.versions[0].changes'", "for programs"),
)
#: Runs of one path of the flow that are looked at, the newest ones.
_RUNS = 20_000
#: Commits after which somebody who waits is told how far it is.
_STEP = 25


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow")
@click.option("-n", "number", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="The newest N versions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(flow: str, *, number: int, as_json: bool) -> int:
    """List the commits that changed what a flow means, and how their runs went.

    The newest comes first.

    Commits that only lay out YAML anew, or move it, are left out; those that change an included file, a sub-flow, a type, a function or
    the configuration of a model are not. Renames are followed. What is not committed stands on top.

    Below each version: runs in the record with its fingerprint, how many succeeded, and the tokens, cost and time of one. Runs that
    were changed on the command line (-m, --set) have fingerprints of their own.
    """
    path = Path(flow)
    repository = Repository.open(path)
    past = Past(Reader(repository, (), {}), path, _Progress())
    turns: list[Turn] = []
    whole = True
    for turn in past.turns():
        if len(turns) == number:
            whole = False
            break
        turns.append(turn)
    results = _results(path, repository, past.names)
    entries = [(turn.commit, turn.comparison, results.get(turn.comparison.after.fingerprint or "")) for turn in turns]
    name = project.shown(path.resolve(), Path.cwd())
    if as_json:
        screen.out(printable.json_text(shown.document(entries, name, whole=whole), indent=2) + "\n")
        return 0
    columns = shutil.get_terminal_size((120, 24)).columns
    paint, now = Paint(on=screen.color(sys.stdout)), time.time()
    screen.out("\n".join(shown.entry(*each, now=now, columns=columns, paint=paint) for each in entries))
    if not whole:
        screen.say(f"there are older versions: -n {number * 2} shows more")
    return 0


class _Progress:
    """Tells a person who waits how many commits were read."""

    def __call__(self, read: int) -> None:
        if read % _STEP == 0 and screen.terminal(sys.stderr):
            screen.say(f"{read} commits read")


def _results(path: Path, repository: Repository, names: Iterable[str]) -> dict[str, Outcomes]:
    """Return what the runs of a flow gave, under all names that it had, by fingerprint."""
    record = open_existing(home(project.find(path), os.environ), version=__version__, warn=screen.say)
    if record is None:
        return {}
    rows: dict[str, list[RunRow]] = {}
    with record:
        for each in dict.fromkeys([str(path.resolve()), *(str(repository.root / name) for name in names)]):
            for row in record.runs(path=each, rows=True, limit=_RUNS):
                rows.setdefault(row.fingerprint, []).append(row)
    return {print_: found for print_, each in rows.items() if (found := outcomes(each)) is not None}
