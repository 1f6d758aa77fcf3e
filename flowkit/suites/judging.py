"""Turn what judges say into scores: functions of the user, a model with a rubric, a flow over the outputs of another. Runs no flow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from flowkit import compiler
from flowkit.errors import CallError, RenderError
from flowkit.plan import ChatWork, Plan
from flowkit.replies import Replies
from flowkit.runner.calling import invoke
from flowkit.suites.assertions import Score
from flowkit.suites.spec import Assertion, Judge
from flowkit.templates.data import LimitExceeded, NotText, text_of

#: Replies of the judges of a test, beside those of its steps.
RUBRIC: Final = "llm-rubric"
JUDGE: Final = "judge/"
_RUBRIC_STEP: Final = "rubric"
_RUBRIC_FILE: Final = Path(__file__).with_name("rubric.flow.yaml")


async def by_function(assertion: Assertion, value: Any, names: Mapping[str, Any]) -> Score:
    """Return what a function says of a value: it takes the value, and all that expressions see if it wants it."""
    call: Callable[..., Any] = assertion.value.call
    try:
        wanted = [p for p in inspect.signature(call).parameters.values() if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    except (TypeError, ValueError):  # a function of C that says nothing of itself
        wanted = []
    given = (value, dict(names)) if len(wanted) > 1 else (value,)
    try:
        said = await invoke(partial(call, *given), assertion.value.name, {})
    except CallError as e:
        return Score(0, failure=e.message)
    return _score(said, assertion.value.name)


def _score(said: Any, name: str) -> Score:
    match said:
        case bool():
            return Score(float(said), passed=said)
        case int() | float():
            return Score(float(said))
        case {"pass": bool(passed)}:
            score = said.get("score", passed)
            return Score(float(score) if isinstance(score, int | float) else float(passed), str(said.get("reason", "")), passed)
        case {"score": int() | float() as score}:
            return Score(float(score), str(said.get("reason", "")))
    return Score(0, failure=f"{name} returned {said!r}; return true or false, a score, or {{'pass': …, 'score': …, 'reason': …}}")


@cache
def _rubric() -> Plan:
    return compiler.check(_RUBRIC_FILE, cwd=_RUBRIC_FILE.parent).valid()


def rubric_plan(tested: Plan, model: str | None) -> Plan:
    """Return the flow that judges by a rubric. It finds models as the flow under test does."""
    plan = _rubric()
    step = plan.steps[_RUBRIC_STEP]
    assert isinstance(step.work, ChatWork)
    asking = replace(step, work=replace(step.work, models=(model or "judge",)))
    return replace(plan, path=tested.path, models=tested.models, steps={_RUBRIC_STEP: asking})


def for_rubric(assertion: Assertion, value: Any) -> dict[str, Any] | None:
    """Return the inputs of the flow that judges by a rubric, None where there is no text to judge."""
    try:
        return {"rubric": assertion.value, "value": text_of(value)}
    except (NotText, LimitExceeded):
        return None


def by_rubric(said: Mapping[str, Any]) -> Score:
    """Return what the outputs of that flow say."""
    return Score(said["score"], said["reason"], said["pass"])


def arguments(judge: Judge, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a judge. Raises RenderError."""
    found = {}
    for name, computed in judge.with_.items():
        try:
            value = computed.of(names)
        except RenderError as e:
            raise RenderError(f"{name!r} for the judge: {e.message}") from e
        if value is not None:
            found[name] = value
    return found


def replies_for(head: str, said: Replies, plan: Plan) -> Replies:
    """Return the replies of a judge among those of a test, by its own steps."""
    own = {path for path, _, _ in plan.walk()}
    if head == RUBRIC:
        found = {_RUBRIC_STEP: said.scripts[RUBRIC]} if RUBRIC in said.scripts else {}
    else:
        found = {name.removeprefix(head): script for name, script in said.scripts.items() if name.startswith(head) and name not in own}
    return Replies(found)
