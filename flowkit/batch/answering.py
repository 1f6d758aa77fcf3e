"""Turn rows into results, each by a run of its own, in order. Knows runs by what they can do, and no file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from flowkit.batch.pulse import Spent
from flowkit.batch.window import Window
from flowkit.chat import Usage
from flowkit.client.gate import NOT_ATTEMPTED
from flowkit.errors import InputError, ModelError, RunError
from flowkit.money import Cost
from flowkit.results import Run, Status

#: Rows at work at a time: enough that the limiter of a server always has a call waiting, few enough to hold.
CONCURRENCY: Final = 64
#: Rows that are read and not yet handed out, for each one at work: so far others go on while one is slow.
AHEAD: Final = 8
#: Kinds of failure that every other row would meet.
_FATAL: Final = frozenset({"auth", "quota", "limit", "store"})
#: Kinds that say so only as long as no row had an answer: a server may forbid one prompt, or lack what one of them asks for.
_FATAL_AT_FIRST: Final = frozenset({"not_found"})


class Going(Protocol):
    """A run on its way, as `Flow.start` returns it."""

    run: Run

    def stop(self, error: RunError | None = None) -> None:
        """Start nothing new and end soon."""

    def halt(self) -> None:
        """Start nothing new; a run whose last calls are under way ends well."""

    async def finish(self) -> Run:
        """Return the run when it has ended. Raises RunError."""


#: Starts the run of a row, by its number and its inputs. Raises InputError.
Start: TypeAlias = Callable[[int, Mapping[str, Any]], Going]


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row has no outputs: one word of `flowkit.errors.Kind`, or `input`; `place` is `file:line` where rows have one."""

    kind: str
    message: str
    step: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class RowResult:
    """What came of one row; `row` counts from 1. `status` is succeeded or failed."""

    row: int
    status: Status
    outputs: Any = None
    error: RowError | None = None
    #: What was paid now. Calls whose answers were taken from the record are `reused`, and cost nothing.
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One row as it is asked about: inputs, or what is wrong with the row."""

    number: int
    inputs: Mapping[str, Any] | None = None
    wrong: str | None = None
    place: str | None = None
    #: Covers the data up to this row.
    digest: bytes = b""
    #: The line that is there already, so that nothing is asked.
    done: bytes | None = None


class _Stopped:
    """Stands where no result is: the row must be run again."""

    __slots__ = ("error",)

    def __init__(self, error: RunError) -> None:
        self.error = error


class Batch:
    """Runs the rows of a source, each by `start`. One at a time may read `results`."""

    def __init__(
        self,
        start: Start,
        rows: Iterable[Asked] | AsyncIterable[Asked],
        *,
        concurrency: int | None = None,
        keep_going: bool = True,
    ) -> None:
        at_once = CONCURRENCY if concurrency is None else concurrency
        if at_once < 1:
            raise InputError(f"concurrency is {at_once}, and must be at least 1")
        self._start = start
        self._keep_going = keep_going
        self._under_way: dict[int, Going] = {}
        #: The first row without a result, once the batch was stopped there.
        self.stopped_at: Asked | None = None
        #: What rows took, those that were cut and those whose results are not yet handed out among them.
        self.spent = Spent()
        #: Rows that ended.
        self.finished = 0
        self._answered = False
        self._window: Window[Asked, RowResult | _Stopped] = Window(rows, self._answer, concurrency=at_once, size=at_once * AHEAD)

    @property
    def oldest(self) -> int | None:
        """The row that has been at work for longest, None when there is none."""
        return next(iter(self._under_way), None)

    def halt(self) -> None:
        """Start no new row and no new call; calls that are under way may end, and rows that end with them count."""
        self._window.close()
        for going in self._under_way.values():
            going.halt()

    def cut(self) -> None:
        """End now."""
        self._window.cancel()

    async def results(self) -> AsyncGenerator[tuple[Asked, RowResult]]:
        """Yield each row with its result, in order. Without `keep_going`, the first row that failed is the last.

        Raises:
            RunError: every other row would fail in the same way, or the batch was halted. This row and those behind it have no result.
            ConfigError: a model or its key is missing; nothing was called.
        """
        async with aclosing(self._window.results()) as found:
            async for asked, result in found:
                if isinstance(result, _Stopped):
                    self.stopped_at = asked
                    await self._window.settle()
                    raise result.error
                yield asked, result
                if result.status is Status.FAILED and not self._keep_going:
                    await self._window.settle()
                    return

    async def _answer(self, asked: Asked) -> RowResult | _Stopped:
        result = await self._outcome(asked)
        if isinstance(result, RowResult):
            self.finished += 1
        return result

    async def _outcome(self, asked: Asked) -> RowResult | _Stopped:
        if asked.done is not None:
            return RowResult(asked.number, Status.SUCCEEDED)
        if asked.inputs is None:
            return self._failed(asked, RowError("input", asked.wrong or "", None, asked.place))
        try:
            going = self._start(asked.number, asked.inputs)
        except InputError as error:
            return self._failed(asked, RowError("input", one_line(str(error)), None, asked.place))
        self._under_way[asked.number] = going
        try:
            run = await going.finish()
        except RunError as error:
            if error.kind == "cancelled":
                return _Stopped(error)
            if self._fatal(error):
                self._stop_behind(asked.number)
                return _Stopped(error)
            return self._failed(asked, RowError(error.kind, error.message, error.step, asked.place), going.run)
        finally:
            del self._under_way[asked.number]
            self.spent += Spent.of(going.run)
        self._answered = True
        return RowResult(asked.number, Status.SUCCEEDED, run.outputs, None, run.usage, run.cost, _reused(run))

    def _failed(self, asked: Asked, error: RowError, run: Run | None = None) -> RowResult:
        if not self._keep_going:
            self._stop_behind(asked.number)
        if run is None:
            return RowResult(asked.number, Status.FAILED, None, error)
        return RowResult(asked.number, Status.FAILED, None, error, run.usage, run.cost, _reused(run))

    def _stop_behind(self, number: int) -> None:
        """Let rows before this one end, and those behind it start nothing more."""
        self._window.close()
        for other, going in self._under_way.items():
            if other > number:
                going.stop()

    def _fatal(self, error: RunError) -> bool:
        if isinstance(error, ModelError):
            if error.code == NOT_ATTEMPTED:
                return True
            if error.kind in _FATAL_AT_FIRST or (error.kind == "auth" and error.status == 403):
                return not self._answered
        return error.kind in _FATAL


def _reused(run: Run) -> int:
    return sum(step.reused for step in run.steps.values())


def one_line(text: str) -> str:
    """Return an error of inputs in one line: what stands below a heading is listed behind it."""
    head, *rest = (line.strip() for line in text.splitlines())
    return f"{head} {'; '.join(rest)}" if rest else head
