"""Answers of the corpora and of real servers, whole and in pieces, become what their index says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reading import call, cut, delta, events, read

from flowkit.errors import ModelError
from flowkit.wire.faults import fault
from flowkit.wire.reply import usable

HERE = Path(__file__).parent

SSE = json.loads((HERE / "corpus/sse/index.json").read_text())["files"]

RESPONSES = [entry for entry in json.loads((HERE / "corpus/responses/index.json").read_text())["files"] if entry["status"] == 200]


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


# -- answers like those of the corpora, of our own -----------------------------------------------------------------


def whole(**choice: Any) -> bytes:
    usual = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    return json.dumps({"id": "x", "object": "chat.completion", "model": "m", "choices": [usual | choice]}).encode()


HI = events(delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta("stop"))
NO_DONE = HI.removesuffix(b"data: [DONE]\n\n")

#: Streams: the text that is expected, or the kind of the error and whether it is tried again.
STREAMS: dict[str, tuple[bytes, str | tuple[str, bool]]] = {
    "03 CR": (HI.replace(b"\n", b"\r"), "Hello"),
    "06 several data lines": (HI.replace(b'"choices"', b'\ndata: "choices"'), "Hello"),
    "09 usage at the end": (
        NO_DONE + events({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}),
        "Hello",
    ),
    "12 role repeated": (events(*(delta(role="assistant", content=c) for c in "Hello"), delta("stop", role="assistant")), "Hello"),
    "15 line separators": (events('{"choices":[{"delta":{"content":"a\u2028b\u0085c"}}]}'.encode(), delta("stop")), "a\u2028b\u0085c"),
    "18 finish but no done": (NO_DONE, "Hello"),
    "21 cut within an event": (HI[: HI.index(b'"lo"')], ("stream_truncated", True)),
    "24 error in a choice": (
        events(
            delta(content="Hel"),
            {"error": {"code": 502, "message": "boom"}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
        ),
        ("provider_error", True),
    ),
    "27 error field": (events(delta(content="Hel"), done=False) + b'error: {"code":500,"message":"boom"}\n\n', ("provider_error", True)),
    "27 error, then done": (events(delta(content="Hel"), {"error": {"message": "boom", "code": 500}}), ("provider_error", True)),
    "30 page in place of events": (b"<html><body>502 Bad Gateway</body></html>", ("stream_truncated", True)),
    "30 lines of JSON without data": (b'{"choices":[{"delta":{"content":"Hel"}}]}\n{"choices":[]}\n', ("bad_response", True)),
    "33 tool calls": (events(call(index=0, id="a", function={"name": "f", "arguments": "{}"}), delta("tool_calls")), ""),
    "36 refusal": (events(delta(refusal="I can"), delta(refusal="not"), delta("stop")), ("refusal", False)),
    "39 only done": (b"data: [DONE]\n\n", ("empty_response", True)),
    "42 lone surrogate": (events(b'{"choices":[{"delta":{"content":"a\\ud800b"}}]}', delta("stop")), "a\ufffdb"),
    "42 NUL": (events(b'{"choices":[{"delta":{"content":"a\\u0000b"}}]}', delta("stop")), "a\x00b"),
    "45 choices null": (events({"choices": None}, delta(content="Hello"), delta("stop")), "Hello"),
    "45 chunk is a list": (events([1]), ("bad_response", True)),
    "45 chunk is null": (events(b"null"), ("bad_response", True)),
    "45 choice is a string": (events({"choices": ["x"]}), ("bad_response", True)),
    "45 delta is a string": (events({"choices": [{"delta": "x"}]}), ("bad_response", True)),
    "48 filter without delta": (
        events(delta(content="Hello"), {"choices": [{"index": 0, "content_filter_offsets": {}}]}, delta("stop")),
        "Hello",
    ),
    "51 done twice": (HI + b"data: [DONE]\n\n", "Hello"),
    "51 blank lines at the end": (HI + b"\n\n\n", "Hello"),
    "54 tool call without index": (events(call(id="a", function={"name": "f", "arguments": "{}"}), delta("stop")), ""),
    "57 error is an empty object": (HI.replace(b'{"choices"', b'{"error": {}, "choices"'), "Hello"),
    "57 finish twice": (NO_DONE + events(delta("stop")), "Hello"),
    "57 finish is null to the end": (events(delta(content="Hello"), delta(None), done=False), ("stream_truncated", True)),
}


@pytest.mark.parametrize("how", ["whole", "bytes", "cuts"])
@pytest.mark.parametrize(("data", "expected"), STREAMS.values(), ids=STREAMS.keys())
def test_stream_of_our_own(data: bytes, expected: str | tuple[str, bool], how: str) -> None:
    entry: dict[str, Any] = (
        {"outcome": "accept", "expect": {"text": expected}}
        if isinstance(expected, str)
        else {"outcome": "reject", "error": expected[0], "retryable": expected[1]}
    )
    offsets: Any = list(range(5, len(data), 37))
    outcome(entry, cut(data, offsets if how == "cuts" else how), stream=True, content_type="text/event-stream")


#: Bodies with status 200.
BODIES: dict[str, tuple[bytes, str | tuple[str, bool]]] = {
    "03 usage null": (whole().replace(b'"choices"', b'"usage": null, "choices"'), "Hello"),
    "06 text beside tool calls": (
        whole(message={"content": "Hello", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}]}),
        "Hello",
    ),
    "06 legacy call": (
        whole(message={"content": None, "function_call": {"name": "f", "arguments": "{}"}}, finish_reason="function_call"),
        "",
    ),
    "09 thoughts in the text": (whole(message={"content": "<think>hm</think>\n\nHello"}), "Hello"),
    "12 no id, no model": (b'{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}', "Hello"),
    "15 finish empty": (whole(finish_reason=""), "Hello"),
    "18 NUL": (whole(message={"content": "a\x00b"}), "a\x00b"),
    "21 blank lines first": (b"\r\n\n  \n" + whole(), "Hello"),
    "21 mark first": (b"\xef\xbb\xbf" + whole(), "Hello"),
    "32 page": (b"<!doctype html><title>502</title>", ("bad_response", True)),
    "32 words": (b"Internal Server Error", ("bad_response", True)),
    "35 error is a string": (b'{"error": "model is loading"}', ("provider_error", True)),
    "35 error beside choices": (b'{"error": {"code": 502, "message": "x"}, "choices": []}', ("provider_error", True)),
    "35 detail": (b'{"detail": "x"}', ("provider_error", True)),
    "38 choices null": (b'{"choices": null}', ("empty_response", True)),
    "38 choices a number": (b'{"choices": 3}', ("bad_response", True)),
    "41 content empty": (whole(message={"content": ""}), ("empty_response", True)),
    "41 content blank": (whole(message={"content": " \n"}), ("empty_response", True)),
    "41 content true": (whole(message={"content": True}), ("bad_response", True)),
    "44 list": (b"[" + whole() + b"]", ("bad_response", True)),
    "44 number": (b"42", ("bad_response", True)),
    "44 list of an error": (b'[{"error": {"code": 503, "message": "x"}}]', ("provider_error", True)),
    "47 deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, ("bad_response", True)),
    "47 deep arguments": (
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":' + b"[" * 990 + b"]" * 990 + b"}}]}}]}",
        ("bad_response", True),
    ),
    "47 deep detail": (b'{"detail":' + b'{"detail":' * 900 + b"1" + b"}" * 901, ("provider_error", True)),
    "47 deep list of an error": (b"[" * 900 + b'{"error": "x"}' + b"]" * 900, ("bad_response", True)),
    "50 numbers that are none": (whole().replace(b'"choices"', b'"created": 1e999, "x": NaN, "y": -Infinity, "choices"'), "Hello"),
    "53 more after the end": (whole() + b" x", ("bad_response", True)),
    "53 twice": (whole() + whole(), ("bad_response", True)),
    "64 refusal": (whole(message={"content": None, "refusal": "I cannot"}), ("refusal", False)),
    "64 empty refusal is none": (whole(message={"content": "Hello", "refusal": ""}), "Hello"),
    "65 finish error": (whole(finish_reason="error"), ("provider_error", True)),
}


@pytest.mark.parametrize("how", ["whole", "cuts"])
@pytest.mark.parametrize(("data", "expected"), BODIES.values(), ids=BODIES.keys())
def test_body_of_our_own(data: bytes, expected: str | tuple[str, bool], how: str) -> None:
    entry: dict[str, Any] = (
        {"outcome": "accept", "expect": {"text": expected}}
        if isinstance(expected, str)
        else {"outcome": "reject", "error": expected[0], "retryable": expected[1]}
    )
    pieces = cut(data, "whole" if how == "whole" else list(range(1, min(len(data), 300))))
    outcome(entry, pieces, stream=False, content_type="application/json")


def test_answer_cut_at_the_limit_fails_a_typed_step() -> None:
    """61: also when it happens to be whole JSON."""
    done, _ = read([whole(message={"content": '{"a": 1}'}, finish_reason="length")], stream=False, content_type="application/json")
    with pytest.raises(ModelError) as caught:
        usable(done, typed=True)
    assert (caught.value.kind, caught.value.retryable) == ("output_truncated", False)


#: Refusals by status: body, kind, whether it is tried again.
REFUSALS: dict[str, tuple[int, bytes, str, bool]] = {
    "90 bad request": (
        400,
        b'{"error":{"message":"Unknown parameter: \'foo\'","param":"foo","code":"unknown_parameter"}}',
        "bad_request",
        False,
    ),
    "90 no body": (400, b"", "bad_request", False),
    "93 no credit": (402, b'{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}', "quota", False),
    "96 wrong address": (404, b"<html>404 Not Found</html>", "not_found", False),
    "99 too large": (413, b"Request Entity Too Large", "bad_request", False),
    "a2 quota": (429, b'{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}', "quota", False),
    "a5 page": (500, b"<html>Internal Server Error</html>", "server", True),
    "a8 gateway": (504, b"", "server", True),
    "b1 overloaded": (503, b'{"error":{"message":"The engine is currently overloaded","type":"server_is_overloaded"}}', "server", True),
    "b4 not UTF-8": (500, b"\xff\xfe\x00boom", "server", True),
    "b4 list": (
        400,
        b'[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]',
        "auth",
        False,
    ),
    "b6 filter": (
        400,
        b'{"error":{"code":"content_filter","message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}',
        "content_filter",
        False,
    ),
}


@pytest.mark.parametrize(("status", "data", "kind", "retryable"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusal_of_our_own(status: int, data: bytes, kind: str, retryable: bool) -> None:
    error = fault(status, {}, data)
    assert (error.kind, error.retryable, error.status) == (kind, retryable, status)
    assert error.message.isprintable()
    assert len(error.message) < 1000
