"""Write how a batch goes on as plain lines for a log: the first failures, and every so often how far it is. Reads no clock."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from flowkit import printable
from flowkit.batch import RowResult
from flowkit.console.batch_board import Board
from flowkit.console.sink import Sink

#: Failures that are told one by one; the rest is in the file, and in the summary by kind.
TOLD: Final = 5
#: Seconds between two lines, in the first minute and later.
_OFTEN, _SELDOM = 10.0, 60.0


class PlainBatch:
    """Takes each result when it is written. `clock` counts seconds since the batch began."""

    def __init__(self, writer: TextIO, board: Board, clock: Callable[[], float]) -> None:
        self._sink = Sink(writer)
        self._board = board
        self._clock = clock
        self._next = _OFTEN
        self._told = 0

    def __enter__(self) -> Self:
        self.say(begun(self._board))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to put back."""

    def __call__(self, result: RowResult) -> None:
        """Say what the result is worth."""
        if result.error is not None and self._told < TOLD:
            self._told += 1
            self.say(failure(result))
            if self._told == TOLD:
                self.say("more failures are in the results")
        self.tick()

    def tick(self) -> None:
        """Say how far it is when it is time, also while nothing comes."""
        now = self._clock()
        if now >= self._next:
            self._next = now + (_OFTEN if now < 60 else _SELDOM)
            self.say(" · ".join([self._board.line(now), *self._board.why]))

    def say(self, text: str) -> None:
        """Write one line with its time."""
        self._sink.write(f"{printable.seconds(self._clock()):>7}  {printable.line(text)}\n")


def begun(board: Board) -> str:
    """Return the first line of a batch."""
    simulated = " (simulated)" if board.simulated else ""
    rows = "rows" if board.total is None else f"{board.total:,} row{'' if board.total == 1 else 's'}"
    kept = f", {board.kept:,} of them written before" if board.kept else ""
    return f"{board.flow}: {rows}{kept}{simulated}"


def failure(result: RowResult) -> str:
    """Return one failed row in a line."""
    error = result.error
    assert error is not None, "only a row that failed is told"
    place = f"{error.place}: " if error.place else ""
    step = f" at {error.step!r}" if error.step else ""
    return f"{place}row {result.row} failed{step}: {error.kind}: {error.message}"
