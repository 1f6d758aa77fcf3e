"""Wait for one run under signals and a deadline. The only part of the command line that knows tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from threading import Timer
from typing import Final

from flowkit.errors import RunError
from flowkit.flow import Started
from flowkit.results import Run, Status

#: Seconds that calls in flight are given after the first signal.
PATIENCE: Final = 5.0
#: Seconds after which the process leaves although a Python function of the flow still runs.
LAST: Final = 0.7
INTERRUPTED: Final = 130
LIMIT: Final = 4


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, and the exit code that it earned."""

    run: Run
    code: int
    error: RunError | None = None


class Watch:
    """One run, which ends early at a signal or at its deadline. `warn` is told what is being waited for."""

    def __init__(self, started: Started, *, timeout: float | None, warn: Callable[[str], None]) -> None:
        self._started = started
        self._timeout = timeout
        self._warn = warn
        self._task: asyncio.Task[Run] | None = None
        self._code = 0

    async def ended(self) -> Ended:
        """Return the run when it is over, however it ended."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._started.finish())
        deadline = None if self._timeout is None else loop.call_later(self._timeout, self._late)
        caught = self._listen(loop)
        try:
            await self._task
        except RunError as error:
            return Ended(self._started.run, self._code or error.exit_code, error)
        except asyncio.CancelledError:
            if not self._code:
                raise
            return Ended(self._started.run, self._code)
        finally:
            if deadline is not None:
                deadline.cancel()
            for number in caught:
                loop.remove_signal_handler(number)
        return Ended(self._started.run, 0)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> list[signal.Signals]:
        caught = []
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:  # a background job of a script: whoever started it wants it so
                continue
            try:
                loop.add_signal_handler(number, self._interrupt)
            except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: Python's own handler stays
                continue
            caught.append(number)
        return caught

    def _interrupt(self) -> None:
        if self._code == INTERRUPTED:
            self._cut(INTERRUPTED)
            return
        self._code = INTERRUPTED
        self._started.stop()
        self._warn(f"stopping: calls in flight have {PATIENCE:g} s to finish; once more stops at once")
        asyncio.get_running_loop().call_later(PATIENCE, self._cut, INTERRUPTED)

    def _late(self) -> None:
        if not self._code:
            self._code = LIMIT
            self._started.stop(RunError(f"the run was stopped after {self._timeout:g} s (--timeout)", kind="timeout"))
        self._cut(self._code)

    def _cut(self, code: int) -> None:
        """End what is in flight now. A function in a thread cannot be ended, so the process soon leaves without it."""
        if self._task is not None:
            self._task.cancel()
        last = Timer(LAST, _leave, (code,))
        last.daemon = True
        last.start()


def _leave(code: int) -> None:
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # the live view hides the cursor
    os._exit(code)


def watch(started: Started, *, timeout: float | None, warn: Callable[[str], None], then: Callable[[Ended], int]) -> int:
    """Run to the end, then say so, before threads of Python functions are waited for; return what `then` returns."""
    with asyncio.Runner() as runner:
        return then(runner.run(Watch(started, timeout=timeout, warn=warn).ended()))


def finished(run: Run) -> str:
    """Return how far a run came, in words."""
    ended = sum(step.status in {Status.SUCCEEDED, Status.SKIPPED} for step in run.steps.values())
    return f"{ended} of {len(run.steps)} steps finished"
