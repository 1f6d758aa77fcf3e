"""`flowkit plan`: say which calls a run would make, and what they cost at most. Nothing is called."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable

import click

from flowkit import __version__, printable, project
from flowkit.batch import Asked
from flowkit.batch.answering import one_line
from flowkit.commands import asked, screen
from flowkit.commands.keeping import Keeping
from flowkit.commands.opening import NOTHING, Opening, options
from flowkit.commands.verb import Verb
from flowkit.console import forecasts
from flowkit.errors import InputError
from flowkit.flow import Flow
from flowkit.forecast import Forecast, Forecaster
from flowkit.store import home, open_existing

_EXAMPLES = (
    ("flowkit plan flows/triage.flow.yaml -i ticket=@ticket.txt", "what the next run would call"),
    ("flowkit plan flows/triage.flow.yaml --data tickets.jsonl", "what a batch would call"),
    ("flowkit plan flows/triage.flow.yaml -i ticket=@ticket.txt --json | jq .cost", "for programs"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow")
@options
@click.option("--data", metavar="FILE", help="Rows of inputs, as `flowkit batch` takes them.")
@click.option("--map", "mapped", multiple=True, metavar="INPUT=COLUMN", help="Take an input from a column of another name.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N rows.")
@click.option("--fresh", is_flag=True, help="As if nothing were in the record.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(opening: Opening, *, data: str | None, mapped: tuple[str, ...], limit: int | None, fresh: bool, as_json: bool) -> int:
    """Say which calls a run would make, and what they cost at most; nothing is called.

    Answers that are in the record are taken as they are, so that only what changed shows as a call. What depends on an answer that is
    not there yet is not known before; nor is what a Python function gives, for it is not called.

    Exit codes: 0 ok; 1 a row cannot be read, does not fit, or would fail before any call; 2 wrong flow, configuration or input.
    """
    checked = opening.open(simulate=None, keeping=NOTHING)
    if data is None:
        rows: Iterable[Asked] = [Asked(1, opening.values(checked.plan, "flowkit plan {}"))]
    else:
        rows = asked.each(opening, checked.plan.inputs, data, mapped, limit)
    forecast = asyncio.run(_forecast(opening, checked, rows, fresh=fresh))
    if as_json:
        screen.out(printable.json_text(forecasts.document(forecast), indent=2) + "\n")
    else:
        screen.out(forecasts.text(forecast))
    return int(bool(forecast.failures))


async def _forecast(opening: Opening, flow: Flow, rows: Iterable[Asked], *, fresh: bool) -> Forecast:
    runtime = opening.runtime(None, Keeping(record=False))
    answers = open_existing(home(project.find(opening.located.today), os.environ), version=__version__, warn=screen.say)
    try:
        async with runtime:
            forecaster = Forecaster(flow, runtime, answers, reuse="off" if fresh else "on", clock=time.time)
            for row in rows:
                await _add(forecaster, row)
    finally:
        if answers is not None:
            answers.close()
    return forecaster.forecast


async def _add(forecaster: Forecaster, row: Asked) -> None:
    """Add one row; of a data file, also one that fails counts, by its place. Raises InputError for the inputs of the command line."""
    forecast = forecaster.forecast
    known, rows = len(forecast.failures), forecast.rows
    try:
        if row.inputs is None:
            forecast.failures.append(row.wrong or "")
        else:
            await forecaster.add(row.inputs)
    except InputError as error:
        if row.place is None:
            raise
        forecast.failures.append(one_line(str(error)))
    forecast.rows = rows + 1
    if row.place is not None:
        forecast.failures[known:] = [f"{row.place}: {failure}" for failure in forecast.failures[known:]]
