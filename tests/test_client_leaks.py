"""Nothing stays behind, however calls and runs end."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

import pytest
from calling import KEY, ONCE, ask, endpoint, question
from fault_server import DONE, Exchange, FaultServer, answering, chunk, reset, silent, streaming, well

import flowkit
from flowkit.client import Client
from flowkit.errors import FlowkitError

FLOW = """
flowkit: 1
name: mixed
inputs: {items: list(string)}
defaults: {model: local/m, retry: {attempts: 1}, timeout: 0.2s}
steps:
  answer:
    foreach: inputs.items
    messages:
      - user: "{{ item }}"
  other:
    messages:
      - user: "{{ inputs.items[0] }}"
outputs: {answers: steps.answer.output}
"""

#: Ways in which a server may answer: well, in pieces, with an error, broken in the middle, not at all.
SCRIPTS = [
    well,
    streaming(chunk("Hi"), chunk(finish="stop"), DONE),
    answering(500),
    answering(422),
    reset,
    streaming(chunk("He")),
    streaming(chunk("He"), then=reset),
    silent,
    answering(200, b"<html>"),
    answering(429, retry_after_ms="1"),
]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_thousand_mixed_calls_leave_nothing() -> None:
    """Good, failed, timed out, cancelled and broken ones: no task, no descriptor and no warning is left, and no slot of the limiter."""

    async def script(exchange: Exchange) -> None:
        await SCRIPTS[exchange.number % len(SCRIPTS)](exchange)

    async def one(client: Client, place: str, number: int) -> None:
        # Many endpoints, or a breaker would open and save most of the calls.
        call = ask(client, endpoint(f"{place}/{number % 100}", max_parallel=8), question(stream=number % 2 == 0), policy=ONCE, timeout=0.1)
        task = asyncio.create_task(call)
        if number % 7 == 0:
            await asyncio.sleep(0.001 * (number % 40))
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def main() -> None:
        before = descriptors()
        async with FaultServer(script) as server:
            async with Client() as client:
                for start in range(0, 1000, 100):
                    await asyncio.gather(*(one(client, server.base_url, start + n) for n in range(100)))
                gates = [route.gate for route in client._routes.values()]
                assert {gate.limiter.under_way for gate in gates} == {0}
            assert len(server.requests) > 100  # on a busy machine many end before they are sent
            await asyncio.sleep(0.05)
            assert server.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(0.05)
        assert descriptors() <= before

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("runs", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_mixed_runs_of_a_flow_leave_nothing(tmp_path: Path, runs: int) -> None:
    """Runs, each of five calls, some cancelled, some left in the middle of their stream."""
    (tmp_path / "mixed.flow.yaml").write_text(FLOW)

    async def script(exchange: Exchange) -> None:
        await SCRIPTS[exchange.number % len(SCRIPTS)](exchange)

    async def one(flow: flowkit.Flow, number: int) -> None:
        items = [str(n) for n in range(4)]
        if number % 3 == 1:
            async for _ in flow.stream({"items": items}):
                if number % 2:
                    break
        elif number % 3 == 2:
            task = asyncio.create_task(flow.arun({"items": items}))
            await asyncio.sleep(0.001 * (number % 30))
            task.cancel()
            await task
        else:
            await flow.arun({"items": items})

    async def main() -> None:
        async with FaultServer(script) as server:
            (tmp_path / "flowkit.toml").write_text(f'[providers.local]\nbase_url = "{server.base_url}"\nmax_parallel = 8\n')
            before = descriptors()
            for start in range(0, runs, 20):
                async with flowkit.Runtime(env={"FLOWKIT_KEY": KEY}) as runtime:
                    flow = flowkit.load(tmp_path / "mixed.flow.yaml", runtime=runtime)
                    ends = await asyncio.gather(*(one(flow, start + n) for n in range(20)), return_exceptions=True)
                assert all(end is None or isinstance(end, FlowkitError | asyncio.CancelledError) for end in ends), ends
            await asyncio.sleep(0.1)
            assert server.in_flight == 0
            assert descriptors() <= before
        # The server's own, and the generators that were left in the middle, have ended.
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
