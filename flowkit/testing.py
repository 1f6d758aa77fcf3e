"""A simulated server for the tests of your own flows: replies as plain data in, real wire bytes out, and a list of all that was asked.

```python
from flowkit.testing import error, simulate

server = simulate({
    "extract": {"language": "en", "issues": []},
    "draft": ["first item", "second item"],
    "reply": [error(429, "slow down"), "Thank you for writing."],
})
```

Give `server` to a client in place of the network; afterwards `server.asked("reply")[0].messages` holds what was sent.
A step without a reply gets a value that fits its type, the same for the same `seed`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flowkit import replies, simulator
from flowkit.replies import SAID, Failure, Reply, Silence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowkit.chat import ChatRequest
    from flowkit.wire.response import Response

__all__ = ["Simulator", "broken_stream", "calls", "error", "filtered", "refusal", "simulate", "slow", "timeout", "truncated"]


class Simulator(simulator.Simulator):
    """A simulated server that remembers what it was asked, in the order in which it was."""

    def __init__(self, said: replies.Replies, *, seed: str = "", latency: float = 0.0) -> None:
        super().__init__(said, seed=seed, latency=latency)
        self.requests: list[ChatRequest] = []

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Note the request, then answer it."""
        self.requests.append(request)
        return await super().respond(request, body)

    def asked(self, step: str) -> list[ChatRequest]:
        """Return the requests of one step (`step`, or `step/inner` inside a sub-flow), attempts and re-asks included."""
        return [request for request in self.requests if request.step == step]


def simulate(said: Mapping[str, Any] | None = None, *, seed: str = "", latency: float = 0.0) -> Simulator:
    """Return a server that answers each step as told.

    A reply is text, or data for a typed step. A list holds the replies in the order of calls (of items in a `foreach`), the last one
    repeats; an answer that is itself a list stands inside one: `{"tags": [["a", "b"]]}`. A list of `{"match": …, "reply": …}` or
    `{"match": …, "error": …}` chooses by a text or `/regex/` in the last user message; an entry without `match` is the rest.
    `latency` is in seconds, before each answer.

    Raises:
        ValueError: a reply has no form that is known, or is not plain data.
    """
    found = replies.replies_of(said or {})
    for step, script in found.scripts.items():
        for answer in (*script.answers, *(answer for case in script.cases for answer in case.answers)):
            if isinstance(answer, Reply):
                _check(step, answer.value)
                _check(step, answer.calls)
    return Simulator(found, seed=seed, latency=latency)


def error(status: int, message: str = SAID, *, code: str | None = None, retry_after: float = 0.001) -> Failure:
    """Answer with an HTTP error; `retry_after` is what the server asks to wait, in seconds, where asking again makes sense."""
    return Failure(status, message, code, retry_after)


def timeout() -> Silence:
    """Give no answer in time. The time itself is not waited for."""
    return Silence()


def broken_stream(reply: Any = "This answer breaks off before its end.", *, after: int = 2, reset: bool = True) -> Reply:
    """Break off a stream after so many pieces, or a whole answer in its middle; with `reset=False` it merely ends, as if complete."""
    return Reply(reply, cut=after, reset=reset)


def truncated(reply: Any) -> Reply:
    """Answer and say that the limit of tokens was reached (`finish_reason: length`)."""
    return Reply(reply, finish="length")


def filtered(reply: Any = "") -> Reply:
    """Answer and say that a content filter stopped the answer."""
    return Reply(reply, finish="content_filter")


def refusal(text: str = "I cannot help with that.") -> Reply:
    """Refuse, as models with strict schemas do."""
    return Reply(None, refusal=text)


def calls(*tools: tuple[str, Any], text: str = "") -> Reply:
    """Ask for tools, all at once: `calls(("search", {"query": "cats"}))`. Arguments may be text, as a model would write it.

    The reply behind it in the list is what the model says when it has read the results. Each item of a `foreach` and each sample goes
    through such a list by itself.
    """
    return Reply(text, finish="tool_calls", calls=tools)


def slow(reply: Any, seconds: float) -> Reply:
    """Answer after so many seconds."""
    return Reply(reply, latency=seconds)


def _check(step: str, value: Any) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as mistake:
        raise ValueError(f"the reply of {step!r} is no plain data: {mistake}") from None
