"""Flows as text and what they do: for tests of the runner and of the Python face."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from described import wrong_in_shape

import flowkit
from flowkit.chat import ChatRequest
from flowkit.client import Responder
from flowkit.errors import RunError
from flowkit.events import Event
from flowkit.flow import Flow
from flowkit.results import Run, Status
from flowkit.simulator import Simulator
from flowkit.testing import simulate
from flowkit.wire.response import Response

HEAD = "flowkit: 1\ndefaults: {model: m}\nmodels: {m: openai/gpt-test}\n"


def write(folder: Path, text: str, name: str = "main.flow.yaml", **files: str) -> Path:
    """A flow file in a project of its own; `files` are further ones, `__` for the dot of their names."""
    (folder / "flowkit.toml").touch()
    for other, body in files.items():
        (folder / other.replace("__", ".")).write_text(textwrap.dedent(body))
    path = folder / name
    path.write_text(HEAD + textwrap.dedent(text))
    return path


def load(folder: Path, text: str, replies: Mapping[str, Any] | Responder | None = None, **files: str) -> Flow:
    """A checked flow that asks a simulated server."""
    return flowkit.load(write(folder, text, **files), simulate=server(replies))


def server(replies: Mapping[str, Any] | Responder | None) -> Responder:
    return Described(simulate(replies) if replies is None or isinstance(replies, Mapping) else replies)


class Described:
    """Holds each body to the published description before the responder behind it answers."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._responder, name)

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        wrong = wrong_in_shape(body)
        assert not wrong, f"a request that is not as described: {wrong}"
        return await self._responder.respond(request, body)


def run(
    folder: Path,
    text: str,
    replies: Mapping[str, Any] | Responder | None = None,
    /,
    *,
    files: Mapping[str, str] | None = None,
    **inputs: Any,
) -> Run:
    """One run that succeeds."""
    found = load(folder, text, replies, **(files or {})).run(**inputs)
    assert found.status is Status.SUCCEEDED
    return found


def fail(
    folder: Path,
    text: str,
    replies: Mapping[str, Any] | Responder | None = None,
    /,
    *,
    files: Mapping[str, str] | None = None,
    **inputs: Any,
) -> RunError:
    """The error of one run that fails; its `.run` is the partial one."""
    flow = load(folder, text, replies, **(files or {}))
    with pytest.raises(RunError) as caught:
        flow.run(**inputs)
    assert part(caught.value).status is Status.FAILED
    return caught.value


def part(error: RunError) -> Run:
    """What a failed run had done."""
    assert error.run is not None
    return error.run


def watch(flow: Flow, /, **inputs: Any) -> list[Event]:
    """All events of one run, however it ends."""
    events: list[Event] = []

    async def main() -> None:
        started = flow.start(inputs, emit=events.append)
        with suppress(RunError):
            await started.finish()

    asyncio.run(main())
    return events


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what a server of ours has seen."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)


def texts(responder: Simulator, step: str) -> list[str]:
    """The last message of each request of a step."""
    return [str(request.messages[-1].content) for request in getattr(responder, "asked")(step)]  # noqa: B009 - of flowkit.testing
