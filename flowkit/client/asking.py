"""Ask a model until it answers or the policy ends: one retry loop, for servers and for the simulator alike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from flowkit.chat import STRUCTURED, Attempt, ChatRequest, Completion, Structured, Usage
from flowkit.client.gate import NOT_ATTEMPTED, Gate
from flowkit.client.seam import BUILTIN, translate
from flowkit.endpoints import redact
from flowkit.errors import ModelError, ModelRateLimited, ModelTimeout
from flowkit.limits import Outcome
from flowkit.retry import Policy, TooLong, retry_after, should_retry
from flowkit.wire.encoding import Inflater
from flowkit.wire.faults import LOOKED_AT, fault, refuses_structured
from flowkit.wire.reply import Reader, usable
from flowkit.wire.request import encode
from flowkit.wire.response import Chunk, Response

if TYPE_CHECKING:
    from types import TracebackType

    from flowkit.client.transport import Prepared, Transport
    from flowkit.endpoints import Endpoint

#: Kinds of failure that say something about the server's health; all others are answers.
_FAILURES = frozenset({"server", "timeout", "connection", "stream_truncated", "bad_response", "provider_error"})
#: Seconds that a finished stream has to close, so that its connection can be used again.
_LINGER = 0.25


class Responder(Protocol):
    """Answers in the place of all servers."""

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Return the answer to this request; what it raises is taken for a failure of the connection."""


class _Route:
    """What the client keeps for an endpoint."""

    def __init__(self, endpoint: Endpoint, gate: Gate, learned: _Learned) -> None:
        self.endpoint = endpoint
        self.gate = gate
        self.learned = learned
        self.secrets = endpoint.secrets
        self.prepared: Prepared | None = None

    def hide(self, text: str) -> str:
        """Take the secrets of this endpoint out of a text."""
        return redact(text, self.secrets)


@dataclass(slots=True)
class _Learned:
    """What a server taught about itself: the strongest form of typed answers that it takes."""

    structured: Structured = STRUCTURED[0]


class _Try:
    """One request while it is under way, so that what came is known even when it breaks off."""

    __slots__ = ("first", "override", "reader", "wait")

    def __init__(self) -> None:
        self.reader: Reader | None = None
        #: Loop time of the first piece of text.
        self.first: float | None = None
        #: What the server says about trying again, above its status.
        self.override: bool | None = None
        self.wait: float | TooLong | None = None


class Client:
    """Asks models. One per run or service: limiters, connections and what was learned are shared by all callers in one event loop.

    With a `responder` no network code is ever loaded. `proxy` is the only way to a proxy; the environment is not read. `ca_file` holds
    certificates that are trusted besides the usual ones. `jitter` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        responder: Responder | None = None,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._responder = responder
        self._proxy = proxy
        self._ca_file = ca_file
        self._jitter = jitter
        self._routes: dict[Endpoint, _Route] = {}
        self._shared: dict[object, tuple[Gate, _Learned]] = {}
        self._transport: Transport | None = None
        self._foreign = BUILTIN

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def complete(
        self,
        endpoint: Endpoint,
        request: ChatRequest,
        *,
        policy: Policy,
        attempt_timeout: float,
        total_deadline: float | None = None,
        on_delta: Callable[[str], None] | None = None,
        on_attempt: Callable[[Attempt, float | None], None] | None = None,
    ) -> Completion:
        """Return the first whole answer. `flowkit.wire.reply.usable` tells whether a step can use it.

        `attempt_timeout` in seconds bounds each request as a whole, however busily bytes come; `total_deadline`, in the time of the
        event loop, bounds all of it. `on_delta` gets text as it comes; after a failed attempt it begins again, which `on_attempt` (the
        attempt, and the seconds until the next or None) tells. The usage of the result counts all requests that were answered. An
        empty answer, or one that the server itself calls failed, is asked for again, and returned as it is when attempts are spent.

        Raises:
            ModelError: there was no answer; of the last attempt.
        """
        route = self._route(endpoint)
        call = _Call(self, route, request, policy, attempt_timeout, total_deadline, on_delta, on_attempt)
        route.gate.want(1)
        try:
            return await call.answer()
        except ModelError as error:
            error.message = f"{endpoint.name} ({endpoint.host}): {route.hide(error.message)}"
            error.args = (error.message,)
            error.text = route.hide(error.text)
            raise
        finally:
            route.gate.want(-1)

    async def send(self, route: _Route, request: ChatRequest, body: bytes) -> Response:
        """Send one request, and return its answer when the head is there."""
        if self._responder is not None:
            return await self._responder.respond(request, body)
        if self._transport is None or route.prepared is None:
            # Slow to import (httpx and aiohttp, 170 ms), and not needed to check or to simulate.
            from flowkit.client.transport import FOREIGN, Prepared, Transport

            if self._transport is None:
                self._transport = Transport(proxy=self._proxy, ca_file=self._ca_file)
                self._foreign = FOREIGN
            route.prepared = Prepared(route.endpoint)
        return await self._transport.post(route.prepared, body)

    @property
    def foreign(self) -> tuple[type[Exception], ...]:
        """The exceptions that a connection may raise, to be translated."""
        return self._foreign

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""
        return self._jitter()

    def _route(self, endpoint: Endpoint) -> _Route:
        route = self._routes.get(endpoint)
        if route is None:
            # Aliases of one model at one server with one key share what the server counts together.
            key = (endpoint.url, endpoint.model, endpoint.api_key)
            if key not in self._shared:
                self._shared[key] = (Gate(endpoint), _Learned())
            route = self._routes[endpoint] = _Route(endpoint, *self._shared[key])
        return route


class _Call:
    """One `complete`, from the first attempt to the last."""

    def __init__(
        self,
        client: Client,
        route: _Route,
        request: ChatRequest,
        policy: Policy,
        attempt_timeout: float,
        total_deadline: float | None,
        on_delta: Callable[[str], None] | None,
        on_attempt: Callable[[Attempt, float | None], None] | None,
    ) -> None:
        self._client = client
        self._route = route
        self._request = request
        self._policy = policy
        self._attempt_timeout = attempt_timeout
        self._deadline = total_deadline
        self._on_delta = on_delta
        self._on_attempt = on_attempt
        self._now = asyncio.get_running_loop().time
        self._automatic = request.shape is not None and request.structured is None and route.endpoint.structured == "auto"
        self._number = 0
        #: Attempts that count for the policy: a step down to a weaker form of typed answers does not.
        self._counted = 0
        self._since = self._now()
        self._spent: Usage | None = None
        self._last: ModelError | None = None
        self._retrying = False

    async def answer(self) -> Completion:
        """Attempt until there is an answer, or raise the last error."""
        request, body = self._encoded()
        try:
            while True:
                trying = _Try()
                completion, error = await self._attempt(trying, request, body)
                if error is None and completion is not None:
                    return completion
                assert error is not None  # noqa: S101  one of the two is always there
                if self._steps_down(error, request):
                    self._release_retry()
                    request, body = self._encoded()
                    continue
                await self._pause(error, trying, completion)
                if self._last is None and completion is not None:
                    return completion
        finally:
            self._release_retry()

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, trying: _Try, request: ChatRequest, body: bytes) -> tuple[Completion | None, ModelError | None]:
        raise NotImplementedError
