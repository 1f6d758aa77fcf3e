"""Refusals in all their forms become one error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ModelError, ModelRateLimited, ModelRejected, ModelTimeout
from flowkit.wire.faults import fault, fault_in_answer, refuses_structured

HERE = Path(__file__).parent
RESPONSES = [entry for entry in json.loads((HERE / "corpus/responses/index.json").read_text())["files"] if entry["status"] != 200]


def said(status: int, body: Any, **headers: str) -> ModelError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fault(status, headers, data)


@pytest.mark.parametrize("entry", RESPONSES, ids=lambda entry: entry["file"])
def test_refusal_has_the_kind_of_its_index(entry: dict[str, Any]) -> None:
    key = "sk-the-key-that-was-sent"
    body = (HERE / "corpus/responses" / entry["file"]).read_bytes().replace(b"{{THE_KEY_SENT}}", key.encode())
    error = fault(entry["status"], entry.get("headers", {}), body, hide=lambda text: text.replace(key, "***"))
    assert error.kind == entry["error"]
    assert error.retryable == entry["retryable"]
    assert error.status == entry["status"]
    assert len(error.message) < 1000
    assert key not in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no way", "type": "x", "param": None, "code": None}}, "no way"),
        ({"error": {"message": "no way", "code": 400}}, "no way"),
        ({"error": "no way"}, "no way"),
        ({"detail": "no way"}, "no way"),
        ({"detail": [{"loc": ["body", "n"], "msg": "no way"}]}, "body.n: no way"),
        ({"detail": {"message": "no way"}}, "no way"),
        ({"object": "error", "message": "no way"}, "no way"),
        ({"message": "no way", "request_id": "1"}, "no way"),
        ([{"error": {"code": 400, "message": "no way", "status": "INVALID_ARGUMENT"}}], "no way"),
        ({"type": "error", "error": {"type": "x", "message": "no way"}}, "no way"),
        (b"<html><h1>no way</h1></html>", "<h1>no way</h1>"),
        (b"no way", "no way"),
        (b"", "without a word"),
        (b"\xff\xfe\x00no way", "no way"),
        ({"error": {"message": "no way", "param": "top_k"}}, "parameter 'top_k'"),
    ],
)
def test_every_form_of_body_is_understood(body: Any, words: str) -> None:
    error = said(400, body)
    assert words in error.message
    assert isinstance(error, ModelRejected)


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}, "quota", False),
        (429, {"error": {"message": "x", "type": "insufficient_quota"}}, "quota", False),
        (429, {"error": {"message": "x", "code": "credit_balance_exhausted"}}, "quota", False),
        (429, {"error": {"message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}, "rate_limit", True),
        (429, b"", "rate_limit", True),
        (402, {"error": {"message": "Insufficient Balance"}}, "quota", False),
        (400, {"error": {"message": "Your credit balance is too low"}}, "quota", False),
        (400, {"error": {"message": "x", "code": "content_filter"}}, "content_filter", False),
        (400, {"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "content_filter", False),
        (400, {"error": {"message": "API key not valid. Please pass a valid API key."}}, "auth", False),
        (400, {"error": {"message": "x", "type": "exceed_context_size_error", "code": 400}}, "context_length", False),
        (422, {"detail": "prompt is too long"}, "context_length", False),
        (404, {"error": {"message": "x", "code": "DeploymentNotFound"}}, "not_found", False),
        (413, {"error": {"message": "x", "code": "rate_limit_exceeded"}}, "bad_request", False),
        (418, b"", "bad_request", False),
        (500, {"error": {"message": "maximum context length is 10"}}, "context_length", False),
        (501, b"", "server", True),
        (999, b"", "bad_response", True),
        (308, b"", "bad_request", False),
    ],
)
def test_codes_tell_more_than_statuses(status: int, body: Any, kind: str, retryable: bool) -> None:
    error = said(status, body)
    assert (error.kind, error.retryable) == (kind, retryable)


def test_classes_follow_kinds() -> None:
    assert isinstance(said(429, b""), ModelRateLimited)
    assert isinstance(said(408, b""), ModelTimeout)
    assert isinstance(said(401, b""), ModelRejected)
    assert type(said(500, b"")) is ModelError


def test_redirect_says_what_to_do() -> None:
    error = said(307, b"", location="https://elsewhere/v1")
    assert "https://elsewhere/v1" in error.message
    assert "base_url" in error.message


def test_terminals_obey_nothing_that_is_quoted() -> None:
    for body in (b"\x1b[2J\x07 boom", {"error": {"message": "\x1b[2J boom", "code": "\x1b[2J", "param": "\x1b"}}, {"error": "a\nb\u202e"}):
        message = said(500, body).message
        assert message.isprintable()


@pytest.mark.parametrize(
    ("status", "body", "refuses"),
    [
        (400, {"error": {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."}}, True),
        (400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}, True),
        (400, {"error": {"message": "unsupported", "param": "response_format"}}, True),
        (422, {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]}, True),
        (400, {"error": {"message": "Invalid schema for response_format 'x': 'minLength' is not permitted"}}, True),
        (500, {"error": {"message": "failed to parse grammar"}}, True),
        (400, {"error": {"message": "This model does not support structured outputs"}}, True),
        (400, {"error": {"message": "temperature must be below 2"}}, False),
        (401, {"error": {"message": "no response_format for you"}}, False),
        (429, {"error": {"message": "json_schema requests are limited"}}, False),
        (400, {"error": {"message": "response_format: maximum context length", "code": "context_length_exceeded"}}, False),
    ],
)
def test_refusal_of_a_form_of_answers_is_seen(status: int, body: Any, refuses: bool) -> None:
    assert refuses_structured(said(status, body)) is refuses


@pytest.mark.parametrize(
    "data", [{"choices": []}, {"error": None, "choices": []}, {"error": {}}, {"error": ""}, [], None, "x", {"usage": {}}]
)
def test_what_holds_no_error_is_none(data: Any) -> None:
    assert fault_in_answer(data) is None


def test_transcripts_of_real_refusals() -> None:
    for path in sorted((HERE / "transcripts").glob("*.err_*.http")):
        head, _, body = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
        error = fault(int(head.split()[1]), {}, body)
        expected = "rate_limit" if "429" in path.name else "context_length" if "context" in path.name else "bad_request"
        assert error.kind == expected


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["error", "message", "type", "code", "param", "detail", "loc", "msg", "status", "innererror", "object", "choices"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=15,
)


@given(st.integers(100, 1000), st.one_of(json_values.map(lambda v: json.dumps(v).encode()), st.binary(max_size=300)))
def test_any_body_gives_an_error_that_can_be_written(status: int, body: bytes) -> None:
    error = fault(status, {}, body)
    error.message.encode()
    assert len(error.message) < 4000
    refuses_structured(error)
