"""Say what a run would do, by running it up to each question that would have to be asked. Asks nothing, calls no function.

What is in the record is taken as the answer, so that a run after one change shows as it would be: hits, then the calls of what changed,
then what depends on their answers, of which only bounds are known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from flowkit.budget import Estimate, estimate
from flowkit.chat import Attempt, ChatRequest, Completion
from flowkit.config import Resolved
from flowkit.endpoints import Endpoint
from flowkit.errors import RunError, Unknown
from flowkit.events import Event, StepFinished, StepStarted
from flowkit.flow import Flow
from flowkit.lookup import Lookup, Reuse
from flowkit.plan import ChatWork, FlowWork, Plan
from flowkit.prices import Tariff
from flowkit.results import Run, Status
from flowkit.runner import Entry, Execution, Services
from flowkit.runtime import Runtime
from flowkit.store import Answers


@dataclass(slots=True)
class StepForecast:
    """One step. `hits` are answers from the record, `calls` would be made for sure; `open`: what more it does depends on answers."""

    path: str
    kind: str
    models: tuple[str, ...] = ()
    #: Whether it waits for others, and whether one answer may lead to the next question (`repeat`, tools).
    waits: bool = False
    goes_on: bool = False
    hits: int = 0
    calls: int = 0
    open: bool = False
    #: Whether, when the run reaches its end, at least one question is asked: nothing may skip the step, and it is not in a loop.
    certain: bool = False
    skipped: bool = False
    #: Why it cannot be known, or why it would fail.
    why: str | None = None
    failed: bool = False
    #: Tokens of the calls: sent, at a guess by size; answered at most, None where nothing bounds them.
    input_tokens: int = 0
    output_tokens: int | None = 0
    #: US dollars at most; None where a price or a bound is missing.
    cost: Decimal | None = Decimal(0)
    unpriced: set[str] = field(default_factory=set)
    #: Tokens that earlier answers of this step took on average, and how many there were.
    usual: float | None = None
    earlier: int = 0

    @property
    def follows(self) -> bool:
        """Whether at least one call follows, once the answers above are there. What was asked before may be asked the same again."""
        return self.open and self.certain and not (self.calls or self.hits or self.earlier)


@dataclass(slots=True)
class Forecast:
    """What runs would do, summed up over `rows` of inputs."""

    flow: str
    steps: dict[str, StepForecast]
    rows: int = 0
    #: Rows of which nothing can be said, because they would fail before any call: the first ones, in words.
    failures: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Answers that would be taken from the record."""
        return sum(step.hits for step in self.steps.values())

    @property
    def calls(self) -> int:
        """Calls that would be made for sure."""
        return sum(step.calls for step in self.steps.values())

    @property
    def follow(self) -> list[str]:
        """Steps of which at least one call follows: they surely ask something, and nobody ever asked them before."""
        return [step.path for step in self.steps.values() if step.follows]

    @property
    def open(self) -> list[str]:
        """Steps of which more calls may follow."""
        return [step.path for step in self.steps.values() if step.open]

    @property
    def unpriced(self) -> list[str]:
        """Models that would be called and whose price nobody said."""
        return sorted(set().union(*(step.unpriced for step in self.steps.values())))

    @property
    def cost(self) -> Decimal | None:
        """US dollars that the sure calls take at most; None where that is unknown."""
        costs = [step.cost for step in self.steps.values()]
        return sum((c for c in costs if c is not None), Decimal(0)) if None not in costs else None

    @property
    def input_tokens(self) -> int:
        """Tokens that the sure calls send, at a guess."""
        return sum(step.input_tokens for step in self.steps.values())

    @property
    def output_tokens(self) -> int | None:
        """Tokens that their answers take at most; None where nothing bounds them."""
        found = [step.output_tokens for step in self.steps.values()]
        return sum(t for t in found if t is not None) if None not in found else None


class Forecaster:
    """Forecasts any number of runs of one flow. Use it within the runtime."""

    def __init__(self, flow: Flow, runtime: Runtime, answers: Answers | None, *, reuse: Reuse, clock: Callable[[], float]) -> None:
        self._flow = flow
        self._runtime = runtime
        self._answers = answers
        self._reuse: Reuse = reuse
        self._clock = clock
        self._resolved: dict[Endpoint, Resolved] = {}
        #: Steps that began with the inputs of now.
        self._began: set[str] = set()
        self.forecast = Forecast(flow.name, _steps(flow.plan))
        if answers is not None:
            for path, step in self.forecast.steps.items():
                step.earlier, step.usual = answers.usual(path, str(flow.plan.path)) if step.kind == "chat" else (0, None)

    async def add(self, inputs: Mapping[str, Any]) -> None:
        """Add what a run with these inputs would do. Raises InputError when they do not fit."""
        run = Run("", self._flow.name, simulated=self._runtime.simulated, inputs=self._flow.validate(inputs))
        lookup = None if self._answers is None else Lookup(self._answers, self._clock, self._reuse, run)
        self.forecast.rows += 1
        self._began = set()
        services = Services(
            self._runtime.client_for(self._flow.plan),
            self._model,
            self._read,
            asyncio.get_running_loop().time,
            simulated=run.simulated,
            ledger=_Ledger(self, lookup),
            dry=True,
        )
        execution = Execution(self._flow.plan, run.inputs, services)
        try:
            await execution.run()
        except Unknown:
            pass
        except RunError as error:
            self.forecast.failures.append(str(error))
        for path, step in self.forecast.steps.items():
            outer = execution.results[path.partition("/")[0]]
            unknown = outer.status is Status.PENDING or (outer.error is not None and outer.error.kind == Unknown.kind)
            # Of a sub-flow in a `foreach`, what began for one item may wait for an answer in another.
            if step.kind == "chat" and unknown and (path not in self._began or (outer.results is not None and step.waits)):
                step.open = True

    def _model(self, name: str, plan: Plan) -> Resolved:
        found = self._runtime.resolve(name, plan)
        self._resolved[found.endpoint] = found
        return found

    def _read(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._began.add(event.step)
        if isinstance(event, StepFinished) and event.step in self.forecast.steps:
            step = self.forecast.steps[event.step]
            step.skipped = event.status is Status.SKIPPED
            if event.error is not None:
                step.open = step.open or (event.error.kind == Unknown.kind and step.goes_on)
                step.failed = step.failed or event.error.kind not in {Unknown.kind, "cancelled"}
                step.why = step.why or event.error.message

    def tariff(self, endpoint: Endpoint, request: ChatRequest) -> Tariff | None:
        """Return what a call costs, None where nobody said it."""
        return self._runtime.tariff(self._resolved[endpoint], request.params)


def _steps(plan: Plan) -> dict[str, StepForecast]:
    found: dict[str, StepForecast] = {}
    certain = _certain(plan)
    for path, _, step in plan.walk():
        work = step.work if isinstance(step.work, ChatWork) else None
        goes_on = work is not None and (step.repeat is not None or bool(work.tools))
        found[path] = StepForecast(
            path, step.kind, work.models if work else (), waits=bool(step.waits), goes_on=goes_on, certain=path in certain
        )
    return found


def _certain(plan: Plan, prefix: str = "") -> set[str]:
    """Return the paths of steps that run at least once when a run reaches its end: no `when`, no list, no skip above."""
    missing = {step.id for step in plan.steps.values() if step.when is not None or step.on_error.action != "fail"}
    while more := {step.id for step in plan.steps.values() if step.id not in missing and missing.intersection(step.skips_with)}:
        missing |= more
    found = set()
    for step in plan.steps.values():
        if step.when is None and step.foreach is None and not missing.intersection(step.skips_with):
            found.add(prefix + step.id)
            if isinstance(step.work, FlowWork):
                found |= _certain(step.work.plan, f"{prefix}{step.id}/")
    return found


class _Ledger:
    """Knows what was answered before, and counts what was not."""

    offline = True

    def __init__(self, forecaster: Forecaster, lookup: Lookup | None) -> None:
        self._forecaster = forecaster
        self._lookup = lookup

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Entry:
        """Return an answer of the record. Raises Unknown when there is none."""
        found = self._known(endpoint, request, cache)
        if found is not None:
            return Taken(found)
        if request.sample is not None:
            # The first one that is missing ends the others, so that they are looked for here.
            for other in range(request.sample + 1, request.samples):
                self._known(endpoint, replace(request, sample=other), cache)
        raise Unknown("needs an answer that is not in the record")

    def knows(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Whether there is an answer to what would be asked next."""
        return self._lookup is not None and self._lookup.knows(endpoint, request, self._lookup.rule(cache))

    def _known(self, endpoint: Endpoint, request: ChatRequest, cache: bool | float | None) -> Completion | None:
        step = self._forecaster.forecast.steps[request.step]
        if self._lookup is not None:
            found = self._lookup.find(self._lookup.question(endpoint, request), self._lookup.rule(cache), request)
            if found is not None:
                step.hits += 1
                return found[1]
        self._count(step, estimate(endpoint.name, request, self._forecaster.tariff(endpoint, request)))
        return None

    def _count(self, step: StepForecast, wanted: Estimate) -> None:
        step.calls += 1
        step.input_tokens += wanted.input_tokens
        bound = wanted.output_tokens
        step.output_tokens = None if bound is None or step.output_tokens is None else step.output_tokens + bound
        if wanted.tariff is None:
            step.unpriced.add(wanted.endpoint)
        if wanted.tariff is None or bound is None or step.cost is None:
            step.cost = None
        else:
            step.cost += wanted.tariff.bound(wanted.input_tokens, bound)


class Taken:
    """An answer that is known, or None where a simulator gives it; nothing is noted."""

    replayed = False

    def __init__(self, reused: Completion | None) -> None:
        self.reused = reused

    async def sending(self) -> None:
        """Nothing is noted."""

    def attempted(self, attempt: Attempt) -> None:
        """Nothing is noted."""

    async def answered(self, completion: Completion) -> None:
        """Nothing is noted."""

    def failed(self, error: RunError) -> None:
        """Nothing is noted."""

    def cut(self, *, sent: bool) -> None:
        """Nothing is noted."""

    def anew(self) -> None:
        """Say that it would have to be asked. Raises Unknown."""
        raise Unknown("needs an answer, for the one in the record does not fit any more")

    def rejected(self) -> None:
        """Nothing is noted."""
