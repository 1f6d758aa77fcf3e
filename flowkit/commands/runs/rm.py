"""`flowkit runs rm`: delete runs and batches from the record, with every text that no other run needs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from flowkit import __version__, printable
from flowkit.commands import screen
from flowkit.commands.runs import finding
from flowkit.commands.verb import Verb
from flowkit.errors import ConfigError
from flowkit.history.words import clock
from flowkit.store import BatchRow, RunRow, Store, open_store

_EXAMPLES = (
    ("flowkit runs rm 3f2a 91bc", "two runs"),
    ("flowkit runs rm --older-than 30d --yes", "what began more than 30 days ago, unasked"),
    ("flowkit runs rm --all", "everything"),
)
#: Runs that are named before the question is asked.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class _Doomed:
    """What is to be deleted; `spared` are ids of what still runs."""

    runs: tuple[RunRow, ...] = ()
    batches: tuple[BatchRow, ...] = ()
    spared: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [printable.plural(len(self.runs), "run")] if self.runs or not self.batches else []
        said += [f"{len(self.batches)} batch{'es' * (len(self.batches) > 1)}"] if self.batches else []
        return " and ".join(said)


@click.command("rm", cls=Verb, examples=_EXAMPLES)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--older-than", callback=finding.moment, metavar="AGE|DATE", help="Those that began before: 12h, 30d, 2026-01-31.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@finding.of_project
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(*, runs: tuple[str, ...], older_than: float | None, everything: bool, flow: str | None, yes: bool) -> int:
    """Delete runs and batches.

    RUN is the beginning of the id of a run or of a batch, whose rows go with it. What still runs stays. Answers in what is deleted are
    no longer there to be used again: the next run asks, and pays, anew. On a terminal it asks first; elsewhere it needs --yes.
    """
    ways = [bool(runs), older_than is not None, everything]
    if sum(ways) != 1:
        raise click.UsageError("name runs, or say --older-than AGE or --all", click.get_current_context())
    with finding.record(flow):
        pass  # one that is missing or damaged is said, and neither made nor moved
    store = open_store(finding.folder(flow), version=__version__, warn=screen.say)
    try:
        doomed = _named(store, runs, flow) if runs else _all(store, older_than)
        for spared in doomed.spared:
            screen.say(f"{spared} still runs, and stays")
        if not doomed.runs and not doomed.batches:
            screen.say("there is nothing to delete")
            return 0
        if not yes and not _agreed(doomed):
            screen.say("nothing was deleted")
            return 0
        freed = store.forget([row.id for row in doomed.runs], [row.id for row in doomed.batches])
    finally:
        store.close()
    screen.say(f"deleted {doomed}, {_size(freed)} freed")
    return 0


def _named(store: Store, names: Sequence[str], flow: str | None) -> _Doomed:
    """Return what ids begin with. Raises ConfigError, also when one of them still runs."""
    runs: dict[str, RunRow] = {}
    batches: dict[str, BatchRow] = {}
    with finding.record(flow) as kept:
        ids = [row.id for row in kept.batches()]
        for name in names:
            if name and "." not in name and any(id_.startswith(name.lower()) for id_ in ids):
                meant = finding.batch(kept, name)
                batches[meant.id] = meant
                runs |= {row.id: row for row in kept.runs(batch=meant.id)}
            else:
                row = finding.one(kept, name)
                runs[row.id] = row
    going = [row.id for row in _each(runs.values(), batches.values()) if _goes_on(store, row)]
    if going:
        raise ConfigError(f"{', '.join(going)} still runs, and cannot be deleted\n   hint: stop it first, with Ctrl-C or kill")
    return _Doomed(tuple(runs.values()), tuple(batches.values()))


def _all(store: Store, before: float | None) -> _Doomed:
    limit = time.time() + 1e9 if before is None else before
    runs = [row for row in store.runs(rows=True) if row.started < limit]
    batches = [row for row in store.batches() if row.started < limit]
    going = [row.id for row in _each(runs, batches) if _goes_on(store, row)]
    kept = frozenset(going)
    return _Doomed(
        tuple(row for row in runs if row.id not in kept and row.batch not in kept),
        tuple(row for row in batches if row.id not in kept),
        tuple(going),
    )


def _each(runs: Iterable[RunRow], batches: Iterable[BatchRow]) -> list[RunRow | BatchRow]:
    return [*batches, *runs]


def _goes_on(store: Store, row: RunRow | BatchRow) -> bool:
    return row.status == "running" and store.alive(row.session)


def _agreed(doomed: _Doomed) -> bool:
    if not (sys.stdin.isatty() and screen.terminal(sys.stderr)):
        raise click.UsageError(f"this deletes {doomed}; say --yes", click.get_current_context())
    for row in _each(doomed.runs, doomed.batches)[:_NAMED]:
        screen.say(f"  {row.id}  {clock(row.started)}  {printable.line(row.flow)}  {row.status}")
    more = len(doomed.runs) + len(doomed.batches) - _NAMED
    if more > 0:
        screen.say(f"  and {more} more")
    return click.confirm(f"Delete {doomed}?", default=False, err=True)


def _size(number: int) -> str:
    if number < 1000:
        return printable.plural(number, "byte")
    return f"{printable.count(number)}B"
