"""What docs/servers.md says of each server is so: the dialects of its table, and each quirk as that server writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flowkit import answers, config
from flowkit.chat import ChatRequest, Message, Shape
from flowkit.config.ready import READY
from flowkit.endpoints import Endpoint
from flowkit.errors import ModelError
from flowkit.project import Project
from flowkit.types.algebra import Enum, Field, Record
from flowkit.types.validators import Validator
from flowkit.wire.allowance import allowance
from flowkit.wire.faults import fault, refuses_structured
from flowkit.wire.reply import Reader, usable
from flowkit.wire.request import encode

PAGE = (Path(__file__).parent.parent / "docs" / "servers.md").read_text(encoding="utf-8")


def streamed(*events: Any, done: bool = True, stream: bool = True) -> Any:
    """The answer that a stream gives: objects as events, text as it stands."""
    reader = Reader(stream=stream, content_type="text/event-stream")
    for event in events:
        reader.feed(event.encode() if isinstance(event, str) else b"data: " + json.dumps(event).encode() + b"\n\n")
    if done:
        reader.feed(b"data: [DONE]\n\n")
    return reader.finish()


def whole(body: Any, *, stream: bool = False) -> Any:
    reader = Reader(stream=stream, content_type="application/json")
    reader.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    return reader.finish()


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def message(finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": finish}]}


def refused(status: int, body: Any) -> ModelError:
    return fault(status, {}, json.dumps(body).encode())


# -- dialects ----------------------------------------------------------------------------------------------


def test_the_table_of_dialects_is_that_of_the_ready_providers() -> None:
    part = PAGE.partition("## Dialects of the ready providers")[2].partition("\n## ")[0]
    told = {
        row[0].strip("`"): tuple(row[1:])
        for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("| `"))
    }
    plain = Endpoint("n", "https://h/v1", "m")
    found = {}
    for name, settings in READY.items():
        structured = settings.structured or plain.structured
        stream_usage = plain.stream_usage if settings.stream_usage is None else settings.stream_usage
        found[name] = (
            f"`{settings.max_tokens_key}`" if settings.max_tokens_key else "as written",
            f"`{'json_schema' if structured == 'auto' else structured}`",
            "asked for" if stream_usage else "not asked for",
            "yes" if settings.lengths else "no",
            str(settings.max_parallel or plain.max_parallel),
        )
    assert told == found


def test_every_ready_provider_has_its_place_on_the_page() -> None:
    for name in READY:
        assert re.search(rf"`{name}/", PAGE) or name == "openai", name


@pytest.mark.parametrize("written", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_tokens_goes_under_the_name_that_the_server_knows(written: str) -> None:
    request = ChatRequest("m", (Message("user", "x"),), {written: 5})
    for settings in READY.values():
        body = json.loads(encode(request, max_tokens_key=settings.max_tokens_key))
        assert body == {"model": "m", "messages": [{"role": "user", "content": "x"}], settings.max_tokens_key or written: 5}


@pytest.mark.parametrize(("name", "asked"), [("mistral", False), ("gemini", False), ("openai", True), ("ollama", True)])
def test_usage_is_asked_for_in_streams_where_it_may_be(name: str, asked: bool) -> None:
    stream_usage = READY[name].stream_usage is not False
    assert ("stream_options" in json.loads(encode(ChatRequest("m", (), stream=True), stream_usage=stream_usage))) is asked


def test_deepseek_gets_the_schema_in_words(tmp_path: Path) -> None:
    known = config.load(Project(tmp_path, None), {"DEEPSEEK_API_KEY": "sk-0123456789"})
    endpoint = known.resolve("deepseek/deepseek-chat", {}, {}).endpoint
    assert endpoint.structured == "json_object"
    request = ChatRequest("m", (Message("user", "x"),), shape=Shape("s", {"type": "object"}), structured=endpoint.structured)
    body = json.loads(encode(request))
    assert body["response_format"] == {"type": "json_object"}
    assert '{"type": "object"}' in body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("env", "url", "style"),
    [
        ({"AZURE_OPENAI_API_KEY": "k2345678"}, "https://r.openai.azure.com/openai/v1/chat/completions", "azure"),
        ({"AZURE_OPENAI_AD_TOKEN": "t2345678"}, "https://r.openai.azure.com/openai/v1/chat/completions", "bearer"),
        (
            {"AZURE_OPENAI_API_KEY": "k2345678", "AZURE_OPENAI_API_VERSION": "2024-10-21"},
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "azure",
        ),
    ],
)
def test_azure_has_two_addresses_and_two_kinds_of_key(tmp_path: Path, env: dict[str, str], url: str, style: str) -> None:
    known = config.load(Project(tmp_path, None), {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com", **env})
    endpoint = known.resolve("azure/d", {}, {}).endpoint
    assert (endpoint.url, endpoint.api_style) == (url, style)


def test_what_follows_the_first_slash_is_the_model(tmp_path: Path) -> None:
    known = config.load(Project(tmp_path, None), {})
    assert known.resolve("openrouter/anthropic/claude-sonnet-4.5", {}, {}).endpoint.model == "anthropic/claude-sonnet-4.5"
    assert (
        known.resolve("together/meta-llama/Llama-3.3-70B-Instruct-Turbo", {}, {}).endpoint.model
        == "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    )


# -- answers -----------------------------------------------------------------------------------------------

FILTERED = {"id": "", "object": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
ASYNC_FILTER = {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 1}}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lambda: streamed(FILTERED, delta(content="Hi"), ASYNC_FILTER, delta("stop")), id="azure"),
        pytest.param(lambda: whole(b"\n\n\n" + json.dumps(message(content="Hi")).encode()), id="deepseek-queued"),
        pytest.param(lambda: streamed(": keep-alive\n\n", delta(content="Hi"), delta("stop")), id="deepseek-stream"),
        pytest.param(lambda: streamed(delta(content=[{"type": "text", "text": "Hi"}]), delta("stop")), id="mistral"),
        pytest.param(lambda: streamed(": OPENROUTER PROCESSING\n\n", delta(content="Hi"), delta("stop")), id="openrouter"),
        pytest.param(
            lambda: streamed(delta(role="assistant", content="H"), delta(role="assistant", content="i"), delta("stop", role="assistant")),
            id="ollama",
        ),
        pytest.param(lambda: streamed(":\n\n", delta(role="assistant", content=None), delta(content="Hi"), delta("stop")), id="llamacpp"),
        pytest.param(lambda: streamed(delta(role=None, content="H"), delta("stop", content="i")), id="vllm-sglang"),
        pytest.param(lambda: streamed(delta("", content="Hi"), delta("")), id="sglang-ollama-empty-reason"),
        pytest.param(lambda: streamed(delta("null", content="Hi"), delta("stop")), id="koboldcpp"),
        pytest.param(lambda: streamed(delta(content="Hi"), delta("stop"), done=False), id="transformers"),
        pytest.param(lambda: streamed(delta("eos", content="Hi")), id="together"),
        pytest.param(
            lambda: streamed(delta(content="Hi"), delta("stop"), {"choices": [{"index": 0, "delta": {}}], "usage": USAGE}), id="litellm"
        ),
        pytest.param(lambda: whole(message(content="Hi"), stream=True), id="json-for-a-stream"),
        pytest.param(lambda: streamed(delta(content="Hi"), delta("stop"), stream=False), id="stream-for-json"),
        pytest.param(
            lambda: streamed("data:" + json.dumps(delta(content="Hi")) + "\r\n\r\nevent: ping\rdata:\r\r", delta("stop")),
            id="any-line-ends",
        ),
    ],
)
def test_the_text_of_an_answer_is_read_whoever_writes_it(found: Any) -> None:
    done = found()
    assert usable(done, typed=False).text == "Hi"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lambda: streamed(delta(reasoning="Hm"), delta(content="Hi"), delta("stop")), id="ollama-groq-vllm"),
        pytest.param(lambda: streamed(delta(reasoning_content="Hm"), delta(content="Hi"), delta("stop")), id="deepseek-vllm"),
        pytest.param(lambda: streamed(delta(content="<think>Hm</think>Hi"), delta("stop")), id="in-the-content"),
        pytest.param(
            lambda: whole(
                message(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}])
            ),
            id="mistral",
        ),
    ],
)
def test_reasoning_is_never_part_of_the_answer(found: Any) -> None:
    done = found()
    assert (done.text, done.reasoning) == ("Hi", "Hm")


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lambda: streamed(delta("stop", content="Hi") | {"x_groq": {"usage": USAGE}}), id="groq"),
        pytest.param(
            lambda: streamed(
                delta(content="H") | {"usage": USAGE | {"completion_tokens": 0}}, delta("stop", content="i") | {"usage": USAGE}
            ),
            id="vllm-in-every-event",
        ),
        pytest.param(lambda: streamed(delta(content="Hi"), delta("stop") | {"usage": USAGE}), id="mistral-gemini-transformers"),
    ],
)
def test_usage_is_found_where_each_puts_it(found: Any) -> None:
    usage = found().usage
    assert (usage.input_tokens, usage.output_tokens) == (3, 1)


def test_tool_calls_without_an_index_are_put_together() -> None:
    """Gemini, and older versions of Ollama, which also call the end `stop`."""
    calls = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "b", "function": {"name": "g", "arguments": "{}"}}]
    done = streamed(delta(tool_calls=calls), delta("stop"))
    assert [(call.id, call.name) for call in done.tool_calls] == [("a", "f"), ("b", "g")]
    assert done.finish == "tool_calls"


def test_a_stream_without_reason_and_done_was_cut_off() -> None:
    with pytest.raises(ModelError) as caught:
        streamed(delta(content="Hi"), done=False)
    assert caught.value.kind == "stream_truncated"


def test_gemini_without_a_message_spent_its_tokens_on_thinking() -> None:
    with pytest.raises(ModelError) as caught:
        usable(whole({"choices": [{"index": 0, "finish_reason": "length"}]}), typed=True)
    assert caught.value.kind == "output_truncated"
    assert "max_tokens" in caught.value.message


def test_json_in_a_fence_is_taken_out() -> None:
    found = answers.read('```json\n{"a": "x"}\n```', Validator(Record((Field("a", Enum(("x", "y"))),))), wrapped=False)
    assert found.value == {"a": "x"}


# -- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        pytest.param(
            429, {"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}}, "quota", False, id="openai-empty"
        ),
        pytest.param(429, {"error": {"message": "x", "code": "rate_limit_exceeded"}}, "rate_limit", True, id="openai-fast"),
        pytest.param(
            400,
            {"error": {"message": "x", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "content_filter",
            False,
            id="azure",
        ),
        pytest.param(402, {"error": {"message": "Insufficient Balance"}}, "quota", False, id="deepseek"),
        pytest.param(422, {"detail": [{"loc": ["body", "x"], "msg": "extra_forbidden"}]}, "bad_request", False, id="mistral-detail"),
        pytest.param(400, {"object": "error", "message": "x"}, "bad_request", False, id="mistral-object"),
        pytest.param(401, {"message": "Unauthorized", "request_id": "1"}, "auth", False, id="mistral-message"),
        pytest.param(
            400, [{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}], "auth", False, id="gemini-list"
        ),
        pytest.param(
            400,
            {"error": {"code": 400, "message": "x", "type": "exceed_context_size_error", "n_ctx": 8}},
            "context_length",
            False,
            id="llamacpp",
        ),
        pytest.param(429, {"error": {"message": "x", "type": "throttling_error", "code": "429"}}, "rate_limit", True, id="litellm"),
        pytest.param(503, {"error": {"message": "x"}}, "server", True, id="overload"),
    ],
)
def test_errors_have_their_kind_in_every_form(status: int, body: Any, kind: str, retryable: bool) -> None:
    error = refused(status, body)
    assert (error.kind, error.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    ("found", "kind", "retryable"),
    [
        pytest.param(lambda: whole({"error": {"code": 429, "message": "slow", "metadata": {}}}), "rate_limit", True, id="openrouter-429"),
        pytest.param(lambda: whole({"error": {"code": 402, "message": "no credits"}}), "quota", False, id="openrouter-402"),
        pytest.param(
            lambda: streamed(delta("error") | {"error": {"code": 502, "message": "x"}}),
            "provider_error",
            True,
            id="openrouter-in-mid-stream",
        ),
        pytest.param(
            lambda: streamed(delta(content="H"), 'error: {"message": "x"}\n\n', done=False), "provider_error", True, id="llamacpp-old"
        ),
        pytest.param(
            lambda: streamed(delta(content="H"), {"error": {"message": "x", "code": "500"}}, done=False),
            "provider_error",
            True,
            id="litellm-in-mid-stream",
        ),
    ],
)
def test_an_error_within_an_answer_is_an_error(found: Any, kind: str, retryable: bool) -> None:
    with pytest.raises(ModelError) as caught:
        found()
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)


def test_a_blank_answer_is_asked_for_again() -> None:
    """DeepSeek's JSON mode gives one now and then."""
    with pytest.raises(ModelError) as caught:
        usable(whole(message(content="  \n")), typed=True)
    assert (caught.value.kind, caught.value.retryable) == ("empty_response", True)


def test_lm_studio_refuses_a_form_with_a_plain_text() -> None:
    error = refused(400, {"error": "'response_format.type' must be 'json_schema' or 'text'"})
    assert refuses_structured(error)


def test_azures_allowance_in_plain_seconds_is_read_and_its_minus_one_is_not_known() -> None:
    found = allowance({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "7"})
    assert found is not None
    assert (found.requests, found.tokens, found.tokens_reset) == (None, 9, 7.0)


def test_a_redirect_names_the_address_to_write() -> None:
    error = fault(308, {"location": "https://elsewhere.example/v1"}, b"")
    assert "https://elsewhere.example/v1" in error.message
    assert "base_url" in error.message
    assert not error.retryable
