"""Turn a comparison of tests on two versions into text for people: a table, what got worse, sums. Knows colours, and no git."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from flowkit import printable
from flowkit.console.paint import Paint
from flowkit.console.tests import alike, failure, same_for
from flowkit.history.words import SHORT
from flowkit.money import Cost
from flowkit.suites.results import CaseResult, MetricResult, Outcome
from flowkit.versus import MetricPair, Pair, Total, Trend, Versus, change, holds

#: In which order cases are told.
ORDER: Final = (Trend.WORSE, Trend.UNCLEAR, Trend.BETTER, Trend.ONLY_NOW, Trend.SAME)
_SIGNS: Final = {Trend.WORSE: "✗", Trend.BETTER: "✓", Trend.SAME: "=", Trend.ONLY_NOW: "+", Trend.UNCLEAR: "?"}
_MARKS: Final = {Outcome.PASSED: "passed", Outcome.FAILED: "failed", Outcome.ERROR: "error", Outcome.NOT_RUN: "not run"}
_HEAD: Final = ("case", "", "before", "now", "tokens", "cost", "time")


def text(found: Versus, *, columns: int, color: bool = False) -> str:
    """Return the whole comparison."""
    paint = Paint(on=color)
    parts = [f"{paint.bold(sides(found))}\n", _table(found, paint)]
    told: dict[object, list[Pair]] = {}
    for pair in sorted(found.pairs, key=lambda each: ORDER.index(each.trend)):
        told.setdefault(alike(None, pair.reason) if pair.trend is Trend.UNCLEAR else pair.case.id, []).append(pair)
    for first, *more in told.values():
        if lines := list(_said(first, columns, paint)):
            lines += same_for([pair.case.id for pair in more])
            parts.append("".join(f"{line}\n" for line in lines))
    numbers = [f"{metric(each)}\n" for each in found.metrics]
    parts += ["".join(numbers)] if numbers else []
    parts.append("".join(f"{printable.line(line)}\n" for line in sums(found)))
    return "\n".join(parts)


def sides(found: Versus) -> str:
    """Return in words what is compared."""
    short = found.commit[:SHORT]
    named = short if found.commit.startswith(found.revision) else f"{printable.line(found.revision)} ({short})"
    return f"{named} → working tree"


# -- the table ---------------------------------------------------------------------------------------------


def rows(found: Versus) -> list[tuple[Pair, tuple[str, ...]]]:
    """Return cases with what stands in their row: both sides, then tokens, cost and time of all runs."""
    taken = any(pair.asked and pair.trend is not Trend.UNCLEAR for pair in found.pairs)
    return [(pair, (passed(pair.before), passed(pair.now), *(_taken(pair) if taken else ()))) for pair in found.pairs]


def passed(result: CaseResult | None) -> str:
    """Return how a case came out in a word or, with repeats, in numbers."""
    if result is None:
        return "-"
    if len(result.trials) > 1 and (result.outcome in {Outcome.PASSED, Outcome.FAILED} or holds(result) is not None):
        return f"{result.passed}/{len(result.trials)}"
    return _MARKS.get(result.outcome, str(result.outcome))


def _taken(pair: Pair) -> tuple[str, str, str]:
    if not pair.asked or pair.trend is Trend.UNCLEAR:
        return "", "", ""
    now = Total.of([pair.now])
    before = None if pair.before is None else Total.of([pair.before])
    return (
        _arrow(None if before is None else tokens(before), tokens(now)),
        _arrow(None if before is None else str(before.cost), str(now.cost)),
        _arrow(None if before is None else time(before), time(now)),
    )


def tokens(total: Total) -> str:
    """Return the tokens of one side, sent and answered."""
    if total.usage.input_tokens is None and total.usage.output_tokens is None:
        return "unknown"
    return printable.count((total.usage.input_tokens or 0) + (total.usage.output_tokens or 0))


def time(total: Total) -> str:
    """Return how long calls took."""
    return "unknown" if total.seconds is None else printable.seconds(total.seconds)


def _arrow(before: str | None, now: str) -> str:
    return now if before is None or before == now else f"{before} → {now}"


def _table(found: Versus, paint: Paint) -> str:
    """Return all cases below the names of their files."""
    told = rows(found)
    if not told:
        return ""
    grid = [_HEAD[: 2 + len(told[0][1])], *((printable.line(pair.case.name), str(pair.trend), *cells) for pair, cells in told)]
    wide = [max(printable.width(row[at]) for row in grid) for at in range(len(grid[0]))]
    texts = ["  ".join(printable.pad(cell, width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in grid]
    lines, file = [paint.pale(f"    {texts[0]}")], None
    for (pair, _), text_ in zip(told, texts[1:], strict=True):
        if pair.case.suite.shown != file:
            file = pair.case.suite.shown
            lines.append(printable.line(file))
        lines.append(_colored(pair.trend, f"  {_SIGNS[pair.trend]} {text_}", paint))
    return "".join(f"{line}\n" for line in lines)


def _colored(trend: Trend, line: str, paint: Paint) -> str:
    ink = {Trend.WORSE: paint.removed, Trend.BETTER: paint.added, Trend.UNCLEAR: paint.warning, Trend.ONLY_NOW: paint.warning}
    return ink[trend](line) if trend in ink else line


# -- one case ----------------------------------------------------------------------------------------------


def _said(pair: Pair, columns: int, paint: Paint) -> Iterator[str]:
    """Say of a case what the table does not: what it got now, or why it cannot be compared."""
    name = printable.line(pair.case.id)
    if pair.trend is Trend.WORSE:
        yield _colored(pair.trend, f"✗ worse: {name}", paint) + (f", {pair.reason}" if pair.reason else "")
        yield from failure(pair.now, columns=columns)[1:]
    elif pair.trend is Trend.BETTER:
        if pair.reason:
            yield _colored(pair.trend, f"✓ better: {name}", paint) + f", {pair.reason}"
    elif pair.trend is Trend.ONLY_NOW:
        yield f"+ only now: {name}: {printable.line(pair.reason)}"
        if pair.now.outcome is Outcome.FAILED:
            yield from failure(pair.now, columns=columns)[1:]
    elif pair.trend is Trend.UNCLEAR:
        first, *more = printable.block(pair.reason).split("\n")
        yield _colored(pair.trend, f"? unclear: {name}", paint)
        yield from (f"   {line}" for line in (first, *more))


def metric(each: MetricPair) -> str:
    """Return one metric on both sides."""
    bounds = f", {each.now.metric.bounds} wanted" if str(each.now.metric.bounds) else ""
    before = "-" if each.before is None else number(each.before)
    sign = f" {each.trend}" if each.trend in {Trend.WORSE, Trend.BETTER, Trend.UNCLEAR} else ""
    more = " (not over the same cases before)" if each.before is None else ""
    return f"{_SIGNS[each.trend]} {printable.line(each.now.id)}: {before} → {number(each.now)}{bounds}{sign}{more}"


def number(found: MetricResult) -> str:
    """Return the value of a metric."""
    return "unknown" if found.value is None else f"{found.value:.4g}"


# -- the end -----------------------------------------------------------------------------------------------


def sums(found: Versus) -> list[str]:
    """Return the last lines: what both sides took, what can be chance, how many came out how, what was paid."""
    lines = []
    if any(pair.asked for pair in found.both):
        lines.append(f"{printable.plural(len(found.both), 'case')} on both sides: {', '.join(taken(found))}")
    if found.over_all is not None:
        lines.append(found.over_all)
    counts = [f"{len(found.of(trend))} {trend}" for trend in ORDER if found.of(trend)]
    worse = sum(each.trend is Trend.WORSE for each in found.metrics)
    counts += [f"{printable.plural(worse, 'metric')} worse"] if worse else []
    counts += [f"{found.deselected} deselected"] if found.deselected else []
    lines.append(f"{', '.join(counts)} in {printable.seconds(found.seconds)}, {paid(found)}")
    lines += [f"stopped: {found.limit}"] if found.limit else []
    unclear = len(found.of(Trend.UNCLEAR))
    return [*lines, f"{printable.plural(unclear, 'case')} could not be judged"] if unclear else lines


def taken(found: Versus) -> list[str]:
    """Return tokens, cost and time of both sides, before → now, as if all answers had been asked for now."""
    before, now = found.totals
    said = []
    for word, one, other in (
        ("tokens in", before.usage.input_tokens, now.usage.input_tokens),
        ("tokens out", before.usage.output_tokens, now.usage.output_tokens),
    ):
        if one is not None and other is not None:
            said.append(f"{_arrow(printable.count(one), printable.count(other))} {word}{_by(one, other)}")
    said.append(f"{_cost(before.cost, now.cost)}{_by(before.cost.total, now.cost.total)}")
    if before.seconds is not None and now.seconds is not None:
        said.append(f"calls of {_arrow(time(before), time(now))}{_by(before.seconds, now.seconds)}")
    return said


def _cost(before: Cost, now: Cost) -> str:
    return f"cost {_arrow(str(before), str(now))}"


def _by(before: Decimal | float | None, now: Decimal | float | None) -> str:
    said = change(before, now)
    return f" ({said})" if said and said != "±0 %" else ""


def paid(found: Versus) -> str:
    """Return what the comparison itself took."""
    if not found.account.made + found.account.reused:
        return "no model was asked"
    return f"{printable.plural(found.account.made, 'call')} made, {printable.plural(found.account.reused, 'answer')} reused"


def telling(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the cases that a reader should look at, what counts most first."""
    return sorted((pair for pair in pairs if pair.trend is not Trend.SAME), key=lambda each: ORDER.index(each.trend))
