"""Turn a comparison of tests on two versions into Markdown, as a comment of a pull request. No text of a test can leave its block."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

from flowkit import printable
from flowkit.console import versus
from flowkit.console.differences_markdown import code, fenced
from flowkit.console.tests import failure
from flowkit.suites.results import Outcome
from flowkit.versus import Pair, Trend, Versus

#: Characters of one comment: GitHub takes 65,536.
_ROOM: Final = 60_000
#: Rows of the table, and cases that are shown in full.
_ROWS, _CASES = 100, 20
_WIDE: Final = 99
_SIGNS: Final = {Trend.WORSE: "❌", Trend.BETTER: "✅", Trend.SAME: "", Trend.ONLY_NOW: "🆕", Trend.UNCLEAR: "❔"}


def text(found: Versus) -> str:
    """Return the comment: what got worse and better, with the failures; cases that stayed the same are only counted."""
    head = [f"### Tests: {html.escape(_verdict(found))}", "", f"<sub>{html.escape(versus.sides(found))}</sub>"]
    body = [*_table(found), *_metrics(found), *_sums(found)]
    details = [line for pair in versus.telling(found.pairs)[:_CASES] for line in _details(pair)]
    whole = "\n".join([*head, *body, *details]) + "\n"
    return whole if len(whole) <= _ROOM else "\n".join([*head, *body]) + "\n"


def _verdict(found: Versus) -> str:
    counts = [f"{len(found.of(trend))} {trend}" for trend in versus.ORDER if found.of(trend)]
    worse = sum(each.trend is Trend.WORSE for each in found.metrics)
    return ", ".join([*counts, *([f"{printable.plural(worse, 'metric')} worse"] if worse else [])])


def _table(found: Versus) -> Iterator[str]:
    told = [(pair, cells) for pair, cells in versus.rows(found) if pair.trend is not Trend.SAME]
    told.sort(key=lambda row: versus.ORDER.index(row[0].trend))
    if not told:
        return
    names = ["", "case", "before", "now", "tokens", "cost", "time"][: 2 + len(told[0][1])]
    yield ""
    yield f"| {' | '.join(names)} | |"
    yield f"|{'---|' * (len(names) + 1)}"
    for pair, cells in told[:_ROWS]:
        reason = "" if pair.trend is Trend.UNCLEAR else printable.line(pair.reason)
        row = [f"{_SIGNS[pair.trend]} {pair.trend}".strip(), code(pair.case.id), *map(html.escape, cells), html.escape(reason)]
        yield f"| {' | '.join(_cell(each) for each in row)} |"
    if len(told) > _ROWS:
        yield ""
        yield f"… and {len(told) - _ROWS} more"


def _cell(text_: str) -> str:
    """Return text that ends no cell, also where it is code."""
    return text_.replace("|", "\\|")


def _metrics(found: Versus) -> Iterator[str]:
    if found.metrics:
        yield ""
        yield from (f"- {_SIGNS[each.trend]} {html.escape(versus.metric(each)[2:])}".replace("  ", " ") for each in found.metrics)


def _sums(found: Versus) -> Iterator[str]:
    yield ""
    yield "  \n".join(html.escape(printable.line(line)) for line in versus.sums(found))


def _details(pair: Pair) -> Iterator[str]:
    if pair.trend is Trend.UNCLEAR:
        lines = printable.block(pair.reason).split("\n")
    elif pair.now.outcome is Outcome.FAILED or pair.trend is Trend.WORSE:
        lines = [line.removeprefix("   ") for line in failure(pair.now, columns=_WIDE)[1:]]
    else:
        return
    yield ""
    yield f"<details><summary>{html.escape(f'{pair.trend}: {printable.line(pair.case.id)}')}</summary>"
    yield ""
    yield from fenced("\n".join(lines), "text")
    yield ""
    yield "</details>"
