"""Say how far results are from what was accepted: exactly for what is data, by likeness for what is prose. Pure.

Models never say the same thing twice in the same words, so a text of several words is compared by difflib's ratio. A text without a
blank is a word, a key or a number of something, and one of a closed set is a choice: these are compared to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any, Final

from flowkit import printable
from flowkit.chat import Usage
from flowkit.money import Cost, money
from flowkit.suites.assertions import same
from flowkit.suites.baselines import Accepted, Baseline, Tolerances, comparable, key_of, total
from flowkit.suites.results import MetricResult, Outcome, Verdict
from flowkit.suites.spec import Case
from flowkit.types.algebra import ANY, AnyType, List, Map, Record, String, Type, expand, members

#: Begins what is shown of each comparison.
BASELINE: Final = "baseline"
#: Texts whose lengths multiplied are larger are compared with difflib's shortcut: the exact way takes that many steps.
_EXACT: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Took:
    """What one run gave and took. A simulated one takes nothing; `seconds` is None where they are not those of servers."""

    outputs: Any
    usage: Usage
    cost: Cost
    seconds: float | None
    simulated: bool = False


def drift(baseline: Baseline, case: Case, took: Took) -> list[Verdict]:
    """Return what became of the comparison of one run; nothing where nothing was accepted of the case."""
    key = key_of(case.name)
    was = baseline.cases.get(key)
    if was is None or not comparable(case.test.renders_only, case.test.error is not None):
        return []
    allowed = baseline.tolerances(key)
    found = [
        Verdict(Outcome.FAILED, f"{BASELINE}: {path or 'outputs'}", reason, before, now, compared=True)
        for path, reason, before, now in _outputs(was.outputs, took.outputs, case.plan.output_type, "", allowed)
    ]
    if not took.simulated:
        found += _numbers(was, took, allowed)
    return found or [Verdict(Outcome.PASSED, BASELINE)]


#: One difference: where, why, what was, what is.
_Difference = tuple[str, str, Any, Any]


def _outputs(was: Any, now: Any, type_: Type, path: str, allowed: Tolerances) -> Iterator[_Difference]:
    if path in allowed.ignore:
        return
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys((*was, *now)):
            inner = f"{path}.{name}" if path else str(name)
            yield from _outputs(was.get(name), now.get(name), _field(type_, name), inner, allowed)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for at, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _outputs(one, other, _item(type_), f"{path}[{at}]", allowed)
    elif (reason := _differs(was, now, type_, allowed)) is not None:
        yield path, reason, was, now


def _differs(was: Any, now: Any, type_: Type, allowed: Tolerances) -> str | None:
    """Return why two values are not the same, None if they are near enough."""
    if same(was, now):
        return None
    if isinstance(was, list) and isinstance(now, list):
        return f"{printable.plural(len(now), 'item')}, not {len(was)}"
    if isinstance(was, str) and isinstance(now, str) and _prose(was, now, type_):
        ratio = SequenceMatcher(None, was, now, autojunk=len(was) * len(now) > _EXACT).ratio()
        return None if ratio >= allowed.similar else f"the ratio is {ratio:.2f}, not {allowed.similar:g}"
    if _is_number(was) and _is_number(now) and abs(now - was) <= allowed.numbers * abs(was):
        return None
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _prose(was: str, now: str, type_: Type) -> bool:
    free = any(isinstance(kind, AnyType) or (isinstance(kind, String) and kind.pattern is None) for kind in members(type_))
    return free and len(was.split()) > 1 and len(now.split()) > 1


def _field(type_: Type, name: str) -> Type:
    for kind in map(expand, members(type_)):
        if isinstance(kind, Record) and (found := kind.get(name)) is not None:
            return found.type
        if isinstance(kind, Map):
            return kind.value
    return ANY


def _item(type_: Type) -> Type:
    return next((kind.item for kind in map(expand, members(type_)) if isinstance(kind, List)), ANY)


def _numbers(was: Accepted, took: Took, allowed: Tolerances) -> Iterator[Verdict]:
    """Yield what costs more than it may; less is never a failure."""
    tokens = total(took.usage)
    cost = None if took.cost.total is None else float(took.cost.total)
    for name, before, now, more in (
        ("tokens", was.tokens, tokens, allowed.tokens),
        ("cost", was.cost, cost, allowed.cost),
        ("latency", was.seconds, took.seconds, allowed.latency),
    ):
        # Accepted numbers are rounded to four digits.
        if before is not None and now is not None and now > before * (1 + more) * 1.0005:
            reason = f"{_shown(name, now)}, the baseline is {_shown(name, before)} and may grow by {more:.0%}"
            yield Verdict(Outcome.FAILED, f"{BASELINE}: {name}", reason)


def _shown(name: str, value: float) -> str:
    if name == "cost":
        return money(Decimal(str(value)))
    return printable.seconds(value) if name == "latency" else f"{value:,.0f}"


def drifted(baseline: Baseline, head: str, measured: MetricResult) -> MetricResult:
    """Return a metric, failed if it is worse than the accepted one by more than it may be; without bounds either way is worse.

    The tolerance is a part of the number, but of a share or a score below 1 a part of 1.
    """
    was = baseline.metrics.get(measured.id.removeprefix(head))
    if was is None or measured.value is None or measured.outcome is not Outcome.PASSED:
        return measured
    allowed, bounds = baseline.tolerances().metrics * max(1.0, abs(was)), measured.metric.bounds
    lower = measured.value < was - allowed and (bounds.at_least is not None or bounds.at_most is None)
    higher = measured.value > was + allowed and (bounds.at_most is not None or bounds.at_least is None)
    if not lower and not higher:
        return measured
    reason = f"{measured.value:.4g}, the baseline is {was:.4g} and may be {allowed:.4g} worse"
    return replace(measured, outcome=Outcome.FAILED, reason=reason)
