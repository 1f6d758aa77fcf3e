"""What happens in a run, as it happens. Everything that shows or keeps a run reads this one stream.

`step` is a step id, or `step/inner` for a step of a sub-flow; `item` is the position in a `foreach`, from 0.
`at` is seconds since the start of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flowkit.chat import Attempt, Usage
from flowkit.money import Cost
from flowkit.results import Run, Status, StepError


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event. `steps` lists the steps in an order in which they could run, with what each waits for."""

    run: str
    flow: str
    simulated: bool
    steps: Mapping[str, tuple[str, ...]]
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began. `kind` is chat, flow, call or set; `items` is the number of items of a `foreach`, else None."""

    step: str
    kind: str
    at: float
    item: int | None = None
    items: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class StepDelta:
    """A piece of text of a streamed answer.

    `value` is what is known so far of an answer that has a type: strings as far as they came, numbers when they are complete. It is
    not checked yet, and None while nothing is known or where the answer is a text. `restart`: the text begins again here, because
    the step asked once more, and what came before no longer counts.
    """

    step: str
    text: str
    at: float
    item: int | None = None
    value: Any = None
    restart: bool = False
    #: Which of the `samples` of a step it belongs to, from 0.
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A request failed and will be made again in `delay` seconds, or not (None)."""

    step: str
    attempt: Attempt
    delay: float | None
    at: float
    item: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerRepaired:
    """An answer was read only after help: `how` in words. A re-ask says so and names the errors."""

    step: str
    how: str
    at: float
    item: int | None = None


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """The model called a tool, and this is what it gets to read: a result, or an error in words."""

    step: str
    name: str
    arguments: Any
    result: str
    error: str | None
    seconds: float
    at: float
    item: int | None = None
    round: int = 1
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class ItemFinished:
    """One item of a `foreach` ended."""

    step: str
    item: int
    status: Status
    at: float
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    error: StepError | None = None
    #: Calls whose answers were taken from the record.
    reused: int = 0
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended; for a `foreach`, all of its items did. Usage is the sum over its calls."""

    step: str
    status: Status
    at: float
    seconds: float = 0.0
    output: Any = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    error: StepError | None = None
    attempts: int = 0
    cached: bool = False
    #: Seconds from the request to the first piece of a streamed answer; of several answers, of the first.
    first_token: float | None = None
    item: int | None = None
    #: Calls whose answers were taken from the record.
    reused: int = 0
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event; `run` holds everything."""

    run: Run
    at: float


Event: TypeAlias = (
    RunStarted | StepStarted | StepDelta | AttemptFailed | AnswerRepaired | ToolFinished | ItemFinished | StepFinished | RunFinished
)

#: Takes each event; must not block, for it is called by the runner itself.
Emit: TypeAlias = Callable[[Event], None]
