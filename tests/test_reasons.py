"""Why a call was made: by table, and where what changed comes from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from flowkit.identity import digest
from flowkit.origins import Side, origins
from flowkit.reasons import Reasons, Why
from flowkit.store import CallRow, RunRow

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}
BODY = {"messages": [{"role": "system", "content": "Be nice."}, {"role": "user", "content": "Hello Ada, how are you?"}], "model": "gpt"}


class Bodies(dict[str, str]):
    """Requests by their digests, as a store has them."""

    def call(self, run: str, number: int, body: dict[str, Any], **more: Any) -> CallRow:
        """Return a call that asked this."""
        text = json.dumps(body)
        self[digest(text)] = text
        row = CallRow(
            run=run, number=number, step="s", item=None, sample=None, key="", again=0, url="http://one/v1", name="m", model=body["model"],
            returned=None, cache="on", request=digest(text), reply="r", state="answered", source=None, finish=None, error=None,
            message=None, started=100.0 * number, seconds=1.0, input_tokens=1, output_tokens=1, cached_tokens=None, reasoning_tokens=None,
            cost=None,
        )  # fmt: skip
        row = replace(row, **more)
        return replace(row, key=digest(f"{row.url}\n{row.again}\n{text}"))


def changed(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(body)), **more}


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in zip(("system", "user", "assistant", "user"), texts, strict=False)]


def form(**fields: Any) -> dict[str, Any]:
    schema = {**SCHEMA, "properties": fields, "required": list(fields)}
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}, **more}}


def texts(why: Why) -> list[tuple[str, str]]:
    return [(reason.kind, reason.text) for reason in why.reasons]


INTEGER, STRING = {"type": "integer"}, {"type": "string"}
#: A request, the same changed, and what is said of it.
CHANGES = [
    (BODY, changed(BODY, model="gpt5"), [("model", "the model is another: gpt → gpt5")]),
    (BODY, changed(BODY, messages=said("Be nice.", "Hello Bob, how are you?")), [("message", "message 2 (user) is another")]),
    (BODY, changed(BODY, messages=BODY["messages"][1:]), [("message", "message 1 (system) is gone")]),
    (BODY, changed(BODY, messages=[*BODY["messages"], *said("x")]), [("message", "message 3 (system) is new")]),
    (
        BODY,
        changed(BODY, messages=[{"role": "developer", "content": "Be nice."}, BODY["messages"][1]]),
        [("message", "message 1 is of another role: system → developer")],
    ),
    (BODY, changed(BODY, temperature=0), [("parameter", "parameter temperature: none → 0")]),
    (changed(BODY, top_p=0.5), changed(BODY, top_p=1), [("parameter", "parameter top_p: 0.5 → 1")]),
    (BODY, changed(BODY, response_format=form(x=INTEGER)), [("schema", "the form of the answer is another: text → json_schema")]),
    (
        changed(BODY, response_format=form(x=INTEGER, y=STRING)),
        changed(BODY, response_format=form(x=STRING, z=STRING)),
        [
            ("schema", "the schema of the answer: x: integer → string"),
            ("schema", "the schema of the answer: z: added"),
            ("schema", "the schema of the answer: y: removed"),
        ],
    ),
    (BODY, changed(BODY, tools=[tool("find")]), [("tool", "tool 'find' is new")]),
    (changed(BODY, tools=[tool("find")]), BODY, [("tool", "tool 'find' is gone")]),
    (changed(BODY, tools=[tool("find")]), changed(BODY, tools=[tool("find", description="Look")]), [("tool", "tool 'find' is another")]),
    (
        changed(BODY, tools=[tool("a"), tool("b")]),
        changed(BODY, tools=[tool("b"), tool("a")]),
        [("tool", "the tools stand in another order")],
    ),
]


@pytest.mark.parametrize(("before", "after", "wanted"), CHANGES, ids=[wanted[0][1] for _, _, wanted in CHANGES])
def test_what_changed_is_named_and_nothing_else(before: dict[str, Any], after: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    """Each part of a request that is another is said with its two sides; parts that stayed are not."""
    bodies = Bodies()
    old, new = bodies.call("r1", 1, before), bodies.call("r2", 2, after)
    why = Reasons(bodies.get).of(new, [old])
    assert sorted(texts(why)) == sorted(wanted)
    assert why.nearest == old
    assert all((reason.before, reason.after) != (None, None) for reason in why.reasons)


def test_a_changed_message_is_shown_word_by_word_or_line_by_line() -> None:
    bodies = Bodies()
    old = bodies.call("r1", 1, BODY)
    one = bodies.call("r2", 2, changed(BODY, messages=said("Be nice.", "Hello Bob, how are you?")))
    (reason,) = Reasons(bodies.get).of(one, [old]).reasons
    assert reason.lines == ("Hello [-Ada-]{+Bob+}, how are you?",)
    long = bodies.call("r1", 1, changed(BODY, messages=said("a\nb\nc", "x")))
    other = bodies.call("r2", 2, changed(BODY, messages=said("a\nB\nc", "x")))
    (reason,) = Reasons(bodies.get).of(other, [long]).reasons
    assert reason.lines == (" a", "-b", "+B", " c")


def test_another_server_is_said() -> None:
    bodies = Bodies()
    why = Reasons(bodies.get).of(bodies.call("r2", 2, BODY, url="http://two/v1"), [bodies.call("r1", 1, BODY)])
    assert texts(why) == [("server", "the server is another: http://one/v1 → http://two/v1")]


def test_the_nearest_is_the_most_alike_and_of_those_the_newest() -> None:
    """An older call with one word changed explains more than a newer one with all of them changed."""
    bodies = Bodies()
    alike = [bodies.call(f"r{n}", n, changed(BODY, messages=said("Be nice.", "Hello Bob, how are you?"))) for n in (1, 2)]
    newest = bodies.call("r3", 3, changed(BODY, messages=said("Be rude.", "Sum up this very long text about whales.")))
    why = Reasons(bodies.get).of(bodies.call("r4", 4, BODY), [newest, alike[1], alike[0]])
    assert why.nearest == alike[1]


#: The state of the earlier call, that of the cache now, seconds between, and what is said of the very same question.
SAME = [
    ({"state": "failed", "error": "server", "message": "boom"}, "on", 100, "failed", "it was asked in run r1 and failed: server: boom"),
    ({"state": "rejected"}, "on", 100, "rejected", "it was asked in run r1, and the answer was not accepted"),
    ({"state": "cut"}, "on", 100, "cut", "it was asked in run r1, which ended before the answer came; it may have been billed"),
    ({"state": "open"}, "on", 100, "cut", "it was asked in run r1, which ended before the answer came; it may have been billed"),
    ({}, "off", 100, "off", "nothing was to be reused; run r1 has an answer"),
    ({}, "86400", 10 * 86400, "old", "the answer in run r1 was 10d old, 9d more than `cache: 1d` allows"),
    ({"seconds": 500.0}, "on", 100, "under_way", "run r1 was still asking it"),
    ({}, "on", 100, "lost", "its answer in run r1 could not be read from the record"),
    ({"state": "reused"}, "on", 100, "lost", "the answer that run r1 used is no longer in the record"),
]


@pytest.mark.parametrize(("earlier", "cache", "passed", "kind", "text"), SAME, ids=[f"{row[3]}-{row[0].get('state')}" for row in SAME])
def test_the_same_question_is_asked_again_for_a_reason(earlier: dict[str, Any], cache: str, passed: float, kind: str, text: str) -> None:
    bodies = Bodies()
    old = bodies.call("r1", 1, BODY, **earlier)
    new = bodies.call("r2", 2, BODY, cache=cache, started=old.started + passed)
    assert texts(Reasons(bodies.get).of(new, [old])) == [(kind, text)]


def test_fresh_is_said_by_its_name() -> None:
    bodies = Bodies()
    why = Reasons(bodies.get, lambda step: f"--fresh asks {step} again").of(
        bodies.call("r2", 2, BODY, cache="off"), [bodies.call("r1", 1, BODY)]
    )
    assert texts(why) == [("off", "--fresh asks s again; run r1 has an answer")]


def test_a_call_before_which_there_is_none_was_never_asked() -> None:
    bodies = Bodies()
    own = bodies.call("r1", 1, changed(BODY, messages=said("Be nice.", "Another item")), item=0)
    why = Reasons(bodies.get).of(bodies.call("r1", 2, BODY, item=1), [own])
    assert [kind for kind, _ in texts(why)] == ["first"]


def test_one_sample_more_is_a_repetition() -> None:
    """The same question once more in a run is a call of its own, and is not blamed on anything that changed."""
    bodies = Bodies()
    old = [bodies.call("r1", n + 1, BODY, again=n, sample=n) for n in range(2)]
    (reason,) = Reasons(bodies.get).of(bodies.call("r2", 3, BODY, again=2, sample=2), old[::-1]).reasons
    assert (reason.kind, reason.before, reason.after) == ("repetition", 2, 3)


def test_a_further_round_is_the_conversation_that_goes_on() -> None:
    bodies = Bodies()
    first = bodies.call("r1", 1, BODY)
    second = bodies.call("r1", 2, changed(BODY, messages=[*BODY["messages"], *said("", "", "no JSON", "Again, please")[2:]]))
    why = Reasons(bodies.get).of(second, [first])
    assert texts(why) == [("conversation", "the answer did not fit, and the conversation went on by 2 messages")]


def test_a_round_of_tools_is_told_from_an_answer_that_did_not_fit() -> None:
    bodies = Bodies()
    first = bodies.call("r1", 1, BODY)
    more = [{"role": "assistant", "content": None}, {"role": "tool", "content": "4"}]
    (reason,) = Reasons(bodies.get).of(bodies.call("r1", 2, changed(BODY, messages=[*BODY["messages"], *more])), [first]).reasons
    assert reason.text == "tools were called, and the conversation went on by 2 messages"


def test_an_item_is_compared_with_itself() -> None:
    """Though another item was asked something that is more alike."""
    bodies = Bodies()
    own = bodies.call("r1", 1, changed(BODY, messages=said("Be nice.", "A first question about bees")), item=0)
    other = bodies.call("r1", 2, changed(BODY, messages=said("Be nice.", "Hello Bob, how are you?")), item=1)
    assert Reasons(bodies.get).of(bodies.call("r2", 3, BODY, item=0), [other, own]).nearest == own
    assert Reasons(bodies.get).of(bodies.call("r2", 4, BODY, item=2), [other, own]).nearest == other


def test_an_own_call_that_was_cut_reads_as_one_sentence() -> None:
    bodies = Bodies()
    old = bodies.call("r1", 1, BODY, state="cut")
    (reason,) = Reasons(bodies.get).of(bodies.call("r1", 2, BODY), [old]).reasons
    assert (
        reason.text == "it was asked in this run, before it went on, and this run stopped before the answer came; it may have been billed"
    )


def test_an_answer_that_was_reused_has_no_reason_but_a_source() -> None:
    bodies = Bodies()
    old = bodies.call("r1", 1, BODY)
    why = Reasons(bodies.get).of(bodies.call("r2", 2, BODY, state="reused", source="r1:1"), [old])
    assert (why.nearest, why.reasons) == (old, ())


def test_a_simulated_call_says_so() -> None:
    bodies = Bodies()
    why = Reasons(bodies.get).of(bodies.call("r2", 2, BODY, url="simulated:http://one/v1"), [bodies.call("r1", 1, BODY)])
    assert [kind for kind, _ in texts(why)] == ["simulated"]


def test_a_request_that_is_no_longer_there_is_no_crash() -> None:
    bodies = Bodies()
    new, old = bodies.call("r2", 2, BODY), bodies.call("r1", 1, changed(BODY, temperature=1))
    del bodies[new.request]
    assert [kind for kind, _ in texts(Reasons(bodies.get).of(new, [old]))] == ["lost"]


# -- origins -----------------------------------------------------------------------------------------------

FLOW = """\
flowkit: 1
inputs: {who: string, other: string}
defaults: {params: {temperature: 0}}
steps:
  a: {prompt: "Say {{ inputs.who }}"}
  b:
    foreach: steps.a.output
    prompt: "About {{ item }} {% include 'style.md' %}"
  c: {prompt: "{{ inputs['other'] }}"}
"""


def side(
    run: str, flow: str = FLOW, *, inputs: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **outputs: Any
) -> Side:
    row = RunRow(
        id=run, session="", flow="f", path="/p/flows/f.flow.yaml", fingerprint="", source=None, status="succeeded", simulated=0,
        inputs=json.dumps(inputs or {"who": "Ada", "other": "x"}), options=json.dumps(options or {}), outputs=None, error=None,
        message=None, failed=None, started=1.0, seconds=1.0, calls=0, reused=0, input_tokens=None, output_tokens=None, cost=None,
        unpriced=0, revision=None, dirty=None, version="1",
    )  # fmt: skip
    files = {"flows/f.flow.yaml": flow, "flows/style.md": outputs.pop("style", "Be brief.\n")}
    return Side(row, files, {name: json.dumps(value) for name, value in outputs.items()})


#: The step, the two sides, the kinds of its reasons, and what is said.
ORIGINS = [
    ("b", side("1", a=["x"]), side("2", a=["y"]), {"message"}, [("step", "a", ('["[-x-]{+y+}"]',))]),
    ("c", side("1", a=["x"]), side("2", a=["y"]), {"message"}, []),
    ("a", side("1"), side("2", inputs={"who": "Bob", "other": "x"}), {"message"}, [("input", "who", ("[-Ada-]{+Bob+}",))]),
    ("c", side("1"), side("2", inputs={"who": "Bob", "other": "x"}), {"message"}, []),
    (
        "a",
        side("1"),
        side("2", FLOW.replace("Say", "Tell")),
        {"message"},
        [
            (
                "file",
                "flows/f.flow.yaml",
                ('   5 -   a: {prompt: "Say {{ inputs.who }}"}', '   5 +   a: {prompt: "Tell {{ inputs.who }}"}'),
            )
        ],
    ),
    ("b", side("1"), side("2", FLOW.replace("Say", "Tell")), {"message"}, []),
    (
        "b",
        side("1"),
        side("2", FLOW.replace("temperature: 0", "temperature: 1")),
        {"parameter"},
        [
            (
                "file",
                "flows/f.flow.yaml",
                ("   3 - defaults: {params: {temperature: 0}}", "   3 + defaults: {params: {temperature: 1}}"),
            )
        ],
    ),
    ("b", side("1"), side("2", style="Be long.\n"), {"message"}, [("file", "flows/style.md", ("   1 - Be brief.", "   1 + Be long."))]),
    ("a", side("1"), side("2", style="Be long.\n"), {"message"}, []),
    ("a", side("1"), side("2", options={"model": ["m=x/y"]}), {"model"}, [("option", "-m", ("+ -m m=x/y",))]),
    ("a", side("1"), side("2", options={"model": ["m=x/y"]}), {"message"}, []),
    ("a", side("1"), side("2", options={"set": ["steps.b.samples=2"]}), {"message"}, []),
    ("b", side("1", options={"variant": ["b=short"]}), side("2"), {"message"}, [("option", "--variant", ("- --variant b=short",))]),
    ("b/inner", side("1", a=["x"]), side("2", a=["y"]), {"message"}, [("step", "a", ('["[-x-]{+y+}"]',))]),
    # What a line cannot change, it is not the cause of.
    ("c", side("1"), side("2", FLOW.replace("other'] }}\"", "other'] }}\", cache: 1s")), {"server"}, [("configuration", "", ())]),
    ("c", side("1"), side("2", FLOW.replace("other'] }}\"", "other'] }}\", cache: 1s")), {"message"}, []),
    ("b", side("1"), side("2", FLOW.replace("temperature: 0", "temperature: 1")), {"message"}, []),
    ("b", side("1", a=["x"]), side("2", a=["y"]), {"model"}, [("configuration", "", ())]),
    ("a", side("1"), side("2", options={"set": ["steps.a.cache=false"]}), {"message"}, []),
    # A step above that has another name now is no change of the one that reads it; what it gave is.
    (
        "b",
        side("1", a=["x"]),
        side("2", FLOW.replace("  a: {", "  n: {").replace("steps.a.", "steps.n."), n=["y"]),
        {"message"},
        [("step", "n", ('["[-x-]{+y+}"]',))],
    ),
    ("a", side("1", "not: [yaml"), side("2"), {"message"}, [("file", "flows/f.flow.yaml", None)]),
]


@pytest.mark.parametrize(("step", "before", "after", "kinds", "wanted"), ORIGINS)
def test_what_is_behind_a_change_is_told_and_nothing_beside_it(
    step: str, before: Side, after: Side, kinds: set[str], wanted: list[tuple[str, str, tuple[str, ...] | None]]
) -> None:
    """Outputs above that the step reads, its inputs, the lines of the step and of what it shares, files that it names, its options."""
    found = origins(step, before, after, kinds=kinds)
    assert [(each.kind, each.name) for each in found] == [(kind, name) for kind, name, _ in wanted]
    for each, (_, _, lines) in zip(found, wanted, strict=True):
        assert lines is None or each.lines == lines
