"""Foreign exceptions to ModelErrors: one table, by name, so that nothing has to be imported to read it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from flowkit.errors import ModelError, ModelRejected, ModelTimeout, ModelUnreachable
from flowkit.wire.decode import quote

#: What may come from a connection even before the HTTP library is loaded. `transport.FOREIGN` is the longer list.
BUILTIN: tuple[type[Exception], ...] = (OSError, ValueError, RecursionError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class Row:
    """Exceptions with these names, anywhere along `__cause__`, are this error."""

    names: frozenset[str]
    make: type[ModelError]
    kind: str
    retryable: bool
    words: str
    code: str | None = None


def _row(make: type[ModelError], kind: str, words: str, *names: str, retryable: bool = True, code: str | None = None) -> Row:
    return Row(frozenset(names), make, kind, retryable, words, code)


#: The first row with a match counts. httpx says ConnectError for a bad certificate and, with its aiohttp transport, ConnectTimeout for
#: a connection that was reset, so that causes are looked at before what they are wrapped in.
TABLE: tuple[Row, ...] = (
    _row(
        ModelUnreachable,
        "connection",
        "the server's certificate is not trusted",
        "ssl.SSLCertVerificationError",
        "ssl.CertificateError",
        "aiohttp.ClientConnectorCertificateError",
        "aiohttp.ServerFingerprintMismatch",
        code="certificate",
        retryable=False,
    ),
    _row(
        ModelUnreachable,
        "connection",
        "no TLS connection",
        "aiohttp.ClientConnectorSSLError",
        code="tls",
        retryable=False,
    ),
    _row(
        ModelUnreachable,
        "connection",
        "the host name is not known",
        "socket.gaierror",
        "aiohttp.ClientConnectorDNSError",
        code="dns",
    ),
    _row(
        ModelUnreachable,
        "connection",
        "no connection, or it broke",
        "aiohttp.ServerDisconnectedError",
        "aiohttp.ClientOSError",
        "aiohttp.ClientPayloadError",
        "builtins.ConnectionError",
        "builtins.EOFError",
    ),
    _row(ModelTimeout, "timeout", "timed out", "builtins.TimeoutError", "httpx.TimeoutException"),
    _row(
        ModelRejected,
        "bad_request",
        "the request cannot be sent",
        "httpx.UnsupportedProtocol",
        "httpx.InvalidURL",
        "httpx.LocalProtocolError",
        "aiohttp.InvalidURL",
        "builtins.UnicodeEncodeError",
        retryable=False,
    ),
    _row(
        ModelError,
        "bad_response",
        "the answer is no valid HTTP",
        "aiohttp.ClientResponseError",
        "aiohttp.HttpProcessingError",
        "httpx.ProtocolError",
        "httpx.DecodingError",
    ),
    _row(
        ModelUnreachable,
        "connection",
        "no connection, or it broke",
        "httpx.HTTPError",
        "httpx.StreamError",
        "aiohttp.ClientError",
        "builtins.OSError",
    ),
    _row(
        ModelError,
        "bad_response",
        "the answer cannot be read",
        "builtins.ValueError",
        "builtins.RecursionError",
        "zlib.error",
    ),
)


def translate(error: BaseException) -> ModelError:
    """Return the ModelError for an exception of Python, httpx or aiohttp; its message names the class and quotes the text."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and len(chain) < 10:
        chain.append(cause)
    for row in TABLE:
        for link in chain:
            if not row.names.isdisjoint(map(_name, type(link).__mro__)):
                said = quote(str(link)) if str(link) else ""
                message = f"{row.words} ({type(link).__name__}{': ' + said if said else ''})"
                return row.make(message, kind=row.kind, retryable=row.retryable, code=row.code)
    return ModelUnreachable(f"the call failed ({type(error).__name__})", retryable=True)


def _name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0].lstrip('_')}.{kind.__name__}"
