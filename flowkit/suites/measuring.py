"""Turn what cases gave into the numbers of a metric, and judge them by its bounds. Pure but for functions of the user."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flowkit.errors import RenderError
from flowkit.suites.results import CaseResult, MetricResult, Outcome
from flowkit.suites.spec import Function, Metric


def measure(id_: str, metric: Metric, results: Sequence[CaseResult]) -> list[MetricResult]:
    """Return a metric over some cases, for each column of the matrix."""
    columns = dict.fromkeys(result.case.column.label for result in results)
    return [
        _measured(f"{id_}[{label}]" if label else id_, metric, label, [r for r in results if r.case.column.label == label])
        for label in columns
    ]


def _measured(id_: str, metric: Metric, column: str, results: Sequence[CaseResult]) -> MetricResult:
    def ended(outcome: Outcome, value: float | None, reason: str) -> MetricResult:
        return MetricResult(id_, metric, column, outcome, value, reason, len(results))

    if any(result.outcome is Outcome.NOT_RUN for result in results):
        return ended(Outcome.NOT_RUN, None, "not all cases ran")
    values: list[float] = []
    lacking: list[str] = []
    for result in results:
        for trial in result.trials:
            value = None if trial.failure is not None else _number(metric, trial.names)
            if isinstance(value, float):
                values.append(value)
            else:
                lacking.append(f"{result.case.name}: {value or 'it could not be run'}")
    if lacking or not values:
        said = (
            f"{len(lacking)} of {len(lacking) + len(values)} runs gave no number, the first is {lacking[0]}"
            if lacking
            else "there is no run"
        )
        return ended(Outcome.ERROR, None, said)
    try:
        found = _aggregate(metric.aggregate, values)
    except _NoNumber as error:
        return ended(Outcome.ERROR, None, str(error))
    holds = metric.bounds.holds(found)
    return ended(Outcome.PASSED if holds else Outcome.FAILED, found, "" if holds else f"{found:.4g} is not {metric.bounds}")


class _NoNumber(Exception):
    """A function gave no number."""


def _number(metric: Metric, names: Mapping[str, Any]) -> float | str:
    """Return the number of one run, or why there is none."""
    try:
        value = metric.expr.of(names)
    except RenderError as e:
        return e.message
    if isinstance(value, bool | int | float):
        return float(value)
    return f"it is {'absent' if value is None else 'no number'}"


def _aggregate(how: str | Function, values: Sequence[float]) -> float:
    if isinstance(how, str):
        return _WAYS[how](values)
    try:
        found = how.call(list(values))
    except Exception as e:
        raise _NoNumber(f"{how.name} raised {type(e).__name__}: {e}") from e
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise _NoNumber(f"{how.name} returned {found!r}, which is no number")
    return float(found)


def p90(values: Sequence[float]) -> float:
    """Return the smallest value that nine tenths of all do not exceed (nearest rank)."""
    return sorted(values)[max(math.ceil(0.9 * len(values)) - 1, 0)]


_WAYS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "mean": lambda values: math.fsum(values) / len(values),
    "rate": lambda values: sum(value != 0 for value in values) / len(values),
    "min": min,
    "max": max,
    "p90": p90,
}
