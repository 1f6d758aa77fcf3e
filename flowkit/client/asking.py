"""The client: what all callers share, and the way to a server or to a responder."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, Self

from flowkit.chat import Attempt, ChatRequest, Completion
from flowkit.client.call import Call
from flowkit.client.gate import Gate
from flowkit.client.route import Learned, Route
from flowkit.client.seam import BUILTIN
from flowkit.errors import ModelError
from flowkit.retry import Policy
from flowkit.wire.response import Response

if TYPE_CHECKING:
    from types import TracebackType

    from flowkit.client.transport import Transport
    from flowkit.endpoints import Endpoint

#: Seconds for which a stream that has begun may stand still.
IDLE = 60.0
#: Characters of a broken answer that are kept for the record.
_KEPT = 64 * 1024


class Responder(Protocol):
    """Answers in the place of all servers."""

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Return the answer to this request; what it raises is taken for a failure of the connection."""


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
        self._routes: dict[Endpoint, Route] = {}
        self._shared: dict[object, tuple[Gate, Learned]] = {}
        self._transport: Transport | None = None
        self._foreign = BUILTIN

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None
            self._routes.clear()

    async def complete(
        self,
        endpoint: Endpoint,
        request: ChatRequest,
        *,
        policy: Policy,
        attempt_timeout: float,
        total_deadline: float | None = None,
        idle_timeout: float = IDLE,
        on_delta: Callable[[str], None] | None = None,
        on_attempt: Callable[[Attempt, float | None], None] | None = None,
        on_send: Callable[[], Awaitable[None]] | None = None,
    ) -> Completion:
        """Return the first whole answer. `flowkit.wire.reply.usable` tells whether a step can use it.

        `attempt_timeout` in seconds bounds each request as a whole, however busily bytes come; `total_deadline`, in the time of the
        event loop, bounds all of it. A stream of text that stands still for `idle_timeout` seconds ends before.

        `on_delta` gets text as it comes; after a failed attempt it begins again, which `on_attempt` (the attempt, and the seconds until
        the next or None) tells. `on_send` is awaited when a request has its turn, before it goes out. What these raise ends the call.

        The usage of the result counts all requests that were answered. An empty answer, or one that the server itself calls failed,
        is asked for again, and returned as it is when attempts are spent.

        Raises:
            ModelError: there was no answer; of the last attempt.
        """
        route = self._route(endpoint)
        call = Call(
            self,
            route,
            request,
            policy=policy,
            attempt_timeout=attempt_timeout,
            deadline=total_deadline,
            idle=idle_timeout,
            on_delta=on_delta,
            on_attempt=on_attempt,
            on_send=on_send,
        )
        route.gate.want(1)
        try:
            return await call.answer()
        except ModelError as error:
            error.message = f"{endpoint.name} ({endpoint.host}): {route.hide(error.message)}"
            error.args = (error.message,)
            error.code = None if error.code is None else route.hide(error.code)
            error.text = route.hide(error.text)[:_KEPT]
            raise
        finally:
            route.gate.want(-1)

    async def send(self, route: Route, request: ChatRequest, body: bytes) -> Response:
        """Send one request, and return its answer when the head is there."""
        if self._responder is not None:
            return await self._responder.respond(request, body)
        assert self._transport is not None, "set with the route"
        assert route.prepared is not None, "set with the route"
        return await self._transport.post(route.prepared, body)

    @property
    def foreign(self) -> tuple[type[Exception], ...]:
        """The exceptions that a connection may raise, to be translated."""
        return self._foreign

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""
        return self._jitter()

    def _route(self, endpoint: Endpoint) -> Route:
        route = self._routes.get(endpoint)
        if route is None:
            # Aliases of one model at one server with one key share what the server counts together.
            key = (endpoint.url, endpoint.model, endpoint.api_key)
            if key not in self._shared:
                self._shared[key] = (Gate(endpoint), Learned())
            route = Route(endpoint, *self._shared[key])
            if self._responder is None:
                self._connect(route)
            self._routes[endpoint] = route
        return route

    def _connect(self, route: Route) -> None:
        # Slow to import (httpx and aiohttp, 170 ms), and not needed to check or to simulate; before any attempt's clock runs.
        from flowkit.client.transport import FOREIGN, Prepared, Transport

        if self._transport is None:
            self._transport = Transport(proxy=self._proxy, ca_file=self._ca_file)
            self._foreign = FOREIGN
        route.prepared = Prepared(route.endpoint)
