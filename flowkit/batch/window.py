"""Answer what comes from a source, several at once, and hand the answers out in order. Knows nothing of flows."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Raised:
    """What `answer` or the source raised, in the place of an answer."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Window(Generic[T, R]):
    """Takes at most `size` items more than it has handed out, however long the first of them keeps the others waiting."""

    def __init__(self, source: Iterable[T] | AsyncIterable[T], answer: Callable[[T], Awaitable[R]], *, concurrency: int, size: int) -> None:
        self._next = _taking(source)
        self._answer = answer
        self._concurrency = concurrency
        self._room = asyncio.Semaphore(max(size, concurrency))
        self._reading = asyncio.Lock()
        self._workers: set[asyncio.Task[None]] = set()
        #: Workers that hold nothing yet.
        self._idle: set[asyncio.Task[None]] = set()
        self._done: dict[int, tuple[T, R | _Raised]] = {}
        self._taken = 0
        self._given = 0
        self._closed = False
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Take nothing more from the source; what was taken is answered."""
        if not self._closed:
            self._closed = True
            for task in self._idle:
                task.cancel()

    def cancel(self) -> None:
        """End what is under way now."""
        self._closed = True
        for task in self._workers:
            task.cancel()

    async def results(self) -> AsyncGenerator[tuple[T, R]]:
        """Yield each item with its answer, in the order of the source. Raises what `answer` raised, in its place in that order."""
        self._workers = {asyncio.create_task(self._work()) for _ in range(self._concurrency)}
        for task in self._workers:
            task.add_done_callback(self._left)
        try:
            while True:
                found = self._done.pop(self._given, None)
                if found is None:
                    if not self._workers:
                        return
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                self._given += 1
                self._room.release()
                item, answer = found
                if isinstance(answer, _Raised):
                    raise answer.error
                yield item, answer
        finally:
            self.cancel()
            await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        if self._workers:
            await asyncio.gather(*self._workers, return_exceptions=True)

    def _open(self) -> bool:
        return not self._closed

    def _left(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._changed.set()

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while self._open():
            self._idle.add(task)
            try:
                await self._room.acquire()
                async with self._reading:
                    if not self._open():
                        return
                    item = await self._next()
                    at = self._taken
                    self._taken += 1
            except (StopAsyncIteration, asyncio.CancelledError):
                self._closed = True
                return
            except Exception as error:  # noqa: BLE001 - the source is the caller's: what it raises is raised to whoever reads the results
                self._closed = True
                self._done[self._taken] = None, _Raised(error)  # type: ignore[assignment]  # no item came
                return
            finally:
                self._idle.discard(task)
            self._done[at] = item, await self._outcome(item)
            if at == self._given:
                self._changed.set()

    async def _outcome(self, item: T) -> R | _Raised:
        try:
            return await self._answer(item)
        except Exception as error:  # noqa: BLE001 - raised again, in its place in the order
            self.close()
            return _Raised(error)


def _taking(source: Iterable[T] | AsyncIterable[T]) -> Callable[[], Awaitable[T]]:
    if isinstance(source, AsyncIterable):
        return aiter(source).__anext__
    plain = iter(source)

    async def take() -> T:
        for item in plain:
            return item
        raise StopAsyncIteration

    return take


class Threaded(Generic[T]):
    """Reads a source that may block, such as a pipe, in a thread of its own; at most `size` items ahead.

    The thread is a daemon: what blocks for ever does not keep the process.
    """

    def __init__(self, source: Iterable[T], size: int) -> None:
        self._source = source
        self._items: deque[T] = deque()
        self._room = threading.Semaphore(size)
        self._error: BaseException | None = None
        self._ended = False
        self._gone = False

    async def __aiter__(self) -> AsyncIterator[T]:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        threading.Thread(target=self._read, args=(loop, came), daemon=True, name="rows").start()
        try:
            while True:
                while self._items:
                    self._room.release()
                    yield self._items.popleft()
                if self._ended and not self._items:
                    break
                came.clear()
                if not self._items and not self._ended:
                    await came.wait()
        finally:
            self._gone = True
            self._room.release()
        if self._error is not None:
            raise self._error

    def _read(self, loop: asyncio.AbstractEventLoop, came: asyncio.Event) -> None:
        try:
            for item in self._source:
                self._room.acquire()
                if self._gone:
                    return
                self._items.append(item)
                _tell(loop, came)
        except Exception as error:  # noqa: BLE001 - raised again where the items are read
            self._error = error
        finally:
            self._ended = True
            _tell(loop, came)


def _tell(loop: asyncio.AbstractEventLoop, came: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop was closed while this thread blocked
        loop.call_soon_threadsafe(came.set)
