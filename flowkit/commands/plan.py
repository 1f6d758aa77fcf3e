"""`flowkit plan`: say which calls a run would make, and what they cost at most. Nothing is called."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from flowkit import __version__, printable, project
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
    """
    checked = opening.open(simulate=None, keeping=NOTHING)
    if data is None:
        rows: Iterable[Mapping[str, Any]] = [opening.values(checked.plan, "flowkit plan {}")]
    else:
        rows = asked.rows(opening, checked.plan.inputs, data, mapped, limit)
    forecast = asyncio.run(_forecast(opening, checked, rows, fresh=fresh))
    if as_json:
        screen.out(printable.json_text(forecasts.document(forecast), indent=2) + "\n")
    else:
        screen.out(forecasts.text(forecast))
    return 0


async def _forecast(opening: Opening, flow: Flow, rows: Iterable[Mapping[str, Any]], *, fresh: bool) -> Forecast:
    runtime = opening.runtime(None, Keeping(record=False))
    answers = open_existing(home(project.find(opening.located.today), os.environ), version=__version__, warn=screen.say)
    try:
        async with runtime:
            forecaster = Forecaster(flow, runtime, answers, reuse="off" if fresh else "on", clock=time.time)
            for row in rows:
                try:
                    await forecaster.add(row)
                except InputError as error:
                    if not isinstance(rows, list):
                        forecaster.forecast.failures.append(str(error))
                        continue
                    raise
    finally:
        if answers is not None:
            answers.close()
    return forecaster.forecast
