"""Run cases: each in its flow, with its mocks and replies, then judge what came of it. Knows no file and no screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flowkit.budget import Budget, Limits
from flowkit.chat import ChatRequest, Usage
from flowkit.client import Responder
from flowkit.errors import ConfigError, FlowkitError, InputError, LimitReached, ModelError, RunError
from flowkit.events import Event, StepFinished
from flowkit.flow import Flow
from flowkit.money import Cost
from flowkit.plan import ChatWork, Plan
from flowkit.replies import Replies
from flowkit.results import Run, Status, StepResult
from flowkit.runner import Spending
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator
from flowkit.suites.assertions import Evidence, Score, Unclear, judge, value_of
from flowkit.suites.judging import JUDGE, RUBRIC, arguments, by_function, by_rubric, for_rubric, replies_for, rubric_plan
from flowkit.suites.measuring import measure
from flowkit.suites.results import CaseResult, Failure, MetricResult, Outcome, Report, Trial, Verdict
from flowkit.suites.spec import Assertion, Case, ExpectedError
from flowkit.wire.response import Response

#: Cases at once; what they ask of servers is bounded by the limiter.
PARALLEL = 16

#: Makes the runtime for models by alias, and a server in the place of all, or None.
MakeRuntime = Callable[[Mapping[str, str], Responder | None], Runtime]


def _runtime(models: Mapping[str, str], responder: Responder | None) -> Runtime:
    return Runtime(models=models, simulate=responder or False)


@dataclass(slots=True)
class Bench:
    """Where cases run; use it as `async with Bench(…)` to share connections.

    `simulate` answers every step that has no reply of its own; `Replies()` by type, None asks models. `limit` bounds what all cases cost
    together, in US dollars. `repeat` stands above that of the tests.
    """

    make_runtime: MakeRuntime = _runtime
    simulate: Replies | None = None
    seed: str = ""
    repeat: int | None = None
    limit: Decimal | None = None
    _runtimes: dict[frozenset[tuple[str, str]], Runtime] = field(default_factory=dict)
    _flows: dict[tuple[int, frozenset[tuple[str, str]]], Flow] = field(default_factory=dict)
    _rubrics: dict[tuple[Path, str | None], Plan] = field(default_factory=dict)
    _stack: AsyncExitStack | None = None
    _spending: Spending | None = None

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        if self.limit is not None:
            self._spending = Spending(Budget(Limits(cost=self.limit), name="all tests together"))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._stack is not None
        await self._stack.aclose()
        self._runtimes.clear()
        self._flows.clear()

    @property
    def within(self) -> Spending | None:
        """The budget that all cases share."""
        return self._spending

    def said(self, case: Case) -> Replies | None:
        """Return what a simulated server says to a case; None where models are asked."""
        test = case.test
        if test.replies is not None:
            return Replies({**(self.simulate.scripts if self.simulate else {}), **test.replies.scripts})
        if self.simulate is not None:
            return self.simulate
        asking = [path for path, _, step in case.plan.walk() if isinstance(step.work, ChatWork) and not _given(path, test.mock)]
        return Replies() if test.renders_only or not asking else None

    def rubric(self, case: Case, model: str | None) -> Plan:
        """Return the flow by which a model judges a case."""
        key = case.plan.path, model
        if key not in self._rubrics:
            self._rubrics[key] = rubric_plan(case.plan, model)
        return self._rubrics[key]

    def asking(self, case: Case) -> list[tuple[Plan, Mapping[str, str]]]:
        """Return the flows of a case that ask models, with the models that stand in the place of theirs; none in a simulated run."""
        if self.said(case) is not None:
            return []
        rubrics = [self.rubric(case, each.model) for each in case.test.assertions if each.word == "llm-rubric"]
        judges = [case.test.judge.plan] if case.test.judge is not None else []
        return [(case.plan, case.column.models), *((plan, {}) for plan in (*judges, *rubrics))]

    async def flow(self, plan: Plan, models: Mapping[str, str]) -> Flow:
        """Return a flow that asks servers."""
        key = frozenset(models.items())
        runtime = self._runtimes.get(key)
        if runtime is None:
            runtime = self.make_runtime(models, None)
            if self._stack is not None:
                self._runtimes[key] = runtime
                await self._stack.enter_async_context(runtime)
        known = self._flows.get((id(plan), key))
        if known is None or known.plan is not plan:
            known = self._flows[id(plan), key] = Flow(plan, runtime)
        return known

    def simulated(self, plan: Plan, models: Mapping[str, str], said: Replies, number: int = 0) -> tuple[Flow, Recorder]:
        """Return a flow that asks no server, and what keeps its requests."""
        seed = f"{self.seed}:{number}" if number else self.seed
        recorder = Recorder(Simulator(said, seed=seed))
        return Flow(plan, self.make_runtime(models, recorder)), recorder


class Recorder:
    """A simulated server that keeps what it was asked, by step."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.asked: dict[str, list[ChatRequest]] = {}

    @property
    def learn(self) -> Any:
        """Take the types of the flow, as a simulator does."""
        return self._simulator.learn

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Keep the request, then answer it."""
        self.asked.setdefault(request.step, []).append(request)
        return await self._simulator.respond(request, body)


async def run_case(case: Case, bench: Bench) -> CaseResult:
    """Run one case as often as it says, and judge each run."""
    trials = []
    for number in range(bench.repeat or case.test.repeat):
        trials.append(await _Trial(case, bench, number).run())
    return CaseResult(case, tuple(trials), case.test.pass_rate)


# -- one run -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Trial:
    case: Case
    bench: Bench
    number: int
    finished: list[StepFinished] = field(default_factory=list)
    #: What judging took.
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()

    async def run(self) -> Trial:
        """Run the flow, then judge what came of it."""
        said = self.bench.said(self.case)
        if said is not None:
            flow, recorder = self.bench.simulated(self.case.plan, self.case.column.models, said, self.number)
        else:
            flow, recorder = await self.bench.flow(self.case.plan, self.case.column.models), None
        try:
            run, error = await self._ran(flow, simulated=said is not None)
        except FlowkitError as e:
            kind = {ConfigError: "config", InputError: "input"}.get(type(e), "store")
            return Trial(None, failure=Failure(kind, str(e), code=e.exit_code), simulated=said is not None)
        if error is not None and self.case.test.renders_only and recorder is not None:
            # What was made up for an answer may break what comes behind; what was to be seen was seen.
            error = None if recorder.asked.keys() >= {each.step for each in self.case.test.assertions} else error
        names = names_of(self.case, run)
        verdict, failure = expected_error(self.case.test.error, error)
        verdicts = [] if verdict is None else [verdict]
        if failure is None:
            try:
                if error is None:
                    await self._judged(names, said)
                asked = recorder.asked if recorder is not None else await self._rendered(run)
                evidence = Evidence(self.case, run, names, self.finished, asked)
                verdicts += [await self._verdict(each, evidence, said) for each in self.case.test.assertions]
            except RunError as e:
                failure = Failure(e.kind, f"the judge: {e.message}", e.step, e.exit_code)
            except FlowkitError as e:
                failure = Failure("config", f"the judge: {e}", code=e.exit_code)
        usage, cost = run.usage + self.usage, run.cost + self.cost
        return Trial(run, tuple(verdicts), failure, names, usage, cost, run.seconds, simulated=run.simulated)

    async def _ran(self, flow: Flow, *, simulated: bool) -> tuple[Run, RunError | None]:
        """Return the run, and its error if it failed. Raises FlowkitError where it could not begin."""
        within = None if simulated else self.bench.within
        started = flow.start(self.case.row.inputs, emit=self._note, given=self.case.test.mock, within=within)
        try:
            return await started.finish(), None
        except RunError as e:
            return started.run, e

    def _note(self, event: Event) -> None:
        if isinstance(event, StepFinished):
            self.finished.append(event)

    async def _rendered(self, run: Run) -> Mapping[str, Sequence[ChatRequest]]:
        """Return what steps send when all others have given what they gave: rendering asks no model."""
        asked: dict[str, Sequence[ChatRequest]] = {}
        for step in dict.fromkeys(each.step for each in self.case.test.assertions if each.word == "messages" and each.step):
            head = step.split("/")[0]
            ended = dict(self.case.test.mock) | {id_: result.output for id_, result in run.steps.items() if id_ != head and _ended(result)}
            if (own := run.steps.get(head)) is not None and own.status is Status.SKIPPED:
                ended[head] = None
            flow, recorder = self.bench.simulated(self.case.plan, self.case.column.models, Replies())
            with suppress(RunError):  # what comes behind the request does not matter here
                await flow.start(self.case.row.inputs, given=ended).finish()
            asked[step] = recorder.asked.get(step, [])
        return asked

    async def _judged(self, names: dict[str, Any], said: Replies | None) -> None:
        """Let the judge of the test score the run, and put what it gives among the names. Raises FlowkitError."""
        own = self.case.test.judge
        if own is None:
            return
        if said is not None:
            flow, _ = self.bench.simulated(own.plan, {}, replies_for(JUDGE, said, self.case.plan), self.number)
        else:
            flow = await self.bench.flow(own.plan, {})
        names["judge"] = (await self._asked(flow, arguments(own, names))).outputs

    async def _asked(self, flow: Flow, inputs: Mapping[str, Any]) -> Run:
        """Return the run of a flow that judges, which the case pays for. Raises FlowkitError."""
        started = flow.start(inputs, within=None if self.bench.said(self.case) is not None else self.bench.within)
        try:
            return await started.finish()
        finally:
            self.usage += started.run.usage
            self.cost += started.run.cost

    async def _verdict(self, assertion: Assertion, evidence: Evidence, said: Replies | None) -> Verdict:
        """Raises FlowkitError where a model that judges cannot be asked."""
        if assertion.word not in {"python", "llm-rubric"}:
            return judge(assertion, evidence)
        try:
            value = value_of(assertion, evidence)
        except Unclear as unclear:
            return judge(assertion, evidence, Score(0, failure=str(unclear)))
        if assertion.word == "python":
            return judge(assertion, evidence, await by_function(assertion, value, evidence.names))
        plan = self.bench.rubric(self.case, assertion.model)
        if said is None:
            flow = await self.bench.flow(plan, {})
        elif RUBRIC in said.scripts:
            flow, _ = self.bench.simulated(plan, {}, replies_for(RUBRIC, said, plan), self.number)
        else:
            why = f"no model judges in a simulated run; a reply may: `replies: {{{RUBRIC}: …}}`"
            return Verdict(Outcome.UNJUDGED, assertion.shown, why)
        inputs = for_rubric(assertion, value)
        if inputs is None:
            return judge(assertion, evidence, Score(0, "there is nothing to judge", passed=False))
        return judge(assertion, evidence, by_rubric((await self._asked(flow, inputs)).outputs))


def _given(path: str, mock: Mapping[str, Any]) -> bool:
    """Whether a step does not run because its output is given, or that of a step around it."""
    return any(path == name or path.startswith(f"{name}/") for name in mock)


def _ended(result: StepResult) -> bool:
    return result.status in {Status.SUCCEEDED, Status.SKIPPED}


def expected_error(wanted: ExpectedError | None, error: RunError | None) -> tuple[Verdict | None, Failure | None]:
    """Return the verdict on how a run ended, or why it could not be judged: a test fails only for what it names."""
    if wanted is None:
        return None, None if error is None else Failure(error.kind, error.message, error.step, error.exit_code)
    if error is None:
        return Verdict(Outcome.FAILED, f"fails with {wanted}", "the run succeeded"), None
    right = (
        wanted.kind in {None, error.kind}
        and wanted.step in {None, error.step}
        and (wanted.contains is None or wanted.contains in error.message)
    )
    if right:
        return Verdict(Outcome.PASSED, f"fails with {wanted}"), None
    if isinstance(error, ModelError | LimitReached) and wanted.kind != error.kind:
        return None, Failure(error.kind, error.message, error.step, error.exit_code)
    got = f"{error.kind} at step {error.step!r}: {error.message}"
    return Verdict(Outcome.FAILED, f"fails with {wanted}", f"it failed with {got}", step=error.step), None


def names_of(case: Case, run: Run) -> dict[str, Any]:
    """Return what the expressions of a test see."""
    names: dict[str, Any] = {
        "inputs": run.inputs,
        "values": case.plan.values,
        "outputs": run.outputs,
        "steps": {id_: _seen(result) for id_, result in run.steps.items()},
        "run": {
            "cost": None if run.cost.total is None else float(run.cost.total),
            "seconds": run.seconds,
            "calls": run.usage.calls,
            "input_tokens": run.usage.input_tokens,
            "output_tokens": run.usage.output_tokens,
        },
    }
    if case.row.key:
        names["row"] = case.row.data
    return names


def _seen(result: StepResult) -> dict[str, Any]:
    return {
        "output": result.output,
        "skipped": result.status is Status.SKIPPED,
        "error": None if result.error is None else {"kind": result.error.kind, "message": result.error.message},
        "messages": [{"role": m.role, "content": m.content if isinstance(m.content, str) else ""} for m in result.messages] or None,
        "results": result.results,
    }


# -- all of them -------------------------------------------------------------------------------------------


async def run_cases(
    cases: Sequence[Case],
    bench: Bench,
    *,
    stop_first: bool = False,
    deselected: int = 0,
    ended: Callable[[CaseResult], None] = lambda _result: None,
) -> Report:
    """Run cases side by side and return what became of all, in their order. With `stop_first` none starts after a failure."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    found: dict[int, CaseResult] = {}
    left = iter(enumerate(cases))
    limit: str | None = None
    halted = False

    async def work() -> None:
        nonlocal limit, halted
        while not halted and (given := next(left, None)) is not None:
            at, case = given
            result = await run_case(case, bench)
            if (said := _spent(result, bench)) is not None:
                limit, halted = said, True
                result = replace(result, trials=())
            elif stop_first and result.outcome in {Outcome.FAILED, Outcome.ERROR}:
                halted = True
            found[at] = result
            ended(result)

    async with bench, asyncio.TaskGroup() as group:
        for _ in range(min(1 if stop_first else PARALLEL, len(cases))):
            group.create_task(work())
    results = tuple(found.get(at) or CaseResult(case, ()) for at, case in enumerate(cases))
    return Report(results, metrics_of(results), loop.time() - began, deselected, limit, stop_first and halted)


def _spent(result: CaseResult, bench: Bench) -> str | None:
    """Return what the budget of all tests said when it stopped a case."""
    if bench.within is None:
        return None
    name = bench.within.budget.name
    said = [t.failure.message for t in result.trials if t.failure is not None and t.failure.kind == LimitReached.kind]
    return next((message for message in said if name in message), None)


def metrics_of(results: Sequence[CaseResult]) -> tuple[MetricResult, ...]:
    """Return the metrics of all tests and files whose cases are all there."""
    found: list[MetricResult] = []
    for suite in dict.fromkeys(result.case.suite for result in results):
        own = [result for result in results if result.case.suite is suite]
        for test in suite.tests:
            of_test = [result for result in own if result.case.test is test]
            for metric in test.metrics if len(of_test) == len(test.rows) * len(test.columns) else ():
                found += measure(f"{suite.shown}::{test.name} metric {metric.name}", metric, of_test)
        for metric in suite.metrics if len(own) == len(suite.cases()) else ():
            found += measure(f"{suite.shown}::metric {metric.name}", metric, own)
    return tuple(found)
