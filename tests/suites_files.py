"""Flows with tests as text, and what becomes of them: for tests of the rooms of `flowkit.suites`."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

from flowkit import config
from flowkit.errors import Problem
from flowkit.project import Project
from flowkit.suites import load
from flowkit.suites.results import CaseResult, Report
from flowkit.suites.running import Bench, run_cases
from flowkit.suites.spec import Suite

#: Three steps: one that asks for a record, one of a foreach, one that may be skipped.
FLOW = """\
flowkit: 1
name: triage
types:
  Issue: {title: string, severity: integer(1..5)}
inputs:
  ticket: string
  tone: {type: enum(formal | friendly), default: friendly}
defaults: {model: openai/m}
steps:
  extract:
    messages:
      - system: Split it, in a {{ inputs.tone }} way.
      - user: "{{ inputs.ticket }}"
    output: {kind: enum(bug | question), issues: list(Issue)}
  draft:
    foreach: steps.extract.output.issues
    prompt: "Answer: {{ item.title }}"
    variants:
      short: {prompt: "Shortly: {{ item.title }}"}
  escalate:
    when: steps.extract.output.kind == 'bug'
    prompt: "Escalate {{ steps.extract.output.issues }}"
outputs:
  kind: steps.extract.output.kind
  drafts: steps.draft.output
  note: steps.escalate.output
"""
REPLIES = """\
extract: {kind: bug, issues: [{title: Crash, severity: 5}, {title: Typo, severity: 1}]}
draft: [We are on it., Thank you.]
escalate: Wake up!
"""
#: One text in, one text out.
SAY = """\
flowkit: 1
name: say
inputs: {word: string}
defaults: {model: openai/m}
steps:
  say: {prompt: "Say {{ inputs.word }}"}
"""


def write(folder: Path, tests: str = "", *, flow: str = FLOW, name: str = "triage", **files: str) -> Path:
    """A project with a flow, replies and tests beside it; returns the file of tests. `__` in further names is a dot."""
    (folder / "flowkit.toml").touch()
    (folder / f"{name}.flow.yaml").write_text(flow, encoding="utf-8")
    (folder / "replies.yaml").write_text(REPLIES, encoding="utf-8")
    for other, held in files.items():
        (folder / other.replace("__", ".")).write_text(textwrap.dedent(held), encoding="utf-8")
    path = folder / f"{name}.test.yaml"
    path.write_text(textwrap.dedent(tests), encoding="utf-8")
    return path


def problems(folder: Path, tests: str, **more: Any) -> list[Problem]:
    """What is wrong with a file of tests."""
    path = write(folder, tests, **more)
    return list(load(path, cwd=folder, models=config.load(Project(folder), {})).problems)


def said(folder: Path, tests: str, **more: Any) -> list[str]:
    """The same as `line:column code message; hint`."""
    found = problems(folder, tests, **more)
    return [f"{p.place.line}:{p.place.column} {p.code} {p.message}" + (f"; {p.hint}" if p.hint else "") for p in found]


def suite(folder: Path, tests: str, **more: Any) -> Suite:
    """The tests of a file that has no problem."""
    loaded = load(write(folder, tests, **more), cwd=folder, models=config.load(Project(folder), {}))
    assert [str(p.message) for p in loaded.problems] == []
    assert loaded.suite is not None
    return loaded.suite


def ran(folder: Path, tests: str, bench: Bench | None = None, **more: Any) -> Report:
    """What becomes of all tests of a file."""
    return asyncio.run(run_cases(suite(folder, tests, **more).cases(), bench or Bench()))


def only(report: Report) -> CaseResult:
    """The one case of a report."""
    (result,) = report.cases
    return result


def reasons(report: Report) -> list[str]:
    """Why assertions do not hold: `assertion: reason`."""
    return [f"{v.shown} | {v.reason}" for r in report.cases for t in r.trials for v in t.verdicts if v.outcome in {"failed", "error"}]
