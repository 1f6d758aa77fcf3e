"""Keep the calls of one run for its cassettes, whatever else keeps them. Changes nothing about the run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from flowkit.cassettes.tapes import Call
from flowkit.chat import Attempt, ChatRequest, Completion
from flowkit.endpoints import Endpoint
from flowkit.errors import ModelError, RunError
from flowkit.identity import digest, question, written
from flowkit.runner import Entry, Ledger

#: Errors that say something about the question; what a server's bad day brings is not worth a file.
_LASTING = frozenset({"bad_request", "context_length", "content_filter", "refusal", "output_truncated", "not_found"})


class Recording:
    """A ledger around another one, or around none."""

    offline = False

    def __init__(self, inner: Ledger | None) -> None:
        self._inner = inner
        self._asked: dict[tuple[str, int | None], int] = {}
        #: What was asked and answered so far.
        self.calls: list[Call] = []

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Entry:
        """Return the entry of a call, which is kept here too when it is answered."""
        asked = question(endpoint, request)
        said: dict[str, Any] = json.loads(asked.body)
        which = (digest(asked.body), request.sample)
        before = self._asked.get(which, 0)
        self._asked[which] = before + 1
        number = before * request.samples + (request.sample or 0)
        call = Call(request.step, said, number, request.item, request.sample, asked.url)
        inner = None if self._inner is None else await self._inner.open(endpoint, request, cache=cache)
        return _Taped(self, call, inner)


class _Taped:
    """One call that is being recorded."""

    replayed = False

    def __init__(self, recording: Recording, call: Call, inner: Entry | None) -> None:
        self._recording = recording
        self._call = call
        self._inner = inner
        self.reused = None if inner is None else inner.reused
        if self.reused is not None:
            self._keep(self.reused)

    def _keep(self, completion: Completion) -> None:
        self._recording.calls.append(replace(self._call, reply=json.loads(written(completion))))

    async def sending(self) -> None:
        """Pass it on."""
        if self._inner is not None:
            await self._inner.sending()

    def attempted(self, attempt: Attempt) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.attempted(attempt)

    async def answered(self, completion: Completion) -> None:
        """Keep the answer, and pass it on."""
        self._keep(completion)
        if self._inner is not None:
            await self._inner.answered(completion)

    def failed(self, error: RunError) -> None:
        """Keep an error that would come again, and pass it on."""
        if isinstance(error, ModelError) and error.kind in _LASTING:
            said = {"kind": error.kind, "message": error.message, "status": error.status}
            self._recording.calls.append(replace(self._call, error={k: v for k, v in said.items() if v is not None}))
        if self._inner is not None:
            self._inner.failed(error)

    def cut(self, *, sent: bool) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.cut(sent=sent)

    def rejected(self) -> None:
        """Pass it on; it was answered all the same."""
        if self._inner is not None:
            self._inner.rejected()
