"""Turn events into plain lines for a log: what began, what ended, what went wrong. Knows no clock and no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TextIO

from flowkit import printable
from flowkit.console.sink import Sink
from flowkit.console.spent import Spent, stopped
from flowkit.events import (
    AnswerRepaired,
    AttemptFailed,
    Event,
    ItemFinished,
    RunFinished,
    RunStarted,
    StepDelta,
    StepFinished,
    StepStarted,
    ToolFinished,
)
from flowkit.results import Status, StepError

if TYPE_CHECKING:
    from flowkit.chat import Usage

#: A `foreach` of at least this many items says how far it is, at each tenth.
MANY: Final = 20
#: Columns for the arguments of a tool.
_ARGUMENTS: Final = 60


class PlainView:
    """Writes one line for each event that matters; pieces of streamed text and items that went well do not."""

    def __init__(self, writer: TextIO) -> None:
        self.sink = Sink(writer)
        self._items: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Write what the event is worth."""
        said = self._say(event)
        if said is not None:
            self.sink.write(f"{printable.seconds(event.at):>7}  {printable.line(said)}\n")

    def _say(self, event: Event) -> str | None:
        match event:
            case RunStarted():
                simulated = " (simulated)" if event.simulated else ""
                return f"{event.flow}: {printable.plural(len(event.steps), 'step')}{simulated}"
            case StepStarted():
                return self._started(event)
            case AttemptFailed(attempt=attempt):
                again = "" if event.delay is None else f", again in {printable.seconds(event.delay)}"
                return f"{_name(event)}: attempt {attempt.number} failed: {_why(attempt.outcome, attempt.message)}{again}"
            case AnswerRepaired():
                return f"{_name(event)}: {event.how}"
            case ToolFinished():
                return f"{_name(event)}: {_tool(event)}"
            case ItemFinished():
                return self._item(event)
            case StepFinished():
                return f"{event.step}: {_ended(event)}"
            case RunFinished(run=run):
                failed = f" at {run.failed!r}" if run.failed else ""
                spent = ", ".join(Spent.by(run).parts(simulated=run.simulated))
                early = stopped(run)
                how = f"{run.status}{failed} in" if early is None else f"{early} after"
                simulated = " (simulated)" if run.simulated else ""
                return f"{run.flow}: {how} {printable.seconds(run.seconds)}{simulated}, {spent}"
            case StepDelta():
                return None

    def _started(self, event: StepStarted) -> str | None:
        if event.item is not None and event.step in self._items:
            return None
        if event.items is None:
            return f"{event.step}: started"
        self._items[event.step] = self._items.get(event.step, 0) + event.items
        return f"{event.step}: started, {printable.plural(event.items, 'item')}"

    def _item(self, event: ItemFinished) -> str | None:
        done = self._done[event.step] = self._done.get(event.step, 0) + 1
        if event.status is Status.FAILED:
            return f"{_name(event)}: failed{_because(event.error)}"
        of = self._items.get(event.step, 0)
        if of < MANY or done == of or done * 10 // of == (done - 1) * 10 // of:
            return None
        return f"{event.step}: {done} of {of} items done"


def _name(event: AttemptFailed | AnswerRepaired | ToolFinished | ItemFinished) -> str:
    return event.step if event.item is None else f"{event.step}, item {event.item + 1}"


def _tool(event: ToolFinished) -> str:
    arguments = printable.json_text(event.arguments)
    called = f"called {event.name} {printable.clip(arguments, _ARGUMENTS)}"
    return f"{called} in {printable.seconds(event.seconds)}" if event.error is None else f"{called}: {event.error}"


def _ended(event: StepFinished) -> str:
    if event.status is Status.SKIPPED:
        return f"skipped{_because(event.error)}"
    said = f"{event.status} in {printable.seconds(event.seconds)}"
    if event.cached:
        said += ", cached"
    elif event.usage.calls:
        said += ", ".join(["", *filter(None, [Spent.of(event).partly]), _spent(event.usage)])
    return said + _because(event.error)


def _spent(usage: Usage) -> str:
    said = printable.plural(usage.calls, "call")
    if usage.input_tokens is None and usage.output_tokens is None:
        return said
    return f"{said}, {printable.count(usage.input_tokens or 0)} tokens in, {printable.count(usage.output_tokens or 0)} out"


def _because(error: StepError | None) -> str:
    return "" if error is None else f": {_why(error.kind, error.message)}"


def _why(kind: str, message: str) -> str:
    if kind == "store":  # said in full at the end, and by each item the same
        return "store: the record cannot be written"
    return f"{kind}: {message}" if message else kind
