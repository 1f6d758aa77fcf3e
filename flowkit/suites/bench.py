"""Decide how a case is answered, and hold what all cases share: connections, a budget, a way to stop. Judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from flowkit.budget import Budget, Limits
from flowkit.chat import ChatRequest
from flowkit.client import Responder
from flowkit.flow import Flow, Started
from flowkit.plan import ChatWork, Plan
from flowkit.replies import Replies
from flowkit.runner import Spending
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator
from flowkit.suites import shelves
from flowkit.suites.baselines import Baseline
from flowkit.suites.judging import rubric_plan
from flowkit.suites.results import Paid
from flowkit.suites.spec import Case, Suite
from flowkit.wire.response import Response

#: Makes the runtime for models by alias, and a server in the place of all, or None.
MakeRuntime: TypeAlias = Callable[[Mapping[str, str], Responder | None], Runtime]

#: Where answers come from. `auto`: what is recorded is replayed, the rest is asked. `record` asks and records, `live` asks,
#: `replay` asks nothing.
Mode = Literal["auto", "live", "record", "replay"]


class Way(StrEnum):
    """How one case is answered."""

    SIMULATED = "simulated"
    REPLAYED = "replayed"
    ASKED = "asked"


def _runtime(models: Mapping[str, str], responder: Responder | None) -> Runtime:
    return Runtime(models=models, simulate=responder or False)


def in_ci(env: Mapping[str, str]) -> bool:
    """Whether this environment is that of a CI server, where nothing is asked unasked."""
    return env.get("CI", "").lower() not in {"", "0", "false"}


@dataclass(slots=True)
class Bench:
    """Where cases run; use it as `async with Bench(…)` to share connections.

    `simulate` answers every step that has no reply of its own; `Replies()` by type, None asks models. `limit` bounds what all cases cost
    together, in US dollars. `repeat` stands above that of the tests. In `ci` nothing is asked unless the mode says so. With `compare`,
    what cases give is compared with the baselines that were accepted.
    """

    make_runtime: MakeRuntime = _runtime
    simulate: Replies | None = None
    seed: str = ""
    repeat: int | None = None
    limit: Decimal | None = None
    mode: Mode = "auto"
    ci: bool = False
    compare: bool = True
    #: What was paid so far, by whichever case, also by those that were cut.
    paid: Paid = field(default_factory=Paid)
    #: Whether nothing new may start.
    halted: bool = False
    _runtimes: dict[frozenset[tuple[str, str]], Runtime] = field(default_factory=dict)
    _flows: dict[tuple[int, frozenset[tuple[str, str]]], Flow] = field(default_factory=dict)
    _rubrics: dict[tuple[Path, str | None], Plan] = field(default_factory=dict)
    _baselines: dict[Path, Baseline] = field(default_factory=dict)
    _stack: AsyncExitStack | None = None
    _spending: Spending | None = None
    _going: set[Started] = field(default_factory=set)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.paid = Paid()
        if self.limit is not None:
            self._spending = Spending(Budget(Limits(cost=self.limit), name="all tests together"))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._stack is not None
        await self._stack.aclose()
        self._runtimes.clear()
        self._flows.clear()
        self._tasks.clear()

    @property
    def within(self) -> Spending | None:
        """The budget that all cases share."""
        return self._spending

    # -- how a case is answered ------------------------------------------------------------------------------

    def way(self, case: Case) -> Way:
        """Return how a case is answered. Where it would be replayed and nothing is recorded, what it asks is an error."""
        if self.said(case) is not None:
            return Way.SIMULATED
        if self.mode in {"live", "record"}:
            return Way.ASKED
        offline = self.mode == "replay" or self.ci
        return Way.REPLAYED if offline or shelves.recorded(case) else Way.ASKED

    def said(self, case: Case) -> Replies | None:
        """Return what a simulated server says to a case; None where models are asked, or were."""
        if self.simulate is None:
            return own_replies(case)
        return Replies({**self.simulate.scripts, **(case.test.replies.scripts if case.test.replies is not None else {})})

    def rubric(self, case: Case, model: str | None) -> Plan:
        """Return the flow by which a model judges a case."""
        key = case.plan.path, model
        if key not in self._rubrics:
            self._rubrics[key] = rubric_plan(case.plan, model)
        return self._rubrics[key]

    def asking(self, case: Case) -> list[tuple[Plan, Mapping[str, str]]]:
        """Return the flows of a case that ask servers, with the models that stand in the place of theirs."""
        if self.way(case) is not Way.ASKED:
            return []
        rubrics = [self.rubric(case, each.model) for each in case.test.assertions if each.word == "llm-rubric"]
        judges = [case.test.judge.plan] if case.test.judge is not None else []
        return [(case.plan, case.column.models), *((plan, {}) for plan in (*judges, *rubrics))]

    def baseline(self, suite: Suite) -> Baseline | None:
        """Return what was accepted of a file of tests, None where nothing is compared. Raises ConfigError."""
        if not self.compare or self.simulate is not None:
            return None
        if suite.path not in self._baselines:
            self._baselines[suite.path] = Baseline.of(suite)
        return self._baselines[suite.path]

    # -- flows -----------------------------------------------------------------------------------------------

    async def runtime(self, models: Mapping[str, str]) -> Runtime:
        """Return what asks the servers behind these models."""
        key = frozenset(models.items())
        runtime = self._runtimes.get(key)
        if runtime is None:
            runtime = self.make_runtime(models, None)
            if self._stack is not None:
                self._runtimes[key] = runtime
                await self._stack.enter_async_context(runtime)
        return runtime

    async def flow(self, plan: Plan, models: Mapping[str, str]) -> Flow:
        """Return a flow that asks servers."""
        key = id(plan), frozenset(models.items())
        runtime = await self.runtime(models)
        known = self._flows.get(key)
        if known is None or known.plan is not plan:
            known = self._flows[key] = Flow(plan, runtime)
        return known

    def simulated(self, plan: Plan, models: Mapping[str, str], said: Replies, number: int = 0) -> tuple[Flow, Recorder]:
        """Return a flow that asks no server, and what keeps its requests."""
        seed = f"{self.seed}:{number}" if number else self.seed
        recorder = Recorder(Simulator(said, seed=seed))
        return Flow(plan, self.make_runtime(models, recorder)), recorder

    # -- stopping --------------------------------------------------------------------------------------------

    def entered(self, started: Started) -> None:
        """Note a run that asks servers."""
        self._going.add(started)

    def left(self, started: Started) -> None:
        """Note that it is over, however it ended, and what it took."""
        self._going.discard(started)
        self.paid += Paid(started.run.usage, started.run.cost)

    def working(self, task: asyncio.Task[Any]) -> None:
        """Note a task that `cut` ends."""
        self._tasks.add(task)

    def halt(self) -> None:
        """Start no new case and no new call; what is under way may end."""
        self.halted = True
        for started in self._going:
            started.halt()

    def cut(self) -> None:
        """End all that is under way."""
        self.halted = True
        for task in self._tasks:
            task.cancel()


#: What a case is told that needs no answer of a model.
_NOTHING: Final = Replies()


def own_replies(case: Case) -> Replies | None:
    """Return what a test has simulated by itself: with replies, or where no step asks a model; else None."""
    test = case.test
    if test.replies is not None:
        return test.replies
    asking = [path for path, _, step in case.plan.walk() if isinstance(step.work, ChatWork) and not _given(path, test.mock)]
    return _NOTHING if test.renders_only or not asking else None


def _given(path: str, mock: Mapping[str, Any]) -> bool:
    """Whether a step does not run because its output is given, or that of a step around it."""
    return any(path == name or path.startswith(f"{name}/") for name in mock)


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
