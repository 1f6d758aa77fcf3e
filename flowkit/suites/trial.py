"""Run one case once: in its flow, with its mocks, answered as the bench says, then judge what came of it. Knows no screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flowkit.cassettes import Player, Recording, Tape
from flowkit.chat import ChatRequest, Usage
from flowkit.endpoints import Endpoint
from flowkit.errors import ConfigError, FlowkitError, InputError, LimitReached, ModelError, RunError
from flowkit.events import Emit, Event, StepFinished
from flowkit.flow import Started
from flowkit.money import Cost
from flowkit.plan import ChatWork, Plan
from flowkit.prices import Tariff
from flowkit.replies import Replies
from flowkit.results import Run, Status, StepResult
from flowkit.runner import Ledger
from flowkit.runtime import Runtime
from flowkit.suites import shelves
from flowkit.suites.assertions import Evidence, Score, Unclear, judge, value_of
from flowkit.suites.bench import Bench, Recorder, Way
from flowkit.suites.drifting import Took, drift
from flowkit.suites.judging import JUDGE, RUBRIC, arguments, by_function, by_rubric, for_rubric, replies_for
from flowkit.suites.results import NO_ANSWER, Failure, Outcome, Trial, Verdict
from flowkit.suites.spec import Assertion, Case, ExpectedError


@dataclass(slots=True)
class Try:
    """One run of a case on its way. `number` counts its repeats from 0."""

    case: Case
    bench: Bench
    number: int
    way: Way = Way.SIMULATED
    said: Replies | None = None
    tape: Tape = field(default_factory=Tape)
    player: Player | None = None
    finished: list[StepFinished] = field(default_factory=list)
    #: What judging took.
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()

    async def run(self) -> Trial:
        """Run the flow, then judge what came of it. Raises ConfigError where answers cannot be recorded."""
        case = self.case
        self.way, self.said = self.bench.way(case), self.bench.said(case)
        try:
            self.bench.baseline(case.suite)  # one that is wrong is said before anything is paid
            if self.way is Way.REPLAYED:
                shelf = shelves.shelf(case, self.number)
                self.player = Player(shelf.calls, str(shelf.folder))
            started, recorder = await self._start(case.plan, case.column.models, case.row.inputs, given=case.test.mock, emit=self._note)
        except FlowkitError as e:
            return self._refused(e)
        try:
            run, error = await self._ended(started), None
        except RunError as e:
            run, error = started.run, e
        except FlowkitError as e:
            return self._refused(e)
        if error is not None and case.test.renders_only and recorder is not None:
            # What was made up for an answer may break what comes behind; what was to be seen was seen.
            error = None if recorder.asked.keys() >= {each.step for each in case.test.assertions} else error
        failure = self._missing()
        if failure is not None:
            return self._over(run, {}, [], failure)
        # Before judges add theirs: what the flow took, whenever it was paid.
        took = run.usage + self.tape.usage, run.cost + self.tape.cost
        names = names_of(case, run, *took)
        verdict, failure = expected_error(case.test.error, error)
        verdicts = [] if verdict is None else [verdict]
        if failure is None:
            try:
                verdicts += await self._verdicts(names, run, error, recorder, took[1])
            except RunError as e:
                failure = Failure(e.kind, f"the judge: {e.message}", e.step, e.exit_code)
            except FlowkitError as e:
                failure = Failure("config", f"the judge: {e}", code=e.exit_code)
            failure = self._missing() or failure
        return self._over(run, names, verdicts, failure)

    def _refused(self, error: FlowkitError) -> Trial:
        kind = {ConfigError: "config", InputError: "input"}.get(type(error), "store")
        return Trial(None, failure=Failure(kind, str(error), code=error.exit_code), simulated=self.said is not None)

    def _over(self, run: Run, names: Mapping[str, Any], verdicts: Sequence[Verdict], failure: Failure | None) -> Trial:
        if failure is None and self.bench.mode == "record" and self.way is Way.ASKED:
            try:
                shelves.write(self.case, self.number, self.tape.calls)
            except ConfigError as e:
                failure = Failure("config", str(e), code=e.exit_code)
        simulated, replayed = self.said is not None, self.way is Way.REPLAYED
        return Trial(run, tuple(verdicts), failure, names, *self._took(run), run.seconds, simulated, replayed, reused=self.tape.reused)

    def _took(self, run: Run) -> tuple[Usage, Cost]:
        """Return what the run and its judges took, whenever it was paid."""
        return run.usage + self.usage + self.tape.usage, run.cost + self.cost + self.tape.cost

    # -- flows that run ------------------------------------------------------------------------------------------

    async def _start(
        self,
        plan: Plan,
        models: Mapping[str, str],
        inputs: Mapping[str, Any],
        *,
        said: Replies | None = None,
        head: str = "",
        given: Mapping[str, Any] | None = None,
        emit: Emit | None = None,
    ) -> tuple[Started, Recorder | None]:
        """Return a run that only waits to be awaited, answered as the case is; `head` stands before the names of its steps."""
        given = given or {}
        if self.bench.halted:
            raise RunError("stopped before it was finished", kind="cancelled")
        if self.said is not None:
            flow, recorder = self.bench.simulated(plan, models, said or self.said, self.number)
            return flow.start(inputs, emit=emit, given=given), recorder
        flow = await self.bench.flow(plan, models)
        if self.player is not None:
            return flow.start(inputs, emit=emit, given=given, ledger=self.player.under(head)), None
        price = prices(plan, await self.bench.runtime(models))

        def tape(inner: Ledger | None) -> Ledger:
            return Recording(inner, self.tape, head=head, repeat=self.number, price=price)

        return flow.start(inputs, emit=emit, given=given, tape=tape, within=self.bench.within), None

    async def _ended(self, started: Started) -> Run:
        """Return the run when it is over. Raises FlowkitError."""
        if self.way is not Way.ASKED:
            return await started.finish()
        self.bench.entered(started)
        try:
            return await started.finish()
        finally:
            self.bench.left(started)

    def _note(self, event: Event) -> None:
        if isinstance(event, StepFinished):
            self.finished.append(event)

    def _missing(self) -> Failure | None:
        """Return why nothing can be said: something was asked that is not recorded, whatever the flow made of that."""
        if self.player is None or not self.player.missed:
            return None
        missed = self.player.missed[0]
        if self.player.empty:
            ask = ", and --live asks the server" if self.bench.mode != "replay" else ""
            why = "in CI nothing is asked, and " if self.bench.mode != "replay" else ""
            what = f"run {self.number + 1} of this case" if self.number else "this case"
            return Failure(NO_ANSWER, f"{why}nothing is recorded for {what}; `flowkit test --record` records it{ask}", missed.step)
        return Failure(NO_ANSWER, missed.message, missed.step)

    async def _rendered(self, run: Run) -> Mapping[str, Sequence[ChatRequest]]:
        """Return what steps send when all others have given what they gave: rendering asks no model."""
        asked: dict[str, Sequence[ChatRequest]] = {}
        for step in dict.fromkeys(each.step for each in self.case.test.assertions if each.word == "messages" and each.step):
            head = step.split("/")[0]
            ended = dict(self.case.test.mock) | {id_: result.output for id_, result in run.steps.items() if id_ != head and _over(result)}
            if (own := run.steps.get(head)) is not None and own.status is Status.SKIPPED:
                ended[head] = None
            flow, recorder = self.bench.simulated(self.case.plan, self.case.column.models, Replies())
            with suppress(RunError):  # what comes behind the request does not matter here
                await flow.start(self.case.row.inputs, given=ended).finish()
            asked[step] = recorder.asked.get(step, [])
        return asked

    # -- judging -------------------------------------------------------------------------------------------------

    async def _verdicts(
        self, names: dict[str, Any], run: Run, error: RunError | None, recorder: Recorder | None, cost: Cost
    ) -> list[Verdict]:
        """Return what became of all assertions, and of the comparison with what was accepted. Raises FlowkitError."""
        if error is None:
            await self._judged(names)
        asked = recorder.asked if recorder is not None else await self._rendered(run)
        timed = self.way is Way.ASKED and not self.tape.reused
        evidence = Evidence(self.case, run, names, self.finished, asked, cost, timed)
        verdicts = [await self._verdict(each, evidence) for each in self.case.test.assertions]
        baseline = self.bench.baseline(self.case.suite)
        if baseline is not None and error is None:
            seconds = run.seconds if timed and not self.tape.reused else None
            verdicts += drift(baseline, self.case, Took(run.outputs, *self._took(run), seconds, self.said is not None))
        return verdicts

    async def _judged(self, names: dict[str, Any]) -> None:
        """Let the judge of the test score the run, and put what it gives among the names. Raises FlowkitError."""
        own = self.case.test.judge
        if own is None:
            return
        said = None if self.said is None else replies_for(JUDGE, self.said, self.case.plan)
        names["judge"] = (await self._asked(own.plan, arguments(own, names), head=JUDGE, said=said)).outputs

    async def _asked(self, plan: Plan, inputs: Mapping[str, Any], *, head: str, said: Replies | None) -> Run:
        """Return the run of a flow that judges, which the case pays for. Raises FlowkitError."""
        started, _ = await self._start(plan, {}, inputs, said=said, head=head)
        try:
            return await self._ended(started)
        finally:
            self.usage += started.run.usage
            self.cost += started.run.cost

    async def _verdict(self, assertion: Assertion, evidence: Evidence) -> Verdict:
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
        if self.said is not None and RUBRIC not in self.said.scripts:
            why = f"no model judges in a simulated run; a reply may: `replies: {{{RUBRIC}: …}}`"
            return Verdict(Outcome.UNJUDGED, assertion.shown, why)
        inputs = for_rubric(assertion, value)
        if inputs is None:
            return judge(assertion, evidence, Score(0, "there is nothing to judge", passed=False))
        said = None if self.said is None else replies_for(RUBRIC, self.said, plan)
        return judge(assertion, evidence, by_rubric((await self._asked(plan, inputs, head=f"{RUBRIC}/", said=said)).outputs))


def _over(result: StepResult) -> bool:
    return result.status in {Status.SUCCEEDED, Status.SKIPPED}


def prices(plan: Plan, runtime: Runtime) -> Callable[[Endpoint, ChatRequest], Tariff | None]:
    """Return what finds the price of a call of a flow."""
    found = {}
    for _, owner, step in plan.walk():
        for name in (step.work.models or ("",)) if isinstance(step.work, ChatWork) else ():
            with suppress(ConfigError):  # said when the run begins
                resolved = runtime.resolve(name, owner)
                found[resolved.endpoint.name] = resolved

    def price(endpoint: Endpoint, request: ChatRequest) -> Tariff | None:
        resolved = found.get(endpoint.name)
        return None if resolved is None else runtime.tariff(resolved, request.params)

    return price


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


def names_of(case: Case, run: Run, usage: Usage, cost: Cost) -> dict[str, Any]:
    """Return what the expressions of a test see; `usage` and `cost` count what was paid before too."""
    names: dict[str, Any] = {
        "inputs": run.inputs,
        "values": case.plan.values,
        "outputs": run.outputs,
        "steps": {id_: _seen(result) for id_, result in run.steps.items()},
        "run": {
            "cost": None if cost.total is None else float(cost.total),
            "seconds": run.seconds,
            "calls": usage.calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
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
