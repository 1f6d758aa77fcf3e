"""Run cases side by side and say what became of all. Knows no file and no screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from flowkit.errors import LimitReached
from flowkit.suites.bench import Bench, Way
from flowkit.suites.drifting import drifted
from flowkit.suites.measuring import measure
from flowkit.suites.results import CaseResult, MetricResult, Outcome, Report
from flowkit.suites.spec import Case
from flowkit.suites.trial import Try

__all__ = ["PARALLEL", "Bench", "metrics_of", "run_case", "run_cases"]

#: Cases at once; what they ask of servers is bounded by the limiter.
PARALLEL = 16


async def run_case(case: Case, bench: Bench) -> CaseResult:
    """Run one case as often as it says, and judge each run. Runs that wait for servers wait together."""
    tries = [Try(case, bench, number) for number in range(bench.repeat or case.test.repeat)]
    if bench.way(case) is not Way.ASKED:
        trials = [await each.run() for each in tries]
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.run()) for each in tries]
        trials = [task.result() for task in tasks]
    stopped = bench.halted and any(trial.failure is not None and trial.failure.kind == "cancelled" for trial in trials)
    return CaseResult(case, tuple(trials), case.test.pass_rate, stopped)


async def run_cases(
    cases: Sequence[Case],
    bench: Bench,
    *,
    stop_first: bool = False,
    deselected: int = 0,
    ended: Callable[[CaseResult], None] = lambda _result: None,
) -> Report:
    """Run cases side by side and return what became of all, in their order. With `stop_first` none starts after a failure.

    What `bench.halt` or `bench.cut` kept from its end is not run; what it took counts.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    found: dict[int, CaseResult] = {}
    left = iter(enumerate(cases))
    limit: str | None = None
    failed = False

    async def work() -> None:
        nonlocal limit, failed
        while not (bench.halted or limit or failed) and (given := next(left, None)) is not None:
            at, case = given
            result = await run_case(case, bench)
            if (said := _spent(result, bench)) is not None:
                limit = said
                result = CaseResult(case, result.trials, result.pass_rate, stopped=True)
            elif stop_first and result.outcome in {Outcome.FAILED, Outcome.ERROR}:
                failed = True
            found[at] = result
            ended(result)

    async with bench, asyncio.TaskGroup() as group:
        for _ in range(min(1 if stop_first else PARALLEL, len(cases))):
            bench.working(group.create_task(work()))
    results = tuple(found.get(at) or CaseResult(case, ()) for at, case in enumerate(cases))
    metrics = metrics_of(results, bench)
    return Report(results, metrics, loop.time() - began, deselected, limit, failed, interrupted=bench.halted, paid=bench.paid)


def _spent(result: CaseResult, bench: Bench) -> str | None:
    """Return what the budget of all tests said when it stopped a case."""
    if bench.within is None:
        return None
    name = bench.within.budget.name
    said = [t.failure.message for t in result.trials if t.failure is not None and t.failure.kind == LimitReached.kind]
    return next((message for message in said if name in message), None)


def metrics_of(results: Sequence[CaseResult], bench: Bench) -> tuple[MetricResult, ...]:
    """Return the metrics of all tests and files whose cases are all there, compared with what was accepted."""
    found: list[MetricResult] = []
    for suite in dict.fromkeys(result.case.suite for result in results):
        own = [result for result in results if result.case.suite is suite]
        measured: list[MetricResult] = []
        for test in suite.tests:
            of_test = [result for result in own if result.case.test is test]
            for metric in test.metrics if len(of_test) == len(test.rows) * len(test.columns) else ():
                measured += measure(f"{suite.shown}::{test.name} metric {metric.name}", metric, of_test)
        for metric in suite.metrics if len(own) == len(suite.cases()) else ():
            measured += measure(f"{suite.shown}::metric {metric.name}", metric, own)
        baseline = bench.baseline(suite)
        found += measured if baseline is None else [drifted(baseline, f"{suite.shown}::", each) for each in measured]
    return tuple(found)
