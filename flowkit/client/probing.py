"""Ask a server about itself: whether it is there and takes the key, and which form of typed answers it holds to. Never needed for a run."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from flowkit import answers
from flowkit.chat import STRUCTURED, ChatRequest, Message, Structured
from flowkit.client.pieces import pieces
from flowkit.client.seam import translate
from flowkit.endpoints import redact
from flowkit.errors import ModelError
from flowkit.retry import Policy
from flowkit.types.algebra import Enum, Field, Record
from flowkit.types.schemas import shape
from flowkit.types.validators import Invalid, Validator
from flowkit.wire.decode import loads
from flowkit.wire.faults import LOOKED_AT, fault
from flowkit.wire.reply import usable
from flowkit.wire.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowkit.client.asking import Client
    from flowkit.endpoints import Endpoint

#: Bytes of a list of models that are read: OpenRouter's is half a megabyte.
_LARGEST = 4 * 1024 * 1024
#: Tokens for the answer of a probe: models that think first need some.
_TOKENS = 1024

#: Failures that are the answer's, not the server's.
_UNREADABLE = frozenset({"output_truncated", "empty_response"})

#: A question whose answer no model gives by itself in the form that is asked for.
_QUESTION = "Which of these is a fruit: apple, hammer?"
_TYPE = Record((Field("fruit", Enum(("apple", "hammer"))),))


@dataclass(frozen=True, slots=True)
class Pong:
    """What came of asking for the list of models. `status` is None where no answer came; `said` tells it in words."""

    seconds: float
    status: int | None = None
    said: str = ""
    #: The names in the list; None where the server gave none.
    models: frozenset[str] | None = None

    @property
    def reachable(self) -> bool:
        """Whether anything answered."""
        return self.status is not None

    @property
    def refused(self) -> bool:
        """Whether the key was refused, or one is missing."""
        return self.status in (401, 403)


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to ask for a typed answer and what came of it: `ignored` where the server took it and answered as it liked."""

    form: Structured
    outcome: Literal["works", "refused", "ignored", "failed"]
    said: str = ""


def models_url(endpoint: Endpoint) -> str:
    """Return the address of the list of models beside the one of chat completions."""
    parts = urlsplit(endpoint.url)
    path = parts.path.removesuffix("/chat/completions")
    # Azure's older surface: the deployment is part of the path, and the list stands above it.
    path = path.partition("/deployments/")[0]
    return parts._replace(path=f"{path}/models").geturl()


async def ping(endpoint: Endpoint, *, patience: float, proxy: str | None = None, ca_file: str | None = None) -> Pong:
    """Ask one server for its models, with the key, for at most `patience` seconds. Raises nothing that a server can cause."""
    # Slow to import (httpx and aiohttp), and the command line completes and helps without it.
    import httpx

    from flowkit.client.transport import FOREIGN, Prepared, Transport

    now = asyncio.get_running_loop().time
    transport = Transport(proxy=proxy, ca_file=ca_file)
    prepared = Prepared(endpoint)
    url = httpx.URL(models_url(endpoint))
    headers = [(name, value) for name, value in prepared.headers if name != b"content-type"]
    # Each step of the connection is bounded by the whole.
    request = httpx.Request(
        "GET", url, headers=headers, extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), patience)}
    )
    began = now()
    try:
        async with asyncio.timeout(patience):
            try:
                found = await transport._way(tls=prepared.tls, own=True).handle_async_request(request)
            except FOREIGN as error:
                raise translate(error) from None
            took = now() - began
            named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in found.headers.raw}
            assert isinstance(found.stream, httpx.AsyncByteStream), "an asynchronous transport"
            body = await _body(Response(found.status_code, named, found.stream), FOREIGN)
    except TimeoutError:
        return Pong(now() - began, said=f"no answer within {patience:g} s")
    except ModelError as error:
        return Pong(now() - began, said=redact(error.message, endpoint.secrets))
    finally:
        await transport.aclose()
    return _pong(endpoint, took, found.status_code, named, body)


async def _body(response: Response, foreign: tuple[type[Exception], ...]) -> bytes:
    body = b""
    async with aclosing(pieces(response, foreign)) as arriving:
        async for piece in arriving:
            body += piece
            if len(body) > _LARGEST:
                break
    return body


def _pong(endpoint: Endpoint, seconds: float, status: int, headers: Mapping[str, str], body: bytes) -> Pong:
    if 200 <= status < 300:
        return Pong(seconds, status, "", _names(body))
    error = fault(status, headers, body[:LOOKED_AT], hide=lambda text: redact(text, endpoint.secrets))
    if status in (401, 403):
        return Pong(seconds, status, f"{'refuses the key' if endpoint.api_key else 'wants a key'}: {error.message}")
    return Pong(seconds, status, f"has no list of models (HTTP {status})")


def _names(body: bytes) -> frozenset[str] | None:
    try:
        data = loads(body)
    except ValueError:
        return None
    listed = data.get("data") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        return None
    names = (entry.get("id") or entry.get("name") for entry in listed if isinstance(entry, dict))
    # Gemini writes `models/NAME` and takes NAME.
    return frozenset(name.removeprefix("models/") for name in names if isinstance(name, str)) or None


async def probe(client: Client, endpoint: Endpoint, params: Mapping[str, Any], *, patience: float) -> tuple[Trial, ...]:
    """Ask one tiny typed question in each form, the strongest first, and say what came of each. Costs three calls."""
    trials: list[Trial] = []
    for form in STRUCTURED:
        trial = await _try(client, endpoint, params, form, patience=patience)
        trials.append(trial)
        if trial.outcome == "failed":
            break  # what stopped this one stops the others
    return tuple(trials)


def strongest(trials: tuple[Trial, ...]) -> Structured | None:
    """Return the strongest form that works; None when none does."""
    return next((trial.form for trial in trials if trial.outcome == "works"), None)


async def _try(client: Client, endpoint: Endpoint, params: Mapping[str, Any], form: Structured, *, patience: float) -> Trial:
    limits = {} if params.keys() & {"max_tokens", "max_completion_tokens"} else {"max_tokens": _TOKENS}
    asked = shape(_TYPE, "probe", lengths=endpoint.lengths)
    request = ChatRequest(endpoint.model, (Message("user", _QUESTION),), {**params, **limits}, asked, form)
    try:
        completion = await client.complete(replace(endpoint, structured=form), request, policy=Policy(attempts=1), attempt_timeout=patience)
        usable(completion, typed=True)
    except ModelError as error:
        refused = error.kind == "bad_request"
        return Trial(form, "refused" if refused else "ignored" if error.kind in _UNREADABLE else "failed", error.message)
    try:
        answer = answers.read(completion.text, Validator(_TYPE), wrapped=False)
    except Invalid:
        return Trial(form, "ignored", "the answer has another form")
    # A server that holds a form answers with JSON alone; help is fine only where words alone asked for it.
    if answer.repairs and form != "prompt":
        return Trial(form, "ignored", "; ".join(answer.repairs))
    return Trial(form, "works", "; ".join(answer.repairs))
