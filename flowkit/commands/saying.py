"""Render the messages of two versions of a flow with the same inputs, and forecast what a rerun of the newer one calls."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from flowkit import __version__, project
from flowkit.chat import Completion
from flowkit.commands import asked, given, screen
from flowkit.commands.narrowing import Narrowing
from flowkit.commands.opening import NOTHING, Opening
from flowkit.commands.per_row import PerRow
from flowkit.commands.versions import Read
from flowkit.comparing import Comparison, Messages, add, carried, renames
from flowkit.errors import ConfigError, InputError
from flowkit.flow import Flow
from flowkit.forecast import Forecast, Forecaster
from flowkit.plan import ChatWork, Plan
from flowkit.rendered import Rendered, Sampled, rendered
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator
from flowkit.store import Answers, home, open_existing
from flowkit.types.algebra import MISSING, Record


@dataclass(frozen=True, slots=True)
class Inputs:
    """With which inputs messages are rendered; fields are named as the options are."""

    data: str | None
    mapped: tuple[str, ...]
    limit: int
    simulate: str | None


def added(found: Comparison, then: Read | None, now: Read, opening: Opening, inputs: Inputs) -> Comparison:
    """Return a comparison with what models are told; as it is where no inputs are given and the flow needs some.

    Raises:
        InputError: the inputs do not fit what either side declares.
        ConfigError: a file of inputs cannot be read.
    """
    plan = now.version.plan
    before = None if then is None else then.version.plan
    assert plan is not None
    declared = _declared(before, plan)
    rows = _rows(opening, inputs, declared, plan)
    if rows is None:
        return found
    answers = open_existing(home(project.find(now.located.today), os.environ), version=__version__, warn=screen.say)
    try:
        sides = (None if before is None else _side(before, opening, inputs.simulate), _side(plan, opening, inputs.simulate))
        messages, forecast = asyncio.run(_said(found, *sides, _side(plan, opening, None), rows, answers))
    finally:
        if answers is not None:
            answers.close()
    return replace(found, messages=messages, forecast=forecast)


def _declared(before: Plan | None, plan: Plan) -> Record:
    """Return the inputs of both sides; what only the old one has is given to that one alone."""
    fields = () if before is None else before.inputs.fields
    only = [replace(field, optional=True) for field in fields if plan.inputs.get(field.name) is None]
    return Record((*plan.inputs.fields, *only))


def _rows(opening: Opening, inputs: Inputs, declared: Record, plan: Plan) -> Iterator[Mapping[str, Any]] | None:
    if inputs.data is not None:
        return asked.rows(opening, declared, inputs.data, inputs.mapped, inputs.limit)
    found = given.mapping(opening.inputs, sys.stdin.read) if opening.inputs is not None else {}
    found |= given.values(opening.input, declared)
    if not found and any(not field.optional and field.default is MISSING for field in declared.fields):
        return None
    given.require(found, declared, flow=plan.name, line=f"flowkit diff {opening.flow}")
    return iter([found])


@dataclass(frozen=True, slots=True)
class _Side:
    """One version, ready to be rendered. `sampled` are the functions for which sample values stand."""

    flow: Flow
    runtime: Runtime
    responder: PerRow | None
    sampled: tuple[str, ...] = ()

    async def said(self, row: Mapping[str, Any], answers: Answers | None, assumed: Mapping[Sampled, Completion] | None = None) -> Rendered:
        """Return what a run says with those inputs of a row that this side has."""
        if self.responder is not None:
            self.responder.begin()
        try:
            return await rendered(self.flow, self.runtime, _own(row, self.flow.plan), answers, time.time, assumed)
        except InputError as error:
            return Rendered(failure=str(error))


def _side(plan: Plan, opening: Opening, simulate: str | None) -> _Side:
    if simulate is None:
        runtime = opening.runtime(None, NOTHING)
        return _Side(Flow(plan, runtime), runtime, None)
    said = opening.replies(simulate, plan)
    responder = PerRow(lambda: Simulator(said, seed=opening.seed))
    runtime = opening.runtime(responder, NOTHING)
    narrowing = Narrowing({}, run_functions=False, seed=opening.seed)
    return _Side(Flow(narrowing.without_functions(plan), runtime), runtime, responder, tuple(narrowing.sampled))


async def _said(
    found: Comparison, old: _Side | None, new: _Side, real: _Side, rows: Iterator[Mapping[str, Any]], answers: Answers | None
) -> tuple[Messages, Forecast]:
    """Render each row on both sides, and forecast what it calls with the `real` models."""
    renamed = renames(found.changes)
    back = {} if old is None else {renamed[path]: path for path, _, _ in old.flow.plan.walk()}
    told = Messages(simulated=new.responder is not None, sampled=new.sampled)
    asking = [path for path, _, step in real.flow.plan.walk(tools=False) if isinstance(step.work, ChatWork)]
    forecaster = Forecaster(real.flow, real.runtime, answers, reuse="on", clock=time.time)
    async with AsyncExitStack() as stack:
        for side in (old, new, real):
            if side is not None:
                await stack.enter_async_context(side.runtime)
        for row in rows:
            then = None if old is None else await old.said(row, answers)
            after = await new.said(row, answers, {} if then is None else carried(then.answers, renamed))
            if old is not None and then is not None and then.unknown and after.answers:
                then = await old.said(row, answers, carried(after.answers, _Back(back)))
            gone = [] if then is None else [renamed[step] for step, _, _ in then.messages]
            add(told, then, after, renamed, dict.fromkeys([*asking, *gone]))
            try:
                await forecaster.add(_own(row, real.flow.plan))
            except (InputError, ConfigError) as error:
                forecaster.forecast.failures.append(str(error))
    return told, forecaster.forecast


class _Back(dict[str, str]):
    """Old paths of steps by their new ones; a step that is new keeps its own."""

    def __missing__(self, path: str) -> str:
        return path


def _own(row: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in row.items() if plan.inputs.get(name) is not None}
