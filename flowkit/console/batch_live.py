"""Draw a batch on a terminal as a line or two that are kept up to date, failures above them. Uses rich; reads no clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text

from flowkit import printable
from flowkit.console.batch_board import Board
from flowkit.console.batch_plain import TOLD, begun, failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from flowkit.batch import RowResult

#: Frames a second: figures that can be read.
REFRESH: Final = 4


class LiveBatch:
    """Takes each result when it is written. `clock` counts seconds since the batch began."""

    def __init__(self, console: Console, board: Board, clock: Callable[[], float]) -> None:
        self._console = console
        self._board = board
        self._clock = clock
        self._told = 0
        self._live = Live(console=console, get_renderable=self.picture, refresh_per_second=REFRESH, redirect_stdout=False, transient=True)

    def __enter__(self) -> Self:
        self.say(begun(self._board))
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._live.stop()
        except OSError:  # the terminal was closed; what is written is written
            return

    def __call__(self, result: RowResult) -> None:
        """Say what the result is worth; drawing happens elsewhere."""
        if result.error is not None and self._told < TOLD:
            self._told += 1
            self.say(failure(result))
            if self._told == TOLD:
                self.say("more failures are in the results")

    def tick(self) -> None:
        """It is drawn by time already."""

    def say(self, text: str) -> None:
        """Write a line above the picture."""
        shown = printable.line(text)
        self._console.print(Text(shown if self._utf8 else printable.ascii_only(shown)), soft_wrap=True)

    @property
    def _utf8(self) -> bool:
        return self._console.encoding.lower().startswith("utf")

    def picture(self) -> Text:
        """Return the batch as it stands now, never wider than the terminal."""
        lines = [self._board.line(self._clock()), *([" · ".join(self._board.why)] if self._board.why else [])]
        if not self._utf8:
            lines = [printable.ascii_only(text.replace(" · ", " | ")) for text in lines]
        most = max(self._console.size.width - 1, 1)
        return Text("\n".join(printable.clip(text, most) for text in lines), no_wrap=True, overflow="crop", end="")
