"""One POST over httpx's aiohttp transport. Knows bytes and headers, not what they say.

Requests go straight to the transport: httpx's client layer (cookies, redirects, authentication) would cost half as much again, and we
want none of it. Slow to import, hence imported when the first real call is made.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from importlib import metadata
from ssl import SSLContext
from typing import TYPE_CHECKING

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from flowkit.client.seam import BUILTIN
from flowkit.wire.response import Response

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from flowkit.endpoints import Endpoint

#: All that may come out of a request or of reading its answer.
FOREIGN: tuple[type[Exception], ...] = (
    *BUILTIN,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    aiohttp.ClientError,
    HttpProcessingError,
)

#: Seconds to wait for a connection; of the answer as a whole the caller keeps the deadline.
CONNECT = 10.0
#: Seconds for which an idle connection is kept: below the 5 s of uvicorn, node and llama.cpp, which close theirs.
IDLE = 4.0
#: Longest head of an answer in bytes.
HEAD = 64 * 1024

_TIMEOUT = {"timeout": {"connect": CONNECT, "read": None, "write": None, "pool": None}}

#: Whether the connection of the request that this task makes had been used before.
_REUSED: ContextVar[bool] = ContextVar("_REUSED", default=False)


class _Connector(aiohttp.TCPConnector):
    """Tells whether a connection is fresh: a used one may have been closed by the server while the request was on its way."""

    _seen: weakref.WeakSet[object]

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        seen = self.__dict__.setdefault("_seen", weakref.WeakSet())
        used = connection.protocol in seen
        if not used:
            seen.add(connection.protocol)
        _REUSED.set(used)
        return connection


class Prepared:
    """What is the same in each request to an endpoint."""

    __slots__ = ("headers", "tls", "url")

    def __init__(self, endpoint: Endpoint) -> None:
        self.url = httpx.URL(endpoint.url)
        self.tls = self.url.scheme == "https"
        headers = {
            "accept": "application/json, text/event-stream",
            # A compressed answer could be a bomb, and is none the faster for texts of this size.
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"flowkit/{_version()}",
        }
        if endpoint.api_key is not None:
            key = endpoint.api_key.reveal()
            headers |= {"api-key": key} if endpoint.api_style == "azure" else {"authorization": f"Bearer {key}"}
        headers |= {name.lower(): value for name, value in endpoint.headers.items()}
        self.headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


class Transport:
    """Connections to all servers of a client: as many as its limiters allow, one TLS context, no proxy but a given one."""

    def __init__(self, *, proxy: str | None, ca_file: str | None) -> None:
        self._proxy = proxy
        self._ca_file = ca_file
        self._context: SSLContext | None = None
        #: By whether they speak TLS, and whether each request gets a connection of its own.
        self._ways: dict[tuple[bool, bool], AiohttpTransport] = {}

    async def post(self, prepared: Prepared, body: bytes) -> Response:
        """Send one request and return the answer when its head is there.

        A connection that was closed under the request before any answer came, as keep-alive allows, is replaced once, for free: by a
        new one, since others that were kept may be dead as well.
        """
        try:
            response = await self._way(tls=prepared.tls, own=False).handle_async_request(_request(prepared, body))
        except (httpx.TransportError, aiohttp.ClientError) as error:
            if not (_REUSED.get() and isinstance(error.__cause__ or error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)):
                raise
            response = await self._way(tls=prepared.tls, own=True).handle_async_request(_request(prepared, body))
        stream = response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise httpx.StreamError("the answer has no stream")
        return Response(response.status_code, _plain(response.headers.raw), stream)

    async def aclose(self) -> None:
        """Close all connections."""
        for way in self._ways.values():
            await way.aclose()
        self._ways.clear()

    def _way(self, *, tls: bool, own: bool) -> AiohttpTransport:
        way = self._ways.get((tls, own))
        if way is None:
            if tls and self._context is None:
                self._context = httpx.create_ssl_context(verify=True, trust_env=False)
                if self._ca_file is not None:
                    self._context.load_verify_locations(self._ca_file)
            # Without TLS, `verify=False` spares the 15 ms of a context that http:// never uses.
            way = self._ways[tls, own] = self._make(self._context if tls else None, own=own)
        return way

    def _make(self, context: SSLContext | None, *, own: bool) -> AiohttpTransport:
        def session() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=_connector(context, own=own),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
                max_line_size=HEAD,
                max_field_size=HEAD,
            )

        return AiohttpTransport(
            verify=context if context is not None else False,
            trust_env=False,
            proxy=httpx.Proxy(self._proxy) if self._proxy else None,
            client=session,
        )


def _connector(context: SSLContext | None, *, own: bool) -> _Connector:
    verified = context if context is not None else True
    if own:
        return _Connector(limit=0, force_close=True, ssl=verified)
    return _Connector(limit=0, keepalive_timeout=IDLE, ssl=verified)


def _request(prepared: Prepared, body: bytes) -> httpx.Request:
    _REUSED.set(False)
    return httpx.Request("POST", prepared.url, headers=prepared.headers, content=body, extensions=_TIMEOUT)


def _plain(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name in lower case; httpx's own mapping decodes all of them at each look."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _version() -> str:
    try:
        return metadata.version("flowkit-flows")
    except metadata.PackageNotFoundError:
        return "0"
