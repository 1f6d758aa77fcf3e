"""Hear signals on behalf of many runs: the first one ends softly, the second at once. Knows no run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from threading import Timer
from types import TracebackType
from typing import Self

from flowkit.commands.watching import LAST, PATIENCE, _leave

INTERRUPTED = 130


class Interrupting:
    """While it is entered, in a running event loop: `soft` is called at the first signal, `hard` 5 s later or at the second one.

    A Python function of a flow that goes on in its thread after `hard` does not keep the process: it soon leaves without it.
    """

    def __init__(self, soft: Callable[[], None], hard: Callable[[], None], warn: Callable[[str], None]) -> None:
        self._soft = soft
        self._hard = hard
        self._warn = warn
        self._caught: list[signal.Signals] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._last: Timer | None = None
        #: Whether a signal came.
        self.interrupted = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:  # a background job of a script: whoever started it wants it so
                continue
            try:
                loop.add_signal_handler(number, self._hear)
            except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: Python's own handler stays
                continue
            self._caught.append(number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        loop = asyncio.get_running_loop()
        for timer in self._timers:
            timer.cancel()
        for number in self._caught:
            loop.remove_signal_handler(number)

    def _hear(self) -> None:
        if self.interrupted:
            self._end()
            return
        self.interrupted = True
        self._soft()
        self._warn(f"stopping: calls in flight have {PATIENCE:g} s to finish; once more stops at once")
        self._timers.append(asyncio.get_running_loop().call_later(PATIENCE, self._end))

    def _end(self) -> None:
        if self._last is None:
            self._hard()
            self._last = Timer(LAST, _leave, (INTERRUPTED,))
            self._last.daemon = True
            self._last.start()
