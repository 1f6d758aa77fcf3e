"""One call of the client against a script, and all that came of it."""

from __future__ import annotations

import asyncio
from typing import Any

from fault_server import FaultServer, Script

from flowkit.chat import Attempt, ChatRequest, Completion, Message, Shape
from flowkit.client import Client
from flowkit.endpoints import Endpoint, Secret
from flowkit.errors import ModelError
from flowkit.retry import Policy

KEY = "sk-canary-0123456789abcdef"
FAST = Policy(attempts=3, initial=0.01, max=0.02)
ONCE = Policy(attempts=1)
SHAPE = Shape("answer", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})


def question(**fields: Any) -> ChatRequest:
    return ChatRequest("m", (Message("user", "hi"),), **fields)


def endpoint(base_url: str, **fields: Any) -> Endpoint:
    return Endpoint("fast", base_url, "m", **({"api_key": Secret(KEY)} | fields))


class Asked:
    """What came of one call: the completion or the error, the attempts, the texts shown, the seconds."""

    def __init__(self) -> None:
        self.completion: Completion | None = None
        self.error: ModelError | None = None
        self.attempts: list[tuple[Attempt, float | None]] = []
        self.shown: list[str] = []
        self.seconds = 0.0

    @property
    def kinds(self) -> list[str]:
        return [attempt.outcome for attempt, _ in self.attempts]


async def ask(
    client: Client,
    where: Endpoint,
    request: ChatRequest,
    *,
    policy: Policy = FAST,
    timeout: float = 5.0,
    total: float | None = None,
    idle: float = 60.0,
) -> Asked:
    asked = Asked()
    now = asyncio.get_running_loop().time
    started = now()
    try:
        asked.completion = await client.complete(
            where,
            request,
            policy=policy,
            attempt_timeout=timeout,
            total_deadline=None if total is None else started + total,
            idle_timeout=idle,
            on_delta=asked.shown.append,
            on_attempt=lambda attempt, delay: asked.attempts.append((attempt, delay)),
        )
    except ModelError as found:
        asked.error = found
    asked.seconds = now() - started
    if asked.error is not None:
        for text in (str(asked.error), repr(asked.error), asked.error.text, *(a.message for a, _ in asked.attempts)):
            assert KEY not in text
            assert len(text) < 70_000
        assert len(str(asked.error)) < 2000
    return asked


def run(script: Script, request: ChatRequest | None = None, **options: Any) -> tuple[Asked, FaultServer]:
    """One call against a script."""
    fields = options.pop("fields", {})

    async def main() -> tuple[Asked, FaultServer]:
        async with FaultServer(script) as server, Client() as client:
            return await ask(client, endpoint(server.base_url, **fields), request or question(), **options), server

    return asyncio.run(main())
