"""Rows become trees, differences and data sets that say what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from counting_server import CountingServer
from recording import flow, looked, project, run
from storing import call_row, opened, run_row

from flowkit.history import dataset, words
from flowkit.history.changes import compare, difference
from flowkit.history.said import answered, asked, text_of
from flowkit.history.tree import RunTree, spent, tree
from flowkit.identity import digest
from flowkit.money import Cost
from flowkit.store import AttemptRow, Body, NoteRow, StepRow


def step(name: str, at: float = 0.0, **more: Any) -> StepRow:
    said = {"item": -1, "kind": "chat", "status": "succeeded", "output": None, "model": "m", "error": None, "message": None}
    used = {"attempts": 1, "reused": 0, "input_tokens": None, "output_tokens": None, "cost": None, "items": None}
    return StepRow("r1", name, **{"at": at, "seconds": 1.0, **said, **used, **more})


def call(number: int, messages: list[Any], answer: str | None, *, body: dict[str, Any] | None = None, **more: Any) -> list[Any]:
    """The rows of one call: what was asked, what came, and the request."""
    request = json.dumps({"model": "gpt", "messages": messages, **(body or {})})
    reply = None if answer is None else json.dumps({"text": answer, "finish": "stop", **more.pop("said", {})})
    row = call_row("r1", number, **{"request": digest(request), "reply": reply and digest(reply), "state": "answered", **more})
    return [Body(digest(request), request), *([] if reply is None else [Body(digest(reply), reply)]), row]


def read(folder: Path, *rows: Any, **row: Any) -> RunTree:
    """The tree of a run of these rows."""
    with closing(opened(folder)) as store:
        found = run_row(**row)
        store.put(found, *rows)
        store.flush()
        return tree(store, found)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


# -- trees -------------------------------------------------------------------------------------------------


def test_steps_stand_as_they_began_those_of_a_sub_flow_below_their_step(tmp_path: Path) -> None:
    """Item by item; also those of a flow that is a tool, which has no row of its own."""
    rows = [
        step("last", 9.0),
        step("sub", 1.0, items=2),
        step("sub/b", 4.0, item=0),
        step("sub/b", 3.0, item=1),
        step("sub/a", 2.0, item=1),
        step("sub/a", 2.5, item=0),
        step("first", 0.0),
        step("first/tool/deep", 0.5),
    ]
    found = read(tmp_path, *rows)
    assert [(each.row.step, each.row.item) for each in found.steps] == [
        ("first", -1),
        ("first/tool/deep", -1),
        ("sub", -1),
        ("sub/a", 0),
        ("sub/b", 0),
        ("sub/a", 1),
        ("sub/b", 1),
        ("last", -1),
    ]


def test_calls_and_notes_stand_where_they_belong(tmp_path: Path) -> None:
    """To a step, to an item of a `foreach`, or to the run of a sub-flow for one item."""
    rows = [
        step("plain"),
        step("each", 1.0, items=3),
        step("sub/in", 2.0, item=1),
        *call(1, [user("p")], "P", step="plain"),
        *call(2, [user("e")], "E", step="each", item=2),
        *call(3, [user("s")], "S", step="sub/in", item=1),
        NoteRow("r1", 1, "each", 2, "repair", 0.0, "mended"),
    ]
    plain, each, inner = read(tmp_path, *rows).steps
    assert [call.row.number for call in plain.calls] == [1]
    [item] = each.items
    assert (item.number, [call.row.number for call in item.calls], item.notes[0].text) == (2, [2], "mended")
    assert [call.row.number for call in inner.calls] == [3]


def test_a_question_that_goes_on_says_only_what_is_new(tmp_path: Path) -> None:
    """Of each sample for itself."""
    first, more = [user("q")], [user("q"), {"role": "assistant", "content": "?"}, user("again")]
    rows = [
        step("say"),
        *call(1, first, "?", sample=0),
        *call(2, first, "ok", sample=1),
        *call(3, more, "ok", sample=0),
    ]
    [say] = read(tmp_path, *rows).steps
    assert [each.known for each in say.calls] == [0, 0, 1]


def test_a_run_that_died_was_interrupted_with_its_steps(tmp_path: Path) -> None:
    """What was sent and never answered may have been billed, at a cost that nobody knows."""
    rows = [step("say", status="running"), *call(1, [user("q")], None, state="open"), AttemptRow("r1", 1, 1, "sent", 1000.5)]
    found = read(tmp_path, *rows, status="running", session="gone")
    assert (found.status, found.steps[0].status) == ("interrupted", "interrupted")
    assert (found.spent.calls, found.spent.maybe_billed, found.spent.cost) == (0, 1, Cost(unknown=1))


def test_what_was_spent_is_what_requests_took() -> None:
    """Tokens that nobody counted stay unknown, and so does a cost; what never left cost nothing."""
    used = spent(
        [
            AttemptRow("r", 1, 1, "ok", 0.0, input_tokens=3, output_tokens=1, cost="0.25"),
            AttemptRow("r", 1, 2, "rate_limit", 0.0, 429),
            AttemptRow("r", 2, 1, "ok", 0.0),
            AttemptRow("r", 3, 1, "cancelled", 0.0),
            AttemptRow("r", 4, 1, "unsent", 0.0),
        ],
        reused=2,
    )
    assert (used.calls, used.reused, used.input_tokens, used.output_tokens, used.maybe_billed) == (2, 2, 3, 1, 1)
    assert used.cost == Cost(Decimal("0.25"), 2)


def test_a_text_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """The rest of the run is there."""
    [say] = read(tmp_path, step("say"), call_row(request="0" * 40, reply="1" * 40, state="answered")).steps
    assert say.calls[0].asked.lost
    assert say.calls[0].answered is not None
    assert say.calls[0].answered.lost


# -- texts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "content": "plain"}, "plain"),
        ({"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "u" * 100}}]}, None),
        ({"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "find", "arguments": '{"a":1}'}}]}, '→ find({"a":1})'),
        ({"role": "user", "content": ["odd", {"type": "future", "future": [1]}]}, "odd\n[future: [1]]"),
        ({"role": "user"}, ""),
    ],
)
def test_any_message_can_be_read(message: dict[str, Any], text: str | None) -> None:
    """Data inside it is cut short and counted."""
    expected = f"see\n[image_url: {'u' * 60}… (100 characters)]" if text is None else text
    assert text_of(message) == expected


@pytest.mark.parametrize("body", [None, "", "[]", "nonsense", '{"messages": 3}', '{"messages": [1]}'])
def test_a_body_that_is_none_breaks_nothing(body: str | None) -> None:
    assert asked(body).messages == ()
    assert answered(body).text == ""


def test_what_came_of_an_answer_that_broke_off_is_there() -> None:
    found = answered('{"text": "half of", "broken": true}')
    assert (found.text, found.broken) == ("half of", True)


# -- differences -------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer() as serving:
        yield serving


def test_a_run_differs_in_nothing_from_itself(tmp_path: Path, server: CountingServer) -> None:
    work = project(tmp_path / "work", server)
    path = flow(work, "inputs: {n: list(integer)}\nsteps:\n  a: {foreach: inputs.n, prompt: '{{ item }}'}\n  b: {prompt: b, samples: 2}\n")
    run(path, n=[1, 2])
    with closing(looked(work)) as store:
        [row] = store.runs()
        found = compare(tree(store, row), tree(store, row))
    assert all(fact.same for fact in found.facts)
    assert all(change.same for change in found.steps)
    assert [*found.inputs, *found.outputs, *found.sources] == []


def test_what_changed_is_found_in_its_place(tmp_path: Path) -> None:
    """Messages, parameters, the model that answered, steps that are only in one."""
    before = read(
        tmp_path / "a",
        step("gone"),
        step("say", 1.0, output='"one"'),
        *call(1, [user("old")], "one", body={"temperature": 0}, returned="gpt-1"),
        step("same", 2.0, output='"s"'),
        *call(2, [user("s")], "s", step="same"),
    )
    now = read(
        tmp_path / "b",
        step("say", 1.0, output='"two"'),
        *call(1, [user("new")], "two", body={"temperature": 1}, returned="gpt-2"),
        step("same", 2.0, output='"s"', seconds=50.0),
        *call(2, [user("s")], "s", step="same"),
        step("come", 3.0),
    )
    changes = {change.step: change for change in compare(before, now).steps}
    assert list(changes) == ["gone", "say", "same", "come"]
    assert (changes["gone"].where, changes["come"].where) == ("first", "second")
    assert changes["same"].same
    say = changes["say"]
    assert [line for line in say.messages if line[:2] in {"- ", "+ "}] == ["-  old", "+  new"]
    assert [(fact.name, fact.before, fact.now) for fact in say.settings] == [("temperature", 0, 1)]
    assert {fact.name: (fact.before, fact.now) for fact in say.facts if not fact.same} == {"answered by": ("gpt-1", "gpt-2")}
    assert say.output[-2:] == ("-one", "+two")


def test_huge_texts_are_not_compared_line_by_line() -> None:
    assert list(difference("a\n" * 30_000, "b\n", "x"))[2:] == ["@@ differs: 30000 lines, 1 lines @@"]


# -- data sets ---------------------------------------------------------------------------------------------


def lines(found: RunTree, *, everything: bool = False) -> list[dict[str, Any]]:
    return [line for step in found.steps for _, line in dataset.lines(found, step, everything=everything)]


AGAIN = user("Your answer does not have the form that was asked for:\n- it is not JSON")


def test_an_answer_that_was_asked_for_again_answers_the_first_question(tmp_path: Path) -> None:
    """What was wrong before is no part of the data set, unless all is wanted."""
    more = [user("q"), {"role": "assistant", "content": "bad"}, AGAIN]
    found = read(tmp_path, step("say", output='{"n": 1}'), *call(1, [user("q")], "bad"), *call(2, more, '{"n": 1}'))
    assert [(line["messages"], line["output"], line["accepted"]) for line in lines(found)] == [([user("q")], {"n": 1}, True)]
    assert [(line["text"], line["accepted"]) for line in lines(found, everything=True)] == [("bad", False), ('{"n": 1}', True)]


def test_a_question_with_tools_is_exported_with_what_they_gave(tmp_path: Path) -> None:
    """As one line, at its end."""
    tools = [{"type": "function", "function": {"name": "find", "parameters": {}}}]
    asks = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]}
    more = [user("q"), asks, {"role": "tool", "tool_call_id": "1", "content": "found"}]
    wanted = {"tool_calls": [{"id": "1", "name": "find", "arguments": "{}"}], "finish": "tool_calls"}
    found = read(
        tmp_path,
        step("say", output='"done"'),
        *call(1, [user("q")], "", body={"tools": tools}, said=wanted),
        *call(2, more, "done", body={"tools": tools}),
    )
    [line] = lines(found)
    assert (line["messages"], line["text"], line["tools"]) == (more, "done", tools)


def test_what_failed_is_exported_only_when_all_is_wanted(tmp_path: Path) -> None:
    rows = [step("say", status="failed"), *call(1, [user("q")], "no", state="rejected")]
    found = read(tmp_path, *rows, status="failed")
    assert lines(found) == []
    assert [line["accepted"] for line in lines(found, everything=True)] == [False]


def test_samples_and_wrapped_values_are_read_from_their_answers(tmp_path: Path) -> None:
    """Where a step made one output of several answers, each line has its own."""
    schema = {"type": "object", "properties": {"value": {"type": "integer"}}}
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "say", "schema": schema}}}
    answers = ['{"value": 1}', '{"value": 2}']
    calls = [row for number, text in enumerate(answers) for row in call(number + 1, [user("q")], text, sample=number, body=body)]
    assert [line["output"] for line in lines(read(tmp_path, step("say", output="1"), *calls))] == [1, 2]


# -- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("past", "said"), [(3.0, "3s ago"), (-5.0, "0s ago"), (90.0, "1m ago"), (7300.0, "2h ago"), (3 * 86400.0, "3d ago")]
)
def test_times_are_told_as_people_do(past: float, said: str) -> None:
    assert words.ago(1e9 - past, 1e9) == said


@pytest.mark.parametrize("past", [40 * 86400.0, -86400.0])
def test_what_is_long_ago_has_a_date(past: float) -> None:
    """So has what a clock that was wrong put into the future."""
    assert words.ago(1e9 - past, 1e9) == words.clock(1e9 - past)[:10]


def test_a_time_that_is_none_breaks_nothing() -> None:
    assert words.clock(1e300) == "?"
