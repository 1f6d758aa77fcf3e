"""Measure what a step costs beside a bare loop over the same transport. No test: run it by hand.

    python tests/bench_engine.py [--rounds 7] [--repeat 200] [--profile A]

A tiny server in a process of its own answers at once; the yardstick is a loop of ten lines over httpx with the httpx-aiohttp transport,
through `AsyncClient.post` as people write it and with a request handed straight to the transport. Cases: A, a chain of 3 steps; B, 10
steps in parallel and one that joins them (at 50 ms, also how much later than the critical path it ends); T, one typed answer, validated.
All are run in turn in one process, several rounds of each, and the medians of CPU time per request are compared: only the ratios mean
anything, since machines and hours differ.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import os
import pstats
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from pydantic import BaseModel, ConfigDict, Field

import flowkit

PROMPT = "You summarise support tickets for a team that reads hundreds of them each day. " * 12
ANSWER = "The customer cannot sign in since this morning and asks for a refund of the second charge. " * 6
TYPED = {"title": "Refund the charge", "kind": "billing", "severity": 3, "tags": ["refund", "november"]}

CHAIN = """
steps:
  a: {messages: [{system: "%s"}, {user: "{{ inputs.q }}"}]}
  b: {messages: [{system: "%s"}, {user: "{{ steps.a.output }}"}]}
  c: {messages: [{system: "%s"}, {user: "{{ steps.b.output }}"}]}
outputs: {answer: steps.c.output}
""" % ((PROMPT,) * 3)
WIDE = (
    "steps:\n"
    + "".join(f'  s{i}: {{messages: [{{system: "{PROMPT}"}}, {{user: "{i} {{{{ inputs.q }}}}"}}]}}\n' for i in range(10))
    + "  join:\n    messages:\n      - user: |\n"
    + "".join(f"          {{{{ steps.s{i}.output }}}}\n" for i in range(10))
    + "outputs: {answer: steps.join.output}\n"
)
SHAPED = f"""
steps:
  a:
    messages: [{{system: "{PROMPT}"}}, {{user: "{{{{ inputs.q }}}}"}}]
    output: {{title: string, kind: enum(bug | question | billing), severity: integer(1..5), tags: list(string)}}
outputs: {{answer: steps.a.output}}
"""


class Ticket(BaseModel):
    """What a person would validate by hand."""

    model_config = ConfigDict(strict=True, extra="forbid")
    title: str
    kind: str
    severity: int = Field(ge=1, le=5)
    tags: list[str]


# -- the server --------------------------------------------------------------------------------------------


def _reply(text: str) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    usage = {"prompt_tokens": 250, "completion_tokens": 120, "total_tokens": 370}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    data = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    body = json.dumps(data).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Answering(asyncio.Protocol):
    """Reads requests by their length and answers each; the path `/50` makes it wait so many milliseconds."""

    plain, typed = _reply(ANSWER), _reply(json.dumps(TYPED))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.held = b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(self.held) < end + 4 + length:
                return
            body, self.held = self.held[end + 4 : end + 4 + length], self.held[end + 4 + length :]
            answer = self.typed if b'"response_format"' in body else self.plain
            wait = int(head.split(b" ")[1].split(b"/")[1]) / 1000
            if wait:
                asyncio.get_running_loop().call_later(wait, self.transport.write, answer)  # type: ignore[attr-defined]
            else:
                self.transport.write(answer)  # type: ignore[attr-defined]  # a transport of a socket


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


# -- what is compared --------------------------------------------------------------------------------------

Once = Callable[[], Awaitable[None]]
Send = Callable[[str, bytes], Awaitable[bytes]]


def _body(user: str, shape: bool = False, system: bool = True) -> bytes:
    messages = ([{"role": "system", "content": PROMPT}] if system else []) + [{"role": "user", "content": user}]
    more = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}} if shape else {}
    return orjson.dumps({"model": "m", "messages": messages, **more})


SCHEMA = Ticket.model_json_schema()


def _text(data: bytes) -> str:
    said: str = orjson.loads(data)["choices"][0]["message"]["content"]
    return said


def raw(send: Send) -> dict[str, Once]:
    """The three cases by hand."""

    async def chain() -> None:
        said = "what now?"
        for _ in range(3):
            said = _text(await send("0", _body(said)))

    def wide(wait: str) -> Once:
        async def once() -> None:
            found = await asyncio.gather(*(send(wait, _body(f"{i} what now?")) for i in range(10)))
            _text(await send(wait, _body("\n".join(map(_text, found)), system=False)))

        return once

    async def typed() -> None:
        Ticket.model_validate_json(_text(await send("0", _body("what now?", shape=True))))

    return {"A": chain, "B": wide("0"), "B50": wide("50"), "T": typed}


def flows(folder: Path, port: int, runtime: flowkit.Runtime) -> dict[str, Once]:
    """The same cases as flows."""
    found: dict[str, Once] = {}
    for case, text in {"A": CHAIN, "B": WIDE, "B50": WIDE, "T": SHAPED}.items():
        wait = case[1:] or "0"
        path = folder / f"{case}.flow.yaml"
        head = f"flowkit: 1\ninputs: {{q: string}}\ndefaults: {{model: m}}\nmodels: {{m: {{model: local/m, base_url: 'http://127.0.0.1:{port}/{wait}/v1', max_parallel: 64}}}}\n"
        path.write_text(head + text)
        flow = flowkit.load(path, runtime=runtime)

        def once(flow: flowkit.Flow = flow) -> Awaitable[None]:
            return flow.arun(q="what now?")  # type: ignore[return-value]  # what it gave is not looked at

        found[case] = once
    return found


REQUESTS = {"A": 3, "B": 11, "B50": 11, "T": 1}


async def measure(once: Once, repeat: int) -> tuple[float, float]:
    """CPU and wall time of one repetition, in seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeat):
        await once()
    return (time.process_time() - cpu) / repeat, (time.perf_counter() - wall) / repeat


async def main(port: int, rounds: int, repeat: int, profile: str | None) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "flowkit.toml").touch()
        runtime = await stack.enter_async_context(flowkit.Runtime())
        client = await stack.enter_async_context(httpx.AsyncClient(transport=AiohttpTransport(), timeout=60))
        headers = {"content-type": "application/json"}

        async def post(wait: str, body: bytes) -> bytes:
            response = await client.post(f"http://127.0.0.1:{port}/{wait}/v1/chat/completions", content=body, headers=headers)
            response.raise_for_status()
            return response.content

        bare = await stack.enter_async_context(AiohttpTransport())
        urls = {wait: httpx.URL(f"http://127.0.0.1:{port}/{wait}/v1/chat/completions") for wait in ("0", "50")}

        async def straight(wait: str, body: bytes) -> bytes:
            async with asyncio.timeout(60):
                response = await bare.handle_async_request(httpx.Request("POST", urls[wait], content=body, headers=headers))
                return await response.aread()

        runners = {"httpx": raw(post), "transport": raw(straight), "flowkit": flows(folder, port, runtime)}
        if profile is not None:
            await measure(runners["flowkit"][profile], 50)
            with cProfile.Profile() as watched:
                await measure(runners["flowkit"][profile], repeat * 3)
            pstats.Stats(watched).sort_stats("tottime").print_stats(45)
            return
        for runner in runners.values():
            for once in runner.values():
                await measure(once, 5)
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for case, requests in REQUESTS.items():
                times = max(3, repeat // (10 if case == "B50" else requests))
                for name, runner in runners.items():
                    found.setdefault((case, name), []).append(await measure(runner[case], times))
        for case, requests in REQUESTS.items():
            cpu = {name: statistics.median(c for c, _ in found[case, name]) / requests * 1e6 for name in runners}
            wall = {name: statistics.median(w for _, w in found[case, name]) * 1e3 for name in runners}
            late = (
                f"   ms after the critical path: {', '.join(f'{name} {wall[name] - 100:.1f}' for name in runners)}" if case == "B50" else ""
            )
            print(
                f"{case:3}  CPU µs a request: "
                + ", ".join(f"{name} {cpu[name]:.0f}" for name in runners)
                + f"   flowkit = {cpu['flowkit'] / cpu['httpx']:.2f} × httpx, {cpu['flowkit'] / cpu['transport']:.2f} × transport{late}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=200, help="requests in a round, about")
    parser.add_argument("--profile", choices=REQUESTS)
    chosen = parser.parse_args()
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    asyncio.run(main(here.recv(), chosen.rounds, chosen.repeat, chosen.profile))
    process.kill()
