"""Real and broken answers, whole and in pieces, become what the corpus says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.chat import Completion
from flowkit.errors import ModelError
from flowkit.wire import gather
from flowkit.wire.reply import Reader, usable

HERE = Path(__file__).parent
SSE = json.loads((HERE / "corpus/sse/index.json").read_text())["files"]
RESPONSES = [entry for entry in json.loads((HERE / "corpus/responses/index.json").read_text())["files"] if entry["status"] == 200]


def read(pieces: list[bytes], *, stream: bool = True, content_type: str = "text/event-stream") -> tuple[Completion, list[str]]:
    reader = Reader(stream, content_type)
    shown: list[str] = []
    for piece in pieces:
        shown += reader.feed(piece)
    completion, last = reader.conclude()
    return completion, shown + last


def cut(data: bytes, how: Any) -> list[bytes]:
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    offsets = [0, *how, len(data)]
    return [data[a:b] for a, b in pairwise(offsets)]


def outcome(entry: dict[str, Any], pieces: list[bytes], *, stream: bool, content_type: str) -> None:
    """Hold one answer against its entry: the completion that is expected, or the error."""
    if entry["outcome"] == "reject" and entry["error"] != "output_invalid":
        with pytest.raises(ModelError) as caught:
            usable(read(pieces, stream=stream, content_type=content_type)[0], typed=False)
        assert caught.value.kind in {entry["error"], *entry.get("also", [])}
        assert caught.value.retryable == entry["retryable"]
        assert len(caught.value.message) < 1200
        return
    completion, shown = read(pieces, stream=stream, content_type=content_type)
    assert "".join(shown) == completion.text
    expect = entry.get("expect", {})
    if expect.get("text") is not None:
        assert completion.text == expect["text"]
    if "text_any" in expect:
        assert completion.text in expect["text_any"]
    if "finish" in expect:
        assert completion.finish == expect["finish"]
    if expect.get("usage", ...) is None:
        assert completion.usage is None
    elif "usage" in expect:
        assert completion.usage is not None
        assert completion.usage.input_tokens == expect["usage"]["prompt_tokens"]
        assert completion.usage.output_tokens == expect["usage"]["completion_tokens"]
    if "tool_calls" in expect:
        assert len(completion.tool_calls) == expect["tool_calls"]
    if "warn" in entry:
        assert any(entry["warn"].split()[-1] in warning for warning in completion.warnings), completion.warnings
    completion.text.encode()


@pytest.mark.parametrize("how", ["whole", "bytes", "cuts"])
@pytest.mark.parametrize("entry", SSE, ids=lambda entry: entry["file"])
def test_stream_has_the_outcome_of_its_index_however_it_is_cut(entry: dict[str, Any], how: str) -> None:
    data = (HERE / "corpus/sse" / entry["file"]).read_bytes()
    offsets: Any = entry.get("chunk_at") or list(range(7, len(data), 41))
    pieces = cut(data, offsets if how == "cuts" else how)
    outcome(entry, pieces, stream=True, content_type=entry.get("content_type", "text/event-stream"))


@pytest.mark.parametrize("entry", [e for e in SSE if "typed_step" in e], ids=lambda entry: entry["file"])
def test_cut_answer_fails_a_typed_step(entry: dict[str, Any]) -> None:
    completion, _ = read([(HERE / "corpus/sse" / entry["file"]).read_bytes()])
    with pytest.raises(ModelError) as caught:
        usable(completion, typed=True)
    assert caught.value.kind == entry["typed_step"]["error"]
    assert not caught.value.retryable
    assert usable(completion, typed=False) is completion


@pytest.mark.parametrize("how", ["whole", "cuts"])
@pytest.mark.parametrize("entry", RESPONSES, ids=lambda entry: entry["file"])
def test_body_has_the_outcome_of_its_index(entry: dict[str, Any], how: str) -> None:
    data = (HERE / "corpus/responses" / entry["file"]).read_bytes()
    pieces = cut(data, "whole" if how == "whole" else list(range(1, min(len(data), 400))))
    outcome(entry, pieces, stream=False, content_type=entry.get("content_type", "application/json"))


# -- transcripts of real servers -----------------------------------------------------------------------------------


def transcript(name: str) -> tuple[int, dict[str, str], bytes]:
    head, _, body = (HERE / "transcripts" / name).read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    status, *lines = head.decode().splitlines()
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("name", "text", "finish", "tokens"),
    [
        ("aimock.chat.http", None, "stop", True),
        ("aimock.length.http", None, "length", True),
        ("aimock.reasoning.http", None, "stop", True),
        ("aimock.reasoning_stream.http", None, "stop", False),
        ("aimock.stream_usage.http", None, "stop", True),
        ("aimock.tool_calls.http", "", "tool_calls", True),
        ("aimock.tool_calls_stream.http", "", "tool_calls", False),
        ("llamacpp.chat.http", None, None, True),
        ("llamacpp.json_schema.http", None, None, True),
        ("llamacpp.logprobs.http", None, None, True),
        ("llamacpp.n2.http", None, None, True),
        ("llamacpp.stream_nousage.http", None, "length", False),
        ("llamacpp.stream_usage.http", "2er$er", "length", True),
    ],
)
def test_transcripts_of_real_servers_are_read(name: str, text: str | None, finish: str | None, tokens: bool) -> None:
    status, headers, body = transcript(name)
    assert status == 200
    completion, shown = read(cut(body, "bytes"), stream="stream" in name, content_type=headers["content-type"])
    assert "".join(shown) == completion.text
    if text is not None:
        assert completion.text == text
    else:
        assert completion.text
    assert finish is None or completion.finish == finish
    assert (completion.usage is not None) == tokens
    assert "reasoning" not in name or completion.reasoning
    assert "tool_calls" not in name or (completion.tool_calls[0].name and json.loads(completion.tool_calls[0].arguments))


def test_dropped_connection_in_a_transcript_is_truncated_and_keeps_the_part() -> None:
    _, headers, body = transcript("aimock.midstream_disconnect.http")
    with pytest.raises(ModelError) as caught:
        read([body], content_type=headers["content-type"])
    assert caught.value.kind == "stream_truncated"
    assert caught.value.retryable
    assert caught.value.text == "one t"


# -- what compatible servers do, line by line ----------------------------------------------------------------------


def events(*chunks: Any, done: bool = True) -> bytes:
    lines = [b"data: " + (c if isinstance(c, bytes) else json.dumps(c).encode()) + b"\n\n" for c in chunks]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def delta(finish: Any = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*chunks: Any, done: bool = True) -> Completion:
    return read([events(*chunks, done=done)])[0]


def body(**message: Any) -> Completion:
    data = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return read([json.dumps(data).encode()], stream=False, content_type="application/json")[0]


def test_nothing_around_the_choices_is_needed() -> None:
    """usage, id, created, object and system_fingerprint may be missing."""
    completion = body(content="Hi")
    assert (completion.text, completion.id, completion.usage, completion.model) == ("Hi", None, None, None)


def test_empty_choices_may_stand_in_any_chunk() -> None:
    assert stream({"choices": []}, delta(content="a"), {"choices": [], "usage": None}, delta("stop"), {"choices": []}).text == "a"


@pytest.mark.parametrize("choice", [{"index": 0}, {"index": 0, "delta": None}, {"index": 0, "content_filter_offsets": {}}])
def test_choice_without_delta_says_nothing(choice: dict[str, Any]) -> None:
    assert stream(delta(content="a"), {"choices": [choice]}, delta("stop")).text == "a"


@pytest.mark.parametrize("role", [None, "assistant", ""])
def test_role_says_nothing(role: Any) -> None:
    assert stream(delta(role=role, content="a"), delta(role=role, content="b"), delta("stop")).text == "ab"


@pytest.mark.parametrize("content", [[{"type": "text", "text": "a"}], ["a"], [{"type": "thinking", "thinking": "hm"}, {"text": "a"}]])
def test_content_may_be_a_list_of_parts(content: Any) -> None:
    assert stream(delta(content=content), delta(content=None), delta("stop")).text == "a"
    assert body(content=content).text == "a"


def test_thinking_parts_are_reasoning() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
    assert (body(content=parts).reasoning, body(content=parts).text) == ("hm", "yes")


def call(**fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[fields])


def test_tool_calls_null_is_none() -> None:
    assert stream(delta(content="a", tool_calls=None), delta("stop")).tool_calls == ()


def test_tool_call_fragments_join_by_index() -> None:
    done = stream(
        call(index=0, id="x", function={"name": "f", "arguments": ""}),
        call(index=1, id="y", function={"name": "g", "arguments": "{}"}),
        call(index=0, function={"arguments": '{"a"'}),
        call(index=0, function={"arguments": ":1}"}),
        delta("tool_calls"),
    )
    assert [(c.id, c.name, c.arguments) for c in done.tool_calls] == [("x", "f", '{"a":1}'), ("y", "g", "{}")]


def test_tool_calls_without_index_join_by_id_or_go_on() -> None:
    done = stream(
        call(id="x", function={"name": "f", "arguments": "1"}),
        call(function={"arguments": "2"}),
        call(id="y", function={"name": "g", "arguments": "3"}),
        call(id="x", function={"arguments": "4"}),
        call(function={"name": "h", "arguments": "5"}),
        delta("stop"),
    )
    assert [(c.id, c.name, c.arguments) for c in done.tool_calls] == [("x", "f", "124"), ("y", "g", "3"), ("", "h", "5")]
    assert done.finish == "tool_calls"


def test_new_id_at_a_used_index_is_a_new_call() -> None:
    done = stream(
        call(index=0, id="x", function={"name": "f", "arguments": "1"}),
        call(index=0, id="y", function={"name": "f", "arguments": "2"}),
        call(index=0, function={"arguments": "3"}),
        delta("tool_calls"),
    )
    assert [(c.id, c.arguments) for c in done.tool_calls] == [("x", "1"), ("y", "23")]


def test_arguments_may_be_an_object() -> None:
    assert (
        body(content=None, tool_calls=[{"id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]).tool_calls[0].arguments == '{"a": 1}'
    )


def test_custom_and_legacy_calls_are_read() -> None:
    assert body(tool_calls=[{"id": "x", "type": "custom", "custom": {"name": "f", "input": "i"}}]).tool_calls[0].arguments == "i"
    assert body(content=None, function_call={"name": "f", "arguments": "{}"}).tool_calls[0].name == "f"


@pytest.mark.parametrize("reason", [None, "", "null"])
def test_reason_that_says_nothing_is_noted_if_the_stream_is_done(reason: Any) -> None:
    done = stream(delta(content="a"), delta(reason))
    assert (done.text, done.finish, done.finish_raw) == ("a", "unknown", None)
    assert "finish_reason missing" in done.warnings
    with pytest.raises(ModelError, match="without finish_reason"):
        stream(delta(content="a"), delta(reason), done=False)


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("SAFETY", "content_filter"),
        ("insufficient_system_resource", "error"),
        ("bananas", "unknown"),
    ],
)
def test_reasons_are_an_open_set(raw: str, finish: str) -> None:
    done = stream(delta(raw, content="a"))
    assert (done.finish, done.finish_raw) == (finish, raw)


def test_last_text_and_reason_may_share_a_chunk_and_one_chunk_may_be_all() -> None:
    assert stream(delta("stop", role="assistant", content="all"), done=False).text == "all"


def test_done_may_be_missing_after_a_reason() -> None:
    assert stream(delta(content="a"), delta("stop"), done=False).finish == "stop"


def test_data_after_done_is_nothing() -> None:
    assert read([events(delta("stop", content="a")) + b"data: {broken\n\n"])[0].text == "a"


@pytest.mark.parametrize(
    "chunks",
    [
        [delta(content="a") | {"usage": {"prompt_tokens": 1}}, delta("stop") | {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}],
        [delta(content="a"), delta("stop"), {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}],
        [
            delta(content="a"),
            delta("stop"),
            {"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
        ],
        [delta("stop", content="a"), {"choices": [], "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}}, {"usage": None}],
    ],
)
def test_last_usage_counts_wherever_it_stands(chunks: list[Any]) -> None:
    usage = stream(*chunks).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.calls) == (7, 2, 1)


def test_odd_numbers_in_usage_are_unknown() -> None:
    done = stream(delta("stop", content="a"), b'{"choices":[],"usage":{"prompt_tokens":1e999,"completion_tokens":-1,"x":NaN}}')
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.output_tokens) == (None, None)


def test_details_of_usage_are_read() -> None:
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3}}
    done = stream(delta("stop", content="a") | {"usage": usage})
    assert done.usage is not None
    assert (done.usage.cached_tokens, done.usage.reasoning_tokens) == (4, 3)


def test_ids_that_differ_are_noted() -> None:
    done = stream(delta(content="a") | {"id": "1"}, delta("stop") | {"id": "2"})
    assert "the id changed within the stream" in done.warnings


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart(key: str) -> None:
    done = stream(delta(**{key: "hm"}), delta(**{key: " hm"}), delta("stop", content="yes"))
    assert (done.reasoning, done.text) == ("hm hm", "yes")


def test_reasoning_under_both_names_counts_once() -> None:
    assert body(content="a", reasoning="hm", reasoning_content="hm").reasoning == "hm"


@given(st.lists(st.integers(0, 60), max_size=8))
def test_think_block_at_the_start_is_reasoning_however_it_is_cut(offsets: list[int]) -> None:
    text = "\n<think>\nhm < /think> hm\n</think>\n\nyes <think>no</think>"
    cuts = [0, *sorted(min(o, len(text)) for o in offsets), len(text)]
    chunks = [delta(content=text[a:b]) for a, b in pairwise(cuts)]
    completion, shown = read([events(*chunks, delta("stop"))])
    assert completion.text == "yes <think>no</think>" == "".join(shown)
    assert completion.reasoning == "\nhm < /think> hm\n"


@pytest.mark.parametrize("text", ["<", "<thin", " <b>", "a <think>b</think>", "<thinking>"])
def test_text_that_only_looks_like_a_think_block_stays(text: str) -> None:
    completion, shown = read([events(*(delta(content=c) for c in text), delta("stop"))])
    assert completion.text == text == "".join(shown)


def test_unknown_keys_are_nothing() -> None:
    assert stream(delta("stop", content="a", zzz={"y": [1]}) | {"obfuscation": "x", "timings": {"n": 1}}).text == "a"


def test_blank_lines_and_a_mark_may_stand_before_a_body() -> None:
    data = b"\n\n \n" * 50 + b"\xef\xbb\xbf" + json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).encode()
    assert read(cut(data, "bytes"), stream=False, content_type="application/json")[0].text == "a"


def test_json_answers_a_stream_and_a_stream_answers_json() -> None:
    whole = json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).encode()
    for content_type in ("application/json", "text/event-stream", "text/plain", ""):
        assert read(cut(whole, "bytes"), stream=True, content_type=content_type)[0].text == "a"
        assert read(cut(events(delta("stop", content="a")), "bytes"), stream=False, content_type=content_type)[0].text == "a"


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


def test_surrogates_never_leave() -> None:
    """A pair that was cut in two becomes its character, a lone one U+FFFD."""
    done = stream(b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00 \\udc00"}}]}', delta("stop"))
    assert done.text == "\U0001f600 \ufffd"


def test_very_large_numbers_in_unread_fields_do_no_harm() -> None:
    assert (
        stream(b'{"created":' + b"9" * 4000 + b',"choices":[{"delta":{"content":"a"},"finish_reason":"stop","logprobs":-Infinity}]}').text
        == "a"
    )


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
    reader = Reader(False, "application/json")
    with pytest.raises(ModelError) as caught:
        for _ in range(20):
            reader.feed(b'{"a": "' + b"x" * 1024 * 1024)
    assert (caught.value.kind, caught.value.retryable) == ("response_too_large", False)


def test_line_beyond_its_cap_is_refused() -> None:
    reader = Reader(True, "text/event-stream")
    reader.feed(b"data: ")
    with pytest.raises(ModelError) as caught:
        for _ in range(40):
            reader.feed(b"x" * 64 * 1024)
    assert caught.value.kind == "response_too_large"


def test_endless_text_is_refused() -> None:
    reader = Reader(True, "text/event-stream")
    chunk = events(delta(content="x" * 100_000), done=False)
    with pytest.raises(ModelError) as caught:
        for _ in range(gather.LARGEST // 100_000 + 1):
            reader.feed(chunk)
    assert caught.value.kind == "response_too_large"


def test_secrets_are_hidden_before_a_quote_is_cut() -> None:
    reader = Reader(False, "text/html", hide=lambda text: text.replace("sk-secret-0123456789", "***"))
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
