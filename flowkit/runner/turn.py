"""One answer of one step in the making: of the step itself, or of one item of its `foreach`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.chat import Attempt, Message, Shape, Usage
from flowkit.errors import RunError
from flowkit.events import AnswerRepaired, AttemptFailed, StepDelta
from flowkit.partial import Partial
from flowkit.runner.services import Services


def stopped() -> RunError:
    """Return the error of what was to be done when the run was over; it hides no other."""
    return RunError("stopped before it was finished", kind="cancelled")


@dataclass(slots=True, eq=False)
class Turn:
    """What was spent and said so far. `path` is `step` or `step/inner`; `item` counts from 0."""

    services: Services
    path: str
    item: int | None
    names: Mapping[str, Any]
    usage: Usage = field(default_factory=Usage)
    attempts: list[Attempt] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    model: str | None = None
    #: The type of the answer as servers are told; None for a text.
    shape: Shape | None = None
    rounds: int = 0
    #: Whether a piece of the answer was already shown, so that no other model may take over.
    shown: bool = False
    #: Whether the next piece is the first one of a request.
    fresh: bool = True
    #: What is known of a typed answer that is coming.
    partial: Partial | None = None
    #: Whether no further request may be made.
    halted: bool = False
    #: The task that waits to send a request; None while one is under way.
    waiting: asyncio.Task[Any] | None = None

    def halt(self) -> None:
        """Let no further request be made; one that is under way may end."""
        self.halted = True
        if self.waiting is not None:
            self.waiting.cancel()

    def go_on(self) -> None:
        """Raise RunError when no further request may be made."""
        if self.halted:
            raise stopped()

    def sending(self) -> None:
        """Note that a request goes out now. Raises RunError, and then it does not."""
        self.waiting = None
        self.go_on()

    def repaired(self, how: str) -> None:
        """Note what was done to get an answer."""
        self.repairs.append(how)
        self.services.emit(AnswerRepaired(self.path, how, self.services.clock(), self.item))

    def attempted(self, attempt: Attempt, delay: float | None) -> None:
        """Note one request. Raises RunError when it was to be made again and may not be."""
        self.attempts.append(attempt)
        self.fresh = True
        if attempt.outcome != "ok":
            self.services.emit(AttemptFailed(self.path, attempt, delay, self.services.clock(), self.item))
        if delay is not None:
            self.go_on()
            self.waiting = asyncio.current_task()

    def delta(self, text: str) -> None:
        """Show a piece of a streamed answer, with what is known now of one that has a type."""
        restart = self.fresh and self.shown
        if self.fresh:
            self.partial = None if self.shape is None else Partial(wrapped=self.shape.wrapped)
        self.fresh, self.shown = False, True
        value = None if self.partial is None else self.partial.feed(text)
        self.services.emit(StepDelta(self.path, text, self.services.clock(), self.item, value, restart))
