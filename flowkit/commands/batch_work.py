"""Run a batch to its end, whatever ends it: results become lines, progress is kept, signals are heard. Knows no option."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from flowkit.batch import Asked, Batch, Journal, Progress, RowError, RowResult, Start, lines
from flowkit.commands import screen
from flowkit.commands.interrupting import INTERRUPTED, Interrupting
from flowkit.console.batch_board import Board
from flowkit.errors import FlowkitError, RunError

#: Seconds between two notes of the progress: what a process that was killed wrote since is written again, from the record.
_NOTED: Final = 0.25


class View(Protocol):
    """Shows how a batch goes on."""

    def __call__(self, result: RowResult) -> None:
        """Take a result that is written."""

    def say(self, text: str) -> None:
        """Show a line."""


class Lines(Protocol):
    """Takes lines, each of them at once."""

    @property
    def size(self) -> int:
        """Bytes that are written."""

    def write(self, raw: bytes) -> None:
        """Write one line. Raises FlowkitError."""

    def sync(self) -> None:
        """Return when the lines are safe. Raises FlowkitError."""

    def close(self) -> None:
        """Take no more."""


class Printed:
    """Lines on stdout."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, raw: bytes) -> None:
        """Write one line. Raises FlowkitError, ReaderGone among them."""
        try:
            sys.stdout.buffer.write(raw)
            sys.stdout.buffer.flush()
        except OSError as error:
            screen.written(error)

    def sync(self) -> None:
        """Nothing is kept of what was printed."""

    def close(self) -> None:
        """It is not ours to close."""


class Filed:
    """Lines in a file."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        self._path = path
        try:
            self._out = lines.Out(path, keep=keep)
        except OSError as error:
            raise self._failed(error) from None

    @property
    def size(self) -> int:
        """How large the file is."""
        return self._out.size

    def write(self, raw: bytes) -> None:
        """Write one line. Raises FlowkitError."""
        try:
            self._out.write(raw)
        except OSError as error:
            raise self._failed(error) from None

    def sync(self) -> None:
        """Return when the lines outlive the machine. Raises FlowkitError."""
        try:
            self._out.sync()
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Let go of the file."""
        self._out.close()

    def _failed(self, error: OSError) -> FlowkitError:
        return FlowkitError(f"-o {self._path}: {error.strerror}")


@dataclass(frozen=True, slots=True)
class Done:
    """How a batch ended, and the exit code that it earned."""

    status: str
    code: int
    error: RowError | None = None


class Work:
    """One batch on its way. `about` is kept beside the progress; without a journal nothing is."""

    def __init__(
        self,
        start: Start,
        rows: Iterable[Asked] | AsyncIterable[Asked],
        out: Lines,
        board: Board,
        journal: Journal | None,
        about: Mapping[str, str],
        clock: Callable[[], float],
        *,
        digest: str = "",
        concurrency: int | None = None,
        keep_going: bool = True,
    ) -> None:
        self.digest = digest
        self._batch = Batch(start, rows, concurrency=concurrency, keep_going=keep_going)
        self._keep_going = keep_going
        self._out = out
        self._board = board
        self._journal = journal
        self._about = about
        self._clock = clock
        self._noted = 0.0

    async def done(self, runtime: AbstractAsyncContextManager[Any], view: View) -> Done:
        """Return when all rows have their lines, or how it ended before. Raises FlowkitError when lines cannot be written."""
        error: RunError | None = None
        with Interrupting(self._batch.halt, self._batch.cut, view.say) as signals:
            try:
                async with runtime, aclosing(self._batch.results()) as found:
                    async for asked, result in found:
                        self._write(asked, result)
                        view(result)
                        if self._clock() - self._noted >= _NOTED:
                            await self._note()
            except RunError as stopped:
                error = stopped
            finally:
                await self._note()
        return self._done(error, interrupted=signals.interrupted)

    def progress(self) -> Progress:
        """Return what is to be kept."""
        board, tally = self._board, self._board.tally
        seconds = board.before + self._clock()
        counts = tally.succeeded, dict(tally.failed), tally.usage, seconds, tally.cost, tally.reused
        return Progress(self._about, board.rows, self._out.size, self.digest, *counts)

    def _write(self, asked: Asked, result: RowResult) -> None:
        self._out.write(lines.line(result) if asked.done is None else asked.done)
        self._board.tally.add(result)
        self.digest = asked.digest.hex()

    async def _note(self) -> None:
        self._noted = self._clock()
        if self._journal is not None:
            # What the journal says is in the file must be there, also after the power went.
            self._out.sync()
            await self._journal.save(self.progress())

    def _done(self, error: RunError | None, *, interrupted: bool) -> Done:
        if interrupted:
            return Done("interrupted", INTERRUPTED)
        if error is not None:
            at = self._batch.stopped_at
            return Done("stopped", error.exit_code, RowError(error.kind, error.message, error.step, None if at is None else at.place))
        failed = bool(self._board.tally.failed)
        return Done("failed" if failed and not self._keep_going else "finished", int(failed))
