"""What a server refuses, in any of its forms, to one ModelError. Knows statuses and bodies, not what is done about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from flowkit.errors import ModelError, ModelRateLimited, ModelRejected, ModelTimeout
from flowkit.wire.decode import loads, quote, scrub

#: Characters of a server's own message that are kept.
LONGEST = 500
#: Bytes of a body that are looked at.
LOOKED_AT = 64 * 1024

_CODES: Mapping[str, str] = {
    "insufficient_quota": "quota",
    "credit_balance_exhausted": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "billing_error": "quota",
    "insufficient_balance": "quota",
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "responsibleaipolicyviolation": "content_filter",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "slow_down": "rate_limit",
    "throttling_error": "rate_limit",
    "resource_exhausted": "rate_limit",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "model_not_found": "not_found",
    "deploymentnotfound": "not_found",
}

#: For statuses that say little; looked for where no code is known.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"context (length|window|size)|maximum context|prompt is too long|too many (input )?tokens", re.IGNORECASE),
        "context_length",
    ),
    (re.compile(r"credit balance|insufficient (balance|funds|credits?)", re.IGNORECASE), "quota"),
    (re.compile(r"content management policy", re.IGNORECASE), "content_filter"),
    (re.compile(r"api key not valid|invalid api key|incorrect api key", re.IGNORECASE), "auth"),
)

_STATUSES: Mapping[int, str] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "server",
    429: "rate_limit",
}

_HINTS: Mapping[str, str] = {
    "auth": "check the key of this endpoint",
    "quota": "the account has no credit left",
    "not_found": "check the name of the model and base_url, to which /chat/completions is added",
    "context_length": "shorten the messages, or take a model with a larger context",
}

_RETRYABLE = frozenset({"rate_limit", "server", "timeout", "provider_error", "bad_response"})
#: Kinds that stand for themselves even when they come within a 200.
_OWN_CLASS = frozenset({"rate_limit", "quota", "context_length", "content_filter", "auth"})

_UNSTRUCTURED = re.compile(
    r"response[ _.]?format|json[ _]?schema|json[ _]?object|json[ _]?mode|structured[ _]output|response_schema|grammar|guided_",
    re.IGNORECASE,
)


def _unhidden(text: str) -> str:
    return text


def fault(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    retry_after: float | None = None,
    hide: Callable[[str], str] = _unhidden,
) -> ModelError:
    """Return the error for an answer whose status is not 200. Headers have names in lower case.

    `hide` takes secrets out of a text; it is applied before anything is cut, so that no half of a key stays.
    """
    said = _Said(_json(body[:LOOKED_AT]), hide)
    if 300 <= status < 400:
        where = quote(hide(headers.get("location", "")))
        return ModelRejected(
            f"HTTP {status}: the server redirects to {where}, which is not followed: put the final address into base_url",
            kind="bad_request",
            status=status,
        )
    if not 200 <= status < 600:
        kind = "bad_response"
    elif status in (408, 409) or status >= 500:
        kind = _STATUSES.get(status, "server")
        if said.kind == "context_length":
            kind = said.kind
    elif status == 429:
        kind = "quota" if said.coded == "quota" else "rate_limit"
    else:
        kind = said.kind or _STATUSES.get(status, "bad_request")
        if kind == "rate_limit":
            kind = _STATUSES.get(status, "bad_request")
    words = said.words() or (quote(hide(body[:LOOKED_AT].decode("utf-8", "replace"))) if body.strip() else "without a word")
    return _error(f"HTTP {status}", words, kind, status=status, code=said.code, retry_after=retry_after)


def fault_in_answer(data: Any, *, text: str = "", named: bool = False, hide: Callable[[str], str] = _unhidden) -> ModelError | None:
    """Return the error that a 200 body or a chunk of a stream holds, or None. `named`: the event itself was called `error`.

    `text` is what had been received before.
    """
    if not named and not _holds_error(data):
        return None
    said = _Said(data, hide)
    status = said.status
    kind = said.kind if said.kind in _OWN_CLASS else _STATUSES.get(status or 0)
    if kind not in _OWN_CLASS:
        kind = "provider_error"
    words = said.words() or "An error occurred during streaming"
    error = _error("an error within the answer", words, kind, status=status, code=said.code)
    error.text = text
    if kind == "provider_error":
        refused = status is not None and 400 <= status < 500 and status not in (408, 409)
        error.retryable = not (refused or said.blames_client or said.kind == "not_found")
    return error


def refuses_structured(error: ModelError) -> bool:
    """Whether the server refused the form in which a typed answer was asked for, so that a weaker form may do."""
    return (
        error.kind in ("bad_request", "server", "not_found")
        and error.status in (400, 404, 415, 422, 500, 501)
        and bool(_UNSTRUCTURED.search(error.message))
    )


def _error(what: str, words: str, kind: str, *, status: int | None, code: str | None, retry_after: float | None = None) -> ModelError:
    message = f"{what} {code}: {words}" if code else f"{what}: {words}"
    if hint := _HINTS.get(kind):
        message += f" ({hint})"
    make: type[ModelError] = ModelError
    if kind == "rate_limit":
        make = ModelRateLimited
    elif kind == "timeout":
        make = ModelTimeout
    elif kind not in _RETRYABLE:
        make = ModelRejected
    return make(message, kind=kind, status=status, code=code, retryable=kind in _RETRYABLE, retry_after=retry_after)


def _json(body: bytes) -> Any:
    try:
        return loads(body, lenient=True)
    except ValueError:
        return None


def _holds_error(data: Any) -> bool:
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return False
    if data.get("error"):
        return True
    if "choices" in data:
        return False
    return data.get("object") == "error" or data.get("type") == "error" or "detail" in data


class _Said:
    """What an error body says, whichever of the known forms it has.

    `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}` (FastAPI), `{"object": "error", "message": …}` (Mistral, old vLLM),
    `{"message": …}`, and each of these as the one item of a list (Gemini).
    """

    def __init__(self, data: Any, hide: Callable[[str], str]) -> None:
        #: Applied before anything is cut, so that no half of a key stays.
        self._hide = hide
        if isinstance(data, list) and data:
            data = data[0]
        inner = data.get("error") if isinstance(data, dict) else None
        if isinstance(inner, dict):
            data = inner
        self._data: dict[str, Any] = data if isinstance(data, dict) else {}
        self._bare = inner if isinstance(inner, str) else data if isinstance(data, str) else ""
        self._type = _word(self._data.get("type"))
        code = self._data.get("code")
        number = code if isinstance(code, int) and not isinstance(code, bool) else None
        if number is None and isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
            number = int(code)
        if number is None and isinstance(given := self._data.get("status"), int) and not isinstance(given, bool):
            number = given
        #: The status that a gateway puts into its code.
        self.status = number if number is not None and 100 <= number < 600 else None
        self.code: str | None = None
        if isinstance(code, str) and number is None:
            self.code = _short(hide(code)) or None
        if self.code is None and self._type not in ("", "error"):
            self.code = _short(hide(self._type))

    @property
    def coded(self) -> str | None:
        """The kind by codes and types alone."""
        inner = self._data.get("innererror")
        given = (self._data.get("code"), self._type, self._data.get("status"), inner.get("code") if isinstance(inner, dict) else None)
        for word in given:
            if isinstance(word, str) and (kind := _CODES.get(word.lower())):
                return kind
        return None

    @property
    def kind(self) -> str | None:
        """The kind by codes, or else by the words of the message."""
        if kind := self.coded:
            return kind
        text = self._text()
        return next((kind for pattern, kind in _WORDS if pattern.search(text)), None)

    @property
    def blames_client(self) -> bool:
        """Whether the type says that the request was wrong."""
        return self._type.lower() in ("invalid_request_error", "badrequesterror", "bad_request_error", "invalid_argument")

    def words(self) -> str:
        """What it says, quoted and bounded; empty if nothing."""
        text = scrub(self._text()).strip()
        if not text:
            return ""
        param = self._data.get("param")
        found = repr(text if len(text) <= LONGEST else text[:LONGEST] + "…")
        return f"{found} (parameter {_short(self._hide(param))!r})" if isinstance(param, str) and param and param not in text else found

    def _text(self) -> str:
        if self._bare:
            return self._hide(self._bare)
        for name in ("message", "detail", "error_description", "title"):
            value = self._data.get(name)
            if isinstance(value, str) and value:
                return self._hide(value)
            if isinstance(value, list):
                return "; ".join(self._field(item) for item in value[:5])
            if isinstance(value, dict) and isinstance(inner := value.get("message"), str):
                return self._hide(inner)
        return ""

    def _field(self, item: Any) -> str:
        """One mistake as FastAPI lists it: where and what."""
        if not isinstance(item, dict):
            return self._hide(item)[:LONGEST] if isinstance(item, str) else ""
        where = item.get("loc")
        path = ".".join(self._hide(str(step))[:80] for step in where[:20]) if isinstance(where, list) else ""
        words = self._hide(str(item.get("msg") or item.get("message") or ""))[:LONGEST]
        return f"{path}: {words}" if path else words


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _short(text: str) -> str:
    return "".join(char for char in scrub(text)[:60] if char.isprintable())
