"""A simulated server that begins anew with each row, so that no answer depends on which rows came before. Knows no row."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from flowkit.chat import ChatRequest
from flowkit.simulator import Simulator, Types
from flowkit.wire.response import Response

_CURRENT: ContextVar[Simulator] = ContextVar("simulator of a row")


class PerRow:
    """Answers each run with a simulator of its own, made when the task of the run says `begin`; its steps are tasks below that one."""

    def __init__(self, make: Callable[[], Simulator]) -> None:
        self._make = make

    def begin(self) -> None:
        """Begin anew, in the task that calls and in those that it starts from now on."""
        _CURRENT.set(self._make())

    def learn(self, types: Types) -> None:
        """Take the types of the flow."""
        _CURRENT.get().learn(types)

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Answer as the simulator of this run."""
        return await _CURRENT.get().respond(request, body)
