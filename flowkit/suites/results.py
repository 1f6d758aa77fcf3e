"""How tests came out, as values: verdicts, trials, cases, metrics, and the exit code of all. Knows no flow and no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flowkit.chat import Message, Usage
from flowkit.errors import Place
from flowkit.money import Cost
from flowkit.results import Run
from flowkit.suites.spec import Case, Metric

FAILED, SERVER, LIMIT, NOTHING, INTERRUPTED = 1, 3, 4, 5, 130
#: The kind of a failure for want of a recorded answer.
NO_ANSWER = "not_recorded"


class Outcome(StrEnum):
    """What became of an assertion, a metric or a case. `error`: it could not be judged, for a reason that it does not name.

    `unjudged`: it asks for what a simulated run does not have. `not run`: the tests were stopped before.
    """

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    UNJUDGED = "unjudged"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one assertion. `expected` and `got` are data to be shown side by side; `reason` says it in words."""

    outcome: Outcome
    shown: str
    reason: str = ""
    expected: Any = None
    got: Any = None
    #: Whether `expected` and `got` are to be compared.
    compared: bool = False
    #: The step that gave the value.
    step: str | None = None
    #: What that step sent, where it is known.
    messages: tuple[Message, ...] = ()
    #: Where the assertion stands.
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a case could not be judged. `code` is the exit code that the error stands for."""

    kind: str
    message: str
    step: str | None = None
    code: int = FAILED


@dataclass(frozen=True, slots=True)
class Paid:
    """What was paid now, by whichever run."""

    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()

    def __add__(self, other: Paid) -> Paid:
        return Paid(self.usage + other.usage, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one case. `usage` and `cost` are all that it takes with its judges, whenever that was paid."""

    run: Run | None
    verdicts: tuple[Verdict, ...] = ()
    failure: Failure | None = None
    #: What expressions of metrics see.
    names: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cost: Cost = Cost()
    seconds: float = 0.0
    simulated: bool = False
    #: Whether all answers come from cassettes.
    replayed: bool = False
    #: How many answers come from the record.
    reused: int = 0

    @property
    def timed(self) -> bool:
        """Whether `seconds` are those of servers."""
        return not (self.simulated or self.replayed or self.reused)

    @property
    def outputs(self) -> Any:
        """Return the outputs of the run."""
        return None if self.run is None else self.run.outputs

    @property
    def outcome(self) -> Outcome:
        """Return what became of the run with all its assertions."""
        found = {verdict.outcome for verdict in self.verdicts}
        if self.failure is not None:
            return Outcome.ERROR
        return next((o for o in (Outcome.FAILED, Outcome.ERROR) if o in found), Outcome.PASSED)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case over all its repeats."""

    case: Case
    trials: tuple[Trial, ...]
    #: The share of trials that passed may be no less.
    pass_rate: float = 1.0
    #: Whether it was kept from its end.
    stopped: bool = False

    @property
    def outcome(self) -> Outcome:
        """Return `passed` where enough trials passed; an error counts for nothing, and is one when it decides."""
        if not self.trials or self.stopped:
            return Outcome.NOT_RUN
        found = [trial.outcome for trial in self.trials]
        needed = self.pass_rate * len(found) - 1e-9
        if found.count(Outcome.PASSED) >= needed:
            return Outcome.PASSED
        if len(found) - found.count(Outcome.FAILED) >= needed:
            return Outcome.ERROR
        return Outcome.FAILED

    @property
    def passed(self) -> int:
        """Return how many trials passed."""
        return sum(trial.outcome is Outcome.PASSED for trial in self.trials)

    @property
    def usage(self) -> Usage:
        """Return the tokens and calls of all trials."""
        return sum((trial.usage for trial in self.trials), Usage())

    @property
    def cost(self) -> Cost:
        """Return what all trials cost."""
        return sum((trial.cost for trial in self.trials), Cost())

    @property
    def seconds(self) -> float:
        """Return how long the trials took."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def telling(self) -> Trial | None:
        """Return the trial that tells most: the first that failed, else the first that could not be judged, else the first."""
        for outcome in (Outcome.FAILED, Outcome.ERROR):
            for trial in self.trials:
                if trial.outcome is outcome:
                    return trial
        return self.trials[0] if self.trials else None


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What became of one metric in one column of the matrix. `value` is None where it could not be had; `reason` says why."""

    id: str
    metric: Metric
    column: str
    outcome: Outcome
    value: float | None
    reason: str
    cases: int


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What became of all tests. `deselected` counts cases that were not asked for, `limit` says why the rest did not run."""

    cases: tuple[CaseResult, ...]
    metrics: tuple[MetricResult, ...] = ()
    seconds: float = 0.0
    deselected: int = 0
    limit: str | None = None
    stopped: bool = False
    interrupted: bool = False
    #: What was paid now: not what was replayed, reused or simulated, but also what was cut.
    paid: Paid = field(default_factory=Paid)

    def of(self, outcome: Outcome) -> list[CaseResult | MetricResult]:
        """Return the cases and metrics that came out so."""
        every: list[CaseResult | MetricResult] = [*self.cases, *self.metrics]
        return [each for each in every if each.outcome is outcome]

    @property
    def usage(self) -> Usage:
        """Return the tokens and calls of all cases."""
        return sum((result.usage for result in self.cases), Usage())

    @property
    def cost(self) -> Cost:
        """Return what all cases cost."""
        return sum((result.cost for result in self.cases), Cost())

    @property
    def exit_code(self) -> int:
        """Return the exit code: a failure counts most, then what kept tests from being judged."""
        if not self.cases:
            return NOTHING
        if self.interrupted:
            return INTERRUPTED
        if self.of(Outcome.FAILED):
            return FAILED
        codes = [t.failure.code for r in self.cases if r.outcome is Outcome.ERROR for t in r.trials if t.failure is not None]
        if self.of(Outcome.ERROR):
            return SERVER if SERVER in codes else max(codes, default=FAILED)
        return LIMIT if self.limit is not None else 0
