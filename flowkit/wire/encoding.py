"""Compressed bodies to plain bytes in bounded pieces. flowkit asks for none, but some gateways compress anyway."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

#: Bytes that one piece may unfold to: a bomb costs its reader no more memory than this before the reader's own cap ends it.
PIECE = 64 * 1024


class BadEncoding(ValueError):
    """The body is encoded in a way that was not asked for, or is damaged."""


class Inflater:
    """Unfolds `gzip` and `deflate` (with its zlib header or raw, both are seen).

    Raises:
        BadEncoding: any other encoding.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise BadEncoding(f"the body is encoded as {encoding[:40]!r}, which was not asked for")
        self._raw_deflate = encoding == "deflate"
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the plain bytes in pieces of at most 64 KiB.

        Raises:
            BadEncoding: the bytes are damaged.
        """
        while data:
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error as error:
                if self._begun or not self._raw_deflate:
                    raise BadEncoding(f"the compressed body is damaged: {error}") from None
                self._raw_deflate = False
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                continue
            self._begun = True
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece
            if self._inflate.eof:
                return
