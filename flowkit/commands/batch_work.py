"""Run a batch to its end, whatever ends it: results become lines, progress is kept, signals are heard. Knows no option."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol

from flowkit.batch import Asked, Batch, Journal, Progress, Pulse, RowError, RowResult, Start, lines
from flowkit.commands import screen
from flowkit.commands.interrupting import INTERRUPTED, Interrupting
from flowkit.console.batch_board import Board
from flowkit.errors import ConfigError, FlowkitError, RunError

#: Seconds between two notes of the progress: what a process that was killed wrote since is written again, from the record.
_NOTED: Final = 0.25
#: Seconds between two looks at how it goes.
_LOOK: Final = 0.5


class View(Protocol):
    """Shows how a batch goes on."""

    def __call__(self, result: RowResult) -> None:
        """Take a result that is written."""

    def tick(self) -> None:
        """Show how it goes, if it is time."""

    def say(self, text: str) -> None:
        """Show a line."""


class Lines(Protocol):
    """Takes lines, each of them at once."""

    @property
    def size(self) -> int:
        """Bytes that are written."""

    def cut(self) -> None:
        """End behind what is kept. Raises FlowkitError."""

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

    def cut(self) -> None:
        """Nothing is kept of what was printed."""

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
    """Lines in a file. Raises ConfigError where none can be written; the file is as it was until it is `cut`."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        self._path = path
        try:
            self._out = lines.Out(path, keep=keep)
        except OSError as error:
            raise ConfigError(str(self._failed(error))) from None

    @property
    def size(self) -> int:
        """How large the file is."""
        return self._out.size

    def cut(self) -> None:
        """End behind what is kept. Raises FlowkitError."""
        try:
            self._out.cut()
        except OSError as error:
            raise self._failed(error) from None

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
    """One batch on its way. `about` is kept beside the progress; without a journal nothing is, and with `noting` off only at the end.

    `written` covers the lines that are kept, and `digest` the data up to the last of them.
    """

    def __init__(
        self,
        start: Start,
        rows: Iterable[Asked] | AsyncIterable[Asked],
        out: Lines,
        board: Board,
        journal: Journal | None,
        about: Mapping[str, str],
        pulse: Pulse,
        *,
        digest: str = "",
        written: blake2b | None = None,
        noting: bool = True,
        concurrency: int | None = None,
        keep_going: bool = True,
    ) -> None:
        self.digest = digest
        self.written = written or lines.chain()
        self._batch = Batch(start, rows, concurrency=concurrency, keep_going=keep_going)
        self._keep_going = keep_going
        self._out = out
        self._board = board
        self._before = board.tally.spent
        self._journal = journal
        self._about = about
        self._pulse = pulse
        self._clock = pulse.clock
        self._noting = noting
        self._noted = 0.0

    async def done(self, runtime: AbstractAsyncContextManager[Any], view: View) -> Done:
        """Return when all rows have their lines, or how it ended before. Raises FlowkitError when lines cannot be written."""
        error: RunError | None = None
        looking = asyncio.create_task(self._watch(view))
        with Interrupting(self._batch.halt, self._batch.cut, view.say) as signals:
            try:
                async with runtime, aclosing(self._batch.results()) as found:
                    async for asked, result in found:
                        self._write(asked, result)
                        view(result)
                        if self._clock() - self._noted >= _NOTED:
                            self._look()
                            await self._note()
            except RunError as stopped:
                error = stopped
            finally:
                looking.cancel()
                await self._settle()
                await self._note()
        return self._done(error, interrupted=signals.interrupted)

    def progress(self) -> Progress:
        """Return what is to be kept."""
        board, tally = self._board, self._board.tally
        counts = tally.succeeded, dict(tally.failed), tally.spent, board.before + self._clock()
        return Progress(self._about, board.rows, self._out.size, self.digest, *counts, self.written.hexdigest())

    def _write(self, asked: Asked, result: RowResult) -> None:
        raw = lines.line(result) if asked.done is None else asked.done
        self._out.write(raw)
        self.written.update(raw)
        self._board.tally.count(None if result.error is None else result.error.kind)
        self.digest = asked.digest.hex()

    async def _watch(self, view: View) -> None:
        """Show how it goes by time, for a row may take long."""
        while True:
            await asyncio.sleep(_LOOK)
            self._look()
            view.tick()

    def _look(self) -> None:
        board, batch, pulse = self._board, self._batch, self._pulse
        board.tally.spent = self._before + batch.spent
        board.finished = batch.finished
        board.calls = self._before.usage.calls + pulse.answered
        pulse.look(batch.oldest)
        board.why = pulse.why(self._clock())

    async def _settle(self) -> None:
        """Take what was spent from the record, which knows what each process paid, whatever became of its rows."""
        self._look()
        spent = await self._journal.spent() if self._journal is not None else None
        if spent is not None:
            self._board.tally.spent = spent

    async def _note(self) -> None:
        self._noted = self._clock()
        if self._journal is not None and self._noting:
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
