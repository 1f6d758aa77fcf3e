"""What is kept, one noun a table: plain frozen values, those of the key first. Knows no database.

Times are seconds since 1970 by the clock of the machine, for people; nothing is decided by them. Durations are seconds of a clock
that never jumps. A cost is a decimal number of US dollars as text; None where no price is known. Texts in `json` hold JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Body:
    """A text that is kept once, under its `flowkit.identity.digest`."""

    TABLE: ClassVar = "bodies"
    KEY: ClassVar = ("hash",)
    hash: str
    text: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One process that writes here, until it takes its row away. It lives as long as it holds the lock on its file."""

    TABLE: ClassVar = "sessions"
    KEY: ClassVar = ("id",)
    id: str
    pid: int
    version: str
    started: float
    #: How many commits it made; its lease says the same, unless the last ones were lost.
    commits: int = 0


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. `status` is running, succeeded, failed or interrupted; `source` names the body {path: text} of its files."""

    TABLE: ClassVar = "runs"
    KEY: ClassVar = ("id",)
    id: str
    session: str
    flow: str
    path: str
    fingerprint: str
    source: str | None
    status: str
    simulated: int
    #: JSON of the inputs, of the options of the command line, and of the outputs.
    inputs: str
    options: str
    outputs: str | None
    error: str | None
    message: str | None
    failed: str | None
    started: float
    seconds: float
    calls: int
    reused: int
    input_tokens: int | None
    output_tokens: int | None
    cost: str | None
    #: Calls whose cost is not known.
    unpriced: int
    revision: str | None
    dirty: int | None
    version: str
    #: Of which batch it is which row, from 1.
    batch: str | None = None
    row: int | None = None
    #: How often it was resumed.
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a run; `step` is `step/inner` inside a sub-flow. The item tells apart the runs of a sub-flow in a `foreach`; else -1."""

    TABLE: ClassVar = "steps"
    KEY: ClassVar = ("run", "step", "item")
    run: str
    step: str
    item: int
    kind: str
    status: str
    output: str | None
    model: str | None
    error: str | None
    message: str | None
    at: float
    seconds: float
    attempts: int
    reused: int
    input_tokens: int | None
    output_tokens: int | None
    cost: str | None
    items: int | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a `foreach`, from 0."""

    TABLE: ClassVar = "items"
    KEY: ClassVar = ("run", "step", "item")
    run: str
    step: str
    item: int
    status: str
    error: str | None
    message: str | None
    at: float
    seconds: float
    reused: int


@dataclass(frozen=True, slots=True)
class CallRow:
    """One question to a model. `state`: open, answered, rejected (answered, but never accepted), failed, cut, reused (nothing was sent).

    `source` of a reused one is `run:number` of the call that was paid. `cache` says what was allowed: on, off, fresh, or an age in seconds.
    """

    TABLE: ClassVar = "calls"
    KEY: ClassVar = ("run", "number")
    run: str
    number: int
    step: str
    item: int | None
    sample: int | None
    key: str
    #: How often the same question was asked before in this run.
    again: int
    url: str
    #: The name that the flow or configuration uses, the model that was asked for, and the one that answered.
    name: str
    model: str
    returned: str | None
    cache: str
    request: str
    reply: str | None
    state: str
    source: str | None
    finish: str | None
    error: str | None
    message: str | None
    started: float
    seconds: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One request of a call, written before it leaves as `sent`; a process that dies leaves it so, and it may have been billed."""

    TABLE: ClassVar = "attempts"
    KEY: ClassVar = ("run", "call", "number")
    run: str
    call: int
    number: int
    #: sent, ok, the kind of the error, cancelled (may have been billed), or unsent (it never left).
    outcome: str
    started: float
    status: int | None = None
    seconds: float | None = None
    waited: float = 0.0
    first_token: float | None = None
    structured: str | None = None
    message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str | None = None


@dataclass(frozen=True, slots=True)
class NoteRow:
    """What happened beside: a `repair` in words, or a `tool` call as JSON."""

    TABLE: ClassVar = "notes"
    KEY: ClassVar = ("run", "number")
    run: str
    number: int
    step: str
    item: int | None
    kind: str
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch: how far its rows are written, so that the same command goes on behind them."""

    TABLE: ClassVar = "batches"
    KEY: ClassVar = ("id",)
    id: str
    session: str
    flow: str
    path: str
    fingerprint: str
    data: str
    out: str
    #: JSON of what else makes it this batch: mapping, options.
    options: str
    status: str
    simulated: int
    started: float
    seconds: float
    #: Rows whose lines are written, bytes of the file that holds them, digest over the rows that were read.
    rows: int
    bytes: int
    digest: str
    #: JSON of tallies: rows by status and kind of error, tokens, cost.
    tallies: str
    version: str


#: Outcomes of requests that may have been billed although no whole answer is there.
MAYBE_BILLED: Final = frozenset({"sent", "cancelled", "timeout", "stream_truncated"})


@dataclass(frozen=True, slots=True)
class Paid:
    """What requests took together. No table: it is summed up from them."""

    #: Those that were answered.
    calls: int = 0
    #: None where no server counted.
    input_tokens: int | None = None
    output_tokens: int | None = None
    #: US dollars as far as they are known, and how many requests took an amount that is not.
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    maybe_billed: int = 0
    #: Questions whose answers were taken from other runs.
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A model that answered, by the name that it was asked under, and when it did so last. No table: it is read from calls."""

    url: str
    name: str
    returned: str
    started: float


Row: TypeAlias = Body | SessionRow | RunRow | StepRow | ItemRow | CallRow | AttemptRow | NoteRow | BatchRow
ROWS: tuple[type[Row], ...] = (Body, SessionRow, RunRow, StepRow, ItemRow, CallRow, AttemptRow, NoteRow, BatchRow)
