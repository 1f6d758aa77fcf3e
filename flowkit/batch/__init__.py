"""Run a flow over rows: any number of them, several at once, results in order, memory bounded. Knows no file of rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from flowkit.batch.answering import AHEAD, CONCURRENCY, Asked, Batch, Going, RowError, RowResult, Start
from flowkit.batch.progress import Journal, Progress, Tally
from flowkit.batch.pulse import Pulse, Spent
from flowkit.batch.window import Threaded
from flowkit.errors import FlowkitError

__all__ = [
    "AHEAD",
    "CONCURRENCY",
    "Asked",
    "Batch",
    "Going",
    "Journal",
    "Progress",
    "Pulse",
    "RowError",
    "RowResult",
    "Spent",
    "Start",
    "Tally",
    "Threaded",
    "abatch",
    "batch",
]

#: Results that wait for a caller without an event loop.
_AT_ONCE = 64


async def abatch(
    start: Start,
    runtime: AbstractAsyncContextManager[Any],
    rows: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | None = None,
    keep_going: bool = True,
) -> AsyncGenerator[RowResult]:
    """Run rows, each a mapping of inputs, in the running event loop; see `Flow.abatch`."""
    asked: Iterable[Asked] | AsyncIterable[Asked] = _asked_of(rows) if isinstance(rows, AsyncIterable) else _asked(rows)
    work = Batch(start, asked, concurrency=concurrency, keep_going=keep_going)
    async with runtime, aclosing(work.results()) as found:
        async for _, result in found:
            yield result


def batch(
    start: Start,
    runtime: AbstractAsyncContextManager[Any],
    rows: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | None = None,
    keep_going: bool = True,
) -> Iterator[RowResult]:
    """Run rows without an event loop of the caller's; see `Flow.batch`."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _pulled(abatch(start, runtime, rows, concurrency=concurrency, keep_going=keep_going))
    raise FlowkitError(
        "an event loop is running here (a notebook, a web service): write `async for row in flow.abatch(…)` instead of `flow.batch(…)`"
    )


def _pulled(results: AsyncIterator[RowResult]) -> Iterator[RowResult]:
    """Let the event loop run whenever no result is there. What is under way waits while the caller works."""
    with asyncio.Runner() as runner:
        queue: asyncio.Queue[RowResult | None] = asyncio.Queue(_AT_ONCE)
        task = runner.get_loop().create_task(_push(results, queue))
        try:
            while True:
                # Entering the loop costs as much as a small row, so all that is there is taken.
                for found in runner.run(_ready(queue)):
                    if found is None:
                        runner.run(_end(task))
                        return
                    yield found
        finally:
            task.cancel()


async def _push(results: AsyncIterator[RowResult], queue: asyncio.Queue[RowResult | None]) -> None:
    """Hand results over, None at the end; what the batch raised is raised by this task."""
    try:
        async for result in results:
            await queue.put(result)
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)


async def _ready(queue: asyncio.Queue[RowResult | None]) -> list[RowResult | None]:
    found = [await queue.get()]
    while not queue.empty():
        found.append(queue.get_nowait())
    return found


async def _end(task: asyncio.Task[None]) -> None:
    await task


def _asked(rows: Iterable[Any]) -> Iterator[Asked]:
    return (_row(number, row) for number, row in enumerate(rows, start=1))


async def _asked_of(rows: AsyncIterable[Any]) -> AsyncIterator[Asked]:
    number = 0
    async for row in rows:
        number += 1
        yield _row(number, row)


def _row(number: int, row: Any) -> Asked:
    if isinstance(row, Mapping):
        return Asked(number, row)
    return Asked(number, wrong=f"a row is a mapping of inputs, not {type(row).__name__}")
