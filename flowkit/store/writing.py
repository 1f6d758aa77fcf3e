"""One thread that writes for all: whoever waits at the same time shares one commit. Knows rows and SQLite, nothing of runs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from time import monotonic
from typing import Any, TypeAlias

from flowkit.errors import StoreError
from flowkit.store.rows import ROWS, Row

#: Seconds for which rows that nobody waits for may lie, so that they share a commit.
LINGER = 0.02
#: The same after a failure, so that a full disk is not asked again and again.
PAUSE = 1.0
#: Rows that are kept while the disk takes none; a service goes on when there is room again.
KEPT = 50_000

Values: TypeAlias = tuple[Any, ...]
COLUMNS: dict[type[Any], tuple[str, ...]] = {row: tuple(field.name for field in fields(row)) for row in ROWS}
_PUT = {
    row: f"INSERT INTO {row.TABLE} ({', '.join(names)}, crc) VALUES ({', '.join('?' * (len(names) + 1))})"  # noqa: S608 - our own names
    + (
        # What is damaged is mended by whoever has the same text again.
        " ON CONFLICT (hash) DO UPDATE SET text = excluded.text, crc = excluded.crc"
        " WHERE bodies.text IS NOT excluded.text OR bodies.crc IS NOT excluded.crc"
        if row.TABLE == "bodies"
        else f" ON CONFLICT ({', '.join(row.KEY)}) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in (*names, "crc") if name not in row.KEY)
    )
    for row, names in COLUMNS.items()
}


_READ: dict[type[Any], Callable[[Any], Values]] = {row: attrgetter(*names) for row, names in COLUMNS.items()}
_REALS = {row: tuple(at for at, field in enumerate(fields(row)) if str(field.type).startswith("float")) for row in ROWS}
#: The largest integer that SQLite takes.
_MOST = 2**63 - 1


def checksum(values: Values) -> int:
    """Return the sum over the values of a row."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


def values_of(row: Row) -> Values:
    """Return the columns of a row as they are read back, the sum last."""
    kind = type(row)
    values = _READ[kind](row)
    for at in _REALS[kind]:
        value = values[at]
        # Neither an int, nor -0.0, nor NaN comes back as what it was.
        if value is not None and (value.__class__ is not float or not value or value != value):  # noqa: PLR0124 - NaN alone is not itself
            values = (*values[:at], value + 0.0 if value == value else 0.0, *values[at + 1 :])  # noqa: PLR0124
    return (*values, checksum(values))


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows within the transaction that is open. Of rows with one key, the last one counts."""
    tables: dict[type[Row], dict[Values, Values]] = {}
    for row in rows:
        values = values_of(row)
        tables.setdefault(type(row), {})[values[: len(row.KEY)]] = values
    for kind, found in tables.items():
        try:
            connection.executemany(_PUT[kind], found.values())
        except (UnicodeEncodeError, OverflowError):  # a server may say such things
            bent = [tuple(map(_bent, values[:-1])) for values in found.values()]
            connection.executemany(_PUT[kind], [(*values, checksum(values)) for values in bent])


def _bent(value: Any) -> Any:
    """Return a value that SQLite takes: no lone surrogate, no integer beyond 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return max(-_MOST, min(_MOST, value)) if isinstance(value, int) else value


#: Somebody who waits for a commit, in an event loop or in a thread.
_Waiter: TypeAlias = asyncio.Future[None] | Future[None]


class Writer:
    """Takes rows from any thread, and writes them in their order in a thread of its own. `transact` runs a function in a transaction."""

    def __init__(self, transact: Callable[[Callable[[sqlite3.Connection], object]], object], close: Callable[[], None]) -> None:
        self._transact = transact
        self._close = close
        self._rows: deque[Row] = deque()
        self._waiters: list[_Waiter] = []
        self._wake = threading.Condition()
        self._closing = False
        #: The last failure, None since a write succeeded.
        self._failure: StoreError | None = None
        self._dropped = False
        #: Those who began to wait in this turn of their event loop: they join together when it ends.
        self._joining: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        #: Whether the thread has nothing to do, and must be told of rows that nobody waits for.
        self._idle = False
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="flowkit-record", daemon=True)
        self._thread.start()

    def put(self, *rows: Row, awaited: bool = False) -> None:
        """Take rows to be written. Whoever is far ahead of the disk waits for it; while it takes nothing, rows are let go.

        `awaited`: somebody waits for them in a moment, so that the thread need not wake up before.
        """
        with self._wake:
            while len(self._rows) >= KEPT and self._failure is None and not self._ended:
                self._idle = False
                self._wake.notify_all()
                self._wake.wait(LINGER)
            if len(self._rows) >= KEPT:
                self._dropped = True
                return
            self._rows += rows
            if self._idle and not awaited:
                self._idle = False
                self._wake.notify_all()

    async def commit(self) -> None:
        """Wait until all that was put is durable. Raises StoreError.

        Whoever else is ready in this turn of the event loop is let in, so that the thread is woken once for all of them,
        and does not fight with them for the interpreter.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        those = self._joining.get(loop)
        if those is None:
            self._joining[loop] = [future]
            loop.call_soon(self._arrive, loop)
        else:
            those.append(future)
        await future

    def _arrive(self, loop: asyncio.AbstractEventLoop) -> None:
        those = self._joining.pop(loop)
        try:
            self._join(those)
        except StoreError as error:
            _end(those, error)

    def flush(self) -> None:
        """Block until all that was put is durable. Raises StoreError."""
        future: Future[None] = Future()
        self._join([future])
        future.result()

    def close(self) -> None:
        """Write what is left and end the thread. Raises StoreError."""
        try:
            self.flush()
        finally:
            with self._wake:
                self._closing = True
                self._wake.notify_all()
            self._thread.join()

    def _join(self, waiters: Sequence[_Waiter]) -> None:
        with self._wake:
            if self._closing or self._ended:
                raise StoreError("the record is closed")
            self._waiters += waiters
            self._wake.notify_all()

    # -- the thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        waiting: list[_Waiter] = []
        try:
            while self._gather():
                with self._wake:
                    rows, self._rows = self._rows, deque()
                    waiting, self._waiters = self._waiters, []
                self._failure = error = self._write(rows)
                with self._wake:
                    if error is not None:
                        rows.extend(self._rows)
                        self._rows = rows
                    elif self._dropped:
                        self._dropped = False
                        error = StoreError("a part of the record was lost while it could not be written")
                _tell(waiting, error)
        finally:
            with self._wake:
                self._ended = True
                waiting += self._waiters
            # Nobody waits for ever, also when a bug ended this thread.
            _tell(waiting, StoreError("the record was closed before it was written"))
            self._close()

    def _gather(self) -> bool:
        """Wait for work; rows that nobody waits for get company for a moment. False when it is time to end."""
        with self._wake:
            until: float | None = None
            while not self._waiters and not self._closing:
                if self._rows and until is None:
                    until = monotonic() + (LINGER if self._failure is None else PAUSE)
                left = None if until is None else until - monotonic()
                if left is not None and left <= 0:
                    break
                self._idle = until is None
                self._wake.wait(left)
            self._idle = False
            return bool(self._waiters) or not self._closing

    def _write(self, rows: deque[Row]) -> StoreError | None:
        if not rows:
            return None
        try:
            self._transact(lambda connection: write(connection, rows))
        except StoreError as error:
            return error
        return None


def _tell(waiters: Iterable[_Waiter], error: StoreError | None) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if isinstance(waiter, Future):
            _end((waiter,), error)
        else:
            loops.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, those in loops.items():
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(_end, those, error)


def _end(waiters: Iterable[_Waiter], error: StoreError | None) -> None:
    for waiter in waiters:
        if waiter.done():  # who waited was cancelled
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
