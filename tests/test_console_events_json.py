"""Events as lines of JSON."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal

import pytest

from flowkit.chat import Attempt, Usage
from flowkit.console import events_json
from flowkit.events import (
    AnswerRepaired,
    AttemptFailed,
    Event,
    ItemFinished,
    RunFinished,
    RunStarted,
    StepDelta,
    StepFinished,
    StepStarted,
    ToolFinished,
)
from flowkit.money import Cost
from flowkit.results import Run, Status, StepError

USAGE = {"input_tokens": 3, "output_tokens": 1, "calls": 1}
ERROR = {"kind": "timeout", "message": "late"}
EVENTS: list[tuple[Event, dict[str, object]]] = [
    (
        RunStarted("r", "f", simulated=False, steps={"a": (), "b": ("a",)}),
        {"event": "run_started", "at": 0.0, "run": "r", "flow": "f", "simulated": False, "steps": {"a": [], "b": ["a"]}},
    ),
    (
        StepStarted("a", "chat", 0.5, items=2, model="m"),
        {"event": "step_started", "at": 0.5, "step": "a", "item": None, "kind": "chat", "items": 2, "model": "m"},
    ),
    (
        ToolFinished("a", "find", {"q": "x"}, "found", None, 0.25, 0.5, item=1, round=2, sample=0),
        {
            "event": "tool_finished",
            "at": 0.5,
            "step": "a",
            "item": 1,
            "name": "find",
            "arguments": {"q": "x"},
            "result": "found",
            "error": None,
            "seconds": 0.25,
            "round": 2,
            "sample": 0,
        },
    ),
    (
        StepDelta("a", "x", 0.5, item=1, value={"n": 1}, restart=True),
        {"event": "step_delta", "at": 0.5, "step": "a", "item": 1, "text": "x", "value": {"n": 1}, "restart": True, "sample": None},
    ),
    (
        AttemptFailed("a", Attempt(1, "m", "server", 0.1, "boom", 500), 1.0, 0.5),
        {
            "event": "attempt_failed",
            "at": 0.5,
            "step": "a",
            "item": None,
            "attempt": {
                "number": 1,
                "model": "m",
                "outcome": "server",
                "seconds": 0.1,
                "message": "boom",
                "status": 500,
                "first_token": None,
            },
            "delay": 1.0,
        },
    ),
    (AnswerRepaired("a", "re-ask", 0.5), {"event": "answer_repaired", "at": 0.5, "step": "a", "item": None, "how": "re-ask"}),
    (
        ItemFinished("a", 1, Status.FAILED, 0.5, 0.25, Usage(3, 1, calls=1), StepError("timeout", "late"), 1, Cost(unknown=1)),
        {
            "event": "item_finished",
            "at": 0.5,
            "step": "a",
            "item": 1,
            "status": "failed",
            "seconds": 0.25,
            "usage": USAGE,
            "cost": None,
            "reused": 1,
            "error": ERROR,
        },
    ),
    (
        StepFinished(
            "a",
            Status.SUCCEEDED,
            0.5,
            0.25,
            {"x": 1},
            "p/m",
            Usage(3, 1, calls=1),
            None,
            1,
            True,
            0.125,
            reused=2,
            cost=Cost(Decimal("0.5")),
        ),
        {
            "event": "step_finished",
            "at": 0.5,
            "step": "a",
            "status": "succeeded",
            "seconds": 0.25,
            "usage": USAGE,
            "cost": 0.5,
            "reused": 2,
            "error": None,
            "output": {"x": 1},
            "model": "p/m",
            "attempts": 1,
            "cached": True,
            "first_token": 0.125,
        },
    ),
    (
        RunFinished(Run("r", "f", Status.SUCCEEDED, outputs={"x": 1}, usage=Usage(3, 1, calls=1), seconds=1.0), 1.0),
        {
            "event": "run_finished",
            "at": 1.0,
            "run": "r",
            "flow": "f",
            "status": "succeeded",
            "simulated": False,
            "seconds": 1.0,
            "outputs": {"x": 1},
            "usage": USAGE,
            "cost": 0,
            "reused": 0,
            "error": None,
        },
    ),
]


@pytest.mark.parametrize(("event", "wanted"), EVENTS, ids=[str(wanted["event"]) for _, wanted in EVENTS])
def test_each_event_has_its_keys(event: Event, wanted: dict[str, object]) -> None:
    """The keys of each event are a promise to programs that read them."""
    assert json.loads(events_json.line(event)) == wanted


def test_the_table_of_the_module_is_true() -> None:
    """Each event of the documented table has the documented keys and no others."""
    table = dict(re.findall(r"^\| `(\w+)` +\| (.+) \|$", events_json.__doc__ or "", re.MULTILINE))
    for _, wanted in EVENTS:
        named = set(re.findall(r"`(\w+)`", table[str(wanted["event"])]))
        assert named == set(wanted) - {"event", "at"}
    assert len(table) == len(EVENTS)


def test_one_line_an_event() -> None:
    """A reader may split at any kind of line end: whatever a model says, an event stays one line."""
    writer = io.StringIO()
    view = events_json.EventLines(writer)
    view(StepDelta("a", "x\n\r\u2028\u0085\x1b\ud800y", 0.0))
    assert len(writer.getvalue().splitlines()) == 1
    assert json.loads(writer.getvalue())["text"] == "x\n\r\u2028\u0085\x1b\ufffdy"
