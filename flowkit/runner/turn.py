"""One answer of one step in the making: of the step itself, or of one item of its `foreach`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.chat import Attempt, Message, Usage
from flowkit.events import AnswerRepaired, AttemptFailed, StepDelta
from flowkit.runner.services import Services


@dataclass(slots=True)
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
    rounds: int = 0
    #: Whether a piece of the answer was already shown, so that no other model may take over.
    shown: bool = False

    def repaired(self, how: str) -> None:
        """Note what was done to get an answer."""
        self.repairs.append(how)
        self.services.emit(AnswerRepaired(self.path, how, self.services.clock(), self.item))

    def attempted(self, attempt: Attempt, delay: float | None) -> None:
        """Note one request."""
        self.attempts.append(attempt)
        if attempt.outcome != "ok":
            self.services.emit(AttemptFailed(self.path, attempt, delay, self.services.clock(), self.item))

    def delta(self, text: str) -> None:
        """Show a piece of a streamed answer."""
        self.shown = True
        self.services.emit(StepDelta(self.path, text, self.services.clock(), self.item))
