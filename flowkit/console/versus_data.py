"""Turn a comparison of tests on two versions into what programs read. Knows no screen."""

from __future__ import annotations

from typing import Any, Final

from flowkit.money import Cost
from flowkit.suites.results import CaseResult
from flowkit.versus import Pair, Total, Trend, Versus

SCHEMA: Final = 1


def document(found: Versus) -> dict[str, Any]:
    """Return the one object of `flowkit test --against REV --json`. A cost is None, never 0, where a price is unknown."""
    before, now = found.totals
    return {
        "schema": SCHEMA,
        "exit_code": found.exit_code,
        "against": {"revision": found.revision, "commit": found.commit},
        "tests": [_pair(pair) for pair in found.pairs],
        "metrics": [
            {
                "id": each.now.id,
                "trend": str(each.trend),
                "before": None if each.before is None else each.before.value,
                "now": each.now.value,
            }
            for each in found.metrics
        ],
        "summary": {
            **{str(trend).replace(" ", "_"): len(found.of(trend)) for trend in Trend},
            "before": _total(before),
            "now": _total(now),
            "chance": found.over_all,
            "calls_made": found.account.made,
            "answers_reused": found.account.reused,
            "deselected": found.deselected,
            "seconds": round(found.seconds, 6),
            "stopped": found.limit,
        },
    }


def _pair(pair: Pair) -> dict[str, Any]:
    case = pair.case
    return {
        "id": case.id,
        "file": case.suite.shown,
        "name": case.test.name,
        "row": case.row.key or None,
        "column": case.column.label or None,
        "trend": str(pair.trend),
        "reason": pair.reason or None,
        "p": pair.p,
        "before": None if pair.before is None else result(pair.before),
        "now": result(pair.now),
    }


def result(found: CaseResult) -> dict[str, Any]:
    """Return one side of a case: how it came out, what it took, and what its telling run gave."""
    trial = found.telling
    failed = None if trial is None else trial.failure
    return {
        "status": str(found.outcome),
        "runs": len(found.trials),
        "passed": found.passed,
        **_total(Total.of([found])),
        "outputs": None if trial is None else trial.outputs,
        "error": None if failed is None else {"kind": failed.kind, "message": failed.message, "step": failed.step},
        "failed": [] if trial is None else [v.shown for v in trial.verdicts if v.outcome.value == "failed"],
    }


def _total(total: Total) -> dict[str, Any]:
    return {
        "input_tokens": total.usage.input_tokens,
        "output_tokens": total.usage.output_tokens,
        "cost": _cost(total.cost),
        "seconds": None if total.seconds is None else round(total.seconds, 6),
    }


def _cost(cost: Cost) -> float | None:
    return None if cost.total is None else float(cost.total)
