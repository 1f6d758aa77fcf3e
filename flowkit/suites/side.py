"""Run cases against one version of a flow, with answers of the record. Knows no git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from flowkit.flow import Flow
from flowkit.plan import Plan
from flowkit.provenance import Committed
from flowkit.store import CallRow
from flowkit.suites.bench import Bench
from flowkit.suites.results import CaseResult, Outcome, Report, Trial


class Reading(Protocol):
    """What is needed of a record."""

    def calls(self, run: str) -> Sequence[CallRow]:
        """Return the calls of a run."""


@dataclass(frozen=True, slots=True)
class Account:
    """Answers that were asked for now, and those that were taken from the record or from cassettes."""

    made: int = 0
    reused: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(self.made + other.made, self.reused + other.reused)

    @classmethod
    def of(cls, report: Report) -> Account:
        """Count the answers of a report."""
        trials = [trial for result in report.cases for trial in result.trials if not trial.simulated]
        reused = sum(trial.usage.calls if trial.replayed else trial.reused for trial in trials)
        return cls(report.paid.usage.calls, reused)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a flow comes from: the files that it is made of, and the commit when it was laid out elsewhere."""

    files: tuple[Path, ...] = ()
    committed: Committed | None = None


class Side(Bench):
    """A bench whose runs are recorded as runs of the flow in the working tree, or of a commit. Nothing is compared with baselines."""

    def __init__(self, bench: Bench, origins: Mapping[Path, Origin], *, limit: Decimal | None) -> None:
        super().__init__(bench.make_runtime, bench.simulate, bench.seed, bench.repeat, limit, bench.mode, bench.ci, compare=False)
        self._origins = origins
        self._kept: dict[tuple[int, frozenset[tuple[str, str]]], Flow] = {}

    async def flow(self, plan: Plan, models: Mapping[str, str]) -> Flow:
        """Return a flow that says where it comes from."""
        key = id(plan), frozenset(models.items())
        runtime = await self.runtime(models)
        known = self._kept.get(key)
        if known is None or known.plan is not plan:
            origin = self._origins.get(plan.path, Origin())
            known = self._kept[key] = Flow(plan, runtime, files=origin.files, committed=origin.committed)
        return known


def timed(report: Report, store: Reading) -> Report:
    """Return a report in which recorded runs take the seconds that their calls took when they were asked, one after the other.

    An answer of the record takes no time, which would make one side of a comparison look faster than it is. Raises StoreError.
    """
    sources: dict[str, dict[int, float]] = {}

    def taken(trial: Trial) -> Trial:
        calls = () if trial.run is None or trial.simulated or trial.replayed else store.calls(trial.run.id)
        return replace(trial, seconds=sum(_seconds(call, store, sources) for call in calls)) if calls else trial

    return replace(report, cases=tuple(replace(each, trials=tuple(map(taken, each.trials))) for each in report.cases))


def _seconds(call: CallRow, store: Reading, sources: dict[str, dict[int, float]]) -> float:
    if call.state != "reused" or call.source is None:
        return call.seconds or 0.0
    source, _, number = call.source.rpartition(":")
    if source not in sources:
        sources[source] = {row.number: row.seconds or 0.0 for row in store.calls(source)}
    return sources[source].get(int(number), 0.0)


def without_latency(result: CaseResult) -> CaseResult:
    """Return a result in which no latency is judged."""
    shown = {each.shown for each in result.case.test.assertions if each.word == "latency"}
    why = "an answer that was not asked for now takes no time"

    def judged(trial: Trial) -> Trial:
        verdicts = (replace(v, outcome=Outcome.UNJUDGED, reason=why) if v.shown in shown else v for v in trial.verdicts)
        return replace(trial, verdicts=tuple(verdicts))

    return replace(result, trials=tuple(map(judged, result.trials)))
