"""The face: load a flow, run it, watch it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit import compiler
from flowkit.chat import Usage
from flowkit.errors import ConfigError, FlowkitError, InputError, Problem, RunError
from flowkit.events import Emit, Event, RunFinished, RunStarted
from flowkit.plan import Plan
from flowkit.results import Run, Status, StepError
from flowkit.runner import GRACE, Execution, Services
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
    return Flow(checked.valid(), own, warnings=checked.problems)


class Flow:
    """A flow that was checked. Runs share nothing but the runtime, so any number may go on at once."""

    def __init__(self, plan: Plan, runtime: Runtime, *, warnings: Sequence[Problem] = ()) -> None:
        self.plan = plan
        self.name = plan.name
        self.description = plan.description
        #: What the check would have warned of.
        self.warnings = tuple(warnings)
        self._runtime = runtime
        self._ready = False

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

    def start(self, inputs: Mapping[str, Any], *, emit: Emit | None = None, stream: bool = False, grace: float = GRACE) -> Started:
        """Check inputs and models, and return a run that only waits to be awaited. Raises as `run` does; nothing was called then."""
        plan = self.plan
        later = dict.fromkeys(
            found for owner in {id(p): p for p in (plan, *(o for _, o, _ in plan.walk()))}.values() for found in owner.deferred
        )
        if later:
            wanted = "\n".join(f"{place.path}:{place.line}:{place.column}: {what} cannot run in this version" for what, place in later)
            raise ConfigError(f"{wanted}\n(such keys are checked, and run in a later version)")
        valid = self.validate(inputs)
        if not self._ready:
            self._runtime.require(plan)
            self._ready = True
        return Started(plan, valid, self._runtime, emit or _silent, stream=stream, grace=grace)

    def validate(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return inputs with defaults filled in. Raises InputError with everything that does not fit."""
        try:
            valid: dict[str, Any] = self.plan.input_validator.value(dict(inputs))
        except Invalid as e:
            lines = "\n".join(f"  {error}" for error in e.errors)
            raise InputError(f"the inputs of flow {self.name!r} do not fit:\n{lines}") from None
        return valid


def _silent(_event: Event) -> None:
    """Nobody watches."""


class Started:
    """One run on its way. `stop` lets it end early, with what it has."""

    def __init__(self, plan: Plan, inputs: Mapping[str, Any], runtime: Runtime, emit: Emit, *, stream: bool, grace: float) -> None:
        self.run = Run(uuid.uuid4().hex[:12], plan.name, simulated=runtime.simulated, inputs=inputs)
        self._plan = plan
        self._runtime = runtime
        self._emit = emit
        self._stream = stream
        self._grace = grace
        self._began = 0.0
        self._execution: Execution | None = None
        self._stopped: RunError | None = None

    def stop(self, error: RunError | None = None) -> None:
        """Start nothing new and end soon; `finish` then raises the error, by default a RunError of kind `cancelled`."""
        self._stopped = error or RunError("interrupted", kind="cancelled")
        if self._execution is not None:
            self._execution.stop(self._stopped)

    async def finish(self) -> Run:
        """Return the run when it has ended. Raises RunError, with the run, when a step failed."""
        runtime, run = self._runtime, self.run
        async with runtime:
            client = runtime.client_for(self._plan)
            self._began = asyncio.get_running_loop().time()
            services = Services(client, runtime.resolve, self._emit, self._elapsed, self._stream, run.simulated, self._grace)
            execution = self._execution = Execution(self._plan, run.inputs, services)
            waits = {path: tuple(path.removesuffix(step.id) + w for w in step.waits) for path, _, step in self._plan.walk(tools=False)}
            self._emit(RunStarted(run.id, run.flow, run.simulated, waits))
            if self._stopped is not None:
                execution.stop(self._stopped)
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
                run.seconds = self._elapsed()
                self._emit(RunFinished(run, run.seconds))
        return run

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began
