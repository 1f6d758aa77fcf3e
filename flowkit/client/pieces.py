"""The body of an answer as plain bytes, from a socket or from a script, with foreign exceptions translated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable

from flowkit.client.seam import translate
from flowkit.wire.encoding import Inflater
from flowkit.wire.response import Chunk, Response


async def pieces(response: Response, foreign: tuple[type[Exception], ...]) -> AsyncGenerator[bytes, None]:
    """Yield the body, decompressed in bounded pieces; closing the generator closes the answer.

    Raises:
        ModelError: the connection broke, or the body cannot be decompressed.
    """
    chunks = response.chunks
    source = aiter(chunks if isinstance(chunks, AsyncIterable) else _listed(chunks))
    encoding = response.headers.get("content-encoding", "").strip().lower()
    try:
        inflater = Inflater(encoding) if encoding not in ("", "identity") else None
        async for chunk in source:
            data = chunk if isinstance(chunk, bytes) else await _play(chunk)
            if inflater is None:
                yield data
            else:
                for piece in inflater.feed(data):
                    yield piece
    except foreign as error:
        raise translate(error) from None
    finally:
        for opened in (source, chunks):
            if (close := getattr(opened, "aclose", None)) is not None:
                await close()


async def _listed(chunks: Iterable[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        yield chunk


async def _play(chunk: float | BaseException) -> bytes:
    if isinstance(chunk, BaseException):
        raise chunk
    await asyncio.sleep(chunk)
    return b""
