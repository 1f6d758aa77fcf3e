"""What a condition says where it is true and where it is false, and when a step is known to have run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowkit import compiler, config, project
from flowkit.checker.kinds import Loop, StepKind, Steps
from flowkit.checker.narrowing import learn
from flowkit.checker.scope import Scope
from flowkit.templates.syntax import parse_expression
from flowkit.types.algebra import STRING, Record

if TYPE_CHECKING:
    from pathlib import Path

RAN = ("ran", "a")
THERE = ("present", "steps.a.output")
GONE = ("absent", "steps.a.output")


def facts(condition: str, *, truth: bool) -> frozenset[tuple[str, str]]:
    scope = Scope()
    scope.bind("inputs", Record(()), "inputs")
    scope.bind("steps", Steps(), "steps")
    scope.bind("loop", Loop(STRING), "loop")
    return learn(parse_expression(condition), scope, {"a": StepKind("a", "chat", STRING)}, truth=truth)


@pytest.mark.parametrize(
    ("condition", "if_true", "if_false"),
    [
        ("steps.a.output", {RAN, THERE}, set()),
        ("not steps.a.output", set(), {RAN, THERE}),
        ("steps.a.skipped", {GONE}, {RAN}),
        ("not steps.a.skipped", {RAN}, {GONE}),
        ("steps.a.error", {GONE, ("present", "steps.a.error")}, {("absent", "steps.a.error")}),
        ("steps.a.output is defined", {RAN, THERE}, {GONE}),
        ("steps.a.output is not defined", {GONE}, {RAN, THERE}),
        ("steps.a.output is none", {GONE}, {RAN, THERE}),
        ("steps.a.output == none", {GONE}, {RAN, THERE}),
        ("none != steps.a.output", {RAN, THERE}, {GONE}),
        ("steps.a.output.x", {RAN, THERE, ("present", "steps.a.output.x")}, set()),
        ("steps['a'].output", {RAN, THERE}, set()),
        ("steps.a.output and inputs.b", {RAN, ("present", "inputs.b")}, set()),
        ("steps.a.output or inputs.b", set(), set()),
        ("not (steps.a.output or inputs.b)", set(), set()),
        ("not (not steps.a.output or not inputs.b)", {RAN, ("present", "inputs.b")}, set()),
        ("inputs.b == 'x'", {("present", "inputs.b"), ("is", "inputs.b=x")}, {("is not", "inputs.b=x")}),
        ("inputs.b != 'x'", {("is not", "inputs.b=x")}, {("is", "inputs.b=x")}),
        ("inputs.b in ['x', 'y']", {("present", "inputs.b"), ("is one of", "inputs.b=x\0y")}, {("is not", "inputs.b=x")}),
        ("inputs.b | length > 0", {("present", "inputs.b")}, set()),
        ("inputs.b | length >= 0", set(), set()),
        ("inputs.b | length == 0", set(), {("present", "inputs.b")}),
        ("inputs.b | default('')", {("present", "inputs.b")}, set()),
        ("inputs.b | default('x')", set(), set()),
        ("inputs.b is true", {("present", "inputs.b")}, set()),
        ("loop.first", set(), {("present", "loop.previtem")}),
        ("not loop.last", {("present", "loop.nextitem")}, set()),
        ("loop.index0", {("present", "loop.previtem")}, set()),
    ],
)
def test_condition_says(condition: str, if_true: set[tuple[str, str]], if_false: set[tuple[str, str]]) -> None:
    watched = {"ran", "present", "absent", "is", "is not", "is one of"}
    for truth, wanted in ((True, if_true), (False, if_false)):
        found = {f for f in facts(condition, truth=truth) if f[0] in watched}
        assert wanted <= found
        assert wanted or not {f for f in found if f[0] in {"ran", "present"} and not f[1].startswith("loop")}


_FLOW = """\
flowkit: 1
defaults: {{model: openai/gpt-4.1-mini}}
inputs: {{q: string, n: integer, label: enum(bug | question | praise)}}
steps:
  one:
    when: {when}
    prompt: "{{{{ inputs.q }}}} {{{{ inputs.n }}}} {{{{ inputs.label }}}}"
  other:
    prompt: |
      {text}
outputs: {{other: steps.other.output}}
"""


@pytest.mark.parametrize(
    ("when", "text", "handled"),
    [
        ("inputs.label == 'bug'", "{% if inputs.label == 'bug' %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.label == 'bug'", "{% if 'bug' == inputs.label %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.label == 'bug'", "{% if inputs.label != 'bug' %}x{% else %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.label == 'bug'", "{% if inputs.label == 'praise' %}{{ steps.one.output }}{% endif %}", False),
        ("inputs.label == 'bug'", "{% if inputs.label in ['bug', 'praise'] %}{{ steps.one.output }}{% endif %}", False),
        ("inputs.label in ['bug', 'praise']", "{% if inputs.label == 'bug' %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.label != 'bug'", "{% if inputs.label == 'praise' %}{{ steps.one.output }}{% endif %}", True),
        (
            "inputs.label == 'praise'",
            "{% if inputs.label == 'bug' %}a{% elif inputs.label == 'question' %}b{% else %}{{ steps.one.output }}{% endif %}",
            True,
        ),
        ("inputs.label == 'praise'", "{% if inputs.label == 'bug' %}a{% else %}{{ steps.one.output }}{% endif %}", False),
        ("inputs.n > 3", "{% if inputs.n > 3 %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.n > 3", "{% if inputs.n <= 3 %}x{% else %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.n > 3", "{% if inputs.n > 2 %}{{ steps.one.output }}{% endif %}", False),
        ("inputs.n > 3 and inputs.q", "{% if inputs.n > 3 %}{{ steps.one.output }}{% endif %}", False),
        ("inputs.n > 3 and inputs.q", "{% if inputs.q and inputs.n > 3 %}{{ steps.one.output }}{% endif %}", True),
        ("inputs.n > 3 or inputs.q", "{% if inputs.q %}{{ steps.one.output }}{% endif %}", True),
        ("not inputs.q", "{% if inputs.q %}x{% else %}{{ steps.one.output }}{% endif %}", True),
        ("not inputs.q", "{% if inputs.q %}{{ steps.one.output }}{% endif %}", False),
        ("inputs.q", "{{ steps.one.output if inputs.q else '-' }}", True),
        ("inputs.q", "{{ inputs.q and steps.one.output }}", True),
    ],
)
def test_a_step_ran_where_its_condition_holds(tmp_path: Path, when: str, text: str, *, handled: bool) -> None:
    (tmp_path / "x.flow.yaml").write_text(_FLOW.format(when=when, text=text), encoding="utf-8")
    found = project.Project(tmp_path)
    problems = compiler.check(tmp_path / "x.flow.yaml", cwd=tmp_path, models=config.load(found, {}), found=found).problems
    assert [p.code for p in problems] == ([] if handled else ["unhandled-absent"])
