"""A model may call functions and flows before it answers; each round is sent back whole and stands in the record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from running import fail, load, part, run, watch

from flowkit.chat import ChatRequest, Message, ToolCall
from flowkit.events import StepDelta, ToolFinished
from flowkit.results import Run
from flowkit.testing import Simulator, calls, error, simulate
from flowkit.wire.response import Response

SHOP = """
    import asyncio
    import threading
    from typing import Annotated, Any

    barrier = threading.Barrier(2, timeout=10)


    def find(order: Annotated[str, "number of the order"], limit: int = 3) -> dict:
        '''Find an order.'''
        return {"order": order, "limit": limit}


    async def stock(name: str) -> int:
        '''How many there are.'''
        await asyncio.sleep(0)
        return 7


    def together(n: int) -> int:
        barrier.wait()
        return n


    def broken(x: str = "") -> str:
        raise ValueError("no such order " + x * 5000)


    def long() -> str:
        return "x" * 300000


    def nothing() -> None:
        '''Do it.'''


    def anything(x: Any) -> Any:
        return x
"""
STEP = "steps:\n  a:\n    prompt: hi\n    tools: [%s]\n"
FILES = {"shop__py": SHOP}


def ask(folder: Path, tools: str, replies: Mapping[str, Any] | Simulator, more: str = "", **files: str) -> Run:
    return run(folder, STEP % tools + more, replies, files={**FILES, **files})


def results(server: Simulator, step: str = "a") -> list[str]:
    """What the tools said in the last request."""
    return [str(m.content) for m in server.asked(step)[-1].messages if m.role == "tool"]


def test_the_model_calls_a_function_and_answers_with_what_it_gave(tmp_path: Path) -> None:
    """The next request repeats the call, with one message for its result."""
    server = simulate({"a": [calls(("find", {"order": "A1"})), "It is on its way."]})
    found = ask(tmp_path, "shop:find", server)
    assert found.outputs == {"a": "It is on its way."}
    assert found.usage.calls == 2
    first, second = server.requests
    assert first.messages == second.messages[:-2]
    asked, got = second.messages[-2:]
    assert (asked.role, asked.content, [(c.name, json.loads(c.arguments)) for c in asked.tool_calls]) == (
        "assistant",
        None,
        [("find", {"order": "A1"})],
    )
    assert got == Message("tool", '{"order": "A1", "limit": 3}', tool_call_id=asked.tool_calls[0].id)


def test_a_tool_is_sent_with_the_schema_of_its_annotations(tmp_path: Path) -> None:
    server = simulate({"a": "x"})
    ask(tmp_path, "shop:find", server)
    (tool,) = server.requests[0].tools
    assert (tool.name, tool.description) == ("find", "Find an order.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "order": {"type": "string", "description": "number of the order"},
            "limit": {"type": "integer", "default": 3},
        },
        "required": ["order"],
        "additionalProperties": False,
    }


def test_calls_of_one_answer_run_at_the_same_time(tmp_path: Path) -> None:
    """And their results stand in the order of the calls."""
    server = simulate({"a": [calls(("together", {"n": 1}), ("together", {"n": 2})), "done"]})
    ask(tmp_path, "shop:together", server)
    assert results(server) == ["1", "2"]


def test_several_rounds_and_kinds_of_results(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("stock", {"name": "hat"})), calls(("nothing", {})), calls(("nothing", "")), "done"]})
    found = ask(tmp_path, "shop:stock, shop:nothing", server)
    assert results(server) == ["7", "null", "null"]
    assert [use.round for use in found.steps["a"].tools] == [1, 2, 3]
    last = server.requests[-1].messages
    assert [c.arguments for m in last for c in m.tool_calls] == ['{"name": "hat"}', "{}", "{}"]


def test_every_call_stands_in_the_record(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("find", {"order": "A1"}), ("broken", {"x": ""})), "done"]})
    events = watch(load(tmp_path, STEP % "shop:find, shop:broken", server, **FILES))
    uses = {e.name: e for e in events if isinstance(e, ToolFinished)}
    assert uses["find"].arguments == {"order": "A1", "limit": 3}
    assert (uses["find"].step, uses["find"].error, uses["find"].round) == ("a", None, 1)
    assert uses["broken"].error == "broken raised ValueError: no such order "
    assert uses["broken"].result.startswith("Error: broken raised")


def test_a_function_that_raises_tells_the_model(tmp_path: Path) -> None:
    """In few words: an error may be as long as what it quotes."""
    server = simulate({"a": [calls(("broken", {"x": "12345"})), "sorry"]})
    assert ask(tmp_path, "shop:broken", server).outputs == {"a": "sorry"}
    (said,) = results(server)
    assert said.startswith("Error: broken raised ValueError: no such order 12345")
    assert len(said) < 2100


def test_a_long_result_is_cut(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("long", {})), "done"]})
    ask(tmp_path, "shop:long", server)
    (said,) = results(server)
    assert said.endswith("… (cut: 300000 characters in all)")
    assert len(said) < 101_000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("fnd", {"order": "A"}), "Error: there is no tool 'fnd'; did you mean 'find'?"),
        (("find", {"order": 5}), "Error: the arguments of 'find' do not fit: "),
        (("find", "{order"), "Error: the arguments of 'find' do not fit: "),
        (("find", "[1]"), "Error: the arguments of 'find' do not fit: "),
        (("find", ""), "Error: the arguments of 'find' do not fit: "),
    ],
)
def test_a_wrong_call_goes_back_once_and_then_fails(tmp_path: Path, wrong: tuple[str, Any], said: str) -> None:
    server = simulate({"a": [calls(wrong), calls(("find", {"order": "A"})), "done"]})
    assert ask(tmp_path, "shop:find", server).outputs == {"a": "done"}
    assert results(server)[0].startswith(said)
    failed = fail(tmp_path, STEP % "shop:find", {"a": [calls(wrong), calls(wrong), "done"]}, files=FILES)
    assert failed.kind == "invalid_output"
    assert f"called the tool {wrong[0]!r} wrongly again" in failed.message


def test_a_wrong_call_leaves_the_others_of_its_answer_alone(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("nope", {}), ("stock", {"name": "x"}), ("nope", {})), "done"]})
    ask(tmp_path, "shop:stock", server)
    assert [text[:5] for text in results(server)] == ["Error", "7", "Error"]


def test_rounds_are_bounded(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("nothing", {}))]})
    failed = fail(tmp_path, STEP % "shop:nothing", server, files=FILES)
    assert (failed.kind, failed.step) == ("call", "a")
    assert "10 times" in failed.message
    assert len(server.requests) == 11
    assert len(part(failed).steps["a"].tools) == 10


def test_each_round_has_all_attempts(tmp_path: Path) -> None:
    """An answer after tools is not poorer in attempts than one without."""
    more = "    retry: 2\n    output: integer\n"
    server = simulate({"a": [calls(("nothing", {})), calls(("nothing", {})), calls(("nothing", {})), "wrong", 5]})
    assert ask(tmp_path, "shop:nothing", server, more).outputs == {"a": 5}


def test_a_typed_answer_comes_after_tools(tmp_path: Path) -> None:
    """The shape goes with every request, for nobody knows which one will be answered."""
    server = simulate({"a": [calls(("stock", {"name": "hat"})), {"count": 7}]})
    found = ask(tmp_path, "shop:stock", server, "    output: {count: integer}\n    checks: [{expr: output.count == 7}]\n")
    assert found.outputs == {"a": {"count": 7}}
    assert all(r.shape is not None and r.tools for r in server.requests)


def test_text_beside_a_call_is_no_answer(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("stock", {"name": "hat"}), text="Let me look."), "Seven."]})
    assert ask(tmp_path, "shop:stock", server).outputs == {"a": "Seven."}
    assert server.requests[-1].messages[-2].content == "Let me look."


def test_tools_work_in_streams(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("find", {"order": "A1"}), ("stock", {"name": "x"})), "Seven hats."]})
    flow = load(tmp_path, STEP % "shop:find, shop:stock", server, **FILES)

    async def main() -> str:
        return "".join([event.text async for event in flow.stream() if isinstance(event, StepDelta)])

    assert asyncio.run(main()) == "Seven hats."
    assert results(server) == ['{"order": "A1", "limit": 3}', "7"]
    assert all(r.stream for r in server.requests)


def test_another_model_goes_on_with_what_the_tools_gave(tmp_path: Path) -> None:
    """No tool runs twice because a server failed."""
    server = simulate({"a": [calls(("stock", {"name": "hat"})), error(400, "no"), "Seven."]})
    found = ask(tmp_path, "shop:stock", server, "    model: [openai/one, openai/two]\n")
    assert found.outputs == {"a": "Seven."}
    assert len(found.steps["a"].tools) == 1
    assert results(server) == ["7"]


def test_items_and_samples_have_tools_of_their_own(tmp_path: Path) -> None:
    text = "steps:\n  a:\n    foreach: \"['x', 'y']\"\n    samples: 2\n    prompt: '{{ item }}'\n    tools: [shop:stock]\n"
    server = simulate({"a": [calls(("stock", {"name": "hat"})), "Seven."]})
    found = run(tmp_path, text, server, files=FILES)
    assert found.outputs == {"a": [["Seven.", "Seven."], ["Seven.", "Seven."]]}
    assert sorted((u.item, u.sample) for u in found.steps["a"].tools) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_messages_of_the_step_hold_no_calls(tmp_path: Path) -> None:
    """So that a talk can go on with any server: what tools said is in the record."""
    text = STEP % "shop:stock" + "  b: {set: steps.a.messages}\n"
    found = run(tmp_path, text, {"a": [calls(("stock", {"name": "hat"})), "Seven."]}, files=FILES)
    assert found.outputs["b"] == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Seven."}]


def test_a_demand_for_a_call_holds_for_the_first_request(tmp_path: Path) -> None:
    server = simulate({"a": [calls(("stock", {"name": "hat"})), "Seven."]})
    ask(tmp_path, "shop:stock", server, "    params: {tool_choice: required}\n")
    assert [r.params.get("tool_choice") for r in server.requests] == ["required", None]


def test_a_call_without_tools_is_no_answer(tmp_path: Path) -> None:
    failed = fail(tmp_path, "steps:\n  a: {prompt: hi, retry: 1}\n", {"a": [calls(("stock", {}))]})
    assert failed.kind == "bad_response"
    assert "asked for a tool, but the step has none" in failed.message


def test_time_of_the_step_ends_its_tools(tmp_path: Path) -> None:
    files = {"slow__py": "import asyncio\nasync def slow() -> str:\n    await asyncio.Event().wait()\n    return ''\n"}
    text = STEP % "slow:slow" + "    timeout: {total: 50ms}\n"
    failed = fail(tmp_path, text, {"a": [calls(("slow", {})), "x"]}, files=files)
    assert failed.kind == "timeout"


# -- flows as tools -----------------------------------------------------------------------------------------

INNER = """\
flowkit: 1
description: Search the archive.
defaults: {model: openai/gpt-test}
inputs: {query: "string, what to look for", most?: integer}
steps:
  look: {prompt: "{{ inputs.query }}"}
outputs: {hits: steps.look.output}
"""


def test_a_flow_is_a_tool(tmp_path: Path) -> None:
    """Its inputs are the arguments, its outputs the result; what it spends is spent by the step."""
    server = simulate({"a": [calls(("search", {"query": "cats"}), ("search", {"query": "dogs"})), "done"], "a/search/look": "two"})
    found = ask(tmp_path, "search.flow.yaml", server, search__flow__yaml=INNER)
    (tool,) = server.requests[0].tools
    assert (tool.name, tool.description) == ("search", "Search the archive.")
    assert tool.parameters["properties"]["query"] == {"type": "string", "description": "what to look for"}
    assert tool.parameters["required"] == ["query"]
    assert results(server) == ['{"hits": "two"}', '{"hits": "two"}']
    assert {r.messages[-1].content for r in server.asked("a/search/look")} == {"cats", "dogs"}
    assert found.usage.calls == 4


def test_a_flow_that_fails_tells_the_model(tmp_path: Path) -> None:
    server = simulate(
        {"a": [calls(("search", {"query": "cats"})), "sorry"], "a/search/look": [{"error": {"status": 400, "message": "no"}}]}
    )
    assert ask(tmp_path, "search.flow.yaml", server, search__flow__yaml=INNER).outputs == {"a": "sorry"}
    assert results(server)[0].startswith("Error: ")


def test_a_refused_key_in_a_tool_is_not_hidden(tmp_path: Path) -> None:
    replies = {"a": [calls(("search", {"query": "cats"})), "sorry"], "a/search/look": [{"error": {"status": 401, "message": "no"}}]}
    failed = fail(tmp_path, STEP % "search.flow.yaml", replies, files={"search__flow__yaml": INNER})
    assert failed.kind == "auth"


def test_a_stopped_run_ends_before_the_next_request(tmp_path: Path) -> None:
    """A tool that is at work may end; what it gave is not asked about any more."""
    text = STEP % "shop:nothing" + "  b: {prompt: hi, retry: 1}\n"
    server = simulate({"a": [calls(("nothing", {}))], "b": error(401, "no")})
    failed = fail(tmp_path, text, server, files=FILES)
    assert failed.kind == "auth"
    assert len(server.asked("a")) <= 2


def test_calls_without_ids_get_some() -> None:
    """Servers leave them out; the next request needs them."""
    from flowkit.runner.tooling import Toolbox

    box = Toolbox((), None, None)  # type: ignore[arg-type]
    box._round = 2
    assert box._whole(ToolCall("", "f", " "), 3) == ToolCall("call_2_3", "f", "{}")
    assert box._whole(ToolCall("x", "f", '{"a": 1}'), 1) == ToolCall("x", "f", '{"a": 1}')


# -- servers as they are --------------------------------------------------------------------------------------


class Raw:
    """Answers with bytes as some server sent them."""

    def __init__(self, *bodies: str) -> None:
        self.bodies = list(bodies)
        self.sent: list[dict[str, Any]] = []

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.sent.append(json.loads(body))
        return Response(chunks=[self.bodies.pop(0).encode()])


def whole(message: Mapping[str, Any], finish: str) -> str:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})


def streamed(*deltas: Mapping[str, Any], finish: str) -> str:
    chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n"


FIND = {"function": {"name": "find", "arguments": '{"order": "A"}'}}
ANSWER = whole({"role": "assistant", "content": "Done."}, "stop")


@pytest.mark.parametrize(
    "first",
    [
        whole({"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", **FIND}]}, "tool_calls"),
        whole({"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", **FIND}]}, "stop"),
        whole({"role": "assistant", "tool_calls": [FIND]}, "stop"),
        whole({"tool_calls": [{"id": "", "function": {"name": "find", "arguments": {"order": "A"}}}]}, ""),
        streamed({"tool_calls": [{"id": "c1", **FIND}]}, finish="stop"),
        streamed({"tool_calls": [FIND]}, finish="tool_calls"),
        streamed(
            {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "find", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"order":'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ' "A"}'}}]},
            finish="stop",
        ),
    ],
)
def test_that_there_are_calls_decides(tmp_path: Path, first: str) -> None:
    """Not the finish_reason, which says `stop` at some servers; indexes and ids may be missing."""
    raw = Raw(first, ANSWER)
    found = run(tmp_path, STEP % "shop:find", raw, files=FILES)
    assert found.outputs == {"a": "Done."}
    asked, got = raw.sent[1]["messages"][-2:]
    (call,) = asked["tool_calls"]
    assert call["id"]
    assert got == {"role": "tool", "content": '{"order": "A", "limit": 3}', "tool_call_id": call["id"]}
    assert json.loads(call["function"]["arguments"]) == {"order": "A"}


def test_calls_without_ids_are_told_apart(tmp_path: Path) -> None:
    two = [FIND, {"function": {"name": "stock", "arguments": '{"name": "x"}'}}]
    raw = Raw(streamed({"tool_calls": [two[0]]}, {"tool_calls": [two[1]]}, finish="stop"), ANSWER)
    run(tmp_path, STEP % "shop:find, shop:stock", raw, files=FILES)
    asked, first, second = raw.sent[1]["messages"][-3:]
    ids = [call["id"] for call in asked["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(m["tool_call_id"], m["content"]) for m in (first, second)] == [(ids[0], '{"order": "A", "limit": 3}'), (ids[1], "7")]


SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


@pytest.mark.parametrize(
    "first",
    [
        whole({"reasoning_content": "Hm", "tool_calls": [{"id": "c1", **FIND, **SIGNED}]}, "tool_calls"),
        streamed(
            {"reasoning_content": "Hm"}, {"tool_calls": [{"id": "c1", **FIND}]}, {"tool_calls": [{"id": "c1", **SIGNED}]}, finish="stop"
        ),
    ],
)
@pytest.mark.parametrize(("wanted", "reasoning"), [("true", "Hm"), ("false", None)])
def test_what_the_server_wants_back_goes_back_with_the_calls(tmp_path: Path, first: str, wanted: str, reasoning: str | None) -> None:
    """Signatures always, reasoning where the provider says so."""
    raw = Raw(first, ANSWER)
    toml = f'[providers.mine]\nbase_url = "http://h.example/v1"\nreturn_reasoning = {wanted}\n'
    run(tmp_path, STEP % "shop:find" + "    model: mine/m\n", raw, files={**FILES, "flowkit.toml": toml})
    asked = raw.sent[1]["messages"][-2]
    assert asked.get("reasoning_content") == reasoning
    assert [call.get("extra_content") for call in asked["tool_calls"]] == [SIGNED["extra_content"]]


def test_what_a_server_wrote_for_itself_does_not_go_to_another() -> None:
    """Another server refuses keys that it does not know, and cannot read the signature."""
    from flowkit.runner.tooling import Toolbox

    box = Toolbox((), None, None)  # type: ignore[arg-type]
    assert box.said_to("https://a") == []
    signed = Message("assistant", None, (ToolCall("1", "f", "{}", SIGNED),), reasoning="Hm")
    result = Message("tool", "42", tool_call_id="1")
    box.said += [signed, result]
    assert box.said_to("https://a") == [signed, result]
    assert box.said_to("https://b") == [Message("assistant", None, (ToolCall("1", "f", "{}"),)), result]
