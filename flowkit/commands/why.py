"""`flowkit why`: say for each call of a run why it was made and not taken from the record."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from flowkit import printable
from flowkit.commands import recorded, screen
from flowkit.commands.verb import Verb
from flowkit.console import whys
from flowkit.console.paint import Paint
from flowkit.console.whys import Explained, Step
from flowkit.errors import ConfigError
from flowkit.origins import Origin, Side, origins, refuses
from flowkit.reasons import Reasons
from flowkit.spelling import did_you_mean
from flowkit.store import CallRow, RunRow

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

_EXAMPLES = (
    ("flowkit why", "a line for each step of the newest run"),
    ("flowkit why 1a2b3c4d reply", "what changed about one step"),
    ("flowkit why 1a2b3c4d draft --item 2", "about one item of a foreach"),
    ("flowkit why 1a2b3c4d --json | jq '.steps[].calls[] | select(.made)'", "for programs"),
)
#: Earlier calls of a step among which the nearest is looked for.
_EARLIER = 2000
#: Reasons that say of a question that it is another one.
_ANOTHER = frozenset({"server", "model", "message", "parameter", "schema", "tool"})


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("run", required=False)
@click.argument("step", required=False)
@click.option("--item", type=click.IntRange(min=1), metavar="N", help="Of a foreach: which item, from 1.")
@click.option("--flow", metavar="FLOW", help="Look in the record of the project of this flow file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: str | None, step: str | None, *, item: int | None, flow: str | None, as_json: bool) -> int:
    """Say why calls were made and not taken from the record; nothing is called.

    A call is compared with the nearest earlier one of the same step in runs of the same flow file: the server, the model, this message,
    that parameter, the schema of the answer. Where what changed comes from is said too: another output above, an input, lines of a file.

    Without STEP: a line for each step. Without RUN: the newest run; a name that is no run is a step of it.
    """
    with recorded.reading(recorded.folder(flow)) as record:
        row, step = _chosen(record, run, step, flow)
        found = _steps(record, row, step, None if item is None else item - 1)
    if step is not None and item is not None and not any(each.calls for each in found):
        raise ConfigError(f"step {step!r} asked nothing for item {item} in {recorded.name(row)}")
    if as_json:
        screen.out(printable.json_text(whys.document(row, found), indent=2) + "\n")
        return 0
    paint = Paint(on=screen.color(sys.stdout))
    now = time.time()
    if step is None:
        screen.out(whys.summary(row, found, now=now, paint=paint))
    else:
        screen.out("".join(whys.details(row, each, now=now, paint=paint) for each in found))
    return 0


def _chosen(record: Looking, run: str | None, step: str | None, flow: str | None) -> tuple[RunRow, str | None]:
    """Return the run and the step that were named. Raises ConfigError."""
    newest = recorded.newest(record, recorded.root(flow)) if step is None else None
    if run is None or (newest is not None and run in _paths(record, newest)):
        if newest is None:
            raise ConfigError(f"no run of a flow below {recorded.root(flow)} is in {record.where}")
        return newest, run
    if newest is not None and not record.runs(prefix=run.lower(), rows=True, limit=1):
        paths = _paths(record, newest)
        hint = did_you_mean(run, paths) or f"the steps of {recorded.name(newest)} are {', '.join(paths) or 'none'}"
        raise ConfigError(f"no run begins with {run!r}, and the newest run has no such step; {hint}")
    row = recorded.named(record, run)
    if step is not None and step not in (paths := _paths(record, row)):
        hint = did_you_mean(step, paths) or f"it had {', '.join(paths) or 'none'}"
        raise ConfigError(f"{recorded.name(row)} had no step {step!r}; {hint}")
    return row, step


def _paths(record: Looking, row: RunRow) -> list[str]:
    return list(dict.fromkeys([step.step for step in record.steps(row.id)] + [call.step for call in record.calls(row.id)]))


def _steps(record: Looking, row: RunRow, only: str | None, item: int | None) -> list[Step]:
    """Explain the calls of a run, or of one step of it."""
    calls: dict[str, dict[str, CallRow]] = {}
    for call in record.calls(row.id):
        if item is None or call.item == item:
            calls.setdefault(call.step, {})[call.key] = call  # of a run that went on, what came of it last
    places = _places(record.calls(row.id))
    known = {step.step: step for step in reversed(record.steps(row.id))}
    explain = _Explain(record, row)
    paths = [path for path in _paths(record, row) if only in (None, path)]
    found = []
    for path in paths:
        own = tuple(replace(each, place=places[each.why.call.number]) for each in explain.calls(list(calls.get(path, {}).values())))
        step = known.get(path)
        found.append(Step(path, "chat" if step is None else step.kind, "running" if step is None else step.status, own))
    return found


def _places(calls: Sequence[CallRow]) -> dict[int, int | None]:
    """Return of each call, by its number, which it is of its step or item; None where it is the only one."""
    held: dict[tuple[str, int | None], list[int]] = {}
    for call in calls:
        held.setdefault((call.step, call.item), []).append(call.number)
    return {number: at if len(numbers) > 1 else None for numbers in held.values() for at, number in enumerate(numbers, 1)}


class _Explain:
    """Finds what calls are compared with."""

    def __init__(self, record: Looking, row: RunRow) -> None:
        self._record = record
        self._row = row
        self._fresh = bool(json.loads(row.options).get("fresh"))
        self._reasons = Reasons(record.body, self._refused)
        self._sides: dict[str, Side | None] = {}
        self._origins: dict[tuple[str, str, frozenset[str]], tuple[Origin, ...]] = {}

    def calls(self, calls: Sequence[CallRow]) -> list[Explained]:
        """Explain the calls of one step."""
        if not calls:
            return []
        last = max(calls, key=lambda call: call.number)
        earlier = self._record.before(last, self._row.path, limit=_EARLIER)
        return [self._call(call, [each for each in earlier if _before(each, call)]) for call in calls]

    def _call(self, call: CallRow, earlier: Sequence[CallRow]) -> Explained:
        why = self._reasons.of(call, earlier, resumed=self._row.resumed > 0)
        if call.state == "reused":
            source = self._record.run((call.source or "").partition(":")[0])
            return Explained(why, paid=None if source is None else source.started)
        kinds = _ANOTHER.intersection(reason.kind for reason in why.reasons)
        if why.nearest is None or why.nearest.run == self._row.id or not kinds:
            return Explained(why)
        known = (call.step, why.nearest.run, kinds)
        if known not in self._origins:
            before, after = self._side(why.nearest.run), self._side(self._row.id)
            found = origins(call.step, before, after, kinds=kinds) if before is not None and after is not None else ()
            self._origins[known] = found
        return Explained(why, self._origins[known])

    def _refused(self, step: str) -> str:
        if self._fresh:
            return "--fresh asks again"
        side = self._side(self._row.id)
        if side is not None and refuses(step, side):
            return "nothing was to be reused: `cache: false`"
        return "nothing was to be reused: a runtime without `cache=True`"

    def _side(self, run: str) -> Side | None:
        if run not in self._sides:
            row = self._record.run(run)
            self._sides[run] = None if row is None else Side(row, self._files(row), self._outputs(run))
        return self._sides[run]

    def _files(self, row: RunRow) -> Mapping[str, str]:
        text = None if row.source is None else self._record.body(row.source)
        files: Mapping[str, str] = {} if text is None else json.loads(text)
        return files

    def _outputs(self, run: str) -> Mapping[str, str]:
        return {step.step: step.output for step in self._record.steps(run) if step.item < 0 and step.output is not None}


def _before(earlier: CallRow, call: CallRow) -> bool:
    return earlier.started <= call.started and (earlier.run != call.run or earlier.number < call.number)
