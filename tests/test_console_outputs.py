"""What `flowkit run` prints of a run that is over."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.chat import Attempt, Usage
from flowkit.console import outputs
from flowkit.money import Cost
from flowkit.results import Run, Status, StepError, StepResult, ToolUse


def _run() -> Run:
    tries = [Attempt(1, "fast", "server", 0.1), Attempt(2, "fast", "ok", 0.2)]
    return Run(
        id="r1",
        flow="triage",
        status=Status.FAILED,
        simulated=True,
        outputs={"reply": None},
        steps={
            "extract": StepResult(
                "extract", Status.SUCCEEDED, {"n": 1}, None, "openai/fast", Usage(10, 2, calls=2), Cost(Decimal("0.25")), 0.5, tries
            ),
            "draft": StepResult("draft", Status.FAILED, error=StepError("timeout", "no answer in 30s"), seconds=30.0),
            "reply": StepResult("reply", Status.SUCCEEDED, "hi", reused=2),
        },
        usage=Usage(10, None, calls=2),
        cost=Cost(Decimal("0.25"), unknown=1),
        error=StepError("timeout", "no answer in 30s"),
        failed="draft",
    )


def test_json_is_the_documented_object() -> None:
    """`run --json` prints exactly the documented keys, also of a run that failed; what is unknown is null and never 0."""
    assert json.loads(outputs.json(_run())) == {
        "schema": 1,
        "run": "r1",
        "flow": "triage",
        "status": "failed",
        "simulated": True,
        "outputs": {"reply": None},
        "steps": {
            "extract": {
                "status": "succeeded",
                "output": {"n": 1},
                "model": "openai/fast",
                "usage": {"input_tokens": 10, "output_tokens": 2, "calls": 2},
                "seconds": 0.5,
                "first_token": None,
                "attempts": 2,
                "cached": False,
                "reused": 0,
                "cost": 0.25,
                "error": None,
            },
            "draft": {
                "status": "failed",
                "output": None,
                "model": None,
                "usage": {"input_tokens": None, "output_tokens": None, "calls": 0},
                "seconds": 30.0,
                "first_token": None,
                "attempts": 0,
                "cached": False,
                "reused": 0,
                "cost": 0.0,
                "error": {"kind": "timeout", "message": "no answer in 30s"},
            },
            "reply": {
                "status": "succeeded",
                "output": "hi",
                "model": None,
                "usage": {"input_tokens": None, "output_tokens": None, "calls": 0},
                "seconds": None,
                "first_token": None,
                "attempts": 0,
                "cached": True,
                "reused": 2,
                "cost": 0.0,
                "error": None,
            },
        },
        "usage": {"input_tokens": 10, "output_tokens": None, "calls": 2},
        "cost": None,
        "reused": 2,
        "error": {"kind": "timeout", "message": "no answer in 30s", "step": "draft"},
    }


def test_known_cost_is_shown() -> None:
    """A cost that is known whole is a number, and one of nothing is 0."""
    run = _run()
    run.cost = Cost(Decimal("0.0031"))
    assert outputs.document(run)["cost"] == 0.0031
    run.cost = Cost()
    assert outputs.document(run)["cost"] == 0


@pytest.mark.parametrize(
    ("given_outputs", "printed"),
    [
        ({"reply": "Dear customer"}, "Dear customer\n"),
        ("Dear customer\n", "Dear customer\n"),
        ({"reply": ""}, "\n"),
        ({"n": 3}, '{\n  "n": 3\n}\n'),
        ({"reply": None}, '{\n  "reply": null\n}\n'),
        ({"a": "x", "b": "ü"}, '{\n  "a": "x",\n  "b": "ü"\n}\n'),
        (["x"], '[\n  "x"\n]\n'),
        ({}, "{}\n"),
    ],
)
def test_one_text_is_raw_and_all_else_json(given_outputs: Any, printed: str) -> None:
    """One text output is printed as it is, anything else as JSON; both end with one line end."""
    assert outputs.human(given_outputs, terminal=False) == printed


def test_terminal_obeys_no_answer() -> None:
    """On a terminal an answer can neither colour nor erase nor set a title; in a pipe it is itself."""
    said = "\x1b]0;owned\x07\x1b[2Jhi\r\n\x9b31m\tthere"
    assert outputs.human({"a": said}, terminal=True) == "␛]0;owned␇␛[2Jhi\n\ufffd31m\tthere\n"
    assert outputs.human({"a": said}, terminal=False) == said + "\n"


@given(st.recursive(st.text(st.characters(codec=None), max_size=20), lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3)))
def test_any_answer_can_be_printed(given_outputs: Any) -> None:
    """No answer, lone surrogates and NUL included, keeps a result from being written as UTF-8."""
    for terminal in (True, False):
        shown = outputs.human(given_outputs, terminal=terminal)
        shown.encode()
        assert shown.endswith("\n")
    assert "\x1b" not in outputs.human(given_outputs, terminal=True)


def test_calls_of_tools_are_listed_where_there_were_some() -> None:
    """A step without any has no such key."""
    step = StepResult("a", tools=[ToolUse("find", {"q": 1}, "found", None, 0.5, 1), ToolUse("find", "{", "Error: no", "no", 0.5, 2, 3, 0)])
    shown = outputs.document(Run("r", "f", steps={"a": step, "b": StepResult("b")}))["steps"]
    assert "tools" not in shown["b"]
    assert shown["a"]["tools"] == [
        {"name": "find", "arguments": {"q": 1}, "result": "found", "error": None, "seconds": 0.5, "round": 1, "item": None, "sample": None},
        {"name": "find", "arguments": "{", "result": None, "error": "no", "seconds": 0.5, "round": 2, "item": 3, "sample": 0},
    ]
