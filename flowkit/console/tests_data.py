"""Turn results of tests into what programs read: one JSON object, or JUnit's XML. Knows no screen."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final
from xml.etree import ElementTree as ET

from flowkit import printable
from flowkit.console.tests import failure
from flowkit.money import Cost
from flowkit.results import StepError
from flowkit.suites.results import CaseResult, Outcome, Report, Trial, Verdict

SCHEMA: Final = 1
#: What XML 1.0 cannot hold, not even escaped.
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDE: Final = 99


def json(report: Report) -> str:
    """Return the one object of `flowkit test --json`."""
    return printable.json_text(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """Return results as data. A cost is None, never 0, where a price is unknown."""
    return {
        "schema": SCHEMA,
        "exit_code": report.exit_code,
        "tests": [_case(result) for result in report.cases],
        "metrics": [
            {"id": m.id, "column": m.column, "status": str(m.outcome), "value": m.value, "reason": m.reason, "cases": m.cases}
            for m in report.metrics
        ],
        "summary": {
            **{str(o).replace(" ", "_"): sum(r.outcome is o for r in report.cases) for o in Outcome if o is not Outcome.UNJUDGED},
            "deselected": report.deselected,
            "seconds": round(report.seconds, 6),
            "usage": {"input_tokens": report.usage.input_tokens, "output_tokens": report.usage.output_tokens, "calls": report.usage.calls},
            "cost": _cost(report.cost),
            # What was paid now; the rest was replayed, or used again.
            "paid": {"calls": report.paid.usage.calls, "cost": _cost(report.paid.cost)},
            "stopped": report.limit,
            "interrupted": report.interrupted,
        },
    }


def _cost(cost: Cost) -> float | None:
    total: Decimal | None = cost.total
    return None if total is None else float(total)


def _case(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "id": case.id,
        "file": case.suite.shown,
        "name": case.test.name,
        "row": case.row.key or None,
        "column": case.column.label or None,
        "tags": list(case.test.tags),
        "status": str(result.outcome),
        "passed": result.passed,
        "pass_rate": result.pass_rate,
        "seconds": round(result.seconds, 6),
        "cost": _cost(result.cost),
        "runs": [_trial(trial) for trial in result.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    failed = trial.failure
    error = None if failed is None else {"kind": failed.kind, "message": failed.message, "step": failed.step}
    if failed is None and trial.run is not None and isinstance(trial.run.error, StepError):
        error = {"kind": trial.run.error.kind, "message": trial.run.error.message, "step": trial.run.failed}
    return {
        "status": str(trial.outcome),
        "simulated": trial.simulated,
        "replayed": trial.replayed,
        "reused": trial.reused,
        "outputs": trial.outputs,
        "error": error,
        "assertions": [_verdict(verdict) for verdict in trial.verdicts],
        "seconds": round(trial.seconds, 6),
        "usage": {"input_tokens": trial.usage.input_tokens, "output_tokens": trial.usage.output_tokens, "calls": trial.usage.calls},
        "cost": _cost(trial.cost),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    found: dict[str, Any] = {"assertion": verdict.shown, "status": str(verdict.outcome)}
    if verdict.reason:
        found["reason"] = verdict.reason
    if verdict.compared:
        found["expected"] = verdict.expected
    if verdict.compared or verdict.got is not None:
        found["got"] = verdict.got
    if verdict.place is not None:
        found["line"] = verdict.place.line
    if verdict.step is not None:
        found["step"] = verdict.step
    return found


def junit(report: Report) -> str:
    """Return the results as JUnit's XML, which CI servers show: a suite a file, a failure is not an error."""
    root = ET.Element("testsuites", name="flowkit")
    for suite in dict.fromkeys(result.case.suite for result in report.cases):
        own = [result for result in report.cases if result.case.suite is suite]
        metrics = [each for each in report.metrics if each.id.startswith(f"{suite.shown}::")]
        element = ET.SubElement(root, "testsuite", name=_xml(suite.shown))
        for result in own:
            case = ET.SubElement(
                element, "testcase", classname=_xml(suite.shown), name=_xml(result.case.name), time=f"{result.seconds:.6f}"
            )
            lines = failure(result, columns=_WIDE) if result.outcome in {Outcome.FAILED, Outcome.ERROR} else []
            _ended(case, result.outcome, "\n".join(lines))
        for each in metrics:
            name = each.id.removeprefix(f"{suite.shown}::")
            case = ET.SubElement(element, "testcase", classname=_xml(suite.shown), name=_xml(name), time="0")
            _ended(case, each.outcome, each.reason)
        _counted(element, sum(result.seconds for result in own))
    _counted(root, report.seconds)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _ended(case: ET.Element, outcome: Outcome, said: str) -> None:
    tag = {Outcome.FAILED: "failure", Outcome.ERROR: "error", Outcome.NOT_RUN: "skipped"}.get(outcome)
    if tag is None:
        return
    lines = [line.strip() for line in said.split("\n") if line.strip()]
    message = lines[1] if len(lines) > 1 else lines[0] if lines else str(outcome)
    ET.SubElement(case, tag, message=_xml(message)).text = _xml(said) or None


def _counted(element: ET.Element, seconds: float) -> None:
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        element.set(name, str(sum(1 for _ in element.iter(tag))))
    element.set("time", f"{seconds:.6f}")


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
