"""Say what makes a call the same call: a question becomes one text and one key, an answer becomes text and back. Knows no store.

The key covers what reaches the model and where: the address, the canonical body of the request, and a number that keeps samples and
rounds calls of their own. In parameters 0.0 is 0. Keys and headers are no part of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from hashlib import blake2b
from math import copysign
from typing import Any, get_args

import orjson

from flowkit.chat import STRUCTURED, ChatRequest, Completion, FinishReason, ToolCall, Usage
from flowkit.endpoints import Endpoint, Secret, redact
from flowkit.wire.request import encode

#: Bytes of a hash: 160 bits, so that no two texts of one store ever share one.
_DIGEST = 20
#: Keys of a request whose values the model reads as they stand.
_READ_IN_ORDER = frozenset({"messages", "response_format", "tools"})
#: Whole floats below this are written without an exponent.
_EXACT = 1e16
_LONG = re.compile(rb"[0-9]{19}")
_NO_DIGITS = bytes(sorted(set(range(256)) - set(b"0123456789")))
#: Where the answers of a simulator stand, so that no real run ever takes one for its own.
SIMULATED = "simulated:"
_COMPLETION = tuple(field.name for field in fields(Completion))
_USAGE = tuple(field.name for field in fields(Usage))
_FINISHES = frozenset(get_args(FinishReason))
_NOTHING = (None, "", ())


@dataclass(frozen=True, slots=True)
class Question:
    """One call as it is kept. `body` is the JSON text of the request, keys of parameters sorted, not streamed, secrets taken out."""

    key: str
    url: str
    model: str
    body: str
    number: int = 0
    #: The body as it is sent, which nothing shows.
    said: str = field(default="", repr=False)


def digest(text: str) -> str:
    """Return the name under which a text is kept: 40 hexadecimal digits."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()


def question(endpoint: Endpoint, request: ChatRequest, number: int = 0, *, simulated: bool = False) -> Question:
    """Return what is asked, and its key. `number` counts how often it was asked before in the same run.

    A typed answer is taken as it would be asked for first: what a server teaches on the way does not change the question.

    Raises:
        ModelRejected: a parameter is not JSON.
    """
    form = request.structured
    if request.shape is not None and form is None:
        form = STRUCTURED[0] if endpoint.structured == "auto" else endpoint.structured
    if request.stream or form is not request.structured:
        request = replace(request, stream=False, structured=form)
    text = _sorted(encode(request, max_tokens_key=endpoint.max_tokens_key, return_reasoning=endpoint.return_reasoning))
    url, secrets = _spoken(endpoint)
    if simulated:
        url = SIMULATED + url
    # Two questions that differ only in what must not be shown are two questions.
    return Question(_key(url, number, text), url, endpoint.model, redact(text, secrets) if secrets else text, number, text)


def again(asked: Question, number: int) -> Question:
    """Return the same question, asked once more in a run."""
    return replace(asked, key=_key(asked.url, number, asked.said), number=number)


def _key(url: str, number: int, body: str) -> str:
    return digest(f"{url}\n{number}\n{body}")


@lru_cache(maxsize=64)
def _spoken(endpoint: Endpoint) -> tuple[str, tuple[Secret, ...]]:
    """Return the address without what is secret in it, and what a body must not show. Few servers are asked, and each of them often."""
    secrets = tuple(secret for secret in endpoint.secrets if not secret.placeholder)
    return redact(endpoint.url, secrets), secrets


def _sorted(body: bytes) -> str:
    """Sort the keys of parameters, but not inside of what the model reads, where order means something."""
    # orjson takes an integer beyond 64 bits for a float; that is rare, and slow is right then. To count digits is quicker than to search.
    long = len(body.translate(None, _NO_DIGITS)) >= 19 and _LONG.search(body) is not None
    said: dict[str, Any] = json.loads(body) if long else orjson.loads(body)
    found = {name: value if name in _READ_IN_ORDER else _in_order(value) for name, value in sorted(said.items())}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if long else orjson.dumps(found).decode()


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_order(inner) for name, inner in sorted(value.items())}
    return [_in_order(inner) for inner in value] if isinstance(value, list) else whole(value)


def whole(value: Any) -> Any:
    """Return a number without a fraction as an integer, so that 1.0 and 1 are one; -0.0, and what is too large to be exact, stay."""
    if isinstance(value, float) and abs(value) < _EXACT and value.is_integer() and (value or copysign(1, value) > 0):
        return int(value)
    return value


def written(completion: Completion) -> str:
    """Return an answer as JSON text; what is empty is left out."""
    said: dict[str, Any] = {name: value for name in _COMPLETION if (value := getattr(completion, name)) not in _NOTHING}
    if completion.usage is not None:
        said["usage"] = {name: value for name in _USAGE if (value := getattr(completion.usage, name)) is not None}
    if completion.tool_calls:
        said["tool_calls"] = [asdict(call) for call in completion.tool_calls]
    try:
        return orjson.dumps(said).decode()
    except TypeError:
        # A lone surrogate stays an escape, since UTF-8 cannot carry it; and integers may be of any size.
        return json.dumps(said, separators=(",", ":"))


def restored(text: str) -> Completion:
    """Return the answer that was written. Raises ValueError when the text is none, so that nothing else is ever taken for one."""
    try:
        said = json.loads(text)
        found: dict[str, Any] = {name: value for name, value in said.items() if name in _COMPLETION}
        found.setdefault("text", "")
        if (usage := found.get("usage")) is not None:
            found["usage"] = Usage(**usage)
        found["tool_calls"] = tuple(ToolCall(**call) for call in found.get("tool_calls", ()))
        found["warnings"] = tuple(found.get("warnings", ()))
        completion = Completion(**found)
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError("this is no answer of a model") from error
    if not _typed(completion):
        raise ValueError("this is no answer of a model")
    return completion


def _typed(found: Completion) -> bool:
    """Whether each value is of its type, which nothing checks when it is read from JSON."""
    texts: list[object] = [found.text, found.finish, found.reasoning, *found.warnings]
    texts += [text for text in (found.finish_raw, found.model, found.refusal, found.id) if text is not None]
    texts += [text for call in found.tool_calls for text in (call.id, call.name, call.arguments)]
    counts = [] if found.usage is None else [count for name in _USAGE if (count := getattr(found.usage, name)) is not None]
    return (
        all(isinstance(text, str) for text in texts)
        and found.finish in _FINISHES
        and all(isinstance(count, int) for count in counts)
        and all(isinstance(call.extra, Mapping) for call in found.tool_calls)
    )
