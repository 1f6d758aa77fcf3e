"""Turn the past of a flow into lines for people and data for programs. `now` is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from flowkit import printable
from flowkit.comparing import Comparison
from flowkit.console.differences import order, summary
from flowkit.console.paint import Paint
from flowkit.git import Commit
from flowkit.history.words import ago
from flowkit.money import money
from flowkit.outcomes import Outcomes

SCHEMA: Final = 1
#: Digits of a commit and of a fingerprint that people read.
_SHORT: Final = 10
_INDENT: Final = " " * 12


def entry(commit: Commit | None, found: Comparison, results: Outcomes | None, *, now: float, columns: int, paint: Paint) -> str:
    """Return one version: who made it and when, what it changed, and what its runs gave."""
    mark = printable.pad("now" if commit is None else commit.id[:_SHORT], 10)
    what = "not committed" if commit is None else f"{printable.line(commit.subject)}"
    who = "" if commit is None else paint.pale(f"  {printable.line(commit.author)}, {ago(commit.seconds, now)}")
    lines = [f"{paint.warning(mark) if commit is None else paint.bold(mark)}  {what}{who}"]
    lines.append(f"{_INDENT}{_changed(found, columns - len(_INDENT))}")
    print_ = found.after.fingerprint
    lines.append(paint.pale(f"{_INDENT}{print_[:_SHORT] if print_ else 'no fingerprint'}  {runs(results)}"))
    return "".join(f"{line}\n" for line in lines)


def _changed(found: Comparison, columns: int) -> str:
    if found.broken is not None:
        return printable.clip(printable.line(f"broken: {found.broken}"), columns)
    if found.after.meaning is None:
        return "removed"
    if found.before.meaning is None:
        plan = found.after.plan
        steps = [] if plan is None else list(plan.steps)
        return printable.clip(f"new: {', '.join(steps)}", columns)
    return summary(found.counting, columns, order(found)) or "as it was before it was broken"


def runs(found: Outcomes | None) -> str:
    """Return in words what recorded runs gave."""
    if found is None:
        return "no recorded runs"
    parts = [f"{printable.plural(found.runs, 'run')}, {_percent(found)} succeeded"]
    if found.tokens is not None:
        parts.append(f"{printable.count(round(found.tokens))} tokens")
    if found.succeeded:
        parts.append(f"{money(found.cost)} each" if found.cost is not None else "cost unknown")
    if found.seconds is not None:
        parts.append(f"median {printable.seconds(found.seconds)}")
    return ", ".join(parts)


def _percent(found: Outcomes) -> str:
    """Return a rate that says 0 or 100 % only where it is so."""
    if found.succeeded in {0, found.runs}:
        return "all" if found.succeeded else "none"
    return f"{min(max(round(found.rate * 100), 1), 99)} %"


def document(entries: Sequence[tuple[Commit | None, Comparison, Outcomes | None]], flow: str, *, whole: bool) -> dict[str, Any]:
    """Return the one object of `flowkit log --json`. `whole`: there are no older versions."""
    return {"schema": SCHEMA, "flow": flow, "whole": whole, "versions": [_entry(*each) for each in entries]}


def _entry(commit: Commit | None, found: Comparison, results: Outcomes | None) -> Mapping[str, Any]:
    return {
        "commit": None if commit is None else commit.id,
        "author": None if commit is None else commit.author,
        "time": None if commit is None else datetime.fromtimestamp(commit.seconds, UTC).isoformat(),
        "subject": None if commit is None else commit.subject,
        "path": found.after.shown,
        "fingerprint": found.after.fingerprint,
        "broken": found.broken,
        "changes": [asdict(change) for change in found.changes],
        "runs": None if results is None else _results(results),
    }


def _results(found: Outcomes) -> Mapping[str, Any]:
    return {
        "runs": found.runs,
        "succeeded": found.succeeded,
        "tokens_mean": found.tokens,
        "cost_mean": None if found.cost is None else float(found.cost),
        "seconds_p50": found.seconds,
    }
