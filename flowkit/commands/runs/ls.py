"""`flowkit runs ls`: list runs and batches, the newest first."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowkit import printable
from flowkit.commands import screen
from flowkit.commands.runs import finding
from flowkit.commands.verb import Verb
from flowkit.console import history_list
from flowkit.console.paint import Paint
from flowkit.errors import ConfigError
from flowkit.history import document
from flowkit.history.listing import Listed, ListedBatch, listed, listed_batch, steps_of
from flowkit.spelling import did_you_mean
from flowkit.store import BatchRow, RunRow

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

_EXAMPLES = (
    ("flowkit runs ls", "the newest runs"),
    ("flowkit runs ls flows/triage.flow.yaml --status failed --since 2d", "those of one flow that failed"),
    ("flowkit runs ls --batch 5c1e", "the rows of a batch"),
    ("flowkit runs ls --all --json | jq '.runs[].cost'", "for programs"),
)
#: Runs that are listed unless all are wanted.
_MOST = 20
#: Runs whose flows are named where one is unknown.
_LOOKED_AT = 200
#: The states that may stand in a row as `running`, because its process died before it could say otherwise.
_UNSURE = ("running", "interrupted")


@click.command("ls", cls=Verb, examples=_EXAMPLES)
@click.argument("flow", required=False)
@click.option("--status", type=click.Choice(["succeeded", "finished", "failed", "interrupted", "running"]), help="Those that ended so.")
@click.option("--since", callback=finding.moment, metavar="AGE|DATE", help="Those that began since: 90m, 12h, 2d, 1w, 2026-01-31.")
@click.option("--fingerprint", metavar="TEXT", help="Those of flows that mean the same: the beginning of their fingerprint.")
@click.option("--batch", metavar="ID", help="The rows of one batch.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help=f"List no more than that; {_MOST} unless said otherwise.")
@click.option("--all", "everything", is_flag=True, help="List all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    flow: str | None,
    status: str | None,
    since: float | None,
    fingerprint: str | None,
    batch: str | None,
    limit: int | None,
    everything: bool,
    as_json: bool,
) -> int:
    """List runs, the newest first.

    FLOW is a file or the name of a flow. A batch is one line; its rows are listed with --batch. CALLS counts answers that were paid for,
    REUSED those that were taken from the record; `+2?` are requests that may have been billed without an answer. A `+` behind the
    revision: the flow had changes that were not committed.
    """
    most = None if everything else limit or _MOST
    kept = finding.opened(flow)
    if kept is None:
        if as_json:
            screen.out(printable.json_text(document.listing(()), indent=2) + "\n")
        else:
            screen.say(finding.nothing(finding.folder(flow)))
        return 0
    with kept:
        _refuse_unknown(kept, flow)
        rows: Sequence[RunRow | BatchRow]
        if batch is not None:
            id_ = finding.batch(kept, batch).id
            few = None if most is None or status or fingerprint else most + 1
            rows = [row for row in kept.runs(batch=id_, since=since, limit=few) if _fits(row, status, fingerprint)]
        else:
            rows = _newest(kept, _Asked(flow, status, since, fingerprint), None if most is None else most + 1)
        shown = _listed(kept, rows[:most])
        if status in _UNSURE:
            shown = [each for each in shown if each.status == status]
        unreadable = kept.unreadable
    if unreadable:
        screen.say(
            f"warning: {printable.plural(unreadable, 'row')} of the record cannot be read any more, and left out: {kept.where} is damaged"
        )
    if as_json:
        screen.out(printable.json_text(document.listing(shown), indent=2) + "\n")
        return 0
    _say(shown, more=most is not None and len(rows) > most)
    return 0


def _refuse_unknown(kept: Looking, flow: str | None) -> None:
    """Refuse a flow that neither is a file nor ever ran. Raises ConfigError."""
    if flow is None or Path(flow).is_file():
        return
    asked = _Asked(flow, None, None, None)
    if kept.runs(path=asked.path, flow=asked.flow, rows=True, limit=1) or any(asked.takes(row) for row in kept.batches()):
        return
    known = sorted({row.flow for row in kept.runs(limit=_LOOKED_AT)})
    hint = did_you_mean(flow, known) or f"there are: {', '.join(known) or 'none'}"
    raise ConfigError(f"no flow {flow!r} is in the record, and there is no such file\n   hint: {hint}")


def _say(shown: Sequence[Listed | ListedBatch], *, more: bool) -> None:
    if not shown:
        screen.say("no run is like that")
        return
    terminal = screen.terminal(sys.stdout)
    ids = [each.row.id for each in shown]
    digits = finding.DIGITS
    while len({id_[:digits] for id_ in ids}) < len(set(ids)):
        digits += 1
    paint = Paint(on=screen.color(sys.stdout))
    screen.out(history_list.text(shown, now=time.time() if terminal else None, paint=paint, ids=digits))
    if more:
        screen.say("there are more: --all, or --limit N")


class _Asked:
    """What the options ask for."""

    def __init__(self, flow: str | None, status: str | None, since: float | None, fingerprint: str | None) -> None:
        self.status, self.since, self.fingerprint = status, since, fingerprint
        self.path = str(Path(flow).resolve()) if flow is not None and finding.is_file(flow) else None
        self.flow = flow if self.path is None else None

    def takes(self, row: RunRow | BatchRow) -> bool:
        """Whether a row is one of them."""
        if (self.path is not None and row.path != self.path) or (self.flow is not None and row.flow != self.flow):
            return False
        return (self.since is None or row.started >= self.since) and _fits(row, self.status, self.fingerprint)


def _fits(row: RunRow | BatchRow, status: str | None, fingerprint: str | None) -> bool:
    states = _UNSURE if status in _UNSURE else (status,)
    return (status is None or row.status in states) and row.fingerprint.startswith(fingerprint or "")


def _newest(kept: Looking, asked: _Asked, most: int | None) -> list[RunRow | BatchRow]:
    """Return runs and batches together, the newest first."""
    # What the store can choose by itself, it does; then so many are enough.
    exact = asked.fingerprint is None and asked.status not in _UNSURE
    status = asked.status if exact else None
    runs = kept.runs(path=asked.path, flow=asked.flow, since=asked.since, status=status, limit=most if exact else None)
    both: list[RunRow | BatchRow] = [*runs, *kept.batches()]
    found = [row for row in both if asked.takes(row)]
    if asked.status in _UNSURE:
        found = [row for row in found if row.status != "running" or kept.alive(row.session) == (asked.status == "running")]
        found = [row for row in found if asked.status == "interrupted" or row.status == "running"]
    found.sort(key=lambda row: -row.started)
    return found[:most]


def _listed(kept: Looking, rows: Sequence[RunRow | BatchRow]) -> list[Listed | ListedBatch]:
    steps = kept.progress([row.id for row in rows if isinstance(row, RunRow)])
    known: dict[str | None, int | None] = {None: None}

    def of(row: RunRow) -> int | None:
        """Return the steps of its flow: runs of one text are many, and only what did not end well is compared with them."""
        if row.status == "succeeded":
            return None
        if row.source not in known:
            known[row.source] = steps_of(row, kept.body(row.source or ""))
        return known[row.source]

    return [listed(kept, row, steps[row.id], of(row)) if isinstance(row, RunRow) else listed_batch(kept, row) for row in rows]
