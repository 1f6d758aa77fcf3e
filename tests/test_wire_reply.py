"""Errors within answers, caps, and any bytes at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import body, call, delta, events, read, stream

from flowkit.errors import ModelError
from flowkit.wire import gather
from flowkit.wire.reply import Reader, usable


@pytest.mark.parametrize(
    ("chunk", "kind", "retryable"),
    [
        ({"error": {"message": "x", "code": 502}, "choices": [{"delta": {}, "finish_reason": "error"}]}, "provider_error", True),
        ({"choices": [{"delta": {}, "error": {"message": "x", "code": 400}}]}, "provider_error", False),
        ({"error": {"message": "x", "code": 429}}, "rate_limit", True),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, "quota", False),
        ({"error": {"message": "prompt is too long", "code": 400}}, "context_length", False),
        ({"error": True}, "provider_error", True),
    ],
)
def test_error_in_a_chunk_ends_the_answer_and_keeps_the_part(chunk: Any, kind: str, retryable: bool) -> None:
    with pytest.raises(ModelError) as caught:
        stream(delta(content="half"), chunk)
    assert (caught.value.kind, caught.value.retryable, caught.value.text) == (kind, retryable, "half")


def test_error_line_of_old_llama_cpp_is_an_error() -> None:
    with pytest.raises(ModelError) as caught:
        read([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\nerror: {"code":500,"message":"boom","type":"server_error"}\n\n'])
    assert caught.value.kind == "provider_error"
    assert "boom" in caught.value.message


def test_finish_error_without_an_error_is_one() -> None:
    with pytest.raises(ModelError) as caught:
        usable(stream(delta("error", content="half")), typed=False)
    assert (caught.value.kind, caught.value.retryable) == ("provider_error", True)


def test_refusal_is_its_own_error() -> None:
    done = stream(delta(refusal="I can"), delta(refusal="not"), delta("stop"))
    assert done.refusal == "I cannot"
    with pytest.raises(ModelError) as caught:
        usable(done, typed=True)
    assert caught.value.kind == "refusal"


def test_blank_text_is_empty_but_tool_calls_are_not() -> None:
    with pytest.raises(ModelError) as caught:
        usable(body(content=" \n "), typed=True)
    assert caught.value.kind == "empty_response"
    usable(body(content=None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]), typed=False)


def test_budget_spent_on_thinking_is_truncated() -> None:
    done = read([b'{"choices":[{"index":0,"finish_reason":"length"}]}'], stream=False, content_type="application/json")[0]
    with pytest.raises(ModelError) as caught:
        usable(done, typed=False)
    assert caught.value.kind == "output_truncated"


def test_body_beyond_its_cap_is_refused() -> None:
    reader = Reader(stream=False, content_type="application/json")
    with pytest.raises(ModelError) as caught:
        for _ in range(20):
            reader.feed(b'{"a": "' + b"x" * 1024 * 1024)
    assert (caught.value.kind, caught.value.retryable) == ("response_too_large", False)


def test_line_beyond_its_cap_is_refused() -> None:
    reader = Reader(stream=True, content_type="text/event-stream")
    reader.feed(b"data: ")
    with pytest.raises(ModelError) as caught:
        for _ in range(40):
            reader.feed(b"x" * 64 * 1024)
    assert caught.value.kind == "response_too_large"


def test_endless_text_is_refused() -> None:
    reader = Reader(stream=True, content_type="text/event-stream")
    chunk = events(delta(content="x" * 100_000), done=False)
    with pytest.raises(ModelError) as caught:
        for _ in range(gather.LARGEST // 100_000 + 1):
            reader.feed(chunk)
    assert caught.value.kind == "response_too_large"


def test_secrets_are_hidden_before_a_quote_is_cut() -> None:
    reader = Reader(stream=False, content_type="text/html", hide=lambda text: text.replace("sk-secret-0123456789", "***"))
    reader.feed(b"x" * 195 + b"sk-secret-0123456789")
    with pytest.raises(ModelError) as caught:
        reader.finish()
    assert "sk-s" not in str(caught.value)


SNIPPETS = st.sampled_from(
    [b"data: ", b"\n", b"\r\n", b"\n\n", b"event: error", b"[DONE]", b'{"choices":[', b"]}", b'{"error":', b"null", b":", b"\xef\xbb\xbf"]
    + [json.dumps(delta("stop", content="a")).encode(), b'{"delta":{"content":"\\ud800"}}', b"[[[[", b"1e999", b'"index":0']
)


@given(
    st.lists(st.one_of(st.binary(max_size=30), SNIPPETS), max_size=20),
    st.booleans(),
    st.sampled_from(["", "text/event-stream", "application/json"]),
)
def test_any_bytes_give_a_completion_or_a_model_error(pieces: list[bytes], stream: bool, content_type: str) -> None:
    try:
        completion, shown = read(pieces, stream=stream, content_type=content_type)
    except ModelError as error:
        assert len(error.message) < 1500
        error.message.encode()
        error.text.encode()
    else:
        completion.text.encode()
        "".join(shown).encode()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "index",
                    "finish_reason",
                    "error",
                    "usage",
                    "tool_calls",
                    "id",
                    "function",
                    "x_groq",
                ]
                + ["code", "status", "type", "detail", "refusal", "reasoning", "text", "prompt_tokens", "arguments", "name", "innererror"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=15,
)


@given(json_values, st.booleans())
def test_any_json_gives_a_completion_or_a_model_error(value: Any, stream: bool) -> None:
    data = json.dumps(value).encode()
    try:
        usable(read([events(data) if stream else data], stream=stream)[0], typed=True)
    except ModelError as error:
        error.message.encode()


# -- what servers write beside a tool call -------------------------------------------------------------------

F = {"name": "f", "arguments": "{}"}


def test_unknown_keys_of_a_tool_call_are_kept() -> None:
    """And null ones say nothing."""
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}, "n": [1, 2.5, True, None, 2**70]}
    done = body(tool_calls=[{"index": 0, "id": "1", "type": "function", "function": F, "other": None, **extra}, {"id": "2", "function": F}])
    assert [each.extra for each in done.tool_calls] == [extra, {}]


def test_unknown_keys_come_in_pieces_and_the_last_value_of_each_counts() -> None:
    done = stream(
        call(index=0, id="1", function=F, a=1, b={"x": 1}),
        call(index=1, id="2", function=F, a="second"),
        call(index=0, b={"y": 2}, a=None),
        call(index=0, c="\ud800"),
        delta("tool_calls"),
    )
    assert [each.extra for each in done.tool_calls] == [{"a": 1, "b": {"y": 2}, "c": "\ufffd"}, {"a": "second"}]
    assert [each.arguments for each in done.tool_calls] == ["{}", "{}"]


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize("value", [nested(gather.DEEPEST_EXTRA + 1), nested(500), {"a": float("nan")}, "x" * gather.LARGEST_EXTRA])
def test_what_could_not_be_sent_back_is_left_out_and_noted(value: Any) -> None:
    """No answer fails for a key that nobody reads."""
    done = stream(call(index=0, id="1", function=F, a=1, b=nested(gather.DEEPEST_EXTRA)), call(index=0, a=value), delta("tool_calls"))
    assert done.tool_calls[0].extra == {"a": 1, "b": nested(gather.DEEPEST_EXTRA)}
    assert any("unknown key of a tool call" in each for each in done.warnings)


def test_the_size_of_unknown_keys_is_that_of_what_is_held() -> None:
    """A value that comes again and again takes its place once; those of all calls count together."""
    half = "x" * (gather.LARGEST_EXTRA // 2 - 100)
    done = stream(*[call(index=0, id="1", function=F, a=half)] * 4, *(call(index=i, id=f"{i}", function=F, a=half) for i in (2, 3)))
    assert [len(each.extra) for each in done.tool_calls] == [1, 1, 0]
