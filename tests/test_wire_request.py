"""Bodies hold what the flow asked for, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.chat import ChatRequest, Message, Shape, Tool, ToolCall
from flowkit.errors import ModelRejected
from flowkit.wire.request import encode

SCHEMA = MappingProxyType({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False})
SHAPE = Shape("answer", SCHEMA)
USER = Message("user", "hi")


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    options = {k: fields.pop(k) for k in ("max_tokens_key", "stream_usage", "return_reasoning") if k in fields}
    data = json.loads(encode(ChatRequest("m", messages or (USER,), **fields), **options))
    assert isinstance(data, dict)
    return data


def test_only_the_model_and_the_messages_are_always_there() -> None:
    assert body() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_parameters_keep_their_names_and_none_is_left_out() -> None:
    params = {"temperature": 0, "stop": ["a"], "seed": None, "extra_body": {"top_k": 1, "min_p": None, "model": "other"}}
    assert body(params=params) == body() | {"temperature": 0, "stop": ["a"], "top_k": 1, "min_p": None}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens"])
def test_limit_of_tokens_is_named_as_the_server_knows_it(name: str, key: str) -> None:
    assert body(params={name: 5}, max_tokens_key=key) == body() | {key: 5}
    assert body(params={name: 5}) == body() | {name: 5}


def test_streams_ask_for_usage_where_the_server_lets_them() -> None:
    assert body(stream=True) == body() | {"stream": True, "stream_options": {"include_usage": True}}
    assert body(stream=True, stream_usage=False) == body() | {"stream": True}


def test_schema_goes_into_the_response_format() -> None:
    sent = body(shape=SHAPE, structured="json_schema")
    assert sent == body() | {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(SCHEMA), "strict": True}}
    }


@pytest.mark.parametrize(("structured", "form"), [("json_object", {"type": "json_object"}), ("prompt", None)])
@pytest.mark.parametrize(
    ("before", "at"),
    [
        ([USER], 0),
        ([Message("system", "Be brief."), USER], 0),
        ([Message("system", "One."), USER, Message("developer", "Two."), USER], 2),
        ([Message("system", ({"type": "text", "text": "Parts."},)), USER], 0),
    ],
)
def test_schema_is_said_in_the_last_system_message(structured: Any, form: Any, before: list[Message], at: int) -> None:
    sent = body(*before, shape=SHAPE, structured=structured)
    assert sent.get("response_format") == form
    said = sent["messages"][at]
    assert said["role"] in ("system", "developer")
    assert "JSON" in said["content"]
    assert json.dumps(dict(SCHEMA)) in said["content"]
    if isinstance(before[at].content, str) and before[at].role != "user":
        assert said["content"].startswith(before[at].content)
    assert len(sent["messages"]) == len(before) + (before == [USER])


def test_parts_go_as_they_are_but_text_alone_goes_as_a_string() -> None:
    text, image = {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert body(Message("user", (text, image)))["messages"][0]["content"] == [text, image]
    assert body(Message("user", (text, text)))["messages"][0]["content"] == "a\na"
    marked = text | {"prompt_cache_breakpoint": {"mode": "explicit"}}
    assert body(Message("user", (marked,)))["messages"][0]["content"] == [marked]


def test_tool_calls_and_their_answers() -> None:
    sent = body(USER, Message("assistant", None, (ToolCall("1", "f", "{}"),)), Message("tool", "42", tool_call_id="1"))["messages"]
    assert sent[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert sent[2] == {"role": "tool", "content": "42", "tool_call_id": "1"}


def test_what_a_server_wrote_beside_a_call_goes_back_with_it() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}, "id": "other"}
    (call,) = body(Message("assistant", None, (ToolCall("1", "f", "{}", extra),)))["messages"][0]["tool_calls"]
    plain = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert call == {"extra_content": {"google": {"thought_signature": "c2ln"}}, **plain}


def test_reasoning_goes_back_beside_tool_calls_where_the_server_wants_it() -> None:
    asked = Message("assistant", None, (ToolCall("1", "f", "{}"),), reasoning="Hm")
    assert body(asked, return_reasoning=True)["messages"][0]["reasoning_content"] == "Hm"
    for silent in (body(asked), body(Message("assistant", "a", reasoning="Hm"), return_reasoning=True)):
        assert "reasoning_content" not in silent["messages"][0]
    assert "reasoning_content" not in body(replace(asked, reasoning=""), return_reasoning=True)["messages"][0]


def test_tools_are_sent_as_functions() -> None:
    """Without `strict`, which some servers refuse; what comes is checked here."""
    tools = (Tool("f", "What f does.", MappingProxyType(dict(SCHEMA))), Tool("g", "", {"type": "object", "properties": {}}))
    assert body(tools=tools)["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "What f does.", "parameters": dict(SCHEMA)}},
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]


def test_surrogates_are_replaced_and_large_numbers_kept() -> None:
    assert body(Message("user", "a\ud800b\ud83d\ude00"))["messages"][0]["content"] == "a\ufffdb\U0001f600"
    assert body(params={"seed": 2**70})["seed"] == 2**70


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, {"a": float("-inf")}], object()])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    for params in ({"x": value}, {"extra_body": {"x": value}}):
        with pytest.raises(ModelRejected):
            body(params=params)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1, max_size=5))
def test_texts_never_become_structure(messages: list[tuple[str, str]]) -> None:
    sent = body(*(Message(role, text) for role, text in messages))["messages"]
    assert [(one["role"], one["content"]) for one in sent] == messages


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "transcripts").glob("*.request.json")), ids=lambda path: path.name)
def test_requests_that_real_servers_took_can_be_said(path: Path) -> None:
    said = json.loads(path.read_text())
    if "messages" not in said or "response_format" in said:
        pytest.skip("not a question of ours")
    params = {k: v for k, v in said.items() if k not in ("model", "messages", "stream", "stream_options")}
    messages = tuple(Message(m["role"], m["content"]) for m in said["messages"])
    request = ChatRequest(said["model"], messages, params, stream=said.get("stream", False))
    assert json.loads(encode(request, stream_usage="stream_options" in said)) == said
