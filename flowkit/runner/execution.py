"""One plan on its way, from inputs to outputs. A sub-flow is an execution inside a step."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from flowkit.chat import Message
from flowkit.errors import CallError, OutputError, RenderError, RunError
from flowkit.events import ItemFinished, StepFinished, StepStarted
from flowkit.plan import CallWork, ChatWork, FlowWork, Plan, PlannedStep, SetWork
from flowkit.results import Status, StepError, StepResult
from flowkit.runner.asking import ask, check
from flowkit.runner.services import Services
from flowkit.runner.turn import Turn
from flowkit.scheduler import Scheduler
from flowkit.types.validators import Invalid

#: Items of one `foreach` at work at a time where the flow does not say so; what they ask of servers is bounded by the limiter.
MAX_PARALLEL = 256
#: Failures that no `on_error` hides: every other call would fail for the same reason.
_FATAL = frozenset({"auth", "quota", "cancelled"})


class Execution:
    """Runs one plan. After a failure nothing new starts, and what is in flight is given a bounded time."""

    def __init__(
        self, plan: Plan, inputs: Mapping[str, Any], services: Services, *, prefix: str = "", item: int | None = None, inside: Execution | None = None
    ) -> None:
        self.plan = plan
        self.services = services
        self.results = {id_: StepResult(prefix + id_) for id_ in plan.steps}
        #: The first failure.
        self.error: RunError | None = None
        self._prefix = prefix
        self._item = item
        self._inside = inside
        self._steps: dict[str, Any] = {}
        self._names: dict[str, Any] = {"inputs": inputs, "values": plan.values, "steps": self._steps}
        self._scheduler = Scheduler({id_: step.waits for id_, step in plan.steps.items()})
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing new may start, here or in what this is a part of."""
        return self._scheduler.stopped or (self._inside is not None and self._inside.stopped)

    async def run(self) -> Any:
        """Return the outputs. Raises RunError, the first failure, when all that was in flight has ended."""
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._launch(self._scheduler.start())
            if self._tasks:
                await self._ended
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._tasks:  # this run was cancelled, or a bug ended it
                await self._cancel()
        if self.error is not None:
            raise self.error
        if any(s is Status.PENDING for s in self._scheduler.status.values()):
            raise RunError("stopped before it was finished", kind="cancelled")
        return self._outputs()

    def stop(self, error: RunError) -> None:
        """Start nothing new, and end what is in flight within the time of grace. The first error given wins."""
        if self.error is None:
            self.error = error
        self._scheduler.stop()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.services.grace, self._cut)

    def _outputs(self) -> Any:
        if self.plan.outputs is not None:
            try:
                return self.plan.outputs.of(self._names)
            except RunError as e:
                e.message = f"outputs: {e.message}"
                raise
        return {id_: self.results[id_].output for id_ in self.plan.leaves}

    # -- tasks ---------------------------------------------------------------------------------------------

    def _launch(self, steps: list[str]) -> None:
        if self.stopped:
            return
        for id_ in steps:
            task = asyncio.create_task(self._step(self.plan.steps[id_]), name=self._prefix + id_)
            self._tasks.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        assert self._ended is not None
        if self._ended.done():
            return
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            self._ended.set_exception(bug)
        elif not self._tasks:
            self._ended.set_result(None)

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _cancel(self) -> None:
        self._scheduler.stop()
        self._cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- one step ------------------------------------------------------------------------------------------

    async def _step(self, step: PlannedStep) -> None:
        result = self.results[step.id]
        result.status = Status.RUNNING
        started = self.services.clock()
        try:
            status = await self._run(step, result)
        except RunError as e:
            e.step = e.step or result.id
            status, result.error = Status.FAILED, StepError(e.kind, e.message)
            if e.kind != "cancelled" or not self.stopped:
                self.stop(e)
        except asyncio.CancelledError:
            self._finish(step, result, Status.FAILED, started, StepError("cancelled", "stopped before it was finished"))
            raise
        self._finish(step, result, status, started, result.error)
        self._launch(self._scheduler.end(step.id, status))

    def _finish(self, step: PlannedStep, result: StepResult, status: Status, started: float, error: StepError | None) -> None:
        now = self.services.clock()
        result.status, result.seconds, result.error = status, now - started, error
        seen: dict[str, Any] = {
            "output": result.output,
            "skipped": status is Status.SKIPPED,
            "error": {"kind": error.kind, "message": error.message} if error else None,
        }
        if step.kind == "chat":
            seen["messages"] = [_plain(m) for m in result.messages] or None
        if result.results is not None:
            seen["results"] = result.results
        self._steps[step.id] = seen
        self.services.emit(
            StepFinished(result.id, status, now, result.seconds, result.output, result.model, result.usage, error, len(result.attempts), result.cached)
        )

    async def _run(self, step: PlannedStep, result: StepResult) -> Status:
        if any(self.results[above].status is Status.SKIPPED for above in step.skips_with):
            self._started(step, result, None)
            return Status.SKIPPED
        if step.foreach is not None:
            return await self._foreach(step, result)
        self._started(step, result, None)
        turn = Turn(self.services, result.id, self._item, self._names)
        try:
            status, result.output, result.error = await self._answer(step, turn)
        finally:
            _add(result, turn)
        result.messages = turn.messages
        return status

    def _started(self, step: PlannedStep, result: StepResult, items: int | None) -> None:
        model = step.work.models[0] if isinstance(step.work, ChatWork) and step.work.models else None
        self.services.emit(StepStarted(result.id, step.kind, self.services.clock(), self._item, items, model))

    async def _foreach(self, step: PlannedStep, result: StepResult) -> Status:
        assert step.foreach is not None
        try:
            items = step.foreach.of(self._names)
            if not isinstance(items, list):
                raise RenderError(f"`foreach` needs a list, not {type(items).__name__}")
        except RunError:
            self._started(step, result, None)
            raise
        self._started(step, result, len(items))
        result.results = [{"item": i, "output": None, "error": None, "skipped": True} for i in items]
        failures: list[RunError] = []
        left = iter(enumerate(items))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(items), step.max_parallel or MAX_PARALLEL)):
                group.create_task(self._work_off(step, result, left, failures))
        if failures:
            raise failures[0]
        if self.stopped and any(left):
            raise RunError("stopped before it was finished", kind="cancelled")
        result.output = [r["output"] for r in result.results]
        return Status.SUCCEEDED

    async def _work_off(self, step: PlannedStep, result: StepResult, left: Iterator[tuple[int, Any]], failures: list[RunError]) -> None:
        """Answer items until none is left; several of these share one iterator."""
        assert result.results is not None
        for at, item in left:
            # Which of several nested items a question belongs to, one number cannot say.
            turn = Turn(self.services, result.id, at if self._item is None else None, {**self._names, step.as_: item})
            started = self.services.clock()
            status = Status.FAILED
            error: StepError | None = None
            try:
                status, output, error = await self._answer(step, turn)
                result.results[at] = {
                    "item": item,
                    "output": output,
                    "error": {"kind": error.kind, "message": error.message} if error else None,
                    "skipped": status is Status.SKIPPED,
                }
            except RunError as e:
                e.step = e.step or f"{result.id}[{at}]"
                error = StepError(e.kind, e.message)
                failures.append(e)
                return
            finally:
                _add(result, turn)
                now = self.services.clock()
                self.services.emit(ItemFinished(result.id, at, status, now, now - started, turn.usage, error))
            if failures or self.stopped:
                return

    # -- one answer ----------------------------------------------------------------------------------------

    async def _answer(self, step: PlannedStep, turn: Turn) -> tuple[Status, Any, StepError | None]:
        try:
            if step.when is not None and not step.when.of(turn.names):
                return Status.SKIPPED, None, None
            return Status.SUCCEEDED, await self._rounds(step, turn), None
        except RunError as e:
            action = step.on_error.action
            if action == "fail" or e.kind in _FATAL:
                raise
            error = StepError(e.kind, e.message)
            return (Status.SKIPPED, None, error) if action == "skip" else (Status.SUCCEEDED, step.on_error.default, error)

    async def _rounds(self, step: PlannedStep, turn: Turn) -> Any:
        repeat = step.repeat
        if repeat is None:
            return await self._once(step, turn, turn.names)
        previous: Any = None
        for number in range(1, repeat.max + 1):
            names = {**turn.names, "previous": previous, "round": number}
            turn.rounds = number
            previous = await self._once(step, turn, names)
            if repeat.until.of({**names, "output": previous}):
                return previous
        if repeat.on_max == "fail":
            raise OutputError(f"`until` does not hold after {repeat.max} rounds", kind="check")
        turn.repaired(f"`until` does not hold after {repeat.max} rounds; kept the last answer")
        return previous

    async def _once(self, step: PlannedStep, turn: Turn, names: Mapping[str, Any]) -> Any:
        work = step.work
        if isinstance(work, ChatWork):
            return await ask(self.plan, step, work, turn, names)
        match work:
            case FlowWork():
                value = await self._flow(work, turn, names)
            case CallWork():
                value = await _call(work, names)
            case SetWork():
                value = work.value.of(names)
        if step.validator is not None:
            try:
                value = step.validator.value(value)
            except Invalid as e:
                raise OutputError(f"the output does not fit its type: {e}") from e
        broken = check(step.checks, value, turn, names)
        if broken:
            raise OutputError("a check failed: " + "; ".join(broken), kind="check")
        return value

    async def _flow(self, work: FlowWork, turn: Turn, names: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in work.with_.of(names).items() if value is not None}
        try:
            inputs = work.plan.input_validator.value(given)
        except Invalid as e:
            raise RenderError(f"the inputs of {work.plan.shown} do not fit: {e}") from e
        inner = Execution(work.plan, inputs, self.services, prefix=f"{turn.path}/", item=turn.item, inside=self)
        try:
            return await inner.run()
        finally:
            for result in inner.results.values():
                turn.usage += result.usage
                turn.attempts += result.attempts
                turn.repairs += result.repairs


def _add(result: StepResult, turn: Turn) -> None:
    """Add what a turn spent to its step."""
    result.usage += turn.usage
    result.attempts += turn.attempts
    result.repairs += turn.repairs
    result.model = turn.model or result.model
    result.rounds = max(result.rounds, turn.rounds)


def _plain(message: Message) -> dict[str, Any]:
    content = message.content
    if isinstance(content, tuple):  # what was shown to the model as text; pictures and files have none
        content = "\n".join(p["text"] for p in content if p.get("type") == "text")
    return {"role": message.role, "content": content or ""}


async def _call(work: CallWork, names: Mapping[str, Any]) -> Any:
    """Call a Python function; a plain one runs in a thread, so that it may block."""
    given = work.with_.of(names)
    try:
        if inspect.iscoroutinefunction(work.function):
            found = await work.function(**given)
        else:
            found = await asyncio.to_thread(work.function, **given)
        return to_jsonable_python(found)
    except PydanticSerializationError as e:
        raise CallError(f"{work.name} returned what is no plain data: {e}") from e
    except RunError:
        raise
    except Exception as e:  # noqa: BLE001 - the function is the user's, and may raise anything
        raise CallError(f"{work.name} raised {type(e).__name__}: {e}") from e
