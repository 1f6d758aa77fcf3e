"""Take one run from its flow to its end: show what happens, print what it gave, say how it goes on. Knows no verb's options but its own."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Self

import click

from flowkit import __version__, printable, project
from flowkit.budget import Limits
from flowkit.commands import locked, screen
from flowkit.commands.streaming import Streaming
from flowkit.commands.watching import INTERRUPTED, Ended, finished, watch
from flowkit.console import outputs
from flowkit.console.events_json import EventLines
from flowkit.console.plain import PlainView
from flowkit.console.sink import Sink
from flowkit.errors import ConfigError, FlowError, FlowkitError, InputError, StoreError
from flowkit.events import Emit, Event, RunFinished
from flowkit.flow import Flow
from flowkit.results import Run, Status, StepError
from flowkit.store import home, open_existing

#: Digits of a run's id that tell it apart.
SHORT = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """How a run is shown; fields are named as the options are."""

    stream: bool = False
    timeout: float | None = None
    as_json: bool = False
    events: bool = False
    output: str | None = None
    quiet: bool = False


_OPTIONS = (
    click.option("--stream", is_flag=True, help="Print the texts of the outputs as they come."),
    click.option("--timeout", type=float, metavar="SECONDS", help="Stop the whole run after that time (exit code 4)."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also when the run fails."),
    click.option("--events", is_flag=True, help="Print what happens as one JSON object a line."),
    click.option("-o", "--output", metavar="FILE", help="Write the outputs there instead of to stdout."),
    click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
)


def shown(function: Callable[..., int]) -> Callable[..., int]:
    """Declare the options of a `Shown`, and hand it to the function in their place, as `shown`."""

    @wraps(function)
    def with_shown(
        *args: Any, stream: bool, timeout: float | None, as_json: bool, events: bool, output: str | None, quiet: bool, **others: Any
    ) -> int:
        if as_json and (events or stream):
            raise click.UsageError(f"--json and {'--events' if events else '--stream'} exclude each other", click.get_current_context())
        if timeout is not None and not timeout > 0:
            raise click.UsageError("--timeout takes seconds, more than 0", click.get_current_context())
        return function(*args, shown=Shown(stream, timeout, as_json, events, output, quiet), **others)

    declared: Callable[..., int] = with_shown
    for declare in reversed(_OPTIONS):
        declared = declare(declared)
    return declared


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that may begin."""

    flow: Flow
    inputs: Mapping[str, Any]
    limits: Limits
    #: Whether it is kept, so that it can go on when it does not reach its end.
    kept: bool
    #: Of the run that goes on.
    id: str | None = None


def run_to_end(name: str, ready: Callable[[], Ready], shown: Shown, *, simulated: bool) -> int:
    """Run what is made ready, and return the exit code. `name` is shown for the flow while there is none.

    Raises:
        FlowkitError: nothing was called, or the record failed; with `--json` it is told there too.
    """
    target = _Target(shown.output)
    refused = Run("", name, Status.FAILED, simulated=simulated)
    try:
        found = ready()
        showing = _Showing(found.flow, shown, simulated=simulated)
        started = found.flow.start(found.inputs, emit=showing.emit, stream=shown.stream, limits=found.limits, id=found.id)
        refused = started.run

        def over(ended: Ended) -> int:
            showing.close()
            if found.kept and not simulated:
                locked.warn(Path(found.flow.provenance.path), run=ended.run.id)
            noted = found.kept and _noted(ended.run, found.flow)
            return _report(ended, showing, target, shown, _going_on(ended.run, found.flow) if noted else "")

        with showing:
            return watch(started, timeout=shown.timeout, warn=screen.say, then=over)
    except (FlowError, InputError, ConfigError, StoreError) as error:
        if shown.as_json:
            kinds = {FlowError: "flow", InputError: "input", ConfigError: "config", StoreError: "store"}
            kind = next(kind for type_, kind in kinds.items() if isinstance(error, type_))
            refused.status, refused.error = Status.FAILED, StepError(kind, str(error))
            target.write(outputs.json(refused))
        raise


def print_ended(run: Run, shown: Shown) -> None:
    """Print what a run gave that was over before."""
    target = _Target(shown.output)
    if shown.as_json:
        target.write(outputs.json(run))
        return
    if shown.events:
        EventLines(sys.stdout)(RunFinished(run, run.seconds))
        if target.file is None:
            return
    target.write(outputs.human(run.outputs, terminal=target.file is None and screen.terminal(sys.stdout)))


def _noted(run: Run, flow: Flow) -> bool:
    """Whether a run is in the record, so that it can go on: one that failed for the record may never have been written."""
    if run.error is None or run.error.kind != "store":
        return True
    try:
        kept = open_existing(home(project.find(Path(flow.provenance.path)), os.environ), version=__version__, warn=lambda _: None)
        if kept is None:
            return False
        with kept:
            return kept.run(run.id) is not None
    except StoreError:
        return False


def _going_on(run: Run, flow: Flow) -> str:
    """Return the command that goes on with a run: where no other is said, it is looked for in the record of this folder."""
    path = Path(flow.provenance.path)
    here = home(project.find(Path.cwd()), os.environ) == home(project.find(path), os.environ)
    return f"flowkit resume {run.id[:SHORT]}" + ("" if here else f" --flow {shlex.quote(project.shown(path, Path.cwd()))}")


class _Showing(AbstractContextManager["_Showing"]):
    """What is shown while the run goes on: progress on stderr, and on stdout events or texts if they are wanted."""

    def __init__(self, flow: Flow, shown: Shown, *, simulated: bool) -> None:
        self.stdout = Sink(sys.stdout)
        self._stack = ExitStack()
        self._readers: list[Emit] = []
        self._view: AbstractContextManager[Emit] | None = None
        self.streaming: Streaming | None = None
        if shown.events:
            lines = EventLines(sys.stdout)
            self.stdout = lines.sink
            self._readers.append(lines)
        elif shown.stream:
            self.streaming = Streaming(flow.plan, self.stdout.write, terminal=screen.terminal(sys.stdout))
            self._readers.append(self.streaming)
        # Both on one screen would write into each other.
        shared = (shown.events or shown.stream) and screen.terminal(sys.stdout)
        if not shown.quiet and not shared:
            self._view = _view()
        elif not shown.quiet and shown.stream and simulated:
            screen.say("simulated: no model is asked")

    def emit(self, event: Event) -> None:
        """Hand an event to all that show it."""
        for reader in self._readers:
            reader(event)

    def __enter__(self) -> Self:
        if self._view is not None:
            self._readers.append(self._stack.enter_context(self._view))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._stack.close()


def _view() -> AbstractContextManager[Emit]:
    if not screen.terminal(sys.stderr):
        return nullcontext(PlainView(sys.stderr))
    from flowkit.console.live import LiveView  # it draws with rich, which is slow to import, and only on a terminal

    return LiveView(screen.console(), time.monotonic)


class _Target:
    """Where the outputs go: stdout, or a file that is tried before anything is paid for."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        if self._path is not None:
            try:
                self._path.open("a", encoding="utf-8").close()
            except OSError as error:
                raise ConfigError(f"-o {path}: {error.strerror}") from None

    @property
    def file(self) -> Path | None:
        """The file, None for stdout."""
        return self._path

    def write(self, text: str) -> None:
        """Write the outputs; what a file cannot take goes to stdout, for it may have been paid for."""
        if self._path is None:
            screen.out(text)
            return
        try:
            self._path.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            screen.out(text)
            raise FlowkitError(f"-o {self._path}: {error.strerror}; the outputs were printed instead") from None


def _report(ended: Ended, showing: _Showing, target: _Target, shown: Shown, going_on: str) -> int:
    run = ended.run
    if shown.as_json:
        target.write(outputs.json(run))
    elif run.status is Status.SUCCEEDED and not (shown.events and target.file is None):
        _print(run, showing, target)
    if run.status is not Status.SUCCEEDED:
        _say_failure(ended, going_on)
    screen.written(showing.stdout.failure)
    return ended.code


def _print(run: Run, showing: _Showing, target: _Target) -> None:
    terminal = target.file is None and screen.terminal(sys.stdout)
    text = outputs.human(run.outputs, terminal=terminal)
    streaming = showing.streaming
    if streaming is not None and target.file is None and streaming.began and not streaming.tagged and _one_text(run.outputs):
        return  # it stands there already
    target.write(text)


def _one_text(found: Any) -> bool:
    only = next(iter(found.values())) if isinstance(found, Mapping) and len(found) == 1 else found
    return isinstance(only, str)


def _say_failure(ended: Ended, going_on: str) -> None:
    run, error = ended.run, ended.error
    further = f"\n   hint: `{going_on}` goes on; what is finished costs nothing again" if going_on else ""
    if ended.code == INTERRUPTED:
        screen.say(f"interrupted{' (simulated)' if run.simulated else ''}: {finished(run)}{further}")
        return
    said = str(error) if error is not None else run.error.message if run.error else "the run failed"
    screen.complain(f"{printable.block(said)}\n   {finished(run)}{further}", simulated=run.simulated)
