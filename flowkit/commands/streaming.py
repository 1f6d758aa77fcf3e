"""Write the texts of a run's outputs as they come. Knows which steps they come from, and nothing of where they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowkit import printable
from flowkit.drawing.planned import read_by_outputs
from flowkit.events import AnswerRepaired, AttemptFailed, Event, ItemFinished, StepDelta, StepFinished
from flowkit.plan import ChatWork, FlowWork, Plan


def sources(plan: Plan, prefix: str = "", *, many: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the paths of the steps whose text is an output, and whether several answers of one may come at once."""
    for id_ in read_by_outputs(plan):
        step = plan.steps[id_]
        several = many or step.foreach is not None
        if isinstance(step.work, FlowWork):
            yield from sources(step.work.plan, f"{prefix}{id_}/", many=several)
        elif isinstance(step.work, ChatWork) and step.work.shape is None and step.samples is None:
            yield prefix + id_, several


class Streaming:
    """Takes events and writes pieces: raw when one answer alone can come, else in whole lines that say whose they are."""

    def __init__(self, plan: Plan, write: Callable[[str], None], *, terminal: bool) -> None:
        found = dict(sources(plan))
        self._steps = found
        self.tagged = len(found) > 1 or any(found.values())
        self._write = write
        self._shown = printable.block if terminal else printable.encodable
        self._lines: dict[tuple[str, int | None], str] = {}
        #: Whether anything was written, and whether the last of it ended a line.
        self.began = False
        self._line_open = False

    def __call__(self, event: Event) -> None:
        """Write what an event adds."""
        match event:
            case StepDelta() if event.step in self._steps:
                if event.restart:
                    self._end(event.step, event.item)
                self._piece(event.step, event.item, event.text)
            case AttemptFailed() | AnswerRepaired() | ItemFinished() if event.step in self._steps:
                self._end(event.step, event.item)
            case StepFinished() if event.step in self._steps:
                for step, item in [key for key in self._lines if key[0] == event.step]:
                    self._end(step, item)
                self._end(event.step, None)

    def _piece(self, step: str, item: int | None, text: str) -> None:
        if not text:
            return
        self.began = True
        text = self._shown(text)
        if not self.tagged:
            self._line_open = not text.endswith("\n")
            self._write(text)
            return
        *whole, rest = (self._lines.get((step, item), "") + text).split("\n")
        for line in whole:
            self._write(f"{_tag(step, item)} {line}\n")
        self._lines[step, item] = rest

    def _end(self, step: str, item: int | None) -> None:
        """Finish a line that an answer left open."""
        if self._line_open:
            self._line_open = False
            self._write("\n")
        rest = self._lines.pop((step, item), "")
        if rest:
            self._write(f"{_tag(step, item)} {rest}\n")


def _tag(step: str, item: int | None) -> str:
    return f"[{step}]" if item is None else f"[{step} {item + 1}]"
