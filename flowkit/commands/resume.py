"""`flowkit resume`: go on with a run that failed, was interrupted, killed or stopped by a limit; what it had answered is used again."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowkit import printable, project
from flowkit.budget import Limits
from flowkit.commands import changed, recorded, screen
from flowkit.commands.keeping import Keeping, limiting
from flowkit.commands.opening import Opening
from flowkit.commands.running import SHORT, Ready, Shown, print_ended, run_to_end, shown
from flowkit.commands.verb import Verb
from flowkit.errors import ConfigError, StoreError
from flowkit.history.words import ago
from flowkit.store import CallRow, RunRow

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

_EXAMPLES = (
    ("flowkit resume", "the newest run that did not reach its end"),
    ("flowkit resume 1a2b3c", "this run; the first digits of its id are enough"),
    ("flowkit resume 1a2b3c -m fast=ollama/qwen3:8b --yes", "with another model"),
)
_MODEL = "Go on with another model: fast=ollama/qwen3:8b."


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("run", required=False, default="")
@click.option("--flow", metavar="FLOW", help="Where the flow file is, when it was moved or this folder is of another project.")
@click.option("-m", "--model", multiple=True, metavar="ALIAS=MODEL", help=_MODEL)
@click.option("-y", "--yes", is_flag=True, help="Go on also when the flow is not what it was, or a newer run succeeded.")
@limiting
@shown
def command(run: str, *, flow: str | None, model: tuple[str, ...], yes: bool, limits: Limits, shown: Shown) -> int:
    """Go on with a run that did not reach its end.

    It failed, was interrupted, killed or stopped by a limit.

    It goes on under the same id, with the same inputs, models and options. Calls that it had answered are not made again. When the
    flow, its files or its models changed since, what changed is shown, and nothing is called before you say yes.

    Without RUN: the newest run that did not reach its end; when a newer one of its flow succeeded, it asks first. Limits begin anew,
    and are those of this command line.

    Exit codes: those of `flowkit run`; 2 also when the flow changed and nobody can be asked.
    """
    with recorded.reading(recorded.folder(flow)) as record:
        row = recorded.named(record, run) if run else recorded.newest(record, recorded.root(flow), ("failed", "interrupted"))
        if row is None:
            screen.say(f"no run waits to go on: of those below {recorded.root(flow)}, all reached their end")
            return 0
        _refuse(record, row)
        if not run and not yes:
            _agree_to_older(record, row)
        if row.status == "succeeded":
            screen.say(f"{recorded.name(row)} reached its end {ago(row.started, time.time())}: this is what it gave")
            print_ended(recorded.restored(record, row), shown)
            return 0
        source = None if row.source is None else record.body(row.source)
        calls = record.calls(row.id)
        folder = Path(record.where).parent
    path = _path(row, flow)
    return _go_on(row, source, calls, folder, path, model=model, yes=yes, limits=limits, shown=shown)


def _go_on(
    row: RunRow,
    source: str | None,
    calls: list[CallRow],
    folder: Path,
    path: str,
    *,
    model: tuple[str, ...],
    yes: bool,
    limits: Limits,
    shown: Shown,
) -> int:
    options = json.loads(row.options)
    then = _opening(path, options)
    opening = replace(then, model=(*then.model, *model))
    # A run of Python code was simulated by a server of its own; a simulator stands in for it.
    simulate = options.get("simulate") or ("-" if row.simulated else None)

    def ready() -> Ready:
        opened = opening.open(simulate=simulate, keeping=Keeping(bool(options.get("fresh")), folder))
        _agree(row, changed.since(row, source, calls, then, opening, opened), yes=yes, quiet=shown.quiet)
        if not shown.quiet:
            screen.say(f"going on with {recorded.name(row)}, {_ended(row)}")
        return Ready(opened, json.loads(row.inputs), limits, kept=True, id=row.id)

    return run_to_end(path, ready, shown, simulated=bool(row.simulated))


def _refuse(record: Looking, row: RunRow) -> None:
    """Refuse a run that goes on by another way. Raises ConfigError or StoreError."""
    if row.batch is not None:
        batch = record.batch(row.batch)
        line = "flowkit batch …" if batch is None else f"flowkit batch {shlex.join([batch.path, batch.data])} -o {shlex.quote(batch.out)}"
        raise ConfigError(f"{recorded.name(row)} is row {row.row} of a batch, which goes on as a whole\n   hint: {line}")
    if row.status == "running":
        raise StoreError(f"{recorded.name(row)} goes on in another process; wait until it ends, or stop that one")


def _agree_to_older(record: Looking, row: RunRow) -> None:
    """Ask before a run goes on that nobody named, although a newer one of its flow succeeded. Raises ConfigError when nobody agrees."""
    later = record.runs(path=row.path, status="succeeded", since=row.started)
    newer = next((each for each in later if each.started > row.started and each.simulated <= row.simulated), None)
    if newer is None:
        return
    now = time.time()
    said = f"{recorded.name(row)}, {_ended(row)}, is older than run {newer.id[:SHORT]}, which succeeded {ago(newer.started, now)}"
    if not (screen.terminal(sys.stdin) and screen.terminal(sys.stderr)):
        raise ConfigError(f"{said}\n   hint: `flowkit resume {row.id[:SHORT]}` goes on with it all the same")
    screen.say(said)
    if not click.confirm("go on with the older one?", err=True):
        raise ConfigError("nothing was called")


def _path(row: RunRow, flow: str | None) -> str:
    """Return where the flow is now, as people see it. Raises ConfigError when it is gone."""
    if flow is not None and Path(flow).is_file():
        return flow
    if flow is None and "revision" in json.loads(row.options):  # it need not be in the working tree
        return project.shown(Path(row.path), Path.cwd())
    if flow is not None or not Path(row.path).is_file():
        gone = row.path if flow is None else flow
        hint = f"flowkit resume {row.id[:SHORT]} --flow FLOW, with the file as it is called now"
        raise ConfigError(f"{recorded.name(row)}: its flow file {gone} is not there\n   hint: {hint}")
    return project.shown(Path(row.path), Path.cwd())


def _opening(path: str, options: dict[str, Any]) -> Opening:
    return Opening(
        f"{path}@{options['revision']}" if "revision" in options else path,
        model=tuple(options.get("model", ())),
        settings=tuple(options.get("set", ())),
        variant=tuple(options.get("variant", ())),
        seed=options.get("seed", ""),
        env_file=options.get("env_file"),
    )


def _agree(row: RunRow, found: list[str], *, yes: bool, quiet: bool) -> None:
    """Show what changed, and ask. Raises ConfigError when nobody agrees."""
    if not found:
        return
    told = "\n".join(f"   {printable.line(line)}" for line in found)
    said = f"{recorded.name(row)}: the flow is not what it was when the run began, {ago(row.started, time.time())}\n{told}"
    if yes:
        if not quiet:
            screen.say(said)
        return
    if not (screen.terminal(sys.stdin) and screen.terminal(sys.stderr)):
        raise ConfigError(f"{said}\n   hint: --yes goes on; calls whose question is still the same are not made again")
    screen.say(said)
    if not click.confirm("go on? calls whose question is still the same are not made again", err=True):
        raise ConfigError("nothing was called; `flowkit run` begins a new run")


def _ended(row: RunRow) -> str:
    begun = f"begun {ago(row.started, time.time())}"
    if row.status == "interrupted":
        return f"{begun} and interrupted"
    at = f" at {row.failed!r}" if row.failed else ""
    return f"{begun} and failed{at}" + (f": {printable.clip(printable.line(row.message), 100)}" if row.message else "")
