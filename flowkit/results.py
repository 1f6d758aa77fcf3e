"""What a run gave: outputs, and for each step its answer, calls and cost. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flowkit.chat import Attempt, Message, Usage
from flowkit.money import Cost


class Status(StrEnum):
    """State of a step; a run is `running`, `succeeded` or `failed`."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StepError:
    """Why a step or an item has no answer: one word of `flowkit.errors.Kind`, and the message."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool as the model called it. `arguments` is data, or the model's own text where that was no JSON.

    `result` is the text that went back to the model, also where it tells of an `error`; `round` counts from 1.
    """

    name: str
    arguments: Any
    result: str
    error: str | None
    seconds: float
    round: int
    item: int | None = None
    sample: int | None = None


@dataclass(slots=True)
class StepResult:
    """One step of a run. `output` is plain data, None where absent. Seconds are from start to end, waiting included."""

    id: str
    status: Status = Status.PENDING
    output: Any = None
    error: StepError | None = None
    #: `provider/model` that answered, or None where no model was asked.
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    #: What was paid in this run; a simulated one pays nothing.
    cost: Cost = Cost()
    seconds: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    #: What was done to read an answer, in words: "took the fenced block", "asked again: …".
    repairs: list[str] = field(default_factory=list)
    #: Calls whose answers were taken from the record, so that nobody paid again.
    reused: int = 0
    #: What the step sent and got, without system messages; of a chat step only.
    messages: list[Message] = field(default_factory=list)
    #: Per item of a `foreach`: {item, output, error, skipped}.
    results: list[dict[str, Any]] | None = None
    rounds: int = 0
    #: Every call of a tool, in the order in which they ended.
    tools: list[ToolUse] = field(default_factory=list)

    @property
    def cached(self) -> bool:
        """Whether every answer was taken from the record."""
        return self.reused > 0 and not self.attempts

    @property
    def first_token(self) -> float | None:
        """Seconds from the request to the first piece of a streamed answer; of several answers, of the first. None without a stream."""
        answered = (attempt for attempt in self.attempts if attempt.outcome == "ok")
        return next((attempt.first_token for attempt in answered if attempt.first_token is not None), None)


@dataclass(slots=True)
class Run:
    """One run of a flow. `outputs` is complete only when `status` is succeeded."""

    id: str
    flow: str
    status: Status = Status.RUNNING
    simulated: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Any = None
    steps: dict[str, StepResult] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()
    seconds: float = 0.0
    error: StepError | None = None
    #: The step that failed first.
    failed: str | None = None
