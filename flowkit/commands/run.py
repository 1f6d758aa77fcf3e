"""`flowkit run`: run one flow, show what happens on stderr, and print what it gave on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Self

import click

from flowkit import printable
from flowkit.commands import screen
from flowkit.commands.opening import BY_TYPE, Opening, options, sorted_out
from flowkit.commands.streaming import Streaming
from flowkit.commands.verb import Verb
from flowkit.commands.watching import INTERRUPTED, Ended, finished, watch
from flowkit.console import outputs
from flowkit.console.events_json import EventLines
from flowkit.console.plain import PlainView
from flowkit.console.sink import Sink
from flowkit.errors import ConfigError, FlowError, FlowkitError, InputError
from flowkit.events import Emit, Event
from flowkit.flow import Flow
from flowkit.results import Run, Status, StepError

_EXAMPLES = (
    ("flowkit run flows/triage.flow.yaml -i ticket=@ticket.txt", "an input from a file"),
    ("flowkit run flows/triage.flow.yaml -i ticket='Help!' -i tone=formal -m fast=ollama/qwen3:8b", "with another model"),
    ("flowkit run flows/triage.flow.yaml --inputs inputs.json --simulate replies.yaml", "no model is asked"),
    ("flowkit run flows/triage.flow.yaml --inputs - --json < inputs.json | jq .outputs", "for programs"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow", required=False)
@options
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Ask no model: answer from a file, else by type.")
@click.option("--stream", is_flag=True, help="Print the texts of the outputs as they come.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop the whole run after that time (exit code 4).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also when the run fails.")
@click.option("--events", is_flag=True, help="Print what happens as one JSON object a line.")
@click.option("-o", "--output", metavar="FILE", help="Write the outputs there instead of to stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def command(
    opening: Opening,
    *,
    simulate: str | None,
    stream: bool,
    timeout: float | None,
    as_json: bool,
    events: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Run a flow and print its outputs.

    The file is checked whole before anything is called. One text output is printed raw, several as JSON. Progress goes to stderr.

    Exit codes: 0 ok; 1 a step failed; 2 wrong file, input or configuration, nothing was called; 3 server, key or quota; 4 --timeout;
    130 interrupted.
    """
    opening, simulate = sorted_out(opening, simulate)
    _exclude(as_json=as_json, events=events, stream=stream)
    if opening.seed and simulate is None:
        raise click.UsageError("--seed is for --simulate; for a model, --set defaults.params.seed=1", click.get_current_context())
    if timeout is not None and not timeout > 0:
        raise click.UsageError("--timeout takes seconds, more than 0", click.get_current_context())
    target = _Target(output)
    try:
        opened = opening.open(simulate=simulate)
        values = opening.values(opened.plan, "flowkit run {}")
        showing = _Showing(opened, simulated=simulate is not None, events=events, stream=stream, quiet=quiet)
        started = opened.start(values, emit=showing.emit, stream=stream)
    except (FlowError, InputError, ConfigError) as error:
        if as_json:
            target.write(outputs.json(_refused(opening.flow, error, simulated=simulate is not None)))
        raise

    def over(ended: Ended) -> int:
        showing.close()
        return _report(ended, showing, target, as_json=as_json, events=events)

    with showing:
        return watch(started, timeout=timeout, warn=screen.say, then=over)


def _exclude(**chosen: bool) -> None:
    both = [name for name, on in chosen.items() if on]
    if "as_json" in both and len(both) > 1:
        other = "--events" if "events" in both else "--stream"
        raise click.UsageError(f"--json and {other} exclude each other", click.get_current_context())


class _Showing(AbstractContextManager["_Showing"]):
    """What is shown while the run goes on: progress on stderr, and on stdout events or texts if they are wanted."""

    def __init__(self, flow: Flow, *, simulated: bool, events: bool, stream: bool, quiet: bool) -> None:
        self.stdout = Sink(sys.stdout)
        self._stack = ExitStack()
        self._readers: list[Emit] = []
        self._view: AbstractContextManager[Emit] | None = None
        self.streaming: Streaming | None = None
        if events:
            lines = EventLines(sys.stdout)
            self.stdout = lines.sink
            self._readers.append(lines)
        elif stream:
            self.streaming = Streaming(flow.plan, self.stdout.write, terminal=screen.terminal(sys.stdout))
            self._readers.append(self.streaming)
        # Both on one screen would write into each other.
        shared = (events or stream) and screen.terminal(sys.stdout)
        if not quiet and not shared:
            self._view = _view()
        elif not quiet and stream and simulated:
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


def _report(ended: Ended, showing: _Showing, target: _Target, *, as_json: bool, events: bool) -> int:
    run = ended.run
    if as_json:
        target.write(outputs.json(run))
    elif run.status is Status.SUCCEEDED and not (events and target.file is None):
        _print(run, showing, target)
    if run.status is not Status.SUCCEEDED:
        _say_failure(ended)
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


def _say_failure(ended: Ended) -> None:
    run, error = ended.run, ended.error
    if ended.code == INTERRUPTED:
        screen.say(f"interrupted{' (simulated)' if run.simulated else ''}: {finished(run)}")
        return
    said = str(error) if error is not None else run.error.message if run.error else "the run failed"
    screen.complain(f"{printable.block(said)}\n   {finished(run)}", simulated=run.simulated)


def _refused(flow: str, error: FlowkitError, *, simulated: bool) -> Run:
    """Return the run that never began, for programs that read `--json` whatever happens."""
    kind = {FlowError: "flow", InputError: "input"}.get(type(error), "config")
    return Run("", flow, Status.FAILED, simulated=simulated, error=StepError(kind, str(error)))
