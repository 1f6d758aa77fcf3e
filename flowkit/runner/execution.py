"""One plan on its way, from inputs to outputs. A sub-flow is an execution inside a step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from flowkit.chat import Message
from flowkit.errors import OutputError, RenderError, RunError, Unknown
from flowkit.events import ItemFinished, StepFinished, StepStarted
from flowkit.plan import CallWork, ChatWork, FlowWork, Plan, PlannedStep, SetWork
from flowkit.results import Status, StepError, StepResult
from flowkit.runner.asking import ask, check
from flowkit.runner.calling import arguments, call
from flowkit.runner.sampling import picked, several
from flowkit.runner.services import FATAL, Services
from flowkit.runner.tooling import Toolbox
from flowkit.runner.turn import Turn, stopped
from flowkit.scheduler import Scheduler
from flowkit.types.validators import Invalid

#: Items of one `foreach` at work at a time where the flow does not say so; what they ask of servers is bounded by the limiter.
MAX_PARALLEL = 256
_ENDS = frozenset({Status.SUCCEEDED, Status.SKIPPED})


class Execution:
    """Runs one plan. After a failure nothing new starts, and what is in flight is given a bounded time."""

    def __init__(self, plan: Plan, inputs: Mapping[str, Any], services: Services, *, prefix: str = "", item: int | None = None) -> None:
        self.plan = plan
        self.services = services
        self.results = {id_: StepResult(prefix + id_) for id_ in plan.steps}
        #: The first failure.
        self.error: RunError | None = None
        self._prefix = prefix
        self._item = item
        self._steps: dict[str, Any] = {}
        self._names: dict[str, Any] = {"inputs": inputs, "values": plan.values, "steps": self._steps}
        self._scheduler = Scheduler({id_: step.waits for id_, step in plan.steps.items()})
        self._tasks: set[asyncio.Task[None]] = set()
        #: What is under way in those tasks, and the sub-flows that run in them.
        self._turns: set[Turn] = set()
        self._inner: set[Execution] = set()
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing new may start."""
        return self._scheduler.stopped

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
        if not all(r.status in _ENDS for r in self.results.values()):
            raise stopped() if self.stopped else Unknown("what its steps give is unknown")
        return self._outputs()

    def stop(self, error: RunError) -> None:
        """Start nothing new, and end what is in flight within the time of grace. The first error given wins."""
        if self.error is None:
            self.error = error
        self.halt()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.services.grace, self._cut)

    def halt(self) -> None:
        """Start nothing new, here and below; what is under way may end."""
        self._scheduler.stop()
        for turn in self._turns:
            turn.halt()
        for inner in self._inner:
            inner.halt()

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
        self.halt()
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
            status, result.error = Status.FAILED, _why(e)
            self._failed(e)
        except asyncio.CancelledError:
            self._finish(step, result, Status.FAILED, started, _why(stopped()))
            raise
        self._finish(step, result, status, started, result.error)
        if result.error is not None and result.error.kind == Unknown.kind:
            self._scheduler.leave(step.id)
            return
        self._launch(self._scheduler.end(step.id, status))

    def _failed(self, error: RunError) -> None:
        if error.kind != Unknown.kind and (error.kind != "cancelled" or not self.stopped):
            self.stop(error)

    def _finish(self, step: PlannedStep, result: StepResult, status: Status, started: float, error: StepError | None) -> None:
        now = self.services.clock()
        result.status, result.seconds, result.error = status, now - started, error
        seen: dict[str, Any] = {
            "output": result.output,
            "skipped": status is Status.SKIPPED,
            "error": _data(error),
        }
        if step.kind == "chat":
            seen["messages"] = [_plain(m) for m in result.messages] or None
        if step.foreach is not None:
            seen["results"] = result.results
        self._steps[step.id] = seen
        self.services.emit(
            StepFinished(
                result.id,
                status,
                now,
                result.seconds,
                result.output,
                result.model,
                result.usage,
                error,
                len(result.attempts),
                result.cached,
                result.first_token,
                self._item,
                result.reused,
                result.cost,
            )
        )

    async def _run(self, step: PlannedStep, result: StepResult) -> Status:
        if any(self.results[above].status is Status.SKIPPED for above in step.skips_with):
            self._started(step, result, None)
            return Status.SKIPPED
        if result.id in self.services.given:
            self._started(step, result, None)
            result.output = self.services.given[result.id]
            return Status.SKIPPED if result.output is None else Status.SUCCEEDED
        if step.foreach is not None:
            return await self._foreach(step, result)
        self._started(step, result, None)
        turn = Turn(self.services, result.id, self._item, self._names)
        self._turns.add(turn)
        try:
            status, result.output, result.error = await self._answer(step, turn)
        finally:
            self._turns.discard(turn)
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
        result.results = [{"item": i, "output": None, "error": None, "skipped": False} for i in items]
        left = iter(enumerate(items))
        answered: list[int] = []
        failures: list[RunError] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(items), step.max_parallel or MAX_PARALLEL)):
                group.create_task(self._work_off(step, result, left, answered, failures))
        if failures:
            raise failures[0]
        if len(answered) < len(items):
            raise stopped()
        result.output = [r["output"] for r in result.results]
        return Status.SUCCEEDED

    async def _work_off(
        self, step: PlannedStep, result: StepResult, left: Iterator[tuple[int, Any]], answered: list[int], failures: list[RunError]
    ) -> None:
        """Answer items until none is left; several of these share one iterator. The first failure stops all, at once."""
        while not self.stopped and (given := next(left, None)) is not None:
            at, item = given
            try:
                await self._item_of(step, result, at, item)
            except RunError as e:
                e.step = e.step or result.id
                e.message = f"item {at + 1}: {e.message}"
                failures.append(e)
                self._failed(e)
            else:
                answered.append(at)

    async def _item_of(self, step: PlannedStep, result: StepResult, at: int, item: Any) -> None:
        assert result.results is not None
        # Which of several nested items a question belongs to, one number cannot say.
        turn = Turn(self.services, result.id, at if self._item is None else None, {**self._names, step.as_: item})
        self._turns.add(turn)
        started = self.services.clock()
        status, output = Status.FAILED, None
        error: StepError | None = _why(stopped())
        try:
            status, output, error = await self._answer(step, turn)
        except RunError as e:
            error = _why(e)
            raise
        finally:
            self._turns.discard(turn)
            _add(result, turn)
            result.results[at] = {"item": item, "output": output, "error": _data(error), "skipped": status is Status.SKIPPED}
            now = self.services.clock()
            self.services.emit(ItemFinished(result.id, at, status, now, now - started, turn.usage, error, turn.reused, turn.cost))

    # -- one answer ----------------------------------------------------------------------------------------

    async def _answer(self, step: PlannedStep, turn: Turn) -> tuple[Status, Any, StepError | None]:
        try:
            if step.when is not None and not step.when.of(turn.names):
                return Status.SKIPPED, None, None
            return Status.SUCCEEDED, await self._whole(step, turn), None
        except RunError as e:
            action = step.on_error.action
            if action == "fail" or e.kind in FATAL:
                raise
            error = _why(e)
            return (Status.SKIPPED, None, error) if action == "skip" else (Status.SUCCEEDED, step.on_error.default, error)

    async def _whole(self, step: PlannedStep, turn: Turn) -> Any:
        """Return one answer, or what becomes of several samples of it, each with rounds of its own."""
        if step.samples is None:
            return await self._rounds(step, turn)
        at_once = MAX_PARALLEL if step.foreach is not None else step.max_parallel or MAX_PARALLEL
        answers, turns = await several(turn, step.samples, at_once, partial(self._rounds, step))
        at = 0 if step.pick is None else picked(answers, step.pick)
        turn.messages, turn.model = turns[at].messages, turns[at].model
        return answers if step.pick is None else answers[at]

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
        turn.go_on()
        work = step.work
        if isinstance(work, ChatWork):
            toolbox = Toolbox(work.tools, turn, partial(self._tool, turn)) if work.tools else None
            return await ask(self.plan, step, work, turn, names, toolbox)
        match work:
            case FlowWork():
                value = await self._flow(work, turn, names)
            case CallWork():
                if self.services.dry:
                    raise Unknown(f"{work.name} is a function, which is not called")
                value = await call(work, names)
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
        given = {name: value for name, value in arguments(work.with_.of(names)).items() if value is not None}
        try:
            inputs = work.plan.input_validator.value(given)
        except Invalid as e:
            raise RenderError(f"the inputs of {work.plan.shown} do not fit: {e}") from e
        return await self._inside(Execution(work.plan, inputs, self.services, prefix=f"{turn.path}/", item=turn.item), turn)

    async def _tool(self, turn: Turn, plan: Plan, inputs: Mapping[str, Any], name: str) -> Any:
        """Run a flow that a model called as a tool."""
        return await self._inside(Execution(plan, inputs, self.services, prefix=f"{turn.path}/{name}/", item=turn.item), turn)

    async def _inside(self, inner: Execution, turn: Turn) -> Any:
        """Return the outputs of a flow within a step, which pays for it."""
        self._inner.add(inner)
        try:
            return await inner.run()
        finally:
            self._inner.discard(inner)
            for result in inner.results.values():
                turn.usage += result.usage
                turn.cost += result.cost
                turn.reused += result.reused
                turn.attempts += result.attempts
                turn.repairs += result.repairs


def _why(error: RunError) -> StepError:
    return StepError(error.kind, error.message)


def _data(error: StepError | None) -> dict[str, str] | None:
    return {"kind": error.kind, "message": error.message} if error else None


def _add(result: StepResult, turn: Turn) -> None:
    """Add what a turn spent to its step."""
    result.usage += turn.usage
    result.cost += turn.cost
    result.reused += turn.reused
    result.attempts += turn.attempts
    result.repairs += turn.repairs
    result.tools += turn.tools
    result.model = turn.model or result.model
    result.rounds = max(result.rounds, turn.rounds)


def _plain(message: Message) -> dict[str, Any]:
    content = message.content
    if isinstance(content, tuple):  # what was shown to the model as text; pictures and files have none
        content = "\n".join(p["text"] for p in content if p.get("type") == "text")
    return {"role": message.role, "content": content or ""}
