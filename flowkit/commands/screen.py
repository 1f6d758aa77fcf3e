"""What the command line knows of its own streams: data goes to stdout, all else to stderr."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from flowkit.console.sink import Sink
from flowkit.errors import FlowkitError

if TYPE_CHECKING:
    from rich.console import Console


class ReaderGone(FlowkitError):
    """Whoever read stdout went away (`| head`): nothing is wrong, and nothing is said. The code is the shell's for SIGPIPE."""

    exit_code = 141


def terminal(stream: TextIO) -> bool:
    """Whether a person reads this stream on a screen that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def color(stream: TextIO) -> bool:
    """Whether colours are welcome there (https://no-color.org)."""
    return terminal(stream) and not os.environ.get("NO_COLOR")


def columns() -> int:
    """Return the room for a source line beside its gutter."""
    return max(shutil.get_terminal_size((168, 24)).columns - 8, 40)


def console() -> Console:
    """Return the console of stderr; only a terminal gets one."""
    from rich.console import Console  # slow, and most runs are no terminal's

    return Console(stderr=True)


def out(text: str) -> None:
    """Write data to stdout. Raises ReaderGone, or FlowkitError when it cannot be written."""
    sink = Sink(sys.stdout)
    sink.write(text)
    written(sink.failure)


def written(failure: OSError | None) -> None:
    """Raise what a sink met. Raises as `out` does."""
    if failure is None:
        return
    _drop(sys.stdout)
    if failure.errno == errno.EPIPE:
        raise ReaderGone
    raise FlowkitError(f"stdout: {failure.strerror or failure}")


def say(text: str) -> None:
    """Write a line for people to stderr."""
    Sink(sys.stderr).write(f"{text}\n")


def complain(text: str, *, simulated: bool = False) -> None:
    """Write an error to stderr, in the look of problems."""
    mark = f"error{' (simulated)' if simulated else ''}:"
    say(f"\x1b[1;31m{mark}\x1b[0m {text}" if color(sys.stderr) else f"{mark} {text}")


def _drop(stream: TextIO) -> None:
    """Forget what could not be written, so that Python does not try again when it ends."""
    with suppress(OSError):  # it may be no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
