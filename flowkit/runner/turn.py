"""One answer of one step in the making: of the step itself, or of one item of its `foreach`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowkit.chat import Attempt, Completion, Message, Shape, Usage
from flowkit.errors import RunError
from flowkit.events import AnswerRepaired, AttemptFailed, StepDelta, ToolFinished
from flowkit.money import Cost
from flowkit.partial import Partial
from flowkit.prices import Tariff, cost
from flowkit.results import ToolUse
from flowkit.runner.services import Services

#: Ways in which a request may end without an answer although the server did the work; beside it `ok` where nothing was counted.
MAYBE_BILLED = frozenset({"ok", "cancelled", "timeout", "stream_truncated"})


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
    cost: Cost = Cost()
    #: Calls whose answers were taken from the record.
    reused: int = 0
    #: What the model costs that is asked now.
    tariff: Tariff | None = None
    attempts: list[Attempt] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
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
    #: Since when a request is under way, in seconds of the run; None while none is.
    sent: float | None = None
    #: Which of how many samples of one answer this is, from 0; and of a turn with samples, theirs that are under way.
    sample: int | None = None
    samples: int = 1
    parts: list[Turn] = field(default_factory=list)

    def halt(self) -> None:
        """Let no further request be made; one that is under way may end."""
        self.halted = True
        if self.waiting is not None:
            self.waiting.cancel()
        for part in self.parts:
            part.halt()

    def part(self, sample: int, samples: int) -> Turn:
        """Return the turn of one of several samples; what it spends counts here when it is joined."""
        one = Turn(self.services, self.path, self.item, self.names, sample=sample, samples=samples)
        self.parts.append(one)
        return one

    def join(self) -> None:
        """Add what the samples spent, in their order."""
        for part in self.parts:
            self.usage += part.usage
            self.cost += part.cost
            self.reused += part.reused
            self.attempts += part.attempts
            self.repairs += part.repairs
            self.tools += part.tools
            self.model = self.model or part.model
            self.rounds = max(self.rounds, part.rounds)
        self.parts = []

    def go_on(self) -> None:
        """Raise RunError when no further request may be made."""
        if self.halted:
            raise stopped()

    def sending(self) -> None:
        """Note that a request goes out now. Raises RunError, and then it does not."""
        self.waiting = None
        self.go_on()
        self.sent = self.services.clock()

    def take(self, known: Completion, *, counted: bool = False) -> None:
        """Note an answer that was paid before, unless it is `counted` as a new one, and show it as if it came."""
        if not counted:
            self.reused += 1
        self.fresh = True
        if self.services.stream and known.text:
            self.delta(known.text)
        self.fresh = True

    def cut(self) -> None:
        """Note that a request was under way when the run was cut: it may have been billed."""
        if self.sent is not None:
            seconds = self.services.clock() - self.sent
            attempt = Attempt(len(self.attempts) + 1, self.model or "", "cancelled", seconds, "cut short; it may have been billed")
            self._paid(attempt)
            self.attempts.append(attempt)
            self.sent = None

    def _paid(self, attempt: Attempt) -> None:
        """Add what a request cost. One that was sent and never came back may have been billed; a refusal was not."""
        billed = attempt.usage is not None or attempt.outcome in MAYBE_BILLED
        if billed and not self.services.simulated:
            self.cost += Cost.of(attempt.cost)

    def repaired(self, how: str) -> None:
        """Note what was done to get an answer."""
        if self.sample is not None:
            how = f"sample {self.sample + 1}: {how}"
        self.repairs.append(how)
        self.services.emit(AnswerRepaired(self.path, how, self.services.clock(), self.item))

    def used(self, use: ToolUse) -> None:
        """Note one call of a tool."""
        self.tools.append(use)
        now = self.services.clock()
        self.services.emit(
            ToolFinished(self.path, use.name, use.arguments, use.result, use.error, use.seconds, now, self.item, use.round, self.sample)
        )

    def priced(self, attempt: Attempt) -> Attempt:
        """Return a request with what it cost."""
        paid = None if self.services.simulated or attempt.usage is None else cost(self.tariff, attempt.usage)
        return attempt if paid is None else replace(attempt, cost=paid)

    def attempted(self, attempt: Attempt, delay: float | None) -> None:
        """Note one request. Raises RunError when it was to be made again and may not be."""
        self._paid(attempt)
        self.attempts.append(attempt)
        self.sent = None
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
        self.services.emit(StepDelta(self.path, text, self.services.clock(), self.item, value, restart, self.sample))
