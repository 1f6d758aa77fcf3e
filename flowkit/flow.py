"""The face: load a flow, run it, watch it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import fields, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowkit import batch as batching
from flowkit import compiler
from flowkit.batch import RowResult
from flowkit.budget import Budget, Limits
from flowkit.chat import Usage
from flowkit.errors import ConfigError, FlowkitError, InputError, LimitReached, Problem, RunError, StoreError
from flowkit.events import Emit, Event, RunFinished, RunStarted
from flowkit.money import Cost
from flowkit.plan import Plan
from flowkit.provenance import Committed, Provenance, provenance
from flowkit.record import RunRecord
from flowkit.results import Run, Status, StepError
from flowkit.runner import GRACE, Execution, Ledger, Services, Spending
from flowkit.runtime import Runtime, plain_inputs
from flowkit.types.validators import Invalid

if TYPE_CHECKING:
    from flowkit.client import Responder


def load(
    path: str | Path, *, runtime: Runtime | None = None, models: Mapping[str, str] | None = None, simulate: bool | Responder = False
) -> Flow:
    """Check a flow file whole and return it, ready to run.

    Give a `runtime` to share connections and limits with other flows; or `models` and `simulate`, as `Runtime` takes them.

    Raises:
        FlowError: the file is wrong; `.problems` holds every mistake of every file involved.
        ConfigError: flowkit.toml is wrong.
    """
    if runtime is not None and (models or simulate):
        raise ConfigError("give either a runtime or models and simulate: a runtime has its own")
    own = runtime or Runtime(models=models, simulate=simulate)
    file = Path(path)
    checked = compiler.check(file, cwd=Path.cwd(), models=own.config(file))
    return Flow(checked.valid(), own, warnings=checked.problems, files=checked.files)


class Flow:
    """A flow that was checked. Runs share nothing but the runtime, so any number may go on at once."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime,
        *,
        warnings: Sequence[Problem] = (),
        files: Sequence[Path] = (),
        options: Mapping[str, Any] = MappingProxyType({}),
        committed: Committed | None = None,
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.description = plan.description
        #: What the check would have warned of.
        self.warnings = tuple(warnings)
        #: All files that the flow is made of.
        self.files = tuple(files)
        #: What the command line changed, for the record.
        self.options = options
        #: Where it comes from when it is one of a revision.
        self.committed = committed
        self._runtime = runtime
        self._ready = False

    @cached_property
    def provenance(self) -> Provenance:
        """Where a run of this flow comes from, for the record."""
        return provenance(self.plan, self.files, self._runtime.configured, self.options, self.committed)

    def __repr__(self) -> str:
        return f"<Flow {self.name!r} of {len(self.plan.steps)} steps>"

    def run(self, given: Mapping[str, Any] | None = None, /, **inputs: Any) -> Run:
        """Run the flow and return all that it gave. Inputs are named, or come in one mapping.

        Raises:
            InputError: the inputs do not fit; nothing was called.
            ConfigError: a model or its key is missing; nothing was called.
            RunError: a step failed; `.run` holds what finished.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.arun(given, **inputs))
        raise FlowkitError("an event loop is running here (a notebook, a web service): write `await flow.arun(…)` instead of `flow.run(…)`")

    async def arun(self, given: Mapping[str, Any] | None = None, /, **inputs: Any) -> Run:
        """Run the flow in the running event loop; see `run`."""
        return await self.start(plain_inputs(given, inputs)).finish()

    async def stream(self, given: Mapping[str, Any] | None = None, /, **inputs: Any) -> AsyncIterator[Event]:
        """Run the flow and yield its events; answers come in pieces, as `StepDelta`. A failed run ends with its error."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        started = self.start(plain_inputs(given, inputs), emit=events.put_nowait, stream=True)

        async def work() -> None:
            try:
                await started.finish()
            finally:
                events.put_nowait(None)

        task = asyncio.create_task(work())
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
        finally:
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError, FlowkitError):
                await task

    async def abatch(
        self,
        rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int | None = None,
        keep_going: bool = True,
    ) -> AsyncIterator[RowResult]:
        """Run the flow for each row of inputs in the running event loop; see `batch`."""
        found = batching.abatch(self._start_row, self._runtime, rows, concurrency=concurrency, keep_going=keep_going)
        async with aclosing(found) as results:
            async for result in results:
                yield result

    def batch(
        self,
        rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int | None = None,
        keep_going: bool = True,
    ) -> Iterator[RowResult]:
        """Run the flow for each row of inputs, and yield a result for each in their order, while others are at work.

        Rows are read only as far ahead as is needed, so any number of them takes the same memory. A row that fails has an `error`, and
        the others go on, unless `keep_going` is False. `concurrency` rows are at work at a time, 64 unless given.

        Raises:
            RunError: what would fail every other row too: the key, the account, a limit, a server that is down.
        """
        return batching.batch(self._start_row, self._runtime, rows, concurrency=concurrency, keep_going=keep_going)

    def _start_row(self, _number: int, inputs: Mapping[str, Any]) -> Started:
        return self.start(inputs)

    def start(
        self,
        inputs: Mapping[str, Any],
        *,
        emit: Emit | None = None,
        stream: bool = False,
        grace: float = GRACE,
        id: str | None = None,  # noqa: A002 - what it is called
        given: Mapping[str, Any] = MappingProxyType({}),
        ledger: Ledger | None = None,
        tape: Callable[[Ledger | None], Ledger] | None = None,
        limits: Limits | None = None,
        within: Spending | None = None,
        batch: tuple[str, int] | None = None,
    ) -> Started:
        """Check inputs and models, and return a run that only waits to be awaited. Raises as `run` does; nothing was called then.

        `id` of a run in the record lets that one go on. `given` holds outputs by the path of their step, valid ones, which are taken
        as they are. A `ledger` stands in the place of the record, a `tape` around it. `limits` count above those of the flow, `within`
        is the budget of the batch, and `batch` says which row of it this is.
        """
        plan = self.plan
        valid = self.validate(inputs)
        if not self._ready and (ledger is None or not ledger.offline):
            self._runtime.require(plan)
            self._ready = True
        whole = _limits(plan, limits)
        if whole.cost is not None or (within is not None and within.budget.limits.cost is not None):
            self._runtime.require_prices(plan)
        run = Run(id or uuid.uuid4().hex[:12], plan.name, simulated=self._runtime.simulated, inputs=valid)
        return Started(
            self,
            run,
            self._runtime,
            emit or _silent,
            stream=stream,
            grace=grace,
            given=given,
            ledger=ledger,
            tape=tape,
            limits=whole,
            within=within,
            batch=batch,
            named=id is not None and batch is None,
        )

    def validate(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return inputs with defaults filled in. Raises InputError with everything that does not fit."""
        try:
            valid: dict[str, Any] = self.plan.input_validator.value(dict(inputs))
        except Invalid as e:
            lines = "\n".join(f"  {error}" for error in e.errors)
            raise InputError(f"the inputs of flow {self.name!r} do not fit:\n{lines}") from None
        return valid


def _limits(plan: Plan, wanted: Limits | None) -> Limits:
    """Return the limits of a run: those that are wanted, and for the rest those of the flow."""
    said = plan.limits
    own = Limits(said.calls, said.tokens, None if said.cost is None else Decimal(str(said.cost)), said.seconds)
    given = {} if wanted is None else {f.name: value for f in fields(Limits) if (value := getattr(wanted, f.name)) is not None}
    return replace(own, **given)


def _silent(_event: Event) -> None:
    """Nobody watches."""


class Started:
    """One run on its way. `stop` lets it end early, with what it has."""

    def __init__(
        self,
        flow: Flow,
        run: Run,
        runtime: Runtime,
        emit: Emit,
        *,
        stream: bool,
        grace: float,
        given: Mapping[str, Any],
        ledger: Ledger | None,
        tape: Callable[[Ledger | None], Ledger] | None,
        limits: Limits,
        within: Spending | None,
        batch: tuple[str, int] | None,
        named: bool,
    ) -> None:
        self.run = run
        self._flow = flow
        self._plan = flow.plan
        self._runtime = runtime
        self._emit = emit
        self._stream = stream
        self._grace = grace
        self._given = given
        self._ledger = ledger
        self._tape = tape
        self._limits = limits
        self._within = within
        self._batch = batch
        self._named = named
        self._began = 0.0
        self._execution: Execution | None = None
        self._stopped: RunError | None = None

    def stop(self, error: RunError | None = None) -> None:
        """Start nothing new and end soon; `finish` then raises the error, by default a RunError of kind `cancelled`."""
        self._stopped = error or RunError("interrupted", kind="cancelled")
        if self._execution is not None:
            self._execution.stop(self._stopped)

    def halt(self) -> None:
        """Start nothing new; a run whose last calls are under way ends well."""
        if self._execution is not None:
            self._execution.halt()

    async def finish(self) -> Run:
        """Return the run when it has ended. Raises RunError, with the run, when a step failed, and StoreError without a record."""
        async with self._runtime as runtime:
            self._began = asyncio.get_running_loop().time()
            record = self._recorded(runtime)
            kept: Ledger | None = self._ledger or record
            spending = self._spending()
            services = Services(
                runtime.client_for(self._plan),
                runtime.resolve,
                self._emit,
                self._elapsed,
                self._stream,
                self.run.simulated,
                self._grace,
                kept if self._tape is None else self._tape(kept),
                spending,
                runtime.tariff,
                self._given,
            )
            self._execution = Execution(self._plan, self.run.inputs, services)
            if self._stopped is not None:
                self._execution.stop(self._stopped)
            timer = self._watch(spending)
            try:
                await self._execute(self._execution)
            finally:
                if timer is not None:
                    timer.cancel()
                if record is not None:
                    await self._ended(record, runtime)
        return self.run

    async def _ended(self, record: RunRecord, runtime: Runtime) -> None:
        """Note how the run ended. What it gave was paid for, so it is not lost when that cannot be noted."""
        try:
            await record.end()
        except StoreError as error:
            if record.broken is None:  # else the run failed for that
                runtime.warn(f"how run {self.run.id} ended was not kept: {error}")

    async def _execute(self, execution: Execution) -> None:
        run = self.run
        waits = {path: tuple(path.removesuffix(step.id) + w for w in step.waits) for path, _, step in self._plan.walk(tools=False)}
        self._emit(RunStarted(run.id, run.flow, run.simulated, waits))
        try:
            run.outputs = await execution.run()
            run.status = Status.SUCCEEDED
        except RunError as e:
            run.error, run.failed = StepError(e.kind, e.message), e.step
            e.run = run
            raise
        except asyncio.CancelledError:
            stopped = self._stopped
            run.error = StepError(stopped.kind, stopped.message) if stopped is not None else StepError("cancelled", "interrupted")
            raise
        finally:
            if run.status is not Status.SUCCEEDED:
                run.status = Status.FAILED
            run.steps = execution.results
            run.usage = sum((s.usage for s in run.steps.values()), Usage())
            run.cost = sum((s.cost for s in run.steps.values()), Cost())
            run.seconds = self._elapsed()
            self._emit(RunFinished(run, run.seconds))

    def _recorded(self, runtime: Runtime) -> RunRecord | None:
        """Let the record read what happens, if there is one. Raises StoreError."""
        recorder = runtime.recorder(self._plan) if self._ledger is None else None
        if recorder is None:
            return None
        batch, row = self._batch or (None, None)
        record = RunRecord(recorder, self.run, self._flow.provenance, batch=batch, row=row, named=self._named)
        record.begin()
        show = self._emit

        def emit(event: Event) -> None:
            record.read(event)
            show(event)

        self._emit = emit
        return record

    def _spending(self) -> Spending | None:
        if self._limits == Limits() and self._within is None:
            return None
        parent = None if self._within is None else self._within.budget
        return Spending(Budget(self._limits, parent=parent, now=asyncio.get_running_loop().time()), within=self._within)

    def _watch(self, spending: Spending | None) -> asyncio.TimerHandle | None:
        """Stop the run when its time is up."""
        if spending is None or spending.budget.deadline is None:
            return None
        seconds = spending.budget.limits.seconds
        said = "the time of the batch is over" if seconds is None else f"the run may take {seconds:g} s, and they are over"
        return asyncio.get_running_loop().call_at(spending.budget.deadline, self.stop, LimitReached(said))

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began
