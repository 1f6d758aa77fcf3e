"""What compatible servers do otherwise, line by line of the list of tolerances."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import body, call, cut, delta, events, read, stream

from flowkit.errors import ModelError

H = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
WHOLE = json.dumps(H).encode()
STOP = delta("stop")
HEL, LO = delta(content="Hel"), delta(content="lo")
PLAIN = events(HEL, LO, STOP)
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def said(**message: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


def reason(*found: Any) -> bytes:
    return events(HEL, LO, {"choices": [{"index": 0, "delta": {}, **({"finish_reason": found[0]} if found else {})}]})


#: The tolerance list, one row a line: answers that all say "Hello".
LINES: dict[str, list[bytes]] = {
    "usage, id, created, object, system_fingerprint missing": [WHOLE, PLAIN],
    "empty choices in any chunk": [events({"choices": []}, HEL, {"choices": []}, LO, {"choices": []}, STOP, {"choices": []})],
    "choice without delta, delta null": [events({"choices": [{"index": 0}]}, HEL, {"choices": [{"index": 0, "delta": None}]}, LO, STOP)],
    "role missing, null or repeated": [
        events(*(delta(role=role, content=c) for c, role in zip("Hello", ["assistant", None, "", "assistant", None], strict=True)), STOP),
        said(content="Hello", role=None),
    ],
    "content null or absent": [events(delta(content=None), delta(), HEL, delta(content=None), LO, STOP)],
    "content a list of parts": [events(delta(content=[{"type": "text", "text": "Hello"}]), STOP), said(content=["Hel", {"text": "lo"}])],
    "tool_calls null": [events(delta(content="Hello", tool_calls=None), STOP), said(content="Hello", tool_calls=None)],
    "index missing, of a choice": [PLAIN.replace(b'"index": 0, ', b""), WHOLE.replace(b'"index": 0, ', b"")],
    "finish_reason absent, null, empty, the word null, unknown": [reason(), reason(None), reason(""), reason("null"), reason("bananas")],
    "last token and finish in one chunk": [events(HEL, delta("stop", content="lo"))],
    "text after finish_reason": [events(delta("stop", content="Hel"), LO)],
    "one single chunk": [events(delta("stop", role="assistant", content="Hello"), done=False)],
    "no [DONE]": [events(HEL, LO, STOP, done=False), events(HEL, LO, STOP, done=False).rstrip()],
    "data after [DONE]": [PLAIN + b"data: {broken\n\n", PLAIN + events(LO)],
    "usage in every chunk, in the finish chunk, in one more, null": [
        events(HEL | {"usage": {"prompt_tokens": 1}}, LO | {"usage": USAGE}, STOP | {"usage": USAGE}),
        events(HEL, LO, STOP | {"usage": USAGE}),
        events(HEL, LO, STOP, {"choices": [], "usage": USAGE}),
        events(HEL | {"usage": None}, LO, STOP | {"usage": None}),
    ],
    "ids differ": [events(HEL | {"id": "1"}, LO | {"id": "2"}, STOP | {"id": None})],
    "reasoning_content, reasoning, <think>": [
        events(delta(reasoning_content="hm"), delta(reasoning="hm"), delta(content="<think>hm</think>Hello"), STOP),
        said(content="<think>hm</think>Hello", reasoning="hm"),
    ],
    "unknown keys everywhere": [
        events(HEL | {"x": [1]}, delta(content="lo", y={"z": None}), STOP | {"timings": {}, "x_groq": 3, "provider": "p"}),
        json.dumps(H | {"x": {}, "service_tier": 3, "prompt_filter_results": [None]}).encode(),
    ],
    "CRLF, CR": [PLAIN.replace(b"\n", b"\r\n"), PLAIN.replace(b"\n", b"\r")],
    "no space after the colon": [PLAIN.replace(b"data: ", b"data:")],
    "comments": [b":\n\n" + PLAIN.replace(b"data: ", b": OPENROUTER PROCESSING\n\ndata: ")],
    "empty data": [b"data\n\ndata:\n\ndata: \n\n" + PLAIN],
    "event lines": [b"event: ping\n\n" + PLAIN.replace(b"data: ", b"event: message\nid: 1\nretry: 5\ndata: ")],
    "BOM at the start": [b"\xef\xbb\xbf" + PLAIN, b"\xef\xbb\xbf" + WHOLE],
    "blank lines before a body": [b"\n\n \r\n" * 9 + WHOLE, b"\n\n" + PLAIN],
    "very large integers and numbers that are none": [
        PLAIN.replace(b'{"choices"', b'{"created": 1%s, "x": 1e999, "y": NaN, "choices"' % (b"0" * 400)),
        WHOLE.replace(b'{"choices"', b'{"created": 1%s, "x": -1e999, "y": Infinity, "choices"' % (b"0" * 400)),
    ],
    "lone surrogates": [
        PLAIN.replace(b'{"choices"', b'{"id": "\\ud800", "model": "\\udfff", "choices"'),
        WHOLE.replace(b'{"choices"', b'{"id": "\\ud800", "choices"'),
    ],
}


@pytest.mark.parametrize("how", ["whole", "bytes"])
@pytest.mark.parametrize("line", LINES)
def test_line_of_the_tolerance_list(line: str, how: str) -> None:
    """JSON for a stream, a stream for JSON, whatever the content type says: the text is the same, however it is cut."""
    for answer in LINES[line]:
        for asked in (False, True):
            for media in ("application/json", "text/event-stream", "text/plain", ""):
                done, shown = read(cut(answer, how), stream=asked, content_type=media)
                assert done.text == "Hello" == "".join(shown)
                repr(done).encode()


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


def test_surrogates_never_leave() -> None:
    """A pair that was cut in two becomes its character, a lone one U+FFFD."""
    done = stream(b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00 \\udc00"}}]}', delta("stop"))
    assert done.text == "\U0001f600 \ufffd"


def test_very_large_numbers_in_unread_fields_do_no_harm() -> None:
    assert (
        stream(b'{"created":' + b"9" * 4000 + b',"choices":[{"delta":{"content":"a"},"finish_reason":"stop","logprobs":-Infinity}]}').text
        == "a"
    )
