"""Pair the results of the same tests on two versions of flows, and say which cases came out better or worse. Knows no git and no screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from flowkit.chat import Usage
from flowkit.money import Cost
from flowkit.significance import LEVEL, enough, fisher, least, sign
from flowkit.suites.results import FAILED, LIMIT, SERVER, CaseResult, MetricResult, Outcome, Report
from flowkit.suites.side import Account, without_latency
from flowkit.suites.spec import Case

#: With fewer cases that differ the sign test can say nothing.
_FEWEST: Final = 5
#: Failures that a flow and the answers to it make, so that another version of it may not have them; all others say nothing of it.
OWN: Final = frozenset(
    "invalid_output render call check refusal content_filter output_truncated context_length bad_request empty_response".split()
)


class Trend(StrEnum):
    """How a case or metric compares. `only now`: it cannot run on the other version. `unclear`: one side could not be judged."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    ONLY_NOW = "only now"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Pair:
    """One case on both sides. `before` None: it cannot run there, and `reason` says why."""

    now: CaseResult
    before: CaseResult | None
    trend: Trend
    reason: str = ""
    #: How often chance alone gives such counts; None without repeats.
    p: float | None = None

    @property
    def case(self) -> Case:
        """The case as it is now."""
        return self.now.case

    @property
    def asked(self) -> bool:
        """Whether a model was asked on either side, then or now."""
        return any(not trial.simulated and trial.usage.calls for side in (self.before, self.now) if side for trial in side.trials)


@dataclass(frozen=True, slots=True)
class MetricPair:
    """One metric on both sides. `before` None: not all of its cases can run there."""

    now: MetricResult
    before: MetricResult | None
    trend: Trend


@dataclass(frozen=True, slots=True)
class Total:
    """What cases take on one side, whenever that was paid. `seconds` is None where cassettes answered: they keep no time."""

    usage: Usage
    cost: Cost
    seconds: float | None

    @classmethod
    def of(cls, results: Sequence[CaseResult]) -> Total:
        """Add up the runs that asked models."""
        trials = [trial for result in results for trial in result.trials if not trial.simulated]
        usage = sum((trial.usage for trial in trials), Usage())
        seconds = None if any(trial.replayed for trial in trials) else sum(trial.seconds for trial in trials)
        return cls(usage, sum((trial.cost for trial in trials), Cost()), seconds)


@dataclass(frozen=True, slots=True)
class Versus:
    """All cases and metrics on both sides. `commit` is what `revision` names."""

    revision: str
    commit: str
    pairs: tuple[Pair, ...]
    metrics: tuple[MetricPair, ...]
    #: What was paid for this comparison, and what was taken from the record.
    account: Account
    seconds: float = 0.0
    deselected: int = 0
    limit: str | None = None

    def of(self, trend: Trend) -> list[Pair]:
        """Return the cases that compare so."""
        return [pair for pair in self.pairs if pair.trend is trend]

    @property
    def both(self) -> list[Pair]:
        """The cases that were judged on both sides."""
        return [pair for pair in self.pairs if pair.trend in {Trend.WORSE, Trend.BETTER, Trend.SAME}]

    @property
    def totals(self) -> tuple[Total, Total]:
        """What the cases that were judged on both sides took there: before, now."""
        return Total.of([p.before for p in self.both if p.before is not None]), Total.of([p.now for p in self.both])

    @property
    def leaning(self) -> tuple[int, int]:
        """In how many cases more runs passed now, and in how many fewer did."""
        shares = [(_share(p.now), _share(p.before)) for p in self.both if p.before is not None]
        return sum(now > then for now, then in shares), sum(now < then for now, then in shares)

    @property
    def over_all(self) -> str | None:
        """What all cases together say of chance; None where no model was asked, or too few cases differ."""
        more, fewer = self.leaning
        if more + fewer < _FEWEST or not any(pair.asked for pair in self.both):
            return None
        p = sign(more, fewer)
        told = "significant" if p <= LEVEL else "not significant"
        return f"more runs passed in {more} of the cases that differ, fewer in {fewer}: {told} over all (sign test, p = {p:.2g})"

    @property
    def exit_code(self) -> int:
        """1 when a case or metric got worse; else where cases could not be judged 3 or 4 for a server or limit, 1 for the rest; else 0."""
        if self.of(Trend.WORSE) or any(each.trend is Trend.WORSE for each in self.metrics):
            return FAILED
        if self.limit is not None:
            return LIMIT
        trials = [t for p in self.of(Trend.UNCLEAR) for side in (p.now, p.before) if side is not None for t in side.trials]
        codes = [trial.failure.code for trial in trials if trial.failure is not None]
        if SERVER in codes:
            return SERVER
        return FAILED if self.of(Trend.UNCLEAR) else 0


def holds(result: CaseResult) -> bool | None:
    """Whether a case passed, which it did not where its own steps or answers ended the run; None where it could not be judged."""
    if result.outcome in {Outcome.PASSED, Outcome.FAILED}:
        return result.outcome is Outcome.PASSED
    failures = [trial.failure for trial in result.trials if trial.failure is not None]
    return False if failures and all(failure.kind in OWN for failure in failures) else None


def pair(now: CaseResult, before: CaseResult | None, missing: str = "") -> Pair:
    """Compare one case. `missing` says why there is no other side."""
    if before is None:
        return Pair(now, None, Trend.ONLY_NOW, missing)
    if not all(trial.timed for side in (now, before) for trial in side.trials):
        now, before = without_latency(now), without_latency(before)
    passes, passed = holds(now), holds(before)
    if passes is None or passed is None:
        unclear = [(when, _why(side)) for when, side, told in (("before", before, passed), ("now", now, passes)) if told is None]
        whys = dict.fromkeys(why for _, why in unclear)
        said = [f"before and now: {why}" for why in whys] if len(unclear) > len(whys) else [f"{when}: {why}" for when, why in unclear]
        return Pair(now, before, Trend.UNCLEAR, "\n".join(said))
    runs = len(now.trials), len(before.trials)
    p = None if max(runs) < 2 else fisher(now.passed, runs[0], before.passed, runs[1])
    differs = passes != passed
    if not differs and (p is None or p > LEVEL):
        return Pair(now, before, Trend.SAME, p=p)
    better = passes if differs else _share(now) > _share(before)
    found = Pair(now, before, Trend.BETTER if better else Trend.WORSE, p=p)
    return replace(found, reason=chance(found) if found.asked else "")


def _why(side: CaseResult) -> str:
    """Return what kept a case from being judged."""
    failed = None if side.telling is None else side.telling.failure
    if failed is not None:
        return failed.message
    verdicts = () if side.telling is None else side.telling.verdicts
    reasons = [f"{each.shown}: {each.reason}" for each in verdicts if each.outcome is Outcome.ERROR and each.reason]
    return next(iter(reasons), str(side.outcome))


def chance(found: Pair) -> str:
    """Say whether the counts of a pair can be chance."""
    if found.before is None:
        return ""
    runs = len(found.now.trials), len(found.before.trials)
    if found.p is None:
        return "run once on each side; --repeat 5 tells whether it is chance"
    if found.p <= LEVEL:
        return f"significant (p = {found.p:.2g})"
    said = f"not significant with {max(runs)} repeats (p = {found.p:.2g})"
    return said if least(*runs) <= LEVEL else f"{said}; so few never are, {enough()} can be"


def metrics(now: Report, before: Mapping[str, MetricResult]) -> tuple[MetricPair, ...]:
    """Compare metrics by their ids. One is worse when its bounds held before and do not now."""
    found = []
    for each in now.metrics:
        other = before.get(each.id)
        if other is None or other.cases != each.cases:
            found.append(MetricPair(each, None, Trend.ONLY_NOW))
        elif Outcome.ERROR in {each.outcome, other.outcome} or Outcome.NOT_RUN in {each.outcome, other.outcome}:
            found.append(MetricPair(each, other, Trend.UNCLEAR))
        elif each.outcome is other.outcome:
            found.append(MetricPair(each, other, Trend.SAME))
        else:
            found.append(MetricPair(each, other, Trend.BETTER if each.outcome is Outcome.PASSED else Trend.WORSE))
    return tuple(found)


def change(before: Decimal | float | None, now: Decimal | float | None) -> str:
    """Return by how much a number changed, as `+12 %`; empty where it cannot be said."""
    if before is None or now is None or not before:
        return ""
    part = round(100 * (float(now) - float(before)) / float(before))
    return f"{part:+d} %" if part else "±0 %"


def _share(result: CaseResult) -> float:
    return result.passed / len(result.trials) if result.trials else 0.0
