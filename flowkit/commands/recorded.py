"""Find a run in the record by what a command line says of it, and read it back. Reads only."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit import __version__, printable, project
from flowkit.chat import Attempt, Usage
from flowkit.commands import screen
from flowkit.commands.running import SHORT
from flowkit.commands.runs.finding import one
from flowkit.errors import ConfigError
from flowkit.money import Cost
from flowkit.results import Run, Status, StepError, StepResult
from flowkit.store import AttemptRow, CallRow, RunRow, StepRow, home, open_existing

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

#: Runs among which the newest is looked for.
_LOOKED_AT = 1000


def folder(flow: str | None) -> Path:
    """Return where the record of a flow's project lies; without a flow, of the project of this folder."""
    return home(project.find(Path.cwd() if flow is None else Path(flow)), os.environ)


def root(flow: str | None) -> Path:
    """Return the folder of the project of a flow, or of this folder."""
    return project.find(Path.cwd() if flow is None else Path(flow)).root


@contextmanager
def reading(place: Path) -> Iterator[Looking]:
    """Open a record to read it. Raises ConfigError where there is none, StoreError when it cannot be read."""
    found = open_existing(place, version=__version__, warn=screen.say)
    if found is None:
        raise ConfigError(f"there is no record of runs in {place}\n   hint: --flow FLOW names a flow file, whose project holds the record")
    with found:
        yield found


def named(record: Looking, prefix: str) -> RunRow:
    """Return the one run whose id begins so. Raises ConfigError when there is none, or several."""
    return as_it_is(record, one(record, prefix))


def as_it_is(record: Looking, row: RunRow) -> RunRow:
    """Return a run with the status that it has now: one whose process died was interrupted, although nobody could write so."""
    return replace(row, status="interrupted") if row.status == "running" and not record.alive(row.session) else row


def newest(record: Looking, root: Path, statuses: Collection[str] = ()) -> RunRow | None:
    """Return the newest run of a flow below a folder, or the newest with one of these statuses; rows of batches are none.

    A record may serve many projects, and a run of another one is not what somebody means who names none.
    """
    rows = (row for row in record.runs(limit=_LOOKED_AT) if Path(row.path).is_relative_to(root))
    return next((row for row in (as_it_is(record, row) for row in rows) if not statuses or row.status in statuses), None)


def name(row: RunRow) -> str:
    """Return a run in words: `run 1a2b3c of 'triage'`."""
    return f"run {row.id[:SHORT]} of {printable.line(row.flow)}"


# -- results -----------------------------------------------------------------------------------------------


def restored(record: Looking, row: RunRow) -> Run:
    """Return a run that is over as it was when it ended, as far as it is kept."""
    calls, attempts = record.calls(row.id), record.attempts(row.id)
    steps = [step for step in record.steps(row.id) if step.item < 0 and "/" not in step.step]
    return Run(
        row.id,
        row.flow,
        Status(row.status),
        simulated=bool(row.simulated),
        inputs=json.loads(row.inputs),
        outputs=_data(row.outputs),
        steps={step.step: _step(step, calls, attempts) for step in steps},
        usage=Usage(row.input_tokens, row.output_tokens, calls=row.calls),
        cost=Cost(Decimal(row.cost or 0), row.unpriced),
        seconds=row.seconds,
        error=None if row.error is None else StepError(row.error, row.message or ""),
        failed=row.failed,
    )


def _step(step: StepRow, calls: list[CallRow], attempts: list[AttemptRow]) -> StepResult:
    inside = {call.number for call in calls if call.step == step.step or call.step.startswith(f"{step.step}/")}
    names = {call.number: call.name for call in calls}
    # Of a run that went on, those of the last time.
    last = (
        sorted((each for each in attempts if each.call in inside), key=lambda each: each.started)[-step.attempts :] if step.attempts else []
    )
    made = [_attempt(attempt, names) for attempt in last]
    answered = sum(attempt.outcome == "ok" for attempt in made)
    known = step.cost is not None or not answered
    return StepResult(
        step.step,
        Status(step.status),
        _data(step.output),
        None if step.error is None else StepError(step.error, step.message or ""),
        step.model,
        Usage(step.input_tokens, step.output_tokens, calls=answered),
        Cost(Decimal(step.cost or 0)) if known else Cost(unknown=answered),
        step.seconds,
        made,
        reused=step.reused,
    )


def _attempt(row: AttemptRow, names: dict[int, str]) -> Attempt:
    return Attempt(row.number, names[row.call], row.outcome, row.seconds or 0.0, row.message, row.status, row.waited, row.first_token)


def _data(text: str | None) -> Any:
    return None if text is None else json.loads(text)
